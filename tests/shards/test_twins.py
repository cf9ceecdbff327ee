"""Frames stand on disk once, and come back twice."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli import StoreError, load_rollout
from envcli.envs.env import Env
from envcli.envs.stream import pieces
from envcli.memory.buffer import RolloutBuffer
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards import twins
from envcli.shards.manifest import Manifest
from envcli.shards.memmap_folder import MemmapFolder
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.testing.toys import CountingEnv
from tests.conftest import Command

ROOT, NEXT = ("pixels",), ("next", "pixels")


Place = tuple[int, ...]


def filled(
    folder: Path,
    steps: int,
    *,
    ends: tuple[Place, ...] = (),
    batch: Place = (),
    value: Place = (64, 64),
    dtype: torch.dtype = torch.uint8,
) -> RolloutBuffer:
    """Rows in ``folder`` of a rollout in which episodes end at ``ends``, ``(step, *env)``; kept."""
    shape = (torch.Size([*batch, *value]), dtype)
    place = MemmapFolder(folder)
    buffer = place.allocate({ROOT: shape, NEXT: shape}, steps + 3, torch.Size(batch))
    noise = torch.randint(0, 2**8, (steps + 1, *shape[0]), generator=torch.Generator().manual_seed(1))
    shown = noise.to(torch.uint8).to(dtype)
    buffer[ROOT][:steps], buffer[NEXT][:steps] = shown[:-1], shown[1:]
    for end in ends:
        buffer[NEXT][end] = 7
    buffer.filled = steps
    place.finish(buffer)
    return buffer


def bits(rows: torch.Tensor) -> bytes:
    return rows.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be stored once is, however small."""
    monkeypatch.setattr(twins, "_SMALLEST", 1)
    monkeypatch.setattr(twins, "_PAGES", 0)
    monkeypatch.setattr(twins, "_SHARE", 1)


def test_frames_take_half_the_disk_and_come_back_to_the_bit(tmp_path: Path) -> None:
    buffer = filled(tmp_path, 900, ends=((17,), (899,)))
    on_disk = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert on_disk < 0.52 * sum(buffer[path][:900].nbytes for path in (ROOT, NEXT))
    read = load_rollout(tmp_path, verify=True)
    for path, key in ((ROOT, "pixels"), (NEXT, ("next", "pixels"))):
        assert torch.equal(read[key], buffer[path][:900])
    assert (read["next", "pixels"][17] == 7).all()
    assert not (read["pixels"][18] == 7).all()
    assert (read["next", "pixels"][899] == 7).all(), "the last is nobody's next row"
    found = Manifest.read(tmp_path)
    assert on_disk - 8000 < found.bytes < on_disk
    assert json.loads((tmp_path / "shards.json").read_text())["version"] == 2


def test_what_tensordict_reads_is_right(tmp_path: Path) -> None:
    buffer = filled(tmp_path, 400)
    read = TensorDict.load_memmap(str(tmp_path))
    assert torch.equal(read["pixels"], buffer[ROOT][:400])
    assert ("next", "pixels") not in read.keys(True)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.float32, torch.bfloat16, torch.float64, torch.complex64]
)
@pytest.mark.parametrize(("batch", "value"), [((), (3,)), ((4,), ()), ((2, 3), (5, 1)), ((2,), (8,))])
def test_any_batch_and_dtype(
    batch: tuple[int, ...], value: tuple[int, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    ends = ((0, *(0 for _ in batch)), (3, *(1 for _ in batch)), (3, *(0 for _ in batch)), (8, *(1 for _ in batch)))
    buffer = filled(tmp_path, 9, ends=ends, batch=batch, value=value, dtype=dtype)
    assert Manifest.read(tmp_path).shards[0].joined == (1,)
    read = load_rollout(tmp_path, verify=True)
    for path, key in ((ROOT, "pixels"), (NEXT, ("next", "pixels"))):
        assert bits(read[key].movedim(len(batch), 0)) == bits(buffer[path][:9])
        assert torch.equal(read[..., 2:7][key], buffer[path][2:7].movedim(0, len(batch)))


@pytest.mark.usefixtures("eager")
def test_the_bits_of_nan_and_of_zeros_with_a_sign(tmp_path: Path) -> None:
    odd = np.array([np.nan, -0.0, 0.0, np.inf], dtype=np.float32).view(np.int32)
    odd[0] |= 5  # a NaN of its own
    values = torch.from_numpy(odd.view(np.float32))
    place = MemmapFolder(tmp_path)
    shape = (torch.Size([4]), torch.float32)
    buffer = place.allocate({ROOT: shape, NEXT: shape}, 4, torch.Size([]))
    buffer[ROOT][1:], buffer[NEXT][:] = values, values
    buffer[ROOT][2, 2] = -0.0  # equal to a float, other bits
    buffer.filled = 4
    place.finish(buffer)
    read = load_rollout(tmp_path, verify=True)
    assert bits(read["next", "pixels"]) == bits(buffer[NEXT])
    assert bits(read["pixels"]) == bits(buffer[ROOT])


@pytest.mark.parametrize("ends", [tuple((t,) for t in range(0, 400, 5)), ((3,), (4,), (5,), (6,))])
def test_where_too_much_would_be_made_again_both_are_stored(ends: tuple[tuple[int], ...], tmp_path: Path) -> None:
    buffer = filled(tmp_path, 400, ends=ends)
    assert (tmp_path / "next" / "pixels.memmap").is_file()
    assert json.loads((tmp_path / "shards.json").read_text())["version"] == 1, "an older envcli reads it too"
    assert torch.equal(load_rollout(tmp_path, verify=True)["next", "pixels"], buffer[NEXT][:400])


def test_what_is_small_is_left_as_it_is(tmp_path: Path) -> None:
    filled(tmp_path, 100)
    assert TensorDict.load_memmap(str(tmp_path))["next", "pixels"].shape == (100, 64, 64)


def test_no_change_in_memory_reaches_the_other_or_the_file(tmp_path: Path) -> None:
    buffer = filled(tmp_path, 400, ends=((17,),))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    read = load_rollout(tmp_path)
    read["pixels"][5] = 1
    read["next", "pixels"][9] = 2
    assert torch.equal(read["next", "pixels"][4], buffer[NEXT][4])
    assert torch.equal(read["pixels"][10], buffer[ROOT][10])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, 4000, ends=((17,),))
    before = resident()
    read = load_rollout(tmp_path)
    assert read["next", "pixels"].shape == (4000, 64, 64)
    assert resident() - before < 4_000_000 < read["next", "pixels"].nbytes
    assert torch.equal(pickle.loads(pickle.dumps(read[10:20]))["next", "pixels"], read["next", "pixels"][10:20])


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_damage_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path, 400, ends=((17,),))
    for name, at in (("pixels.memmap", 5000), ("next/pixels+apart", 7)):
        content = bytearray((tmp_path / name).read_bytes())
        content[at] ^= 1
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreError, match="is damaged, found checksum"):
            load_rollout(tmp_path, verify=True)
        content[at] ^= 1
        (tmp_path / name).write_bytes(content)
    load_rollout(tmp_path, verify=True)
    for place in (400, -1):
        np.array([place], dtype="<i8").tofile(tmp_path / "next" / "pixels+where")
        with pytest.raises(StoreError, match=r"pixels\+where: is damaged"):
            load_rollout(tmp_path)
    (tmp_path / "next" / "pixels+where").unlink()
    with pytest.raises(StoreError, match=r"pixels\+where: expected 0 bytes, found no file"):
        load_rollout(tmp_path)


