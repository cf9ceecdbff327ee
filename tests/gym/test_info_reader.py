"""Entries of ``info`` as observations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.errors import ConfigError, SpecError
from envcli.gym.info_reader import InfoReader, ShownInfo, default_info_dict_reader
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, Composite, Unbounded


def test_a_scalar_each_unless_said_otherwise() -> None:
    assert InfoReader(["lives", "level"]).info_spec == Composite(lives=Unbounded([]), level=Unbounded([]))


@pytest.mark.parametrize(
    "spec",
    [
        {"b": Unbounded([2]), "a": Bounded(0, 1, shape=[1])},
        [Bounded(0, 1, shape=[1]), Unbounded([2])],
        Composite(a=Bounded(0, 1, shape=[1]), b=Unbounded([2])),
    ],
)
def test_specs_by_name_or_in_order(spec: object) -> None:
    reader = default_info_dict_reader(["a", "b"], spec)  # type: ignore[arg-type]  # three types in one test
    assert isinstance(reader, InfoReader)
    assert reader.info_spec["a"] == Bounded(0, 1, shape=[1])
    assert reader.info_spec["b"] == Unbounded([2])


def test_a_key_without_a_spec() -> None:
    with pytest.raises(SpecError, match=r"no spec for \['b'\]. Give one for each key: \['a', 'b'\]"):
        InfoReader(["a", "b"], {"a": Unbounded([1])})
    with pytest.raises(ValueError, match="shorter"):
        InfoReader(["a", "b"], [Unbounded([1])])


def test_what_info_lacks_is_zero() -> None:
    reader = InfoReader(["a", "b"], {"a": Unbounded([2]), "b": Unbounded([])})
    layout = {("next", "a"): (torch.Size([2]), torch.float32), ("next", "b"): (torch.Size([]), torch.float32)}
    buffer = RolloutBuffer.allocate(layout, 3, torch.Size([]))
    write = reader.writer(buffer, ("next",))
    write(0, {"a": np.array([1, 2]), "b": 3, "other": "text"})
    write(1, {"b": 4.5})
    write(0, {"b": 5})
    assert buffer["next", "a"].tolist() == [[0, 0], [0, 0], [0, 0]]
    assert buffer["next", "b"].tolist() == [5, 4.5, 0]


def test_a_reader_of_all_numbers() -> None:
    info = {"a": 1, "b": np.zeros((2, 3), np.float32), "c": "word", "_d": 0.5, "e": {"f": 1}, "g": [True], "h": None}
    assert InfoReader.of(info).info_spec == Composite(
        a=Unbounded([], dtype=torch.int64), b=Unbounded([2, 3]), g=Unbounded([1], dtype=torch.bool)
    )
    assert InfoReader.of(info, ignore_private=False).info_spec["_d"] == Unbounded([], dtype=torch.float64)


def test_a_reader_of_several_infos_holds_both() -> None:
    reader = InfoReader.of({"a": 0, "b": True, "c": "word"}, {"a": 0.5, "b": False, "c": 1})
    assert reader.info_spec == Composite(
        a=Unbounded([], dtype=torch.float64), b=Unbounded([], dtype=torch.bool), c=Unbounded([], dtype=torch.int64)
    )


def test_a_reader_of_named_entries() -> None:
    infos = {"a": 1, "_b": 2}, {"c": [1.0, 2.0], "d": "word"}
    assert list(InfoReader.named(["c", "_b"], *infos).info_spec.keys()) == ["c", "_b"]
    with pytest.raises(
        ConfigError, match=r"info_keys: 'd': expected a number .*found a str. There are \['_b', 'a', 'c'"
    ):
        InfoReader.named(["a", "d"], *infos)
    with pytest.raises(ConfigError, match=r"info_keys: 'e': .*found nothing.*default_info_dict_reader"):
        InfoReader.named(["e"], *infos)
    with pytest.raises(ConfigError, match=r"expected a list of names, found 'a'. Write info_keys=\[action_mask\]"):
        InfoReader.named("a", *infos)


def test_specs_by_name_need_no_keys() -> None:
    reader = default_info_dict_reader(spec={"b": Unbounded([2])})
    assert isinstance(reader, InfoReader)
    assert reader.info_spec == Composite(b=Unbounded([2]))
    with pytest.raises(SpecError, match="specs in order without keys"):
        default_info_dict_reader(spec=[Unbounded([2])])


def test_without_specs_it_is_what_is_shown_first() -> None:
    infos = {"a": np.zeros(3), "_b": 1}, {"a": np.ones(3), "late": 2.5}
    of_two = default_info_dict_reader(["a", "never", "_b"])
    assert isinstance(of_two, ShownInfo)
    assert of_two.reader(*infos).info_spec == Composite(
        a=Unbounded([3], dtype=torch.float64), never=Unbounded([]), _b=Unbounded([], dtype=torch.int64)
    )
    every, private = default_info_dict_reader(), default_info_dict_reader(ignore_private=False)
    assert isinstance(every, ShownInfo)
    assert isinstance(private, ShownInfo)
    assert set(every.reader(*infos).info_spec) == {"a", "late"}
    assert set(private.reader(*infos).info_spec) == {"a", "_b", "late"}


@pytest.mark.parametrize("value", [1.5, [1, 2]])
def test_a_value_that_its_row_cannot_hold_is_refused(value: object) -> None:
    """A fraction where whole numbers were seen first would be cut off without a word."""
    reader = ShownInfo(["score"]).reader({"score": 0}, {"score": 1})
    buffer = RolloutBuffer(2, torch.Size([]), {("score",): torch.zeros(2, dtype=torch.int64)})
    write = reader.writer(buffer, ())
    write(0, {"score": 3.0})
    with pytest.raises(SpecError, match=r"info: 'score': expected int64 \[\], as in the first reset and step, found"):
        write(1, {"score": value})
