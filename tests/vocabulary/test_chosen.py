"""What help says of a choice is what Hydra makes of it."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from envcli.configuration import composition, overrides
from envcli.vocabulary import catalog
from envcli.vocabulary.chosen import Chosen

BUNDLES = [path.stem for path in catalog.files("transforms") if "\ndefaults:" in path.read_text()]
SINGLE = [name for name in catalog.choices("transforms") if name not in BUNDLES]
WORDS = [
    *([f"env={choice}"] for choice in catalog.choices("env")),
    *([f"experiment={choice}"] for choice in catalog.choices("experiment")),
    *([f"transforms=[{bundle}]", "from_pixels=true"] for bundle in BUNDLES),
    [f"transforms=[{','.join(SINGLE)}]", "from_pixels=true"],
    *([f"parallel={choice}"] for choice in catalog.choices("parallel")),
    *([f"policy={choice}"] for choice in catalog.choices("policy")),
    ["experiment=ppo_atari", "env=pong", "transforms=[pixels]", "parallel.num_envs=3"],
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_values_are_those_that_hydra_composes(words: list[str]) -> None:
    chosen = Chosen.by("rollout", words)
    composed = OmegaConf.to_container(composition.compose("rollout", overrides.check("rollout", words, multirun=False)))
    assert isinstance(composed, dict)
    told = {key.path: key.default for group in catalog.groups("rollout") for key in chosen.keys(group)}
    assert told
    for path, value in told.items():
        found = composed
        for name in path.split("."):
            found = found[name]
        assert found == OmegaConf.to_container(OmegaConf.create(f"value: {value}"))["value"], path


def test_of_several_choices_all_are_there() -> None:
    chosen = Chosen.by("rollout", ["env=pendulum,pong"]).choices
    assert (chosen["env"], chosen["backend"]) == (["pendulum", "pong"], ["gymnasium", "ale"])


def test_quotes_are_the_shell_s() -> None:
    assert Chosen.by("rollout", ['env="pong"']).choices["backend"] == ["ale"]
