from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli import GymEnv, StoreError, load_rollout
from envcli.batch.parallel_env import ParallelEnv
from envcli.envs.env import Env
from envcli.envs.stream import pieces
from envcli.folders.folder_lock import FolderLock
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.manifest import Manifest
from envcli.shards.shard_folder import ShardFolder, usual_steps
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.testing.toys import CountingEnv
from tests.batch.test_restart import Mortal

STEPS, SHARD = 100, 32  # three whole shards, and one of 4 steps


def opened(folder: Path, env: Env, resume: bool = False, steps: int = STEPS, shard: int | None = SHARD) -> ShardFolder:
    return MemmapRecorder(folder).stream(env, steps, shard, resume)


def made(folder: Path, env: Env | None = None, resume: bool = False, stop: int | None = None) -> None:
    """The rollout of 100 steps; stopped like by Ctrl-C after ``stop``."""
    env = GymEnv("CartPole-v1") if env is None else env
    torch.manual_seed(1)
    env.set_seed(1)
    stream = opened(folder, env, resume)

    def stopping(rows: int) -> None:
        if stop is not None and rows >= stop:
            raise KeyboardInterrupt

    try:
        for _ in pieces(env, STEPS, stream, progress=stopping):
            pass
    except BaseException:
        stream.finish(finished=False)
        raise
    stream.finish()


def sharded(folder: Path, verify: bool = True) -> ShardedRollout:
    data = load_rollout(folder, verify=verify)
    assert isinstance(data, ShardedRollout)
    return data


