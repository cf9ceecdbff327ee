"""Entries of a saved rollout, and what is looked at before they are believed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict

from envcli.envs.stream import pieces
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.entry import DEEPEST, Entry, checked_entries, count, entries_of, file_name, text
from envcli.shards.loading import load_rollout
from envcli.testing.toys import CountingEnv


def described(key: Any = ("a",), dtype: Any = "float32", shape: Any = (1,)) -> dict[str, Any]:
    return {"key": key, "dtype": dtype, "shape": shape}


def test_an_entry_is_one_row_without_time() -> None:
    found = entries_of(
        {("pixels",): torch.zeros(7, 2, 84, 84, 3, dtype=torch.uint8), ("next", "done"): torch.zeros(7, 2, 1) > 0}
    )
    assert found == (Entry(("pixels",), "uint8", (2, 84, 84, 3)), Entry(("next", "done"), "bool", (2, 1)))
    assert [entry.row_bytes for entry in found] == [2 * 84 * 84 * 3, 2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.complex64, torch.int16, torch.bool])
def test_a_dtype_is_spelt_so_that_it_can_be_read_back(dtype: torch.dtype) -> None:
    (entry,) = entries_of({("x",): torch.zeros(3, dtype=dtype)})
    assert (entry.kind, entry.shape, entry.row_bytes) == (dtype, (), dtype.itemsize)
    assert checked_entries([described(entry.key, entry.dtype, entry.shape)]) == (entry,)


def test_files_are_called_as_tensordict_calls_them(tmp_path: Path) -> None:
    keys = [("next", "observation"), ("walker/joints",), ("a b", "100 %"), ("a:b",)]
    tensors = {key: torch.zeros(3, 1) for key in keys}
    TensorDict(tensors, [3]).memmap(tmp_path)
    entries = entries_of(tensors)
    assert {entry.key for entry in entries} == set(keys)
    for entry in entries:
        assert (tmp_path / entry.file).is_file()


def test_what_is_well_formed_is_taken_as_it_is() -> None:
    found = checked_entries([described(["next", "x"], "int64", [2, 0]), described(["x"], "bool", [])])
    assert found == (Entry(("next", "x"), "int64", (2, 0)), Entry(("x",), "bool", ()))


@pytest.mark.parametrize("key", [[".."], ["a", "."], ["../x", ".."], [""], [None], [3], ["\ud800"], []])
def test_a_key_that_leads_elsewhere_or_nowhere_is_refused(key: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        checked_entries([described(key)])


def test_a_slash_leads_nowhere() -> None:
    (entry,) = checked_entries([described(["../../etc/passwd"])])
    assert entry.file == "..%2F..%2Fetc%2Fpasswd.memmap"


@pytest.mark.parametrize("shape", [[-1], [1.5], ["3"], [True], [None], [2**62], 5])
def test_a_size_that_is_none_is_refused(shape: Any) -> None:
    with pytest.raises(TypeError):
        checked_entries([described(shape=shape)])


@pytest.mark.parametrize("dtype", ["qint8", "torch.float32", "float", "", None, ["float32"]])
def test_a_dtype_that_no_file_holds_is_refused(dtype: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"found dtype|unhashable"):
        checked_entries([described(dtype=dtype)])


@pytest.mark.parametrize("keys", [[["a"], ["a"]], [["a"], ["a", "b"]], [["a", "b", "c"], ["a"]]])
def test_keys_must_be_leaves_of_one_tree(keys: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="found a key twice, or one that is also above others"):
        checked_entries(map(described, keys))


def test_a_key_is_not_endless() -> None:
    checked_entries([described(["a"] * DEEPEST)])
    with pytest.raises(ValueError, match=f"keys of more than {DEEPEST} parts"):
        checked_entries([described(["a"] * (DEEPEST + 1))])


@pytest.mark.parametrize("entry", [{}, {"key": ["a"], "shape": []}, 5, None, "abc"])
def test_what_is_no_entry_is_refused(entry: Any) -> None:
    with pytest.raises((KeyError, TypeError)):
        checked_entries([entry])


def test_texts_and_counts_are_told_with_what_was_found() -> None:
    assert (text("a"), count(0)) == ("a", 0)
    with pytest.raises(TypeError, match="found '', expected a text"):
        text("")
    with pytest.raises(TypeError, match="found -1, expected a count"):
        count(-1)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9).filter(lambda name: name.strip(".")))
def test_keys_are_spelt_as_tensordict_spells_them(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        TensorDict({name: torch.zeros(1)}, [1]).memmap(folder)
        assert [path.name for path in Path(folder).glob("*.memmap")] == [f"{file_name(name)}.memmap"]


def test_an_env_with_any_names_is_recorded(tmp_path: Path) -> None:
    env = CountingEnv(7, group=("speed (m/s)", "größe, [x]"))
    stream = MemmapRecorder(tmp_path / "rollout").stream(env, 20, 10)
    made = torch.cat([piece.clone() for piece in pieces(env, 20, stream)])
    stream.finish()
    assert (load_rollout(tmp_path)[:] == made).all()


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'xxxxxxxxxxxxxxxxxxxx'..., 300 characters: too long for the name of a file"):
        checked_entries([{"key": ["x" * 300], "dtype": "float32", "shape": [1]}])
    with pytest.raises(TypeError, match="found key 'ab', expected a list"):
        checked_entries([{"key": "ab", "dtype": "float32", "shape": [1]}])
