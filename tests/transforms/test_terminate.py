"""TerminateTransform: ends an episode where a function says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.make import make_env
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.terminate import TerminateTransform
from tests.transforms.test_any_batch import Adding
from tests.transforms.test_step_counter import Team


def third(tensordict: TensorDictBase) -> Any:
    return tensordict["observation"] >= 3


class TestStopped(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(9), TerminateTransform(third))


class TestBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 9], [2]), TerminateTransform(third))


class TestBesideDone(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(9), TerminateTransform(third, write_done=False))


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(9, (2,)), TerminateTransform(lambda td: td["agents", "seen"][:, 0, 0] >= 3))


class TestByTensorDicts(EnvContract):
    def make_env(self) -> Env:
        class Asked(TerminateTransform):
            def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
                return super()._step(tensordict, next_tensordict)

        return TransformedEnv(CountingEnv([2, 9], [2]), Asked(third))


def test_it_may_keep_what_it_sees() -> None:
    kept: list[TensorDictBase] = []
    env = TransformedEnv(CountingEnv(9), TerminateTransform(lambda td: kept.append(td) is not None))
    data = env.rollout(3)
    td = env.reset()
    for _ in range(3):
        td = env.step_mdp(env.rand_step(td))
    assert [td["observation"].item() for td in kept] == [1, 2, 3, 1, 2, 3]
    assert set(kept[0].keys()) == set(data["next"].keys())


@pytest.mark.parametrize("write_done", [True, False])
def test_the_episode_ends_there(write_done: bool) -> None:
    env = TransformedEnv(CountingEnv(9), TerminateTransform(third, write_done=write_done))
    assert env.rollout(7).shape == (3,)
    data = env.rollout(7, break_when_any_done=False)
    assert data["next", "terminated"].flatten().tolist() == [False, False, True, False, False, True, False]
    assert data["observation"].flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert not data["next", "truncated"].any()
    assert torch.equal(data["next", "done"], data["next", "terminated"] & write_done)


def test_each_env_by_itself() -> None:
    env = TransformedEnv(CountingEnv([2, 9], [2]), TerminateTransform(third))
    data = env.rollout(6, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [[0, 1, 0, 1, 0, 1], [0, 1, 2, 0, 1, 2]]


@pytest.mark.parametrize(
    ("stop", "length"),
    [
        (lambda td: td["observation"][..., 0] >= 3, 3),
        (lambda td: bool((td["step_count"] == 2).all()), 2),
        (lambda td: False, 9),
        (lambda td: torch.tensor(1.0), 1),
    ],
)
def test_whatever_it_answers_with(stop: Any, length: int) -> None:
    env = TransformedEnv(CountingEnv(9), Compose(StepCounter(), TerminateTransform(stop)))
    assert len(env.rollout(20)) == length


def make_stopped() -> Env:
    return TransformedEnv(CountingEnv(9), TerminateTransform(lambda td: td["observation"] >= 3))


def test_in_workers_and_around_them() -> None:
    expected = make_stopped().rollout(8, break_when_any_done=False)["next", "done"]
    with ParallelEnv(2, make_stopped) as inside:
        assert torch.equal(inside.rollout(8, break_when_any_done=False)["next", "done"], torch.stack([expected] * 2))
    with TransformedEnv(SerialEnv(2, lambda: CountingEnv(9)), TerminateTransform(third)) as around:
        assert torch.equal(around.rollout(8, break_when_any_done=False)["next", "done"], torch.stack([expected] * 2))


def test_on_tensordicts_of_another_batch_size() -> None:
    env = TransformedEnv(Adding(), TerminateTransform(lambda td: td["x"][..., 0] > 0))
    td = env.reset(TensorDict({}, [2])).set("action", torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert env.step(td)["next", "done"].tolist() == [[True], [False]]


def test_a_name_from_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stopping_rules.py").write_text("def second(td):\n    return td['step_count'] >= 2\n\nvalue = 1\n")
    monkeypatch.chdir(tmp_path)
    words = ["env=pendulum", "transforms=[step_counter,terminate]"]
    with make_env(*words, "transforms.terminate.stop=stopping_rules:second", "allow_imports=true") as env:
        assert len(env.rollout(9)) == 2
    for name, imports, message in (
        ("stopping_rules:second", False, "would import external code. If you trust it, add allow_imports=true"),
        ("stopping_rules:value", True, "stopping_rules has no function 'value'"),
        ("second", True, "found 'second', expected module:function"),
    ):
        with pytest.raises(ConfigError, match=f"^transforms.terminate.stop: .*{message}"):
            make_env(*words, f"transforms.terminate.stop={name}", f"allow_imports={str(imports).lower()}")


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="stop: expected a function that takes a TensorDict, found 3"):
        TerminateTransform(3)  # type: ignore[arg-type]
    for said, found in ((None, "None"), (torch.zeros(4), r"\[4\]")):
        env = TransformedEnv(CountingEnv(), TerminateTransform(lambda td, said=said: said))
        with pytest.raises(TransformError, match=rf"stop gave {found}, expected a bool, .* fits 'terminated' \[1\]"):
            env.rand_step(env.reset())
    with pytest.raises(TransformError, match="add it to one"):
        TerminateTransform(third)(CountingEnv().rollout(2))
