"""What Hydra refuses, told in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from envcli.configuration.composition import compose
from envcli.configuration.refusals import explain, kinds
from envcli.configuration.unknown_key import unknown_key
from envcli.override import parsed


def said(*words: str) -> str:
    """What is told of ``envcli rollout <words>``, which Hydra refuses."""
    with pytest.raises(kinds()) as caught:
        compose("rollout", words)
    return explain(caught.value, "rollout", words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["max_stepz=3"], "no key 'max_stepz'. Did you mean 'max_steps'"),
        (["~max_stepz"], "no key 'max_stepz'. Did you mean 'max_steps'"),
        (["backend.nam=x"], "no key 'backend.nam'. Did you mean 'backend.name'?"),
        (
            ["transforms=[step_counter]", "transforms.step_counter.max_step=3"],
            "no key 'transforms.step_counter.max_step'. Did you mean 'transforms.step_counter.max_steps'?",
        ),
        (
            ["transforms.step_counter.max_steps=3"],
            "no key 'transforms.step_counter.max_steps': transforms is empty. "
            "Choose one first, such as transforms=step_counter.",
        ),
        (
            ["parallel.num_workers=3"],
            "no key 'parallel.num_workers': only available with parallel=processes.",
        ),
        (
            ["+max_steps=3"],
            "max_steps already exists. To change it, type max_steps=... without the plus sign.",
        ),
        (["+env=pendulum"], "env already exists. To change it, type env=... without the plus sign."),
        (["+tracker=none"], "tracker already exists. To change it, type tracker=... without the plus sign."),
        (["++device=cpu"], "device already exists. To change it, type device=... without the plus sign."),
        (["backend.zzz=x"], "For an option of the simulator, type backend.options.zzz=..."),
        (["device.zzz=x"], "(in device)"),
        (["env=cheetah_run", "backend.height=9"], "no key 'backend.height'. Did you mean 'backend.pixel_size'?"),
        (["seed=1,"], "cannot read 'seed=1,'. Leave out the comma at its end: seed=1"),
        (["policy.path=x"], "no key 'policy.path': only available with policy=module."),
        (["transforms.resize.h=9"], "transforms is empty. Choose one first, such as transforms=resize."),
        (
            ["transforms=[step_counter]", "transforms.resize.h=9"],
            "no key 'transforms.resize.h': only available with transforms=resize.",
        ),
        (["transforms=[resize]", "transforms.resise.h=9"], "Did you mean 'transforms.resize.h'?"),
        (["a=b#c"], "cannot read 'a=b#c'. Type it with nested quotes: \"a='b#c'\""),
        (["env=cartpol"], "env: no choice 'cartpol'. Did you mean 'cartpole'"),
        (["hydra.nothing=1"], "no key 'hydra.nothing' in Hydra's own configuration. See envcli rollout --cfg hydra."),
        (["hydra/launcher=dask"], "Others come in separate packages, such as hydra-dask-launcher."),
        (["max_steps=abc"], "max_steps: found 'abc', expected a whole number."),
        (["from_pixels=maybe"], "from_pixels: found 'maybe', expected true or false."),
        (["max_steps=null"], "max_steps: found null, expected a value."),
        (["hydra.mode=often"], "hydra.mode: found 'often', expected one of [RUN, MULTIRUN]."),
        (["env_list=cartpole"], "env_list: found cartpole, expected a list: env_list=[cartpole]"),
        (["env_list={a: 1}"], "env_list: found {a: 1}, expected a list: env_list=[...]"),
        (["a=[b"], "cannot read 'a=[b'. Put it in single quotes if it contains brackets, spaces or commas."),
    ],
)
def test_it_is_told_what_was_found_and_what_to_type(words: list[str], line: str) -> None:
    found = said(*words)
    assert line in found
    assert "\n" not in found


def test_a_second_mistake_does_not_hide_the_first() -> None:
    assert said("max_stepz=3", "max_steps=abc").startswith(("no key 'max_stepz'", "max_steps: found 'abc'"))
    assert unknown_key("max_stepz", "rollout", parsed(["max_stepz=3", "env=nowhere"])).startswith("no key 'max_stepz'")


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of ``experiment=mine``."""
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path))
    (tmp_path / "experiment").mkdir()
    return tmp_path / "experiment" / "mine.yaml"


