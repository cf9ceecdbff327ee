"""Composite: TensorDicts, entry by entry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.errors import SpecError
from envcli.specs import Bounded, Categorical, Composite, OneHot, Unbounded


@pytest.fixture
def spec() -> Composite:
    return Composite(
        observation=Bounded(-1, 1, (2, 3)),
        agent=Composite(action=OneHot(4, (2, 4)), shape=(2,)),
        done=Categorical(2, (2, 1), dtype=torch.bool),
        shape=(2,),
    )


def test_repr_is_the_tutorials() -> None:
    assert repr(Composite(observation=OneHot(2), inner=Composite(), device="cpu")) == (
        "Composite(\n"
        "    observation: OneHot(\n"
        "        shape=torch.Size([2]),\n"
        "        space=CategoricalBox(n=2),\n"
        "        device=cpu,\n"
        "        dtype=torch.bool,\n"
        "        domain=discrete),\n"
        "    inner: Composite(\n"
        "        device=None,\n"
        "        shape=torch.Size([])),\n"
        "    device=cpu,\n"
        "    shape=torch.Size([]))"
    ).replace("device=None", "device=cpu")


def test_ways_to_write_one(spec: Composite) -> None:
    nested = {"agent": {"action": OneHot(4, (2, 4))}, "done": spec["done"], "observation": spec["observation"]}
    assert Composite(nested, shape=2) == spec
    assert Composite(nested, batch_size=[2]) == spec
    flat = {("agent", "action"): OneHot(4, (2, 4)), "done": spec["done"]}
    assert Composite(flat, observation=spec["observation"], shape=torch.Size([2])) == spec
    assert Composite(spec, shape=(2,)) == spec
    with pytest.raises(SpecError, match="mean the same"):
        Composite(shape=(2,), batch_size=(3,))


def test_what_torchrl_says_besides_can_only_be_left_open() -> None:
    assert Composite(a=Unbounded(2), names=None, data_cls=None) == Composite(a=Unbounded(2))
    with pytest.raises(SpecError, match="supports neither names of dimensions"):
        Composite(a=Unbounded(2), shape=(2,), names=["t"])  # type: ignore[arg-type]


def test_a_leaf_must_begin_with_the_shape() -> None:
    with pytest.raises(SpecError, match=r"the shape of 'a', \[3\], must begin with .* \[2\].*expand\(\[2, 3\]\)"):
        Composite(a=Unbounded(3), shape=(2,))
    with pytest.raises(SpecError, match=r"in 'b': the shape of 'c'"):
        Composite({"b": {"c": Unbounded(3)}}, shape=(2,))
    with pytest.raises(SpecError, match=r"'a' must be a spec, found NoneType"):
        Composite(a=None)


def test_draws(spec: Composite) -> None:
    draws = spec.rand((5,))
    assert isinstance(draws, TensorDict)
    assert draws.batch_size == (5, 2)
    assert draws.device is None
    assert draws["agent"].batch_size == (5, 2)
    assert draws["agent", "action"].shape == (5, 2, 4)
    assert spec.is_in(draws)
    assert Composite(a=Unbounded(1), device="cpu").rand().device == torch.device("cpu")


def test_zero_and_one_are_members(spec: Composite) -> None:
    zero = spec.zero((3,))
    assert zero.batch_size == (3, 2)
    assert not zero["observation"].any()
    assert zero["agent", "action"][0, 0].tolist() == [True, False, False, False]
    assert spec.one()["observation"].tolist() == [[1] * 3] * 2


def test_members(spec: Composite) -> None:
    value = spec.rand()
    assert spec.is_in(value)
    assert spec.is_in(value.to_dict())
    assert spec.is_in(value.clone().set("more", torch.zeros(2)))
    assert not spec.is_in(value.exclude("done"))
    assert not spec.is_in(value.exclude(("agent", "action")))
    assert not spec.is_in(value.clone().set("observation", torch.full((2, 3), 2.0)))
    assert not spec.is_in(torch.zeros(2))
    assert not spec.is_in(None)
    assert Composite(a=Unbounded(3), empty=Composite()).is_in(TensorDict(a=torch.zeros(3)))


def test_what_is_wrong_is_named(spec: Composite) -> None:
    value = spec.rand()
    with pytest.raises(SpecError, match=r"^key 'done' is missing"):
        spec.assert_is_in(value.exclude("done"))
    value["agent", "action"] = torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(SpecError, match=r"^at key 'agent': at key 'action': OneHot does not hold \[\[True, True"):
        spec.assert_is_in(value)
    with pytest.raises(SpecError, match="takes a TensorDict, found int"):
        spec.assert_is_in(3)


def test_projection_makes_a_copy(spec: Composite) -> None:
    value = spec.rand().set("more", torch.zeros(2))
    value["observation"] = torch.full((2, 3), 2.0)
    value["agent", "action"] = torch.ones(2, 4, dtype=torch.bool)
    projected = spec.project(value)
    assert spec.is_in(projected)
    assert projected["observation"].tolist() == [[1.0] * 3] * 2
    assert "more" in projected
    assert value["observation"].tolist() == [[2.0] * 3] * 2
    assert bool(value["agent", "action"].all())
    assert spec.project(projected) is projected
    with pytest.raises(SpecError, match="key 'done' is missing"):
        spec.project(value.exclude("done"))
    with pytest.raises(SpecError, match="at key 'observation': cannot project NaN"):
        spec.project(value.set("observation", torch.full((2, 3), torch.nan)))


def test_encoding() -> None:
    spec = Composite(a=Bounded(0, 9, (2,)), b=Composite(c=OneHot(3)))
    value = spec.encode({"a": [1, 2], "b": {"c": 2}})
    assert value.batch_size == ()
    assert value["a"].tolist() == [1, 2]
    assert value["b", "c"].tolist() == [False, False, True]
    many = spec.encode({"a": np.ones((5, 2)), "b": {"c": [0] * 5}})
    assert many.batch_size == (5,)
    assert spec.is_in(many)
    assert spec.encode({"a": [1, 2]}).keys() == {"a"}
    assert spec.encode({}).is_empty()


def test_encoding_refuses() -> None:
    spec = Composite(a=Bounded(0, 9, (2,)), b=Composite(c=OneHot(3)))
    with pytest.raises(SpecError, match="no spec for key 'aa'"):
        spec.encode({"aa": 1})
    with pytest.raises(SpecError, match="at key 'b': at key 'c'"):
        spec.encode({"b": {"c": 7}})
    with pytest.raises(SpecError, match="leading dimensions differ"):
        spec.encode({"a": np.ones((5, 2)), "b": {"c": 1}})
    with pytest.raises(SpecError, match="leading dimensions differ"):
        spec.encode({"a": np.ones((5, 2)), "b": {"c": [1, 1]}})


def test_to_numpy() -> None:
    spec = Composite(a=Bounded(0, 9, (2,)), b=Composite(c=OneHot(3)))
    arrays = spec.to_numpy(spec.encode({"a": [1, 2], "b": {"c": 2}}))
    assert arrays["a"].tolist() == [1, 2]
    assert arrays["b"]["c"] == 2


def test_checking_types(spec: Composite) -> None:
    spec.type_check(spec.rand())
    with pytest.raises(SpecError, match=r"\('agent', 'action'\)|'action'"):
        spec.type_check(spec.rand().set(("agent", "action"), torch.zeros(2, 4)))


def test_checking_some_types_only(spec: Composite) -> None:
    wrong = spec.rand().set(("agent", "action"), torch.zeros(2, 4))
    spec.type_check(wrong, selected_keys="observation")
    spec.type_check(wrong, ["observation", "done"])
    with pytest.raises(SpecError, match="at key 'agent': at key 'action': the value has dtype"):
        spec.type_check(wrong, ["agent"])


def test_filling_a_tensordict(spec: Composite) -> None:
    given = TensorDict({"other": torch.ones(5, 2), "observation": torch.ones(5, 2, 3)}, batch_size=[5, 2])
    assert spec.zeros_update(given) is given
    assert given["other"].all()
    assert not given["observation"].any()
    assert given["agent", "action"].shape == (5, 2, 4)
    assert spec.ones_update(given)["observation"].eq(1).all()
    assert spec.is_in(spec.rand_update(given))
    assert not given["observation"].eq(1).all()
    with pytest.raises(SpecError, match=r"expected the batch size \[\*, 2\], found \[3\]"):
        spec.rand_update(TensorDict({}, batch_size=[3]))


def test_stacking_goes_key_by_key() -> None:
    first, second = (Composite(a=Bounded(0, high, (3,)), b={"c": Categorical(high)}) for high in (2, 4))
    both = torch.stack([first, second])
    assert both.shape == (2,)
    assert both["a"].high.tolist() == [[2.0] * 3, [4.0] * 3]
    assert first.is_in(both.rand()[0])
    assert second.is_in(both.rand()[1])
    with pytest.raises(SpecError, match="a Composite of the same keys"):
        torch.stack([first, Composite(a=Bounded(0, 2, (3,)))])
    with pytest.raises(SpecError, match="at key 'a': specs can be stacked if"):
        torch.stack([first, Composite(a=Bounded(0, 2, (4,)), b={"c": Categorical(2)})])


def test_a_device_is_everybodys() -> None:
    spec = Composite(a=Unbounded(3), b=Composite(c=Unbounded(1))).to("cpu")
    assert spec.device == torch.device("cpu")
    assert spec["b"].device == torch.device("cpu")
    assert spec != Composite(a=Unbounded(3), b=Composite(c=Unbounded(1)))
    assert spec.rand().device == torch.device("cpu")


def test_a_dtype_is_everybodys() -> None:
    spec = Composite(a=Unbounded(3), b=Composite(c=Unbounded(1)))
    assert spec.dtype == torch.float32
    assert spec.to(torch.float64)["b", "c"].dtype == torch.float64
    assert Composite(a=Unbounded(3), b=OneHot(2)).dtype is None


def test_changing_leading_dimensions(spec: Composite) -> None:
    wide = spec.expand(5, 2)
    assert wide["agent", "action"].shape == (5, 2, 4)
    assert wide["agent"].shape == (5, 2)
    assert spec[0].shape == ()
    assert spec[0]["observation"] == Bounded(-1, 1, (3,))
    assert spec[:1]["agent"].shape == (1,)
    assert spec.unsqueeze(-1)["observation"].shape == (2, 1, 3)
    assert wide.flatten()["observation"].shape == (10, 3)
    assert wide.flatten().unflatten(0, (5, 2)) == wide
    assert wide.reshape(2, 5)["done"].shape == (2, 5, 1)
    assert spec.unbind(0)[1]["done"].shape == (1,)
    with pytest.raises(SpecError):
        spec[0, 0]
    with pytest.raises(SpecError):
        Composite(a=Unbounded(3))[0]


def test_cloning(spec: Composite) -> None:
    deep, shallow = spec.clone(), spec.clone(recurse=False)
    assert deep == shallow == spec
    assert shallow["observation"] is spec["observation"]
    assert deep["agent"] is not spec["agent"]
    deep["new"] = Unbounded((2, 1))
    deep["agent", "new"] = Unbounded((2, 1))
    assert "new" not in spec
    assert ("agent", "new") not in spec


def test_combinations() -> None:
    spec = Composite(a=Categorical(2), b=Composite(c=Categorical(3)))
    assert spec.cardinality() == 6
    listed = spec.enumerate()
    assert listed.batch_size == (6,)
    assert listed["a"].tolist() == [0, 0, 0, 1, 1, 1]
    assert listed["b", "c"].tolist() == [0, 1, 2, 0, 1, 2]
    assert Composite(a=Categorical(3)).enumerate()["a"].tolist() == [0, 1, 2]
    assert Composite(a=Unbounded(1), b=Categorical(3)).cardinality() == float("inf")
    with pytest.raises(SpecError):
        Composite(a=Unbounded(1)).enumerate()
    with pytest.raises(SpecError, match="empty"):
        Composite().enumerate()


def test_empty() -> None:
    assert Composite().rand((2,)).batch_size == (2,)
    assert Composite().is_in(TensorDict())
    assert Composite(shape=(2,)) != Composite()
