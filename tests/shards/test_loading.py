from __future__ import annotations

import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.envs.stream import pieces
from envcli.errors import ConfigError, StoreError
from envcli.memory.buffer import RolloutBuffer
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.loading import load_rollout
from envcli.shards.memmap_folder import MemmapFolder
from envcli.testing.gym_toys import ExoticGym
from envcli.testing.toys import CountingEnv

LAYOUT = {
    ("observation",): (torch.Size([3]), torch.float64),
    ("next", "observation"): (torch.Size([3]), torch.float64),
    ("next", "done"): (torch.Size([1]), torch.bool),
    ("next", "deep", "half"): (torch.Size([2]), torch.bfloat16),
    ("nothing",): (torch.Size([0]), torch.int16),
    ("walker/joints", "50%"): (torch.Size([2]), torch.int16),
}


def filled(folder: Path, steps: int, of: int = 10) -> tuple[MemmapFolder, RolloutBuffer]:
    place = MemmapFolder(folder)
    buffer = place.allocate(LAYOUT, of, torch.Size([]))
    buffer[("observation",)][:] = torch.arange(of * 3, dtype=torch.float64).reshape(of, 3)
    buffer[("next", "deep", "half")][:] = 1.5
    buffer.filled = steps
    return place, buffer


def test_what_was_written_is_read_back_by_us_and_by_tensordict(tmp_path: Path) -> None:
    place, buffer = filled(tmp_path / "r", 10)
    place.finish(buffer)
    assert load_rollout(tmp_path / "r").names == ["time"]  # which tensordict reads since 0.15
    for read in (load_rollout(tmp_path / "r"), TensorDict.load_memmap(str(tmp_path / "r"))):
        assert read.batch_size == torch.Size([10])
        assert read["observation"].tolist() == buffer[("observation",)].tolist()
        assert read["next", "deep", "half"].dtype == torch.bfloat16
        assert (read["next", "deep", "half"] == 1.5).all()
        assert not read["next", "done"].any()
        assert read["nothing"].shape == (10, 0)
        assert read["walker/joints", "50%"].shape == (10, 2)


def test_rows_that_were_not_made_are_not_kept(tmp_path: Path) -> None:
    place, buffer = filled(tmp_path / "r", 4)
    place.finish(buffer)
    assert load_rollout(tmp_path / "r").batch_size == torch.Size([4])
    assert (tmp_path / "r" / "observation.memmap").stat().st_size == 4 * 3 * 8
    assert (tmp_path / "r" / "next" / "done.memmap").stat().st_size == 4


def test_room_is_reserved_before_the_first_row(tmp_path: Path) -> None:
    filled(tmp_path / "r", 0)
    assert os.stat(tmp_path / "r" / "observation.memmap").st_blocks * 512 >= 10 * 3 * 8


def test_a_rollout_is_its_own_file(tmp_path: Path) -> None:
    env = GymEnv("CartPole-v1")
    place = MemmapFolder(tmp_path / "r")
    buffer = place.allocate(env._row_layout(), 50, env.batch_size)
    rollout = env.rollout(50, break_when_any_done=False, out=buffer)
    place.finish(buffer)
    saved = load_rollout(tmp_path / "r")
    assert (saved == rollout).all()
    rollout["observation"][7] = 42  # the same memory, not a copy
    assert (load_rollout(tmp_path / "r")["observation"][7] == 42).all()
    on_disk = sum(file.stat().st_size for file in (tmp_path / "r").rglob("*.memmap"))
    assert on_disk == rollout.bytes()


@pytest.mark.parametrize("pixels", [4, 400], ids=["of two files", "that stand once"])
@pytest.mark.parametrize("shard", [None, 16])
def test_reading_a_recording_does_not_change_it(pixels: int, shard: int | None, tmp_path: Path) -> None:
    space = gymnasium.spaces.Box(-9, 9, (pixels, 90), np.float32)
    env = GymWrapper(ExoticGym(space, gymnasium.spaces.Discrete(3), limit=20))
    recorder = MemmapRecorder(tmp_path / "r")
    if shard:
        stream = recorder.stream(env, 40, shard)
        for _ in pieces(env, 40, stream):
            pass
        stream.finish()
    else:
        env.rollout(40, break_when_any_done=False, out=recorder.buffer(env, 40))
        recorder.finish()
    for file in (tmp_path / "r").rglob("*.memmap"):
        file.chmod(0o400)
    before = {file: file.read_bytes() for file in (tmp_path / "r").rglob("*") if file.is_file()}
    joined = any("+apart" in file.name for file in before)
    assert joined == (pixels == 400)
    data = load_rollout(tmp_path / "r")
    whole = data[..., :].clone()
    for part in (data[..., :5], data[..., 10:30], data[..., 7], data[..., torch.arange(3)]):
        for key in part.keys(True, True):
            part[key].zero_()
            assert not part[key].any()
            data[key].fill_(1)
    assert {file: file.read_bytes() for file in before} == before
    assert (load_rollout(tmp_path / "r", verify=True)[..., :] == whole).all()


def test_a_batch_comes_back_as_it_was_returned(tmp_path: Path) -> None:
    env = CountingEnv(batch_size=[3])
    place = MemmapFolder(tmp_path / "r")
    buffer = place.allocate(env._row_layout(), 5, env.batch_size)
    rollout = env.rollout(5, break_when_any_done=False, out=buffer)
    place.finish(buffer)
    saved = load_rollout(tmp_path / "r")
    assert saved.batch_size == rollout.batch_size == torch.Size([3, 5])
    assert saved.names == [None, "time"]
    assert (saved == rollout).all()


