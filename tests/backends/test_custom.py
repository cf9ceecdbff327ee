"""Envs of one's own, by ``module:Name``."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import envcli
from envcli.backends.custom import CustomEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, MissingDependency
from envcli.testing.contract import EnvContract
from tests.conftest import Command

MODULE = """
import gymnasium
import torch
from envcli import Bounded, EnvBase, GymEnv, TransformedEnv, StepCounter
from envcli.testing.toys import CountingEnv


class Mine(CountingEnv):
    def __init__(self, size: int = 5):
        super().__init__(size)


class Open(CountingEnv):
    def __init__(self, size, **others):
        super().__init__(size, **others)


def handing(**options):
    return Mine(**options)


class Drawn(Mine):
    def __init__(self, draws=True):
        super().__init__()
        self.step_seconds = 0.1
        if draws:
            self.observation_spec = self.observation_spec.clone().update(
                {"pixels": Bounded(0, 255, shape=[8, 8, 3], dtype=torch.uint8)}
            )

    def _values(self, **values):
        frame = torch.zeros(8, 8, 3, dtype=torch.uint8)
        return super()._values(**values, **({"pixels": frame} if "pixels" in self.observation_keys else {}))


class Asked(Drawn):
    def __init__(self, from_pixels=False, frame_skip=None, device=None):
        super().__init__(from_pixels)
        self.asked = from_pixels, frame_skip, device


class Unfinished(EnvBase):
    def _step(self, tensordict): ...


class Failing(Mine):
    def __init__(self, how="well"):
        raise KeyError(how)


def bare():
    import no_such_library


class Gym(gymnasium.Env): ...


def make(limit: int = 3):
    return TransformedEnv(Mine(limit), StepCounter())


def of_class(cls="four"):
    return CountingEnv(limit=len(cls))


def cart_pole():
    return GymEnv("CartPole-v1")


def gives_gym():
    return Gym()