def test_a_preset_that_forgets_its_first_line_is_told_which(preset: Path) -> None:
    line = "experiment/mine.yaml: its first line must be: # @package _global_"
    preset.write_text("max_steps: 5\n")
    assert said("experiment=mine") == line
    preset.write_text("defaults:\n  - override /env: pong\n")
    assert said("experiment=mine") == line


def test_a_key_that_a_preset_misspells_is_told_with_its_file(preset: Path) -> None:
    preset.write_text("# @package _global_\nmax_stepz: 5\n")
    assert said("experiment=mine").startswith("experiment/mine.yaml: no key 'max_stepz'. Did you mean 'max_steps'")


def test_a_value_where_a_preset_must_list_some_is_told(preset: Path) -> None:
    preset.write_text("# @package _global_\nenv_list: cartpole\n")
    assert said("experiment=mine") == "env_list: expected a list: env_list=[...]"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("device: cpu", "device: found a word, expected settings. .* in the defaults list: - override /device: ...$"),
        ("backend: Pendulum-v1", "backend: found a word, expected settings. .*: - override /backend: ...$"),
        ("transforms: [sign]", r"found a list, expected settings. .*: - override /GROUP: \[\.\.\.\]$"),
        ("defaults: gymnasium", "defaults: found a str, expected a list: - override /backend: gymnasium$"),
    ],
)
def test_what_is_typed_otherwise_than_written_is_told(preset: Path, line: str, told: str) -> None:
    preset.write_text(f"# @package _global_\n{line}\n")
    assert re.match(f"experiment/mine.yaml: {told}", said("experiment=mine"))


def test_words_that_a_preset_may_not_hold_are_told(preset: Path) -> None:
    preset.write_text("# @package _global_\nseed: '${'\n")
    assert said("experiment=mine").startswith("seed: cannot read the interpolation (")
    preset.write_text("# @package _global_\nnull: 2\n")
    assert said("experiment=mine") == "a key in a YAML file is of type NoneType, expected a word. Put it in quotes."


def test_an_exception_without_a_text_gives_that_of_its_cause() -> None:
    error = HydraException()
    error.__cause__ = ValueError("no room")
    assert explain(error) == "no room"
    assert explain(HydraException()) == "HydraException"


def test_a_file_that_is_no_yaml_is_told_with_its_line(preset: Path) -> None:
    preset.write_text("# @package _global_\nmax_steps: [5\nseed: 3\n")
    found = said("experiment=mine")
    assert "mine.yaml" in found
    assert ", line " in found
    assert "\n" not in found


def test_of_what_nobody_foresaw_the_first_line_is_told() -> None:
    assert explain(ValueError("something  odd\nwith details")) == "something odd"


def test_an_environment_variable_that_is_not_there_is_named() -> None:
    cfg = OmegaConf.create({"max_steps": "${oc.env:NOT_SET_HERE}"})
    with pytest.raises(kinds()) as caught:
        _ = cfg.max_steps
    assert explain(caught.value, "rollout") == (
        "max_steps: the environment variable NOT_SET_HERE is not set. "
        "Set it, or give a default: ${oc.env:NOT_SET_HERE,...}"
    )


def test_what_we_raise_while_hydra_resolves_is_said_as_it_is() -> None:
    error = InterpolationResolutionError("StoreError raised while resolving interpolation: runs/a: cannot be read.")
    assert explain(error, "rollout") == "runs/a: cannot be read."


def test_a_sweep_that_needs_another_sweeper_says_what_to_type() -> None:
    error = HydraException("BasicSweeper does not support sweep type : INTERVAL_SWEEP")
    assert explain(error, "rollout", ["max_steps=3", "seed=interval(0,1)"]) == (
        "seed=interval(0,1): interval(...) needs a sweeper that searches. "
        "Type the values to run: 0,0.5,1 or range(0,1,0.25)"
    )