def test_a_disk_too_small_is_said_beforehand(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"needs [\d,]+ bytes, but the disk has [\d,]+ free"):
        MemmapFolder(tmp_path / "r").allocate(LAYOUT, 10**13, torch.Size([]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (("next", ""), "found '', expected a text"),
        (("..", "a"), r"found key '\.\.'"),
        (("x" * 300,), r"found 'x{20}'\.\.\., 300 characters: too long for the name of a file"),
        (("meta.json", "a"), "found 'meta.json', which is the name of another file there"),
    ],
)
def test_a_key_that_no_file_can_have_is_said_before_the_first_step(
    key: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    cure = r"Rename it \(transforms=rename\), or keep nothing: recorder=none"
    with pytest.raises(ConfigError, match=rf"^.{{1,43}}: no file can be called like this entry: {said}\. {cure}$"):
        MemmapFolder(tmp_path / "r").allocate({**LAYOUT, key: LAYOUT["observation",]}, 5, torch.Size([]))
    assert not any(tmp_path.rglob("*"))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(StoreError, match="not empty"):
        MemmapFolder(tmp_path)
    assert (tmp_path / "precious").read_text() == "data"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        MemmapFolder(tmp_path / "file" / "r")


def test_what_is_no_rollout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no rollout here"):
        load_rollout(tmp_path)
    filled(tmp_path / "r", 4)
    with pytest.raises(StoreError, match="not finished"):
        load_rollout(tmp_path / "r")


def test_a_file_that_is_missing_or_cut_short_is_named(tmp_path: Path) -> None:
    place, buffer = filled(tmp_path / "r", 4)
    place.finish(buffer)
    os.truncate(tmp_path / "r" / "next" / "done.memmap", 3)
    with pytest.raises(StoreError, match=r"done\.memmap: expected 4 bytes, found 3"):
        load_rollout(tmp_path / "r")
    (tmp_path / "r" / "next" / "done.memmap").unlink()
    with pytest.raises(StoreError, match=r"done\.memmap: expected 4 bytes, found no file"):
        load_rollout(tmp_path / "r")


def test_a_run_folder_is_as_good_as_the_rollout_in_it(tmp_path: Path) -> None:
    place, buffer = filled(tmp_path / "run" / "rollout", 4)
    place.finish(buffer)
    assert load_rollout(tmp_path / "run").batch_size == torch.Size([4])


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    place, _ = filled(tmp_path / "r", 0)
    place.discard()
    assert not (tmp_path / "r").exists()


def test_what_an_earlier_rollout_added_is_not_kept(tmp_path: Path) -> None:
    env, place = CountingEnv(), MemmapFolder(tmp_path / "rollout")
    buffer = place.allocate(env._row_layout(), 3, env.batch_size)

    def noting(td: TensorDictBase) -> TensorDictBase:
        return env.rand_action(td).set("note", torch.ones(1))

    env.rollout(3, noting, out=buffer)
    env.rollout(3, noting, out=buffer)
    assert ("note",) in buffer
    env.rollout(3, out=buffer)
    place.finish(buffer)
    assert "note" not in set(load_rollout(tmp_path).keys())
    assert not (tmp_path / "rollout" / "note.memmap").exists()


def test_a_reservation_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve, calls = os.posix_fallocate, []

    def failing(descriptor: int, start: int, size: int) -> None:
        calls.append(size)
        if len(calls) == 3:
            raise OSError(122, "Disk quota exceeded")
        reserve(descriptor, start, size)

    monkeypatch.setattr(os, "posix_fallocate", failing)
    with pytest.raises(StoreError, match="Disk quota exceeded"):
        MemmapFolder(tmp_path / "rollout").allocate(LAYOUT, 10, torch.Size([]))
    assert not (tmp_path / "rollout").exists()


def test_a_flipped_bit_is_named_where_that_is_asked_for(tmp_path: Path) -> None:
    place, buffer = filled(tmp_path / "r", 4)
    place.finish(buffer)
    load_rollout(tmp_path / "r", verify=True)
    file = tmp_path / "r" / "observation.memmap"
    content = bytearray(file.read_bytes())
    content[5] ^= 8
    file.write_bytes(content)
    load_rollout(tmp_path / "r")
    with pytest.raises(StoreError, match=r"observation\.memmap: is damaged, found checksum \w{8}, expected \w{8}"):
        load_rollout(tmp_path / "r", verify=True)


def test_what_tensordict_saved_is_read_and_nothing_beside_it_is_unpickled(tmp_path: Path) -> None:
    saved = TensorDict({"a": torch.arange(6).reshape(3, 2), "next": {"b": torch.ones(3, 1)}}, batch_size=[3])
    saved.memmap(str(tmp_path / "r"))
    (tmp_path / "r" / "other.pickle").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    read = load_rollout(tmp_path / "r")
    assert (read == saved).all()
    with pytest.raises(StoreError, match="without checksums"):
        load_rollout(tmp_path / "r", verify=True)


def test_a_file_that_nobody_may_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, buffer = filled(tmp_path / "r", 10)
    place.finish(buffer)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the user of a test may be root
    with pytest.raises(StoreError, match=r"\.memmap: cannot be read, permission denied"):
        load_rollout(tmp_path / "r")
