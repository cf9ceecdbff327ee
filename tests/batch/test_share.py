"""Share: envs that are made, stepped and reset together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.batch.phases import PHASES
from envcli.batch.share import Share, made
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.keys import RESTARTED
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.reset_request import ResetRequest
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv
from tests.batch.shared_rows import rows_for


class Closing(CountingEnv):
    """Says when it is closed, and then goes wrong if it is told to."""

    def __init__(self, closed: list[str], name: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.closed, self.name, self.error = closed, name, error

    def _close(self) -> None:
        self.closed.append(self.name)
        if self.error is not None:
            raise self.error


def bound(*makers: Callable[[], Env], steps: int = 8, **how: Any) -> tuple[Share, RolloutBuffer]:
    """A share of those envs, seeded, and its rows."""
    share = Share(makers, **how)
    share.set_seeds(range(len(makers)))
    buffer = rows_for(share.envs[0], len(makers), steps)
    share.bind(buffer)
    return share, buffer


def counts(buffer: RolloutBuffer, name: str = "observation", following: bool = False) -> Any:
    """``[time, n]`` of an entry of single envs."""
    return buffer[("next", name) if following else (name,)].squeeze(-1).int().tolist()


# -- how it is built --------------------------------------------------------------------------------------------------


def test_what_makes_no_env_is_asked_for_its_return() -> None:
    with pytest.raises(
        ConfigError, match=r"create_env_fn: made a NoneType, expected an env of envcli. Does it return the env"
    ):
        made(lambda: None)  # type: ignore[arg-type,return-value]  # the mistake
    with pytest.raises(ConfigError, match=r"made a TimeLimit, .* Have it return envcli\.from_gymnasium\("):
        made(lambda: gymnasium.make("CartPole-v1"))  # type: ignore[arg-type,return-value]  # the mistake
    with pytest.raises(ConfigError, match=r"made a CountingGym, .* envcli\.from_gymnasium"):
        made(CountingGym)  # type: ignore[arg-type]  # the mistake


def test_where_one_cannot_be_built_the_others_are_closed_and_the_note_says_which() -> None:
    closed: list[str] = []
    note = [9, 9, 9, 0]

    def broken() -> Env:
        raise ValueError("no such game")

    with pytest.raises(ValueError, match="no such game"):
        Share([lambda: Closing(closed, "a"), lambda: Closing(closed, "b", RuntimeError()), broken], note)
    assert closed == ["a", "b"]
    assert note[:3] == [2, PHASES.index("build"), 0]


# -- rows -------------------------------------------------------------------------------------------------------------


def test_each_env_is_reset_and_stepped_in_rows_of_its_own() -> None:
    share, buffer = bound(lambda: CountingEnv(3), lambda: CountingEnv(9))
    buffer["action",][0] = torch.tensor([[0.25], [0.5]])
    share.reset_row(0, None)
    share.step_row(0)
    assert counts(buffer, following=True)[0] == [1, 1]
    assert buffer["next", "reward"][0].squeeze(-1).tolist() == [0.25, 0.5]
    alone = CountingEnv()
    for i in range(2):
        alone.set_seed(i)
        assert buffer["start",][0, i] == alone.reset()["start"]


def test_who_is_not_asked_to_is_not_reset() -> None:
    share, buffer = bound(CountingEnv, CountingEnv)
    share.reset_row(0, None)
    buffer["observation",][1] = 7
    share.reset_row(1, np.array([False, True]))
    assert counts(buffer)[1] == [7, 0]


def test_of_an_env_that_is_several_some_are_reset() -> None:
    share, buffer = bound(lambda: CountingEnv(9, [2]), lambda: CountingEnv(9, [2]))
    share.reset_row(0, None)
    share.step_row(0)
    share.reset_row(1, np.array([[True, False], [False, False]]))
    share.step_row(1)
    assert buffer["next", "observation"][1].int().squeeze(-1).tolist() == [[1, 2], [2, 2]]


def test_who_waits_is_not_stepped_until_its_reset() -> None:
    share, buffer = bound(CountingEnv, CountingEnv)
    share.reset_row(0, None)
    share.pause(np.array([True, False]))
    share.step_row(0)
    share.reset_row(1, np.array([True, False]))
    share.step_row(1)
    assert share.get("steps_made") == [1, 2]
    assert counts(buffer, following=True)[1] == [1, 2]


def test_the_callers_mask_may_change_after_a_pause() -> None:
    share, _ = bound(CountingEnv, CountingEnv)
    share.reset_row(0, None)
    where = np.array([True, False])
    share.pause(where)
    where[:] = True
    share.step_row(0)
    assert share.get("steps_made") == [0, 1]


@pytest.mark.parametrize("abreast", [False, True])
@pytest.mark.parametrize("onward", [False, True])
def test_new_episodes_begin_where_an_env_is_done(abreast: bool, onward: bool) -> None:
    share, buffer = bound(lambda: CountingEnv(2), lambda: CountingEnv(3), abreast=abreast)
    share.reset_row(0, None)
    share.autoreset_rows(0, 4, onward)
    assert list(zip(*counts(buffer, following=True)[:4], strict=True)) == [(1, 2, 1, 2), (1, 2, 3, 1)]
    assert list(zip(*counts(buffer)[: 4 + onward], strict=True)) == [
        (0, 1, 0, 1, 0)[: 4 + onward],
        (0, 1, 2, 0, 1)[: 4 + onward],
    ]


def test_each_for_itself_makes_the_rows_of_all_abreast() -> None:
    rows = []
    for abreast in (False, True):
        share, buffer = bound(lambda: CountingEnv(2), lambda: CountingEnv(3, time_limit=2), steps=40, abreast=abreast)
        share.reset_row(0, None)
        for start, stop in ((0, 1), (1, 20), (20, 39)):
            share.autoreset_rows(start, stop, True)
        rows.append(buffer.tensors)
    assert all(torch.equal(rows[0][path], rows[1][path]) for path in rows[0])


@pytest.mark.parametrize("abreast", [False, True])
def test_it_stops_early_where_the_rest_is_not_wanted(abreast: bool) -> None:
    share, _ = bound(CountingEnv, CountingEnv, steps=100, abreast=abreast)
    share.reset_row(0, None)
    share.stops_early = lambda: True
    share.autoreset_rows(0, 99, True)
    assert sum(share.get("steps_made")) < 99


@pytest.mark.parametrize("abreast", [False, True])
@pytest.mark.parametrize("phase", ["reset", "step"])
def test_the_note_says_who_fails_where(phase: str, abreast: bool) -> None:
    class Failing(CountingEnv):
        def _step(self, tensordict: Any) -> Any:
            if phase == "step" and self.steps_made == 3:
                raise ZeroDivisionError
            return super()._step(tensordict)

        def _reset(self, tensordict: Any, **options: Any) -> Any:
            if phase == "reset" and self.steps_made:
                raise ZeroDivisionError
            return super()._reset(tensordict, **options)

    share, _ = bound(lambda: CountingEnv(4), lambda: Failing(4), abreast=abreast)
    share.reset_row(0, None)
    with pytest.raises(ZeroDivisionError):
        share.autoreset_rows(0, 8, False)
    assert share.note[:3] == [1, PHASES.index(phase), 3 if phase == "step" else 4]


# -- instead of another share -----------------------------------------------------------------------------------------


def test_the_next_step_in_place_of_lost_envs_is_the_end_of_their_episodes() -> None:
    share, buffer = bound(CountingEnv, CountingEnv)
    restarted = torch.zeros(8, 2, 1, dtype=torch.bool)
    share.bind(buffer, {("next", RESTARTED): restarted})
    share.lose()
    buffer["observation",][2] = 4
    share.autoreset_row(2, True)
    share.autoreset_row(3, True)
    assert share.get("steps_made") == [1, 1]
    assert counts(buffer, following=True)[2:4] == [[4, 4], [1, 1]]
    assert counts(buffer, "truncated", following=True)[2:4] == [[1, 1], [0, 0]]
    assert restarted.squeeze(-1)[2:4].tolist() == [[True, True], [False, False]]


def test_a_lost_env_that_is_reset_before_goes_on_as_new() -> None:
    share, buffer = bound(CountingEnv, CountingEnv)
    share.lose()
    share.reset_row(1, np.array([True, False]))
    share.step_row(1)
    assert share.get("steps_made") == [1, 0]
    assert counts(buffer, "truncated", following=True)[1] == [0, 1]


def test_a_lost_env_that_is_several_is_lost_until_all_of_it_is_reset() -> None:
    share, buffer = bound(lambda: CountingEnv(9, [2]))
    share.lose()
    buffer["observation",][1] = 5
    share.reset_row(1, np.array([[True, False]]))
    assert buffer["observation",][1].flatten().tolist() == [0, 5]
    share.step_row(1)
    assert buffer["next", "truncated"][1].all()


# -- other words ------------------------------------------------------------------------------------------------------


def test_methods_are_called_and_attributes_read_env_by_env() -> None:
    share, _ = bound(lambda: CountingEnv(2), lambda: CountingEnv(3), lambda: CountingEnv(4))
    assert [int(limit) for limit in share.get("limit")] == [2, 3, 4]
    assert share.call("set_seed", [10], {"static_seed": True}) == [10, 10, 10]
    assert len(share.call("reset", [], {}, among={0, 2})) == 2


def test_a_method_that_makes_steps_of_its_own_leaves_the_rows_alone() -> None:
    share, buffer = bound(lambda: CountingEnv(9))
    share.reset_row(0, None)
    share.step_row(0)
    before = {path: buffer[path].clone() for path in buffer}
    share.call("rollout", [5], {})
    assert all(torch.equal(buffer[path], before[path]) for path in buffer)
    share.reset_row(1, None)
    share.step_row(1)
    assert counts(buffer, following=True)[1] == [1]


def test_seeds_must_be_as_many_as_envs() -> None:
    share, _ = bound(CountingEnv, CountingEnv)
    with pytest.raises(ValueError, match="shorter"):
        share.set_seeds([1])


def test_what_the_next_resets_are_given_reaches_each_env() -> None:
    found: list[Any] = []

    class Asking(CountingEnv):
        def _reset(self, tensordict: Any, **options: Any) -> Any:
            found.append((None if tensordict is None else tensordict["x"].item(), options))
            return super()._reset(None)

    share, _ = bound(Asking, Asking)
    given = TensorDict({"x": torch.arange(2)}, [2])
    share.give(ResetRequest({"level": 2}, given).of_each(2))
    share.reset_row(0, None)
    assert found == [(0, {"level": 2}), (1, {"level": 2})]


def test_all_are_closed_whoever_fails_and_the_first_failure_is_told() -> None:
    closed: list[str] = []
    errors = {"a": None, "b": SystemExit(3), "c": ValueError("late"), "d": None}
    share = Share([partial(Closing, closed, name, error) for name, error in errors.items()])
    with pytest.raises(SystemExit):
        share.close()
    assert closed == ["a", "b", "c", "d"]
    assert share.note[:2] == [1, PHASES.index("close")]