def same(one: Path, two: Path) -> bool:
    left, right = sharded(one), sharded(two)
    assert left.batch_size == right.batch_size
    return all(torch.equal(left[key], right[key]) for key in left.keys(True, True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished rollout that nobody changes."""
    folder = tmp_path_factory.mktemp("whole") / "rollout"
    made(folder)
    return folder


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


# -- what a shard is ---------------------------------------------------------------------------------------------------


def test_a_shard_is_a_rollout_that_tensordict_reads(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == ["000000", "000001", "000002", "000003", "shards.json"]
    data = sharded(whole)
    for i, shard in enumerate(data.shards()):
        read = TensorDict.load_memmap(whole / f"{i:06}")
        assert read.batch_size == shard.batch_size == torch.Size([4 if i == 3 else 32])
        assert (read == shard).all()


def test_usual_shards_are_of_128_mib() -> None:
    assert usual_steps(58) * 58 in range(2**27 - 58 * 4096, 2**27 + 1)
    assert usual_steps(2 * 210 * 160 * 3) % 16 == 0
    assert usual_steps(2**40) == 16


def test_room_is_reserved_before_the_first_row(tmp_path: Path) -> None:
    env = GymEnv("CartPole-v1")
    stream = opened(tmp_path / "r", env)
    stream.buffer(SHARD)
    assert os.stat(tmp_path / "r" / ".000000.new" / "observation.memmap").st_blocks * 512 >= SHARD * 16
    stream.finish()
    assert not (tmp_path / "r").exists()  # without a step nothing is left


# -- what stops it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [16, 40, 99])
def test_what_was_made_before_a_ctrl_c_is_kept_and_gone_on_with(stop: int, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "r", stop=stop)
    data = sharded(tmp_path / "r")
    assert stop <= len(data) <= STEPS
    assert not data.finished
    assert (data[...] == sharded(whole)[: len(data)]).all()
    made(tmp_path / "r", resume=True)
    assert same(tmp_path / "r", whole)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == sorted(p.name for p in whole.iterdir())


def test_shards_that_no_manifest_lists_are_not_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "r", stop=60)
    (tmp_path / "r" / "shards.json").unlink()
    there = sorted(path.name for path in (tmp_path / "r").iterdir())
    with pytest.raises(
        StoreError, match=r"shards.json: is missing, and only it tells what the \d shards beside it hold"
    ):
        made(tmp_path / "r", resume=True)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == there


def test_a_resume_that_is_stopped_earlier_loses_nothing(whole: Path, tmp_path: Path) -> None:
    for stop, resume in ((60, False), (20, True), (50, True)):
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "r", stop=stop, resume=resume)
        assert len(sharded(tmp_path / "r")) >= 60
    made(tmp_path / "r", resume=True)
    assert same(tmp_path / "r", whole)


def test_what_sigkill_leaves_is_readable_and_goes_on_to_the_same_bits(whole: Path, tmp_path: Path) -> None:
    """Killed for real at many moments: at the first shard, in the middle of one, while one is synced and listed."""
    folder, lengths = tmp_path / "r", []
    for attempt in range(12):
        child = os.fork()
        if not child:  # nothing but the rollout: no cleaning up, no pytest
            torch.set_num_threads(1)
            made(folder, resume=attempt > 0)
            os._exit(0)
        time.sleep(0.005 + 0.011 * attempt)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (folder / "shards.json").exists():
            data = sharded(folder)
            assert (data[...] == sharded(whole)[: len(data)]).all()
            lengths.append(len(data))
    assert lengths == sorted(lengths)
    made(folder, resume=True)
    assert same(folder, whole)


def test_a_full_disk_is_said_and_what_is_whole_stays(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, calls = os.posix_fallocate, []

    def full(descriptor: int, start: int, size: int) -> None:
        calls.append(size)
        if len(calls) > 25:  # in the third shard
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(descriptor, start, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StoreError, match=r"No space left.*The 64 steps before are complete.*resume=") as caught:
            made(tmp_path / "r")
        assert str(caught.value).startswith(f"{tmp_path}/r: ")
        assert str(caught.value).endswith(f"type: envcli rollout resume={tmp_path}")
    assert len(sharded(tmp_path / "r")) == 64
    made(tmp_path / "r", resume=True)
    assert same(tmp_path / "r", whole)


def test_the_complete_steps_are_those_of_all_envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = os.posix_fallocate

    def full(descriptor: int, start: int, size: int) -> None:
        if (tmp_path / "r" / "000001").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(descriptor, start, size)

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"The 192 steps before are complete"):
        made(tmp_path / "r", CountingEnv(batch_size=[3]))
    assert sharded(tmp_path / "r").batch_size == torch.Size([3, 64])


def test_a_disk_too_small_for_the_next_shard_says_how_much_it_needs(tmp_path: Path) -> None:
    stream = opened(tmp_path / "r", GymEnv("CartPole-v1"), steps=10**13, shard=10**13)
    with pytest.raises(
        StoreError,
        match=r"needs [\d,]+ bytes, but the disk has [\d,]+ free.*lower total_steps.*Nothing had been written",
    ):
        stream.buffer(10**13)
    assert stream.finish(finished=False) is None


# -- what is noticed ---------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_flipped_bit_is_named(copy: Path) -> None:
    flip(copy / "000001" / "next" / "reward.memmap", 17)
    assert len(sharded(copy, verify=False)) == STEPS
    with pytest.raises(StoreError, match=r"000001/next/reward\.memmap: is damaged, found checksum \w+, expected \w+"):
        load_rollout(copy, verify=True)


@pytest.mark.parametrize("at", [30, 400, 1500])
def test_a_flipped_bit_in_the_manifest_is_noticed(copy: Path, at: int) -> None:
    flip(copy / "shards.json", at)
    with pytest.raises(StoreError, match=r"shards\.json: "):
        load_rollout(copy)


def test_a_file_that_is_cut_or_missing_is_named(copy: Path) -> None:
    os.truncate(copy / "000002" / "observation.memmap", 511)
    with pytest.raises(StoreError, match=r"000002/observation\.memmap: expected 512 bytes, found 511"):
        load_rollout(copy)
    (copy / "000002" / "observation.memmap").unlink()
    with pytest.raises(StoreError, match=r"000002/observation\.memmap: expected 512 bytes, found no file"):
        load_rollout(copy)
    with pytest.raises(StoreError, match=r"expected 512 bytes, found no file"):
        opened(copy, GymEnv("CartPole-v1"), resume=True)


def test_another_version_is_named(copy: Path) -> None:
    content = json.loads((copy / "shards.json").read_text())
    (copy / "shards.json").write_text(json.dumps({**content, "version": 3}))
    with pytest.raises(StoreError, match="found version 3, expected at most 2"):
        load_rollout(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"entries": [{"key": ["..", "..", "etc"], "dtype": "uint8", "shape": []}]},
        {"entries": [{"key": ["x"], "dtype": "object", "shape": []}]},
        {"shards": [{"name": "../other", "steps": 0, "bytes": 0, "checksums": []}]},
        {"shards": [{"name": "000000", "steps": 7, "bytes": 1, "checksums": []}]},
        {"planned": -1},
    ],
)
def test_a_manifest_from_a_stranger_leads_nowhere_else(copy: Path, change: dict[str, object]) -> None:
    from envcli.shards.manifest import _of_content

    content = {**json.loads((copy / "shards.json").read_text()), **change}
    del content["checksum"]
    (copy / "shards.json").write_text(json.dumps({**content, "checksum": _of_content(content)}))
    with pytest.raises(StoreError, match="has impossible contents"):
        load_rollout(copy)


def test_what_the_manifest_does_not_list_is_not_there(copy: Path) -> None:
    manifest = Manifest.read(copy)
    manifest.with_shards(*manifest.shards[:2]).write(copy)
    assert len(sharded(copy)) == 64


def test_two_writers_are_held_apart(tmp_path: Path) -> None:
    env = GymEnv("CartPole-v1")
    stream = opened(tmp_path / "r", env)
    assert FolderLock.held(tmp_path / "r")
    with pytest.raises(StoreError, match="another process is writing here"):
        opened(tmp_path / "r", env, resume=True)
    stream.finish()


def test_a_folder_with_something_in_it_is_left_alone(whole: Path) -> None:
    before = (whole / "shards.json").read_text()
    with pytest.raises(StoreError, match="not empty"):
        opened(whole, GymEnv("CartPole-v1"))
    assert (whole / "shards.json").read_text() == before


def test_another_rollout_is_not_gone_on_with(copy: Path) -> None:
    with pytest.raises(StoreError, match="expected 200 of"):
        opened(copy, GymEnv("CartPole-v1"), resume=True, steps=200)
    with pytest.raises(StoreError, match=r"observation: found .*expected"):
        opened(copy, GymEnv("Pendulum-v1"), resume=True)


class Drifting(CountingEnv):
    """Shows another observation in step 40 of its second life."""

    lives = 0
    made = 0

    def _step_row(self, t: int) -> None:
        super()._step_row(t)
        self.made += 1
        if Drifting.lives and self.made == 41:
            self._bound[("next", "observation")][t] += 0.5  # type: ignore[index]


def test_a_simulator_that_is_not_deterministic_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "r", Drifting(1000), stop=80)
    Drifting.lives = 1
    with pytest.raises(StoreError, match=r"000001/next/observation\.memmap: step 40 \(row 8 of it\).*deterministic"):
        made(tmp_path / "r", Drifting(1000), resume=True)
    assert len(sharded(tmp_path / "r")) >= 80


def test_a_worker_that_was_restarted_is_the_reason(tmp_path: Path) -> None:
    def mortal() -> Env:
        return Mortal(tmp_path / "died", at=40, limit=1000)

    def run(**how: Any) -> None:
        with ParallelEnv(1, mortal, num_workers=1, on_worker_death="restart") as env:
            made(tmp_path / "r", env, **how)

    with pytest.raises(KeyboardInterrupt):
        run(stop=80)
    with pytest.raises(StoreError, match=r"differs when made again\. Workers died and were restarted, then or now"):
        run(resume=True)


@pytest.mark.parametrize("stop", [None, 300])
def test_a_shard_that_was_stopped_is_compared_before_it_is_replaced(stop: int | None, tmp_path: Path) -> None:
    """The first shard, made again by a simulator that differs in step 40: in full, or stopped again but further on."""

    def begun(env: Env, resume: bool, stop: int | None) -> None:
        def stopping(rows: int) -> None:
            if stop is not None and rows >= stop:
                raise KeyboardInterrupt

        env.set_seed(1)
        torch.manual_seed(1)
        stream = opened(tmp_path / "r", env, resume, steps=1000, shard=1000)
        try:
            for _ in pieces(env, 1000, stream, progress=stopping):
                pass
        finally:
            stream.finish(finished=False)

    Drifting.lives = 0
    with pytest.raises(KeyboardInterrupt):
        begun(Drifting(1000), False, 45)
    kept = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    assert 41 < len(sharded(tmp_path / "r")) < 300
    Drifting.lives = 1
    with pytest.raises(StoreError, match=r"000000.part/next/observation\.memmap: step 40 \(row 40 of it\)"):
        begun(Drifting(1000), True, stop)
    assert {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()} == kept
    Drifting.lives = 0
    begun(Drifting(1000), True, None)
    assert len(sharded(tmp_path / "r")) == 1000


def test_a_disk_that_changed_is_not_blamed_on_the_simulator(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "r", stop=80)
    manifest = Manifest.read(tmp_path / "r")
    first = manifest.shards[0]
    broken = type(first)(first.name, first.steps, first.bytes, ("0" * 8, *first.checksums[1:]))
    manifest.with_shards(broken, *manifest.shards[1:]).write(tmp_path / "r")
    with pytest.raises(StoreError, match="is damaged"):
        made(tmp_path / "r", resume=True)


def test_an_entry_that_comes_late_is_refused(tmp_path: Path) -> None:
    def late(td: TensorDictBase) -> TensorDictBase:
        env.rand_action(td)
        counted[0] += 1
        return td.set("note", torch.ones(1)) if counted[0] > 40 else td

    env, counted = GymEnv("CartPole-v1"), [0]
    stream = opened(tmp_path / "r", env)
    with pytest.raises(StoreError, match="note is in some shards but not in others"):
        for _ in pieces(env, STEPS, stream, late):
            pass
    stream.finish(finished=False)
    assert len(sharded(tmp_path / "r")) == 32


def test_a_policy_that_cannot_be_repeated_is_found_out(tmp_path: Path) -> None:
    env = CountingEnv(1000)

    def begun(note: float, resume: bool) -> ShardFolder:
        torch.manual_seed(1)
        env.set_seed(1)
        stream = opened(tmp_path / "r", env, resume)
        policy = lambda td: env.rand_action(td).set("note", torch.tensor(note))  # noqa: E731
        try:
            next(pieces(env, STEPS, stream, policy))
        finally:
            stream.finish(finished=False)
        return stream

    assert begun(1.0, resume=False).steps == 32
    assert begun(1.0, resume=True).steps == 32
    with pytest.raises(StoreError, match=r"000000/note\.memmap: step 0 .*the policy is not deterministic"):
        begun(2.0, resume=True)
