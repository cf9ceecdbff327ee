"""The dict half of a Composite."""

from __future__ import annotations

import copy

import pytest

from envcli.errors import SpecError
from envcli.specs import Bounded, Composite, Unbounded

ONE, TWO, THREE = Unbounded(1), Unbounded(2), Unbounded(3)


@pytest.fixture
def tree() -> Composite:
    return Composite({"a": {"b": ONE, "c": {"d": TWO}}, "e": THREE})


def test_reading(tree: Composite) -> None:
    assert tree["a", "b"] is ONE
    assert tree["a"]["c"]["d"] is tree["a", "c", "d"] is TWO
    assert tree[("e",)] is tree["e"] is THREE
    assert tree.get(("a", "c")) == Composite(d=TWO)
    assert tree.get("x") is None
    assert tree.get(("e", "x"), 5) == 5


def test_an_unknown_key_names_its_neighbours(tree: Composite) -> None:
    with pytest.raises(KeyError, match="no spec 'x'"):
        tree["x"]
    with pytest.raises(KeyError, match=r"no spec \('a', 'x'\)"):
        tree["a", "x"]


def test_containing(tree: Composite) -> None:
    for key in ("a", ("a",), ("a", "b"), ("a", "c", "d"), "e"):
        assert key in tree
    for key in ("b", ("a", "x"), ("e", "b"), (), 3, None, ("a", 1)):
        assert key not in tree


def test_listing(tree: Composite) -> None:
    assert list(tree) == list(tree.keys()) == ["a", "e"]
    assert len(tree) == 2
    assert list(tree.keys(True)) == [("a", "b"), ("a", "c", "d"), ("a", "c"), "a", "e"]
    assert list(tree.keys(True, True)) == [("a", "b"), ("a", "c", "d"), "e"]
    assert list(tree.keys(leaves_only=True)) == ["e"]
    assert list(tree.values(True, True)) == [ONE, TWO, THREE]
    assert dict(tree.items(True, True))["a", "c", "d"] is TWO
    assert ("a", "b") in tree.keys(True)
    assert ("a", "b") not in set(tree.keys())


def test_setting(tree: Composite) -> None:
    tree["a", "x", "y"] = ONE
    assert tree["a", "x"] == Composite(y=ONE)
    assert tree.set("z", {"k": TWO}) is tree
    assert tree["z", "k"] is TWO
    tree["e"] = ONE
    assert tree["e"] is ONE


@pytest.mark.parametrize("key", [(), 3, ("a", 3)])
def test_setting_an_impossible_key(tree: Composite, key: object) -> None:
    with pytest.raises((SpecError, TypeError)):
        tree.set(key, ONE)


def test_setting_below_a_leaf(tree: Composite) -> None:
    with pytest.raises(SpecError, match=r"\('e', 'x'\) cannot be set: 'e' is a leaf"):
        tree["e", "x"] = ONE


def test_new_trees_on_the_way_have_the_shape() -> None:
    tree = Composite(shape=(2,), device="cpu")
    tree["a", "b"] = Unbounded((2, 3))
    assert (tree["a"].shape, str(tree["a"].device)) == ((2,), "cpu")
    with pytest.raises(SpecError, match=r"\('a', 'c'\).*must begin with"):
        tree["a", "c"] = Unbounded(3)


def test_an_inner_tree_of_fewer_dimensions_gets_the_shape() -> None:
    """As in TorchRL."""
    inner = Composite(b=Unbounded((2, 3, 4)), c=Composite(d=Unbounded((2, 3))), shape=(2,))
    tree = Composite({"a": inner, "e": Composite()}, shape=(2, 3))
    assert tree["a"].shape == tree["a", "c"].shape == tree["e"].shape == (2, 3)
    assert inner.shape == inner["c"].shape == (2,), "it is as it was"
    assert tree["a", "b"] is inner["b"]
    assert tree.rand()["a", "c"].batch_size == (2, 3)
    with pytest.raises(SpecError, match=r"\('a', 'b'\), \[2, 3, 4\], must begin with"):
        Composite(a=inner, shape=(2, 4))
    with pytest.raises(SpecError, match=r"'a', \[2\], must begin with"):
        Composite(a=inner, shape=(3, 3))


def test_groups_keep_their_shape_where_some_of_their_entries_are_taken() -> None:
    tree = Composite(a=Composite(b=Unbounded((2, 3)), c=Unbounded((2, 4)), shape=(2,)))
    assert tree.select(("a", "b")) == Composite(a=Composite(b=Unbounded((2, 3)), shape=(2,)))
    assert tree.separates(("a", "b"), "x") == Composite(a=Composite(b=Unbounded((2, 3)), shape=(2,)))
    assert tree == Composite(a=Composite(c=Unbounded((2, 4)), shape=(2,)))


