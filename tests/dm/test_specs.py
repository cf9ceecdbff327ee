"""dm_env's specs: as specs of ours, and between native values and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from envcli.dm.specs import announced, dm_spec_to_spec, is_nested, row_reader, row_writer, spec_to_dm_spec
from envcli.errors import ConfigError, SpecError
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import (
    Binary,
    Bounded,
    Categorical,
    Composite,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    TensorSpec,
    Unbounded,
)

specs = pytest.importorskip("dm_env.specs")

INF = np.inf
NESTED: dict[str, Any] = {
    "position": specs.Array((2,), np.float64),
    "scalar": specs.BoundedArray((), np.float32, -1, 1),
    "choice": specs.DiscreteArray(3),
    "pair": [specs.Array((1,), np.int32), specs.DiscreteArray(2)],
}
VALUE: dict[str, Any] = {
    "position": np.array([1.5, -2.5]),
    "scalar": np.array(0.25, np.float32),
    "choice": np.int32(2),
    "pair": [np.array([7], np.int32), np.int32(1)],
}


@pytest.mark.parametrize(
    ("native", "spec"),
    [
        (specs.Array((3,), np.float64), Unbounded([3], dtype=torch.float64)),
        (specs.Array((), np.float32), Unbounded([1], dtype=torch.float32)),
        (specs.Array((4, 5, 3), np.uint8), Bounded(0, 255, shape=[4, 5, 3], dtype=torch.uint8)),
        (specs.BoundedArray((2,), np.float32, -1, [1, 2]), Bounded(-1, torch.tensor([1.0, 2.0]), shape=[2])),
        (specs.BoundedArray((), np.float32, -1, 1), Bounded(-1, 1, shape=[1])),
        (specs.BoundedArray((2,), np.float32, -INF, INF), Unbounded([2])),
        (specs.BoundedArray((2,), np.float32, 0, INF), Bounded(0, INF, shape=[2])),
        (specs.DiscreteArray(3), OneHot(3, dtype=torch.int64)),
    ],
)
def test_a_native_spec_is_one_of_ours(native: Any, spec: TensorSpec) -> None:
    assert dm_spec_to_spec(native) == spec


def test_a_choice_is_a_number_where_that_is_wanted() -> None:
    assert dm_spec_to_spec(specs.DiscreteArray(3), categorical=True) == Categorical(3, dtype=torch.int32)


def test_what_is_nested_is_a_composite_by_names_and_places() -> None:
    found = dm_spec_to_spec(NESTED)
    assert isinstance(found, Composite)
    assert list(found.leaves()) == [("position",), ("scalar",), ("choice",), ("pair", "0"), ("pair", "1")]
    assert [is_nested(one) for one in (NESTED, NESTED["pair"], NESTED["choice"])] == [True, True, False]


@pytest.mark.parametrize("native", [specs.StringArray(()), specs.Array((), object), {"a": 3}, {"a": [None]}])
def test_what_cannot_live_in_tensors_is_named(native: Any) -> None:
    where = "observation.a" if isinstance(native, dict) else "observation"
    with pytest.raises(ConfigError, match=rf"^{where}.*does not fit in tensors. Wrap the env so that it shows arrays"):
        dm_spec_to_spec(native, where="observation")


@pytest.mark.parametrize(
    ("spec", "native"),
    [
        (Unbounded([3], dtype=torch.float64), specs.Array((3,), np.float64, "x")),
        (Bounded(-1, 2, shape=[2], dtype=torch.float32), specs.BoundedArray((2,), np.float32, [-1, -1], [2, 2], "x")),
        (OneHot(3, dtype=torch.float32), specs.DiscreteArray(3, np.int64, "x")),
        (Categorical(3), specs.DiscreteArray(3, np.int64, "x")),
        (Categorical(3, dtype=torch.int32), specs.DiscreteArray(3, np.int32, "x")),
        (MultiCategorical([2, 3]), specs.BoundedArray((2,), np.int64, 0, [1, 2], "x")),
        (MultiOneHot([2, 3]), specs.BoundedArray((2,), np.int64, 0, [1, 2], "x")),
        (Binary(4, dtype=torch.int8), specs.BoundedArray((4,), np.int8, 0, 1, "x")),
        (Unbounded([2], dtype=torch.bool), specs.BoundedArray((2,), bool, False, True, "x")),
    ],
)
def test_a_spec_of_ours_is_a_native_one(spec: TensorSpec, native: Any) -> None:
    found = spec_to_dm_spec(spec, "x")
    assert type(found) is type(native)
    assert found == native
    assert found.name == "x"


def test_there_and_back_again_it_is_the_same() -> None:
    spec = dm_spec_to_spec(NESTED)
    assert dm_spec_to_spec(spec_to_dm_spec(spec)) == spec


def test_what_numpy_lacks_is_named_with_the_cure() -> None:
    spec = Composite(inner=Composite(x=Unbounded([2], dtype=torch.bfloat16)))
    with pytest.raises(ConfigError, match=r"^inner.x: numpy has no torch.bfloat16. Cast it with a DTypeCastTransform"):
        spec_to_dm_spec(spec)


@pytest.mark.parametrize("categorical", [False, True])
def test_a_value_that_is_written_into_a_row_is_read_from_it(categorical: bool) -> None:
    spec = dm_spec_to_spec({"x": NESTED}, categorical=categorical)
    assert isinstance(spec, Composite)
    layout = {path: (leaf.shape, leaf.dtype) for path, leaf in spec.leaves().items()}
    buffer = RolloutBuffer.allocate(layout, 3, torch.Size([]))
    row_writer(NESTED, ("x",), buffer)[1] = VALUE
    assert buffer["x", "choice"].tolist() == ([0, 2, 0] if categorical else [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    found = row_reader(NESTED, ("x",), buffer)(1)
    for name in ("position", "scalar", "choice"):
        assert np.array_equal(found[name], VALUE[name])
        assert (found[name].shape, found[name].dtype) == (VALUE[name].shape, VALUE[name].dtype)
    assert [int(np.ravel(one)[0]) for one in found["pair"]] == [7, 1]


def test_a_tuple_is_read_as_a_tuple_and_a_key_that_is_no_word_as_it_is() -> None:
    native = {0: (specs.DiscreteArray(3), specs.DiscreteArray(2))}
    spec = dm_spec_to_spec(native)
    assert isinstance(spec, Composite)
    assert list(spec.leaves()) == [("0", "0"), ("0", "1")]
    layout = {path: (leaf.shape, leaf.dtype) for path, leaf in spec.leaves().items()}
    buffer = RolloutBuffer.allocate(layout, 2, torch.Size([]))
    value = {0: (np.int32(2), np.int32(1))}
    row_writer(native, (), buffer)[1] = value
    assert row_reader(native, (), buffer)(1) == value


def test_bounds_that_are_none_are_refused_by_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^action_spec\.a: BoundedArray.* neither may be NaN"):
        dm_spec_to_spec({"a": specs.BoundedArray((), np.float32, np.nan, 1)}, where="action_spec")


def test_a_simulator_may_keep_its_action() -> None:
    native = specs.BoundedArray((2,), np.float32, -1, 1)
    buffer = RolloutBuffer.allocate({("action",): (torch.Size([2]), torch.float32)}, 3, torch.Size([]))
    kept = row_reader(native, ("action",), buffer)(0)
    buffer["action",][0] = 1
    assert kept.tolist() == [0, 0]


def test_a_value_is_held_against_its_native_spec() -> None:
    found = announced(NESTED)
    found.check(VALUE, "observation")
    with pytest.raises(SpecError, match=r"observation.scalar: expected -1.0 to 1.0, found 2.0"):
        found.check({**VALUE, "scalar": np.array(2, np.float32)}, "observation")
    with pytest.raises(SpecError, match=r"observation.pair: expected 2 entries, found 1"):
        found.check({**VALUE, "pair": [np.array([7], np.int32)]}, "observation")
    with pytest.raises(SpecError, match=r"observation.choice: expected 0 to 2, found 3"):
        found.check({**VALUE, "choice": np.int32(3)}, "observation")
