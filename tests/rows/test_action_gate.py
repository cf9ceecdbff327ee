"""The gate before the simulator: what is an action of the spec passes, nothing else does."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ActionError
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.action_gate import ActionGate, as_member
from envcli.specs import (
    Binary,
    Bounded,
    Categorical,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    TensorSpec,
    Unbounded,
)
from envcli.testing.toys import CountingEnv
from envcli.transforms.clip import ClipTransform

NAN, INF = float("nan"), float("inf")


def gate(spec: TensorSpec) -> tuple[ActionGate, torch.Tensor]:
    buffer = RolloutBuffer.allocate({("action",): (spec.shape, spec.dtype)}, 3, torch.Size([]))
    return ActionGate(("action",), spec, buffer), buffer["action",]


SPECS = {
    "one-hot": OneHot(3, dtype=torch.int64),
    "wide one-hot": OneHot(40, dtype=torch.int64),
    "batch of one-hot": OneHot(3, shape=[2, 3], dtype=torch.bool),
    "masked one-hot": OneHot(3, mask=torch.tensor([True, False, True])),
    "bounded": Bounded(-1, 2, shape=[2], dtype=torch.float32),
    "bounded per element": Bounded(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 5.0])),
    "many bounded": Bounded(-1, 1, shape=[30], dtype=torch.float64),
    "bounded matrix": Bounded(-1, 1, shape=[2, 2], dtype=torch.float32),
    "half-bounded": Bounded(0, INF, shape=[1], dtype=torch.float32),
    "bounded bytes": Bounded(0, 9, shape=[2], dtype=torch.uint8),
    "categorical": Categorical(4),
    "batch of categorical": Categorical(4, shape=[5]),
    "unbounded": Unbounded([2]),
    "binary": Binary(4, dtype=torch.int8),
    "multi-categorical": MultiCategorical(torch.tensor([2, 3])),
    "multi-one-hot": MultiOneHot([2, 3]),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_random_member_passes_and_is_in_its_row(name: str) -> None:
    torch.manual_seed(0)
    writes, rows = gate(SPECS[name])
    for _ in range(20):
        value = SPECS[name].rand()
        writes.write(1, value)
        assert torch.equal(rows[1], value)
        assert writes.written == 1
    assert not rows[0].any()
    assert not rows[2].any()


WRONG = {
    "one-hot": [[0, 0, 0], [1, 1, 0], [0, 2, 0], [1, -1, 1]],
    "wide one-hot": [[0] * 40, [1, 1] + [0] * 38, [2] + [0] * 39],
    "batch of one-hot": [[[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [0, 0, 1]]],
    "masked one-hot": [[0, 1, 0]],
    "bounded": [[0, 2.1], [-1.1, 0], [NAN, 0], [INF, 0], [-INF, 0]],
    "bounded per element": [[1.5, 0], [0, -1.5], [0, NAN]],
    "many bounded": [[0.0] * 29 + [1.001], [NAN] * 30],
    "bounded matrix": [[[0, 0], [0, 2]], [[0, 0], [NAN, 0]]],
    "half-bounded": [[-0.1], [NAN]],
    "bounded bytes": [[0, 10]],
    "categorical": [4, -1],
    "batch of categorical": [[0, 1, 2, 3, 4], [-1, 0, 0, 0, 0]],
    "binary": [[0, 1, 2, 0], [-1, 0, 0, 0]],
    "multi-categorical": [[2, 0], [0, 3], [-1, 0]],
    "multi-one-hot": [[1, 1, 1, 0, 0], [0, 0, 1, 0, 0]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_what_lies_outside_is_refused(name: str, value: list[float]) -> None:
    spec = SPECS[name]
    writes, _ = gate(spec)
    tensor = torch.tensor(value, dtype=spec.dtype)
    assert not spec.is_in(tensor), "the gate and the spec must agree"
    with pytest.raises(ActionError, match=r"^action: expected .* found .*env\.rand_action\(\) gives a valid one"):
        writes.write(0, tensor)
    assert writes.written == -1
    with pytest.raises(ActionError):
        as_member(("action",), spec, tensor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_is_no_action_even_where_there_are_no_bounds(dtype: torch.dtype) -> None:
    spec = Unbounded([3, 2], dtype=dtype)
    buffer = RolloutBuffer.allocate({("action",): (spec.shape, spec.dtype)}, 1, torch.Size([3]))
    writes, value = ActionGate(("action",), spec, buffer), torch.tensor([[INF, 0], [0, NAN], [1, 2]], dtype=dtype)
    with pytest.raises(ActionError, match=r"found \[0\.0, nan\] for env 1\."):
        writes.write(0, value)
    with pytest.raises(ActionError, match="nan"):
        as_member(("action",), spec, value)
    writes.write(0, value.nan_to_num(5))
    assert writes.written == 0


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_a_batch_of_one_hots_passes_where_the_spec_holds_it(data: st.DataObject) -> None:
    """All of them are looked at as one long number: whatever stands in a row, that says what the spec says."""
    vectors, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    dtype = data.draw(st.sampled_from([torch.bool, torch.uint8, torch.int16, torch.int64, torch.float32]))
    spec = OneHot(n, [vectors, n], dtype=dtype)
    most = 2 if dtype == torch.bool else 257  # of which the second byte is a 1 too
    numbers = data.draw(
        st.one_of(
            st.lists(st.integers(0, most - 1), min_size=vectors * n, max_size=vectors * n),
            st.lists(st.sampled_from([0, 0, 1]), min_size=vectors * n, max_size=vectors * n),
            st.lists(st.sampled_from(torch.eye(n).long().tolist()), min_size=vectors, max_size=vectors).map(
                lambda rows: [number for row in rows for number in row]
            ),
        )
    )
    value = torch.tensor(numbers).reshape(vectors, n).to(dtype)
    writes, rows = gate(spec)
    if spec.is_in(value):
        writes.write(1, value)
        assert torch.equal(rows[1], value)
    else:
        with pytest.raises(ActionError):
            writes.write(1, value)


@pytest.mark.parametrize(
    ("spec", "value", "found"),
    [
        (SPECS["one-hot"], torch.tensor(1), "shape []"),
        (SPECS["one-hot"], torch.tensor([[1, 0, 0]]), "shape [1, 3]"),
        (SPECS["bounded"], torch.zeros(3), "shape [3]"),
        (SPECS["one-hot"], torch.tensor([0.5, 0.5, 0]), "[0.5, 0.5, 0.0]"),
        (SPECS["one-hot"], torch.tensor([float("nan"), 1.0, 0]), "[nan, 1.0, 0.0]"),
        (SPECS["categorical"], torch.tensor(1.0), "dtype torch.float32"),
        (SPECS["bounded"], 1, "a int"),
        (SPECS["bounded"], torch.tensor([0.0, 3.0]), "[0.0, 3.0]"),
        (SPECS["many bounded"], torch.full((30,), 2.0, dtype=torch.float64), "..."),
    ],
)
def test_a_refusal_says_what_was_found(spec: TensorSpec, value: torch.Tensor, found: str) -> None:
    for refuse in (lambda: gate(spec)[0].write(0, value), lambda: as_member(("action",), spec, value)):
        with pytest.raises(ActionError, match=re.escape(found)):
            refuse()


def test_a_refusal_says_what_was_expected() -> None:
    for name, expected in {
        "one-hot": "int64 [3], one-hot (a single 1 among 3)",
        "bounded": "float32 [2] within [-1, 2]",
        "categorical": "int64 [] in 0..3",
        "binary": "int8 [4], Binary",
    }.items():
        with pytest.raises(ActionError, match=re.escape(expected)):
            gate(SPECS[name])[0].write(0, torch.zeros(99))


def test_the_cure_for_actions_beyond_their_bounds() -> None:
    with pytest.raises(ActionError, match=r"ClipTransform\(in_keys_inv=\[...\], low=..., high=...\)"):
        CountingEnv().rollout(1, lambda td: td.set("action", torch.full((1,), 1.1)))
    env = TransformedEnv(CountingEnv(), ClipTransform(in_keys_inv=["action"], low=-1, high=1))
    made = env.rollout(1, lambda td: td.set("action", torch.full((1,), 1.1)))
    assert (made["action"].item(), made["next", "reward"].item()) == (pytest.approx(1.1), 1)


def test_numbers_of_a_smaller_kind_are_converted_in_rows() -> None:
    writes, rows = gate(SPECS["bounded"])
    writes.write(0, torch.tensor([1, 2]))
    writes.write(1, torch.tensor([0.5, 0.25], dtype=torch.float64))
    assert rows[:2].tolist() == [[1, 2], [0.5, 0.25]]
    whole, rows = gate(SPECS["one-hot"])
    for t, one in enumerate([torch.tensor([False, True, False]), torch.tensor([0.0, 1.0, 0.0])]):
        whole.write(t, one)
    assert rows[:2].tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["masked one-hot", "multi-one-hot", "binary"])
def test_zeros_and_ones_may_have_any_dtype(name: str, dtype: torch.dtype) -> None:
    spec = SPECS[name]  # of bool or int8, where torch.nn.functional.one_hot gives int64
    one = spec.rand()
    writes, rows = gate(spec)
    writes.write(0, one.to(dtype))
    assert torch.equal(rows[0], one)
    assert torch.equal(as_member(("action",), spec, one.to(dtype)), one)
    if dtype != torch.bool:
        with pytest.raises(ActionError):
            writes.write(0, one.to(dtype) * 2)


def test_an_action_with_a_graph_is_stored_without_it() -> None:
    writes, rows = gate(SPECS["bounded"])
    writes.write(0, torch.zeros(2, requires_grad=True) + 1)
    assert rows[0].tolist() == [1, 1]
    assert not rows.requires_grad


def test_a_mask_that_changes_is_followed() -> None:
    spec = OneHot(3, mask=torch.tensor([True, False, True]))
    writes, _ = gate(spec)
    spec.update_mask(torch.tensor([False, True, False]))
    writes.write(0, torch.tensor([False, True, False]))
    with pytest.raises(ActionError):
        writes.write(0, torch.tensor([True, False, False]))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["bounded", "bounded per element", "half-bounded"]),
    st.lists(st.floats(width=32), min_size=2, max_size=2),
)
def test_gate_and_spec_always_agree(name: str, numbers: list[float]) -> None:
    spec = SPECS[name]
    value = torch.tensor(numbers[: spec.shape[0]], dtype=torch.float32)
    writes, _ = gate(spec)
    try:
        writes.write(0, value)
    except ActionError:
        assert not spec.is_in(value)
    else:
        assert spec.is_in(value)


@pytest.mark.parametrize("number", [-1, 256, 257])
def test_an_integer_that_would_wrap_around_is_refused(number: int) -> None:
    enter, rows = gate(Bounded(0, 255, shape=[1], dtype=torch.uint8))
    with pytest.raises(ActionError, match=rf"found \[{number}\]"):
        enter.write(0, torch.tensor([number]))
    enter.write(0, torch.tensor([255]))
    assert rows[0].tolist() == [255]


def test_without_rows_a_member_comes_in_the_dtype_of_the_spec() -> None:
    spec = SPECS["bounded"]
    value = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert as_member(("action",), spec, value).dtype == spec.dtype
    same = value.to(spec.dtype)
    assert as_member(("action",), spec, same) is same
