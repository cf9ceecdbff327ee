from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.envs.stream import pieces
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.loading import load_rollout
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.specs import Categorical, Composite, Unbounded
from envcli.testing.toys import CountingEnv


def stored(folder: Path, env: Env, steps: int = 50, shard: int = 16) -> ShardedRollout:
    torch.manual_seed(0)
    stream = MemmapRecorder(folder).stream(env, steps, shard)
    for _ in pieces(env, steps, stream):
        pass
    stream.finish()
    data = load_rollout(folder)
    assert isinstance(data, ShardedRollout)
    return data


@pytest.fixture(scope="module", params=[(), (3,)], ids=["single", "batch"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ShardedRollout:
    return stored(tmp_path_factory.mktemp("s") / "r", CountingEnv(7, batch_size=request.param))


T = torch.tensor([49, 0, 17, 17, 3])
INDICES: list[Any] = [
    (..., 20),
    (..., -1),
    (..., slice(3, 9)),
    (..., slice(10, 40)),
    (..., slice(1, 50, 7)),
    (..., slice(20, 20)),
    (..., slice(None)),
    (..., T),
    (..., T.reshape(5, 1)),
    (..., torch.arange(50) % 9 == 0),
    (..., [1, 2]),
    (..., torch.zeros(0, 4, dtype=torch.int64)),
    (..., []),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_it_is_indexed_as_the_tensordict_that_it_is(data: ShardedRollout, index: Any) -> None:
    whole = data.to_tensordict()
    assert isinstance(whole, TensorDict)
    found, expected = data[index], whole[index]
    assert found.batch_size == expected.batch_size
    for key in expected.keys(True, True):
        assert torch.equal(found[key], expected[key]), key


@pytest.mark.parametrize(
    "index",
    [
        0,
        slice(1, 3),
        (1, slice(4, 40)),
        (slice(0, 2), 7),
        (1, T),
        (torch.tensor([0, 2, 1, 1, 0]), T),
        (torch.tensor([True, False, True]), T[:2]),
        torch.arange(150).reshape(3, 50) % 7 == 3,
        (torch.arange(150).reshape(3, 50) % 7 == 3).numpy(),
        torch.zeros(3, 50, dtype=torch.bool),
        (slice(None), torch.zeros(0, 4, dtype=torch.int64)),
        (torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64)),
        (torch.tensor(1), T),
        (np.int64(1), slice(4, 40)),
        (torch.tensor(1), torch.tensor(7)),
    ],
    ids=str,
)
def test_envs_are_chosen_as_well(index: Any, tmp_path: Path) -> None:
    data = stored(tmp_path / "r", CountingEnv(7, batch_size=[3]))
    expected, found = data.to_tensordict()[index], data[index]
    assert found.batch_size == expected.batch_size
    assert all(torch.equal(found[key], expected[key]) for key in expected.keys(True, True))


@pytest.mark.parametrize("env", [1, np.int64(1), torch.tensor(1), np.array(1)], ids=repr)
def test_whatever_kind_of_number_says_which_env(env: Any, tmp_path: Path) -> None:
    data = stored(tmp_path / "r", CountingEnv(7, batch_size=[2, 3]))
    index = (1, slice(None), [4, 10])
    expected = data.to_tensordict()[index]
    found = data[(env, *index[1:])]
    assert found.batch_size == expected.batch_size == torch.Size([3, 2])
    assert all(torch.equal(found[key], expected[key]) for key in expected.keys(True, True))


def test_a_mask_of_several_dimensions(tmp_path: Path) -> None:
    data = stored(tmp_path / "r", CountingEnv(7, batch_size=[2, 3]))
    whole = data.to_tensordict()
    steps = torch.arange(300).reshape(2, 3, 50) % 11 == 2
    two, few = torch.tensor([1, 0]), torch.tensor([[0, 49], [17, 3]])
    mixed = [(slice(None), two, few), (two, slice(0, 2), few), (two, 1, few), (0, two, few), (two.reshape(2, 1), 2, T)]
    for index in (steps, steps[:, :, 0], (0, steps[0]), (..., steps[0]), *mixed):
        found, expected = data[index], whole[index]
        assert found.batch_size == expected.batch_size
        assert all(torch.equal(found[key], expected[key]) for key in expected.keys(True, True))
    with pytest.raises(IndexError, match=r"a mask of 49 where a rollout of shape \[2, 3, 50\] has 50"):
        data[steps[..., 1:]]
    with pytest.raises(IndexError, match="envs and steps are indexed in pairs: expected equal sizes, found 5, 2"):
        data[two, ..., steps[0, 0]]
    with pytest.raises(IndexError, match=r"for a rollout of shape \[2, 3, 50\]"):
        data[steps.unsqueeze(-1)]


def test_it_is_asked_for_keys_as_a_tensordict_is(data: ShardedRollout) -> None:
    whole = data.to_tensordict()
    for key in ("action", "next", ("next", "reward"), "zz", ("next", "zz"), ("next",)):
        assert (key in data) == (key in whole.keys(True)), key
    assert data.get("zz", None) is None
    assert data.get(("next", "zz"), 3) == 3
    assert torch.equal(data.get("action", None), whole["action"])
    with pytest.raises(KeyError, match="no entry 'zz'"):
        data.get("zz")


def test_what_it_says_of_itself(data: ShardedRollout) -> None:
    whole = data.to_tensordict()
    assert (data.shape, data.numel(), len(data)) == (whole.shape, whole.numel(), len(whole))
    assert data.names == whole.names
    assert data.bytes() == whole.bytes()
    for options in ((False, False), (True, False), (True, True)):
        assert set(data.keys(*options)) == set(whole.keys(*options))
    assert "in 4 shards" in repr(data)


def test_entries_and_what_is_under_a_key(data: ShardedRollout) -> None:
    whole = data.to_tensordict()
    assert torch.equal(data["observation"], whole["observation"])
    assert torch.equal(data["next", "reward"], whole["next", "reward"])
    assert torch.equal(data["next"]["reward"], whole["next", "reward"])
    assert torch.equal(data["next"][..., 5:30]["done"], whole["next", "done"][..., 5:30, :])
    with pytest.raises(KeyError, match="no entry 'rewrd'"):
        data["rewrd"]


def test_a_part_of_a_shard_is_not_copied(data: ShardedRollout) -> None:
    one, two = data[..., 0:5]["observation"], data[..., 2:7]["observation"]
    assert one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr()


def test_it_is_gone_through_in_order(data: ShardedRollout) -> None:
    whole = data.to_tensordict()
    assert [window.shape[-1] for window in data.windows(15)] == [15, 15, 15, 5]
    assert (torch.cat(list(data.windows(15)), data.names.index("time")) == whole).all()
    assert [shard.shape[-1] for shard in data.shards()] == [16, 16, 16, 2]
    assert len(list(data)) == len(data)


@pytest.mark.parametrize("index", [(..., 50), (..., -51), (..., torch.tensor([50])), (..., slice(9, 1, -1)), None])
def test_what_is_not_there_is_an_index_error(data: ShardedRollout, index: Any) -> None:
    with pytest.raises(IndexError):
        data[index]


def test_what_only_a_tensordict_has_is_told_with_the_way_to_one(data: ShardedRollout) -> None:
    with pytest.raises(AttributeError, match=r"has no 'clone'\. For a TensorDict take all of it, data\.to_tensordict"):
        data.clone()
    with pytest.raises(AttributeError, match=r"has no 'colour'$"):
        _ = data.colour
    assert not hasattr(data, "__array__")


def test_another_process_can_have_it(data: ShardedRollout) -> None:
    data[..., 3]
    again = pickle.loads(pickle.dumps(data))
    assert (again[..., 3] == data[..., 3]).all()


def test_a_dataloader_takes_it(tmp_path: Path) -> None:
    data = stored(tmp_path / "r", CountingEnv(7))
    loader = torch.utils.data.DataLoader(data, batch_size=10, shuffle=True, collate_fn=torch.stack)  # type: ignore[arg-type]
    assert sorted(torch.cat(list(loader))["observation"].flatten().tolist()) == sorted(
        data["observation"].flatten().tolist()
    )


def test_before_the_first_shard_it_is_empty(tmp_path: Path) -> None:
    stream = MemmapRecorder(tmp_path / "r").stream(CountingEnv(), 10, 4)
    data = load_rollout(tmp_path / "r")
    assert isinstance(data, ShardedRollout)
    assert (len(data), data[...].batch_size, data["observation"].shape[0]) == (0, torch.Size([0]), 0)
    stream.finish()


class Team(EnvBase):
    """Three agents in a group that counts them, and in it another that does."""

    def __init__(self, batch_size: Any = ()) -> None:
        super().__init__(batch_size=batch_size)
        self.inner = torch.Size([*self.batch_size, 3])
        nested = Composite(place=Unbounded([*self.inner, 2]), shape=self.inner)
        self.observation_spec = self._group(seen=Unbounded([*self.inner, 4]), deeper=nested)
        self.action_spec = self._group(action=Categorical(2, shape=[*self.inner]))
        self.reward_spec = self._group(reward=Unbounded([*self.inner, 1]))
        self.done_spec = Composite(done=Categorical(2, shape=[*self.batch_size, 1], dtype=torch.bool), shape=batch_size)

    def _group(self, **leaves: Any) -> Composite:
        return Composite(agents=Composite(leaves, shape=self.inner), shape=self.batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return self.observation_spec.rand()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        done = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return self.observation_spec.rand().update(self.full_reward_spec.rand()).set("done", done)

    def _set_seed(self, seed: int | None) -> None:
        pass  # torch's global generator is drawn from


GROUPS = ("agents", ("agents", "deeper"), ("next", "agents"), ("next", "agents", "deeper"))


@pytest.mark.parametrize("batch", [(), (2,)])
def test_groups_of_agents_count_them(tmp_path: Path, batch: tuple[int, ...]) -> None:
    sharded = stored(tmp_path / "s", Team(batch))
    whole = sharded.to_tensordict()
    for key in GROUPS:
        assert whole[key].batch_size == (*batch, 50, 3)
    for index in INDICES:
        found = sharded[index]
        for key in GROUPS:
            assert found[key].batch_size == (*found.batch_size, 3)
            lazily = sharded[key][index]
            assert lazily.batch_size == (*found.batch_size, 3)
            assert (lazily == found[key]).all()


@pytest.mark.parametrize("batch", [(), (2,)])
def test_groups_of_agents_count_them_in_one_piece(tmp_path: Path, batch: tuple[int, ...]) -> None:
    env, recorder = Team(batch), MemmapRecorder(tmp_path / "r")
    rollout = env.rollout(5, out=recorder.buffer(env, 5))
    recorder.finish()
    by_tensordict = TensorDict.load_memmap(tmp_path / "r")
    for key in GROUPS:
        assert load_rollout(tmp_path / "r")[key].batch_size == rollout[key].batch_size == (*batch, 5, 3)
        assert by_tensordict[key].batch_size == (5, *batch, 3)
    (tmp_path / "r" / "shards.json").unlink()  # as TensorDict.memmap would have saved it
    for key in GROUPS:
        assert load_rollout(tmp_path / "r")[key].batch_size == (*batch, 5, 3)


def test_it_stays_where_it_is_when_the_process_goes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = stored(tmp_path / "r", CountingEnv(7, batch_size=[3])).to_tensordict()
    monkeypatch.chdir(tmp_path)
    data = load_rollout("r")
    monkeypatch.chdir("/")
    for found in (data, pickle.loads(pickle.dumps(data))):
        assert torch.equal(found[..., 40:]["observation"], expected[..., 40:]["observation"])