def test_removing(tree: Composite) -> None:
    del tree["a", "b"]
    assert ("a", "b") not in tree
    assert tree.pop("e") is THREE
    assert tree.pop("e", None) is None
    assert tree.pop(("a", "x"), 5) == 5
    with pytest.raises(KeyError):
        tree.pop("e")
    with pytest.raises(KeyError):
        del tree["a", "b"]
    assert list(tree.keys(True, True)) == [("a", "c", "d")]


def test_updating_joins(tree: Composite) -> None:
    assert tree.update({"a": {"c": {"x": ONE}}, "e": TWO}) is tree
    assert list(tree["a", "c"].keys()) == ["d", "x"]
    assert tree["e"] is TWO
    tree.update(Composite(a=Composite(b=THREE)))
    assert tree["a", "b"] is THREE
    assert ("a", "c", "d") in tree


def test_separating(tree: Composite) -> None:
    taken = tree.separates(("a", "c", "d"), "e", "x")
    assert taken == Composite({"a": {"c": {"d": TWO}}, "e": THREE})
    assert list(tree.keys(True, True)) == [("a", "b")]
    assert tree.separates("x") is None
    assert tree.separates("x", default=3) == 3


def test_selecting_and_excluding_leave_the_tree_alone(tree: Composite) -> None:
    before = copy.deepcopy(tree)
    assert list(tree.select(("a", "b"), "e").keys(True, True)) == [("a", "b"), "e"]
    assert list(tree.exclude(("a", "b"), "x").keys(True, True)) == [("a", "c", "d"), "e"]
    assert tree == before
    with pytest.raises(KeyError):
        tree.select("x")


def test_locking(tree: Composite) -> None:
    assert not tree.is_locked
    assert tree.lock_() is tree
    assert tree.is_locked
    assert tree["a", "c"].is_locked
    for change in (
        lambda: tree.set("x", ONE),
        lambda: tree.set(("a", "x"), ONE),
        lambda: tree.set(("x", "y"), ONE),
        lambda: tree.pop("e"),
        lambda: tree["a"].pop("b"),
        lambda: tree.update({"e": ONE}),
    ):
        with pytest.raises(SpecError, match="the Composite is locked"):
            change()
    assert list(tree.keys(True, True)) == [("a", "b"), ("a", "c", "d"), "e"]
    assert not tree.clone().is_locked
    tree.unlock_()["x"] = ONE
    tree["a", "x"] = ONE


def test_locking_the_root_only(tree: Composite) -> None:
    tree.lock_(recurse=False)
    tree["a", "x"] = ONE
    with pytest.raises(SpecError):
        tree["x"] = ONE


def test_emptiness(tree: Composite) -> None:
    assert Composite().is_empty()
    assert not Composite(a=Composite()).is_empty()
    assert Composite(a=Composite()).is_empty(recurse=True)
    assert not tree.is_empty()
    assert tree.empty() == Composite()


def test_the_order_of_keys_is_no_part_of_the_value() -> None:
    assert Composite(a=ONE, b=TWO) == Composite(b=TWO, a=ONE)
    assert Composite(a=ONE) != Composite(a=TWO)
    assert Composite(a=ONE) != Composite(a=ONE, b=TWO)
    assert Composite(a=ONE) != Composite(b=ONE)
    assert Composite(a=ONE) != ONE
    assert ONE not in [Composite(a=ONE)]


def test_leaves_are_in_order_and_follow_every_change(tree: Composite) -> None:
    assert list(tree.leaves()) == [("a", "b"), ("a", "c", "d"), ("e",)]
    assert tree.leaves() is tree.leaves()
    inner = tree["a", "c"]
    inner.set("f", ONE)
    assert tree.leaves()["a", "c", "f"] is inner["f"]
    tree.lock_()
    inner.unlock_().pop("d")
    inner.lock_()
    assert list(tree.leaves()) == [("a", "b"), ("a", "c", "f"), ("e",)]
    tree.unlock_().set("a", Composite())
    inner.unlock_().set("g", ONE)  # which is not in the tree any more
    assert list(tree.leaves()) == [("e",)]
    assert copy.deepcopy(tree).set("h", ONE).leaves().keys() == {("e",), ("h",)}


def test_somebody_else_says_what_a_leaf_is() -> None:
    tree = Composite(a=Unbounded(3), b=Composite(c=Bounded(0, 1, (2,))))
    assert list(tree.keys(True, True, is_leaf=lambda kind: kind is Composite)) == ["b"]
    assert list(tree.keys(True, True, is_leaf=lambda kind: True)) == ["a", ("b", "c"), "b"]
    assert [*tree.items(True, True, is_leaf=lambda kind: kind is Composite)] == [("b", tree["b"])]
    assert [*tree.values(True, True, is_leaf=lambda kind: kind is Composite)] == [tree["b"]]


def test_torchrls_names_of_arguments() -> None:
    tree = Composite(a=Unbounded(3))
    assert tree.get(item="a", default=None) == Unbounded(3)
    assert tree.update(dict_or_spec={"b": Unbounded(1)}) is tree
    assert "b" in tree
