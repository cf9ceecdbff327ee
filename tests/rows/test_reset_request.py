"""What a reset is asked for is known while it lasts, and to nobody afterwards."""

from __future__ import annotations

import pickle

import pytest
import torch
from tensordict import TensorDict

from envcli import SerialEnv, TransformedEnv
from envcli.errors import ConfigError
from envcli.memory.buffer import Array
from envcli.rows.reset_request import NO_REQUEST, ResetRequest
from envcli.testing.toys import CountingEnv


class Listening(CountingEnv):
    """Remembers what each reset was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[ResetRequest] = []

    def _reset_row(self, t: int, where: Array | None) -> None:
        self.heard.append(self._reset_request)
        super()._reset_row(t, where)
        if self._reset_request.options.get("fails"):
            raise RuntimeError("as asked")


def test_nothing_is_false_and_says_so_to_each_env() -> None:
    assert not NO_REQUEST
    assert ResetRequest({"fast": True})
    assert ResetRequest(given=TensorDict({}, [2]))
    assert [bool(one) for one in NO_REQUEST.of_each(3)] == [False] * 3


def test_a_batch_gives_each_env_its_own_part() -> None:
    given = TensorDict({"start": torch.tensor([3, 4])}, [2])
    first, second = ResetRequest({"fast": True}, given).of_each(2)
    assert first.options == second.options == {"fast": True}
    assert first.options is not second.options
    assert second.given is not None
    assert second.given["start"] == 4


def test_each_env_may_have_options_of_its_own() -> None:
    request = ResetRequest({"fast": True, "list_of_kwargs": [{"level": 1}, {"level": 2, "fast": False}]})
    first, second = request.of_each(2)
    assert first.options == {"level": 1, "fast": True}
    assert second.options == {"level": 2, "fast": True}, "what all are given counts, as in TorchRL"
    with pytest.raises(ConfigError, match="list_of_kwargs: found 2 for 3 envs"):
        request.of_each(3)


def test_the_tensordict_is_only_for_a_reset_of_all() -> None:
    request = ResetRequest({"fast": True}, TensorDict({}, [2])).for_some()
    assert request == ResetRequest({"fast": True})


def test_it_is_known_while_the_reset_lasts() -> None:
    inner = Listening()
    env = TransformedEnv(inner)
    env.reset(fast=True)
    env.reset()
    assert [dict(request.options) for request in inner.heard] == [{"fast": True}, {}]
    assert not inner._reset_request
    pickle.dumps(env)


def test_it_is_forgotten_when_the_reset_fails() -> None:
    inner = Listening()
    with pytest.raises(RuntimeError, match="as asked"):
        TransformedEnv(inner).reset(fails=True)
    assert not inner._reset_request


def test_each_env_of_a_batch_hears_it_once() -> None:
    env = SerialEnv(2, Listening)
    given = TensorDict({"start": torch.tensor([3, 4])}, [2])
    env.reset(given.copy(), fast=True)
    env.reset()
    heard = list(env.heard)
    assert [len(each) for each in heard] == [2, 2]
    for each, start in zip(heard, (3, 4), strict=True):
        assert each[0].options == {"fast": True}
        assert each[0].given["start"] == start
        assert not each[1]


def test_a_rollout_gives_it_to_the_first_reset_only() -> None:
    env = Listening()
    given = TensorDict({"start": torch.tensor(3)}, [])
    env.rollout(30, tensordict=given, break_when_any_done=False)
    assert len(env.heard) > 1
    assert [bool(request) for request in env.heard] == [True] + [False] * (len(env.heard) - 1)


def test_what_is_given_is_seen_in_the_shape_of_the_env() -> None:
    given = TensorDict({"start": torch.arange(6).view(2, 3)}, [2, 3])
    request = ResetRequest({"fast": True}, given).of_batch(torch.Size([6]))
    assert request.given is not None
    assert request.given["start"].tolist() == [0, 1, 2, 3, 4, 5]
    assert request.options == {"fast": True}
    assert NO_REQUEST.of_batch(torch.Size([6])) is NO_REQUEST
