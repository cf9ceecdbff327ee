from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensordict import TensorDictBase

import envcli
from envcli import DMControlEnv, GymEnv, SerialEnv, TransformedEnv, load_rollout
from envcli.envs.env import Env
from envcli.envs.stream import pieces
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.testing.toys import CountingEnv


def kept(env: Env, folder: Path, steps: int, shard: int | None, policy: object = None) -> ShardedRollout:
    torch.manual_seed(5)
    env.set_seed(5)
    stream = MemmapRecorder(folder).stream(env, steps, shard)
    for piece in pieces(env, steps, stream, policy):  # type: ignore[arg-type]
        assert piece.shape[-1] <= (shard or steps)
    stream.finish()
    data = load_rollout(folder, verify=True)
    assert isinstance(data, ShardedRollout)
    return data


def whole(env: Env, steps: int, policy: object = None) -> TensorDictBase:
    torch.manual_seed(5)
    env.set_seed(5)
    return env.rollout(steps, policy, break_when_any_done=False)  # type: ignore[arg-type]


def require_same(data: TensorDictBase | ShardedRollout, rollout: TensorDictBase) -> None:
    assert data.batch_size == rollout.batch_size
    assert set(data.keys(True, True)) == set(rollout.keys(True, True))
    for key in rollout.keys(True, True):
        assert torch.equal(data[key], rollout[key]), key


def transformed() -> Env:
    chain = envcli.Compose(
        envcli.DoubleToFloat(),
        envcli.StepCounter(max_steps=37),
        envcli.RewardSum(),
        envcli.VecNorm(in_keys=["observation"]),
    )
    return TransformedEnv(GymEnv("Pendulum-v1"), chain)


def stacked() -> Env:
    chain = envcli.Compose(
        envcli.CatFrames(3, dim=-1, in_keys=["observation"]), envcli.FrameSkipTransform(2), envcli.InitTracker()
    )
    return TransformedEnv(GymEnv("CartPole-v1"), chain)


def remembering() -> Callable[..., TensorDictBase]:
    def act(td: TensorDictBase) -> TensorDictBase:
        hidden = td.get("hidden", torch.zeros(2))
        action = torch.nn.functional.one_hot((hidden[0] > 0).long(), 2)
        return td.update({"action": action, "next": {"hidden": hidden * 0.9 + td["observation"][2:]}, "hidden": hidden})

    return act


@pytest.mark.parametrize(
    ("make", "policy"),
    [
        (lambda: GymEnv("CartPole-v1"), None),
        (lambda: GymEnv("Pendulum-v1"), None),
        (transformed, None),
        (stacked, None),
        (lambda: DMControlEnv("cheetah", "run"), None),
        (lambda: SerialEnv(3, lambda: GymEnv("CartPole-v1")), None),
        (lambda: SerialEnv(2, transformed), None),
        (lambda: CountingEnv(batch_size=[2]), None),
        (lambda: GymEnv("CartPole-v1"), remembering()),
    ],
)
def test_pieces_are_the_rollout_in_one_piece(make: Callable[[], Env], policy: object, tmp_path: Path) -> None:
    with make() as env, make() as other:
        data = kept(env, tmp_path / "r", 230, 48, policy)
        require_same(data, whole(other, 230, policy))
        assert (data.num_shards, data.finished) == (5, True)


def test_workers_write_into_the_shards_and_make_them_again(tmp_path: Path) -> None:
    def run(resume: bool, stop: int | None = None) -> None:
        torch.manual_seed(5)
        env.set_seed(5)
        stream = MemmapRecorder(tmp_path / "r").stream(env, 100, 32, resume)
        try:
            for i, _ in enumerate(pieces(env, 100, stream)):
                if i == stop:
                    break
        finally:
            stream.finish(finished=stop is None)

    with envcli.ParallelEnv(2, lambda: GymEnv("CartPole-v1"), num_workers=2, start_method="fork") as env:
        run(resume=False, stop=1)
        assert len(load_rollout(tmp_path / "r")[0]) == 64
        run(resume=True)
    with SerialEnv(2, lambda: GymEnv("CartPole-v1")) as other:
        require_same(load_rollout(tmp_path / "r", verify=True), whole(other, 100))