built, number = Mine(), 3
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package ``my_rl`` with a module ``envs`` in the folder where one is."""
    (tmp_path / "my_rl").mkdir()
    (tmp_path / "my_rl" / "__init__.py").write_text("")
    (tmp_path / "my_rl" / "envs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_rl"]:
        del sys.modules[name]


def made(name: str, *words: str) -> Env:
    return envcli.make_env("backend=custom", f"backend.name=my_rl.envs:{name}", "allow_imports=true", *words)


class TestCustomEnv(EnvContract):
    def make_env(self) -> Env:
        env: Env = CustomEnv.from_name("envcli.testing.toys:CountingEnv", limit=4)
        return env


def test_the_env_is_what_its_author_wrote() -> None:
    with made("Mine", "backend.options.size=2", "seed=3") as env:
        assert type(env).__name__ == "Mine"
        assert len(env.rollout(9)) == 2
    with made("make") as env:
        assert env.rollout(9)["next", "step_count"].flatten().tolist() == [1, 2, 3]
    with made("cart_pole", "transforms=[step_counter]") as env:
        assert env.observation_spec["observation"].shape == (4,)


def test_an_argument_may_be_called_as_one_of_a_classmethod() -> None:
    with made("of_class", "backend.options.cls=seven") as env:
        assert len(env.rollout(100)) == 5


def test_what_it_takes_reaches_it() -> None:
    with made("Asked", "from_pixels=true", "frame_skip=2", "device=cpu") as env:
        assert env.asked == (True, 2, torch.device("cpu"))  # type: ignore[attr-defined]  # an Env of the module above
    with made("Open", "backend.options.size=2", "backend.options.time_limit=1", "device=cpu") as env:
        assert len(env.rollout(9)) == 1
        assert env.device == torch.device("cpu")
    with made("Drawn", "from_pixels=true") as env:
        assert "pixels" in env.reset(), "it shows them whether it is asked or not"
    with made("handing", "backend.options.size=2") as env:
        assert len(env.rollout(9)) == 2


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("Mine", ["backend.options.sise=3"], r"^backend\.options\.sise: .*:Mine takes no such .* mean 'size'\?$"),
        ("Open", [], r"^backend\.options\.size: required by .* but not given. Add backend\.options\.size=\.\.\.$"),
        ("Mine", ["frame_skip=4"], r"^frame_skip: .* Type: transforms=\[frame_skip\] transforms.*\.frame_skip=4$"),
        ("Mine", ["device=cpu"], r"^device: .* Type: transforms=\[device_cast\] transforms.*\.device=cpu$"),
        (
            "Mine",
            ["from_pixels=true"],
            r"^from_pixels: .*:Mine shows no 'pixels', .* Give its observation_spec a 'pixels'",
        ),
        ("handing", ["frame_skip=4"], r"^frame_skip: .* Type: transforms=\[frame_skip\] transforms.*\.frame_skip=4$"),
        ("handing", ["device=cpu"], r"^device: .* Type: transforms=\[device_cast\] transforms.*\.device=cpu$"),
        ("handing", ["from_pixels=true"], r"^from_pixels: .*:handing shows no 'pixels', "),
        ("Mine", ["backend.options.size=abc"], r":Mine cannot be made of {'size': 'abc'}: \w+Error: .*FULL_ERROR"),
        ("Mein", [], r"^backend\.name: my_rl\.envs has no 'Mein'\. Did you mean 'Mine'\?$"),
        (
            "Gym",
            [],
            r"Gym is not an envcli\.Env\. Name a function that returns envcli\.from_gymnasium\(Gym\(\.\.\.\)\)$",
        ),
        ("gives_gym", [], r"gives_gym gave a Gym, .*from_gymnasium"),
        ("Unfinished", [], r"Unfinished does not implement what an env must: _reset, _set_seed$"),
        ("built", [], r"built is of type Mine, expected a class or a function"),
        ("number", [], r"number is of type int, expected a class or a function"),
        ("Mine", ["parallel.num_envs=2"], r"backend=custom runs a single env\. For several, add parallel=processes"),
        ("Mine", ["backend.name=my_rl.envs"], r"^backend\.name: found 'my_rl\.envs', expected module:Name"),
        (
            "Mine",
            ["backend.name=my_rl.env:M"],
            r"cannot import module 'my_rl\.env'. .* mean 'my_rl\.envs'\? Looked for in .*my_rl",
        ),
        (
            "Mine",
            ["backend.name=my_lr.envs:M"],
            r"cannot import module 'my_lr'. .* mean 'my_rl'\? Looked for in .*PYTHONPATH",
        ),
        ("Mine", ["backend.name=my_rl/envs.py:M"], r"Type: backend\.name=my_rl\.envs:M$"),
        ("Mine", ["allow_imports=false"], r"would import external code\. If you trust it, add allow_imports=true\.$"),
        ("Mine", ["backend=gymnasium"], r"For an env of your own, add backend=custom"),
        ("Mine", ["backend.type=my_rl.envs:Mine"], r"For an env, type: backend=custom backend\.name=my_rl\.envs:Mine$"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name: str, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(name, *words)


def test_a_constructor_that_fails_is_named() -> None:
    with pytest.raises(
        MissingDependency, match=r"my_rl\.envs:bare needs no_such_library, .* pip install no_such_library"
    ):
        made("bare")
    with pytest.raises(EnvError, match=r"my_rl\.envs:Failing cannot be made: KeyError: 'well' in .*envs.py, line"):
        made("Failing")


def test_from_the_shell_again_and_in_workers(cli: Command, tmp_path: Path, fork_server: None) -> None:
    words = ["backend=custom", "backend.name=my_rl.envs:Mine", "allow_imports=true", "max_steps=20", "seed=1"]
    assert cli("rollout", *words, "hydra.run.dir=first").code == 0
    assert cli("rollout", "replay=first").code == 2
    assert cli("rollout", "replay=first", "allow_imports=true", "hydra.run.dir=again").code == 0
    first, again = (envcli.load_rollout(tmp_path / name) for name in ("first", "again"))
    assert (first == again).all()
    many = ["transforms=[step_counter]", "parallel.num_envs=3"]
    for parallel in ("serial", "processes"):
        done = cli("rollout", *words, *many, f"parallel={parallel}", "json=true", f"hydra.run.dir={parallel}")
        assert (json.loads(done.out)["steps"], json.loads(done.out)["step_seconds"]) == (60, None)
    one, other = (envcli.load_rollout(tmp_path / name) for name in ("serial", "processes"))
    assert (one == other).all()
    swept = cli("rollout", "-m", *words, "backend.options.size=2,4", "hydra.sweep.dir=swept")
    assert swept.code == 0
    each = [json.loads(path.read_text()) for path in (tmp_path / "swept").glob("*/metrics.json")]
    assert sorted(metrics["length_mean"] for metrics in each) == [2, 4]


def test_it_is_filmed_at_its_own_rate(cli: Command) -> None:
    words = ["backend=custom", "allow_imports=true", "max_steps=4", "format=gif", "json=true"]
    done = cli("render", *words, "backend.name=my_rl.envs:Drawn")
    assert (done.code, json.loads(done.out)["fps"]) == (0, 10)
    done = cli("render", *words, "backend.name=my_rl.envs:Mine")
    assert (done.code, done.err.count("shows no 'pixels'")) == (2, 1)