@pytest.mark.usefixtures("eager")
def test_shards_are_gone_on_with_to_the_same_bits(tmp_path: Path) -> None:
    def made(folder: Path, resume: bool = False, stop: int | None = None) -> None:
        env: Env = CountingEnv(7, batch_size=[2])
        torch.manual_seed(1)
        env.set_seed(1)
        stream = MemmapRecorder(folder).stream(env, 50, 16, resume)
        for _ in pieces(env, 50, stream):
            if stream.steps == stop:
                break
        stream.finish(finished=stop is None)

    made(tmp_path / "whole")
    made(tmp_path / "r", stop=32)
    made(tmp_path / "r", resume=True)
    whole, gone_on = load_rollout(tmp_path / "whole", verify=True), load_rollout(tmp_path / "r", verify=True)
    assert isinstance(whole, ShardedRollout)
    assert isinstance(gone_on, ShardedRollout)
    assert all(shard.joined for shard in whole.manifest.shards)
    env = CountingEnv(7, batch_size=[2])
    torch.manual_seed(1)
    env.set_seed(1)
    expected = env.rollout(50, break_when_any_done=False)
    for data in (whole, gone_on):
        assert (data[...] == expected).all()
        chosen = torch.tensor([49, 3, 17, 16, 15, 3])
        assert (data[:, chosen] == expected[:, chosen]).all()


def test_a_command_reads_them_everywhere(cli: Command) -> None:
    """The whole way: frames of a simulator, filmed and exported."""
    words = ["env=pendulum", "from_pixels=true", "policy=zero", "max_steps=20", "seed=1"]
    assert cli("rollout", *words, "hydra.run.dir=run").code == 0
    assert Manifest.read(Path("run/rollout")).shards[0].joined
    assert not Path("run/rollout/next/pixels.memmap").exists()
    assert cli("export", "run").code == 0
    archive, data = np.load("run/rollout.npz"), load_rollout("run")
    assert (archive["next/pixels"] == data["next", "pixels"].numpy()).all()
    shown = cli("show", "run", "verify=true")
    assert shown.code == 0
    assert "in pixels" in shown.out
    film = cli("render", "rollout=run", "format=png", "max_steps=20", "hydra.run.dir=film")
    assert film.code == 0, film.err


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("steps", [1, 2])
def test_the_least_that_can_be_kept(steps: int, tmp_path: Path) -> None:
    buffer = filled(tmp_path, steps)
    read = load_rollout(tmp_path, verify=True)
    for path, key in ((ROOT, "pixels"), (NEXT, ("next", "pixels"))):
        assert torch.equal(read[key], buffer[path][:steps])


@pytest.mark.usefixtures("eager")
def test_a_last_shard_of_one_step(tmp_path: Path) -> None:
    env = CountingEnv()
    stream = MemmapRecorder(tmp_path / "rollout").stream(env, 33, 16)
    made = [piece.clone() for piece in pieces(env, 33, stream)]
    stream.finish()
    read = load_rollout(tmp_path, verify=True)
    assert isinstance(read, ShardedRollout)
    assert (read.num_shards, [len(piece) for piece in made]) == (3, [16, 16, 1])
    assert torch.equal(read["next", "observation"], torch.cat([piece["next", "observation"] for piece in made]))
