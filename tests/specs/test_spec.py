"""What holds for every spec, whatever its kind."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase
from torch import Tensor

import envcli.specs
from envcli.errors import MemberError, SpecError
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
    UnboundedDiscrete,
)

LEAVES: dict[str, TensorSpec] = {
    "unbounded float": Unbounded(3),
    "unbounded float64": Unbounded((2, 3), dtype=torch.float64),
    "unbounded uint8": Unbounded((2,), dtype=torch.uint8),
    "unbounded int64": UnboundedDiscrete(2),
    "unbounded bool": Unbounded((), dtype=torch.bool),
    "bounded": Bounded(-1, 1, (3,)),
    "bounded by element": Bounded(torch.tensor([0.0, 1.0, -5.0]), torch.tensor([1.0, 2.0, -4.0])),
    "bounded uint8": Bounded(0, 255, (2, 3), dtype=torch.uint8),
    "bounded int64": Bounded(-3, 3, (2,), dtype=torch.int64),
    "bounded half": Bounded(0.1, 0.3, (2,), dtype=torch.float16),
    "half-bounded": Bounded(0, float("inf"), (2,)),
    "categorical": Categorical(4),
    "flag": Categorical(2, (1,), dtype=torch.bool),
    "masked categorical": Categorical(3, (2,), mask=torch.tensor([[True, False, True], [False, False, True]])),
    "one-hot": OneHot(4),
    "batched one-hot": OneHot(4, (3, 4), dtype=torch.int64),
    "masked one-hot": OneHot(3, mask=torch.tensor([False, True, True])),
    "multi-categorical": MultiCategorical([2, 3]),
    "deep multi-categorical": MultiCategorical(torch.tensor([[2, 3], [4, 5]])),
    "masked multi-categorical": MultiCategorical([2, 3], mask=torch.tensor([True, False, False, True, True])),
    "multi-one-hot": MultiOneHot([2, 3]),
    "masked multi-one-hot": MultiOneHot([2, 3], mask=torch.tensor([True, False, False, True, True])),
    "binary": Binary(3),
}
SPECS = LEAVES | {"composite": Composite(dict(LEAVES), inner=Composite(a=Unbounded(2)))}


def same(left: Tensor | TensorDictBase, right: Tensor | TensorDictBase) -> bool:
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return bool((left == right).all())


@pytest.fixture(params=list(SPECS))
def spec(request: pytest.FixtureRequest) -> TensorSpec:
    return SPECS[request.param]


@pytest.fixture(params=list(LEAVES))
def leaf(request: pytest.FixtureRequest) -> TensorSpec:
    return LEAVES[request.param]


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0,)])
def test_makes_members_of_the_asked_shape(spec: TensorSpec, lead: tuple[int, ...]) -> None:
    for make in (spec.rand, spec.sample, spec.zero, spec.zeros, spec.one, spec.ones):
        value = make(lead)
        assert value.shape == (*lead, *spec.shape)
        assert spec.is_in(value)
        assert spec.contains(value)


def test_an_int_is_one_leading_dimension(spec: TensorSpec) -> None:
    assert spec.rand(4).shape == (4, *spec.shape)
    assert spec.rand(torch.Size([4])).shape == (4, *spec.shape)


def test_the_global_seed_reproduces_draws(spec: TensorSpec) -> None:
    torch.manual_seed(3)
    first = spec.rand((7,))
    torch.manual_seed(3)
    assert same(first, spec.rand((7,)))


def test_draws_do_not_depend_on_how_the_spec_was_made(leaf: TensorSpec) -> None:
    torch.manual_seed(3)
    first = leaf.rand((7,))
    torch.manual_seed(3)
    assert same(first, leaf.clone().rand((7,)))


def test_draws_are_fresh_and_writable(leaf: TensorSpec) -> None:
    value = leaf.rand((3,))
    value.fill_(0)
    assert not value.any()


def test_a_member_projects_to_itself(spec: TensorSpec) -> None:
    value = spec.rand((2,))
    assert spec.project(value) is value


def test_values_compare(spec: TensorSpec) -> None:
    assert spec == spec.clone() == pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec)
    assert spec.clone() is not spec


def test_equal_specs_have_one_hash(spec: TensorSpec) -> None:
    before = hash(spec)
    assert before == hash(spec.clone()) == hash(pickle.loads(pickle.dumps(spec)))
    assert {spec: 1}[spec.clone()] == 1
    if (mask := getattr(spec, "mask", None)) is not None:
        other = spec.clone()
        other.update_mask(torch.ones_like(mask))
        assert hash(other) == before, "it may be a key by now"


def test_the_hash_of_a_composite_is_of_what_cannot_change() -> None:
    spec = Composite(a=Unbounded(3))
    before = hash(spec)
    spec["b"] = Unbounded(2)
    assert hash(spec) == before


def test_different_specs_differ() -> None:
    for name, left in SPECS.items():
        assert [other for other, right in SPECS.items() if left == right] == [name]


def test_comparing_with_something_foreign_is_false(spec: TensorSpec) -> None:
    for foreign in (None, 3, "spec", np.float32(3), [1], object(), {}):
        assert (spec == foreign) is False
        assert spec != foreign


def test_stacking_equal_specs_adds_a_dimension(spec: TensorSpec) -> None:
    stacked = torch.stack([spec, spec.clone()], 0)
    assert stacked.shape == (2, *spec.shape)
    assert stacked[0] == stacked[1] == spec
    assert stacked.is_in(torch.stack([spec.rand(), spec.rand()], 0))


def test_stacking_along_another_dimension() -> None:
    spec = Bounded(torch.zeros(2, 3), torch.arange(1.0, 4.0), (2, 3))
    for dim, shape in [(1, (2, 4, 3)), (2, (2, 3, 4)), (-1, (2, 3, 4)), (-2, (2, 4, 3))]:
        stacked = torch.stack([spec] * 4, dim)
        assert stacked.shape == shape
        assert torch.equal(stacked.high, torch.stack([spec.high] * 4, dim))
    assert torch.stack((OneHot(4, (3, 4)),) * 2, 1).shape == (3, 2, 4)


@pytest.mark.parametrize(
    "others", [[Unbounded(4)], [Unbounded(3), Bounded(0, 1, (3,))], [Unbounded(3, dtype=torch.int64)]]
)
def test_stacking_specs_of_other_forms_is_refused(others: list[TensorSpec]) -> None:
    with pytest.raises(
        SpecError, match=r"can be stacked if they are of one kind, shape, dtype and device.*; found .* beside Unb.*\)"
    ):
        torch.stack([Unbounded(3), *others])


def test_stacking_holds_what_the_parts_hold() -> None:
    some, other = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    pairs: list[tuple[TensorSpec, TensorSpec]] = [
        (Bounded(0, 1, (2,)), Bounded(-3, torch.tensor([2.0, 4.0]), (2,))),
        (Bounded(0, 1, (), dtype=torch.int64), Bounded(5, 6, (), dtype=torch.int64)),
        (Categorical(3), Categorical(5)),
        (Categorical(3, (2,), mask=some), Categorical(3, (2,))),
        (OneHot(3, mask=some), OneHot(3, mask=other)),
        (MultiOneHot([2, 3]), MultiOneHot([2, 3], mask=torch.tensor([True, False, True, False, True]))),
    ]
    for first, second in pairs:
        both = torch.stack([first, second])
        assert type(both) is type(first)
        assert both.shape == (2, *first.shape)
        for _ in range(20):
            drawn = both.rand()
            assert first.is_in(drawn[0])
            assert second.is_in(drawn[1])
            assert both.is_in(torch.stack([first.rand(), second.rand()]))
    assert not torch.stack([Categorical(3), Categorical(5)]).is_in(torch.tensor([4, 4]))


def test_stacking_along_a_later_dimension_keeps_the_parts_apart() -> None:
    low, high = Bounded(0, 1, (3,)), Bounded(5, 6, (3,))
    assert torch.equal(torch.stack([low, high], 1).low, torch.tensor([[0.0, 5.0]] * 3))
    masks = [torch.tensor([True, False]), torch.tensor([False, True])]
    one_hots = torch.stack([OneHot(2, (3, 2), mask=mask) for mask in masks], 1)
    assert torch.equal(one_hots.rand(), torch.stack(masks).expand(3, 2, 2))


def test_stacking_what_one_spec_cannot_hold_is_refused() -> None:
    with pytest.raises(SpecError, match="can be stacked if"):
        torch.stack([MultiOneHot([2, 3]), MultiOneHot([3, 2])])


def test_arguments_have_torchrls_names(spec: TensorSpec) -> None:
    member = spec.rand(shape=None)  # type: ignore[arg-type]  # as TorchRL's default
    assert spec.is_in(val=member)
    assert spec.contains(item=member)
    spec.assert_is_in(value=member)
    assert spec.project(val=member) is member
    assert spec.is_in(spec.encode(val=member, ignore_device=True))
    spec.to_numpy(val=member, safe=True)
    for fill in (spec.zero, spec.zeros, spec.one, spec.ones, spec.sample):
        assert fill(shape=None).shape == member.shape  # type: ignore[arg-type]


def test_other_torch_functions_are_not_for_specs() -> None:
    with pytest.raises(TypeError):
        torch.cat([Unbounded(3), Unbounded(3)])


def test_expanding_and_indexing_are_inverse(spec: TensorSpec) -> None:
    wide = spec.expand(5, *spec.shape)
    assert wide.shape == (5, *spec.shape)
    assert wide == spec.expand((5, *spec.shape)) == spec.expand(torch.Size([5, *spec.shape]))
    assert wide.is_in(wide.rand((2,)))
    assert wide[2] == spec
    assert wide[1:3].shape == (2, *spec.shape)
    assert wide[[0, 4]].shape == (2, *spec.shape)
    assert wide[torch.tensor([True, False, True, False, True])].shape == (3, *spec.shape)
    assert wide[None].shape == (1, 5, *spec.shape)
    assert wide.unbind(0) == (spec,) * 5


def test_inserting_and_dropping_a_dimension_are_inverse(spec: TensorSpec) -> None:
    assert spec.unsqueeze(0).shape == (1, *spec.shape)
    assert spec.unsqueeze(0).squeeze(0) == spec


def test_reshaping_keeps_the_order_of_elements() -> None:
    spec = Bounded(torch.zeros(6).view(2, 3), torch.arange(1.0, 7.0).view(2, 3))
    assert spec.reshape(6) == spec.flatten() == spec.view(-1) == Bounded(torch.zeros(6), torch.arange(1.0, 7.0))
    assert spec.reshape(3, 2).high.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert spec.flatten().unflatten(0, (2, 3)) == spec


def test_to_a_dtype(spec: TensorSpec) -> None:
    if spec is LEAVES["half-bounded"] or spec is SPECS["composite"]:
        pytest.skip("draws no members, or has no dtype of its own")
    other = spec.to(torch.float64)
    assert other.dtype == torch.float64
    assert other.rand((2,)).dtype == torch.float64
    assert other.is_in(other.rand((2,)))


def test_to_a_device() -> None:
    spec = Unbounded(3)
    assert spec.to("cpu") == spec.cpu() == spec.to(torch.device("cpu")) == spec
    assert spec.device == torch.device("cpu")
    assert spec.rand().device == torch.device("cpu")


def test_only_tensors_are_members(leaf: TensorSpec) -> None:
    for wrong in (None, 3, [0.0], np.zeros(3), "x"):
        assert not leaf.is_in(wrong)
        with pytest.raises(SpecError, match="takes a tensor, found"):
            leaf.assert_is_in(wrong)


def test_another_dtype_is_no_member(leaf: TensorSpec) -> None:
    other = torch.float64 if leaf.dtype != torch.float64 else torch.float32
    assert not leaf.is_in(leaf.rand().to(other))
    with pytest.raises(SpecError, match=rf"takes the dtype {leaf.dtype}, found {other}"):
        leaf.assert_is_in(leaf.rand().to(other))
    with pytest.raises(SpecError, match=rf"the value at key 'x' has dtype {other}, expected {leaf.dtype}"):
        leaf.type_check(leaf.rand().to(other), "x")
    leaf.type_check(leaf.rand())


def test_another_shape_is_no_member_and_cannot_be_projected(leaf: TensorSpec) -> None:
    if not leaf.shape:
        pytest.skip("a single value may have any dimensions in front")
    wrong = torch.zeros((*leaf.shape[:-1], 17), dtype=leaf.dtype)
    assert not leaf.is_in(wrong)
    with pytest.raises(SpecError, match=r"cannot project: .* takes the shape"):
        leaf.project(wrong)


def test_nan_cannot_be_projected(leaf: TensorSpec) -> None:
    value = torch.full((*leaf.shape,), float("nan"), dtype=torch.float64)
    if leaf.is_in(value):  # an unbounded float64 may be NaN
        assert leaf.project(value) is value
        return
    with pytest.raises(SpecError, match="cannot project NaN"):
        leaf.project(value)


def test_projection_makes_members_of_this_dtype(leaf: TensorSpec) -> None:
    torch.manual_seed(0)
    for scale in (1.0, 1e3, 1e30):
        value = torch.randn((20, *leaf.shape), dtype=torch.float64) * scale
        assert leaf.is_in(leaf.project(value))


def test_encoding_inverts_to_numpy(leaf: TensorSpec) -> None:
    value = leaf.rand((4,))
    array = leaf.to_numpy(value)
    assert isinstance(array, np.ndarray)
    assert same(leaf.encode(array), value)
    assert same(leaf.encode(array.tolist()), value)


def test_encoding_shares_no_memory(leaf: TensorSpec) -> None:
    value = leaf.rand((4,))
    encoded = leaf.encode(value)
    assert same(encoded, value)
    assert encoded.data_ptr() != value.data_ptr()
    array = leaf.to_numpy(value.clone())
    before = leaf.encode(array)
    kept = before.clone()
    array[...] = array[::-1].copy()
    assert same(before, kept)


def test_encoding_reads_read_only_arrays() -> None:
    array = np.zeros(3, dtype=np.float32)
    array.flags.writeable = False
    assert Unbounded(3).encode(array).tolist() == [0, 0, 0]


def test_encoding_junk_is_refused(leaf: TensorSpec) -> None:
    for junk in ("text", [1, [2, 3]], [object()], {"a": 1}, None):
        with pytest.raises(SpecError):
            leaf.encode(junk)


def test_listing_the_members(leaf: TensorSpec) -> None:
    if isinstance(leaf, (Unbounded, Bounded)) or leaf is LEAVES["deep multi-categorical"]:
        with pytest.raises(SpecError):
            leaf.enumerate()
        return
    members = leaf.enumerate()
    assert members.shape == (leaf.cardinality(), *leaf.shape)
    assert members.dtype == leaf.dtype
    assert len(members.unique(dim=0)) == len(members)
    assert leaf.is_in(members) == (getattr(leaf, "mask", None) is None)


def test_a_spec_cannot_be_changed() -> None:
    for name in ("shape", "dtype", "device", "domain", "space"):
        with pytest.raises(AttributeError):
            setattr(Unbounded(3), name, None)


def test_sizes() -> None:
    spec = Unbounded((2, 3))
    assert (spec.ndim, spec.ndimension(), spec.numel(), spec.is_empty()) == (2, 2, 6, False)
    assert (Unbounded(()).ndim, Unbounded(()).numel()) == (0, 1)


def test_impossible_changes_name_the_spec() -> None:
    with pytest.raises(SpecError, match=r"UnboundedContinuous of shape \(2, 3\) does not allow this change"):
        Unbounded((2, 3)).reshape(7)
    with pytest.raises(SpecError, match=r"cannot be indexed by 3 dimensions; the first 2 can be"):
        Unbounded((2, 3))[0, 0, 0]
    with pytest.raises(SpecError, match=r"has no dimension 2 to change"):
        Unbounded((2, 3)).squeeze(2)


def test_the_public_names_are_sorted_and_there() -> None:
    assert envcli.specs.__all__ == sorted(envcli.specs.__all__)
    assert all(hasattr(envcli.specs, name) for name in envcli.specs.__all__)


# -- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEAVES)
def test_the_test_of_a_row_says_what_is_in_says(name: str) -> None:
    torch.manual_seed(0)
    spec = LEAVES[name]
    passes = spec.row_test()
    noise = torch.randint(-3, 4, (200, *spec.shape)).to(spec.dtype)
    for value in [spec.rand(), *noise]:
        assert bool(passes(value.numpy())) is spec.is_in(value), value


def test_the_test_of_a_row_takes_the_bits_of_bfloat16() -> None:
    passes = Bounded(-1, 1, (2,), dtype=torch.bfloat16).row_test()
    for value, expected in ((0.5, True), (2.0, False)):
        assert passes(torch.full((2,), value, dtype=torch.bfloat16).view(torch.uint16).numpy()) is expected


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Bounded(-1, 1, (3,)), "float32 [3] within [-1, 1]"),
        (OneHot(4, dtype=torch.int64), "int64 [4], one-hot (a single 1 among 4)"),
        (Categorical(4), "int64 [] in 0..3"),
        (Unbounded(3), "float32 [3], UnboundedContinuous"),
        (MultiCategorical([2, 3]), "int64 [2], each below that in [2, 3]"),
        (MultiOneHot([2, 3]), "bool [5], one-hot in each of the parts [2, 3]"),
    ],
)
def test_it_is_said_in_words(spec: TensorSpec, words: str) -> None:
    assert spec.in_words() == words


def test_a_spec_without_values_keeps_its_numbers(spec: TensorSpec) -> None:
    nowhere = spec.to("meta")
    assert nowhere.to("cpu") == spec.to("cpu")
    assert nowhere == spec.to("meta")
    assert nowhere.unsqueeze(0).shape == (1, *spec.shape)
    for make in (nowhere.rand, nowhere.zero, nowhere.one):
        made = make((4,))
        assert made.shape == (4, *spec.shape)
        assert made.device == torch.device("meta")
        assert nowhere.is_in(made)
        assert nowhere.project(made) is made
    assert spec.is_in(spec.rand())


def test_another_dtype_without_values_is_projected() -> None:
    given = torch.zeros(3, dtype=torch.float64, device="meta")
    assert Bounded(-1, 1, (3,), "meta").project(given).dtype == torch.float32
    assert not Bounded(-1, 1, (3,), "meta").is_in(given)


def test_of_many_values_the_first_that_is_no_member_is_named() -> None:
    value = torch.zeros(20, 3)
    value[17, 2], value[18] = 11.5, torch.nan
    with pytest.raises(MemberError, match=r"^BoundedContinuous does not hold 11\.5 at \[17, 2\]: expected from 0 to 9"):
        Bounded(0, 9, (3,)).assert_is_in(value)
    with pytest.raises(MemberError, match=r"does not hold nan at \[1, 0\]: expected from 0 to 5\."):
        Bounded([0, -1], [5, 9]).assert_is_in(torch.tensor([[1, 2], [torch.nan, 3]]))
    with pytest.raises(MemberError, match=r"^Categorical does not hold 7 at \[1, 0\]: expected int64 \[\] in 0\.\.3\."):
        Categorical(4).assert_is_in(torch.tensor([[0, 3], [7, 8]]))
    with pytest.raises(MemberError, match=r"^Categorical does not hold 9: expected int64 \[\] in 0\.\.3\. Call"):
        Categorical(4).assert_is_in(torch.tensor(9))


def test_of_flags_it_is_said_which_are_members() -> None:
    with pytest.raises(MemberError, match=r"hold \[True, False, True\] at \[0\]: expected bool \[3\], one-hot"):
        OneHot(3).assert_is_in((torch.arange(60) % 2 == 0).view(20, 3))
    with pytest.raises(MemberError, match=r"the values of a tensor \[40\] from False to False: expected bool \[40\]"):
        OneHot(40).assert_is_in(torch.zeros(40, dtype=torch.bool))
