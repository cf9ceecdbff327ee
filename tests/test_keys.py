"""Nested keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envcli.keys import as_keys, as_path, as_user_key, nest, under_next

PATHS = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=3).map(tuple)


@given(PATHS)
def test_a_path_survives_the_way_out_and_back(path: tuple[str, ...]) -> None:
    assert as_path(as_user_key(path)) == path
    assert as_path(path) is path


def test_a_path_of_one_is_a_string_outside() -> None:
    assert as_user_key(("reward",)) == "reward"
    assert as_user_key(("next", "reward")) == ("next", "reward")
    assert as_path(["next", "reward"]) == ("next", "reward")  # type: ignore[arg-type]  # as a YAML list would come


def test_a_tuple_of_strings_is_one_key_and_a_list_of_them_several() -> None:
    assert as_keys("observation") == as_keys(("observation",)) == as_keys(["observation"]) == ["observation"]
    assert as_keys(("a", "b")) == as_keys([("a", "b")]) == [("a", "b")]
    assert as_keys(["a", "b"]) == ["a", "b"]
    assert as_keys(("a", ("b", "c"))) == ["a", ("b", "c")]
    assert as_keys(None) == as_keys(()) == []


def test_under_next() -> None:
    assert under_next(("reward",)) == ("next", "reward")
    assert under_next(("agent", "reward")) == ("next", "agent", "reward")


def test_nest_keeps_the_order() -> None:
    tree = nest([(("next", "b"), 1), (("a",), 2), (("next", "a"), 3)])
    assert tree == {"next": {"b": 1, "a": 3}, "a": 2}
    assert list(tree) == ["next", "a"]
    assert list(tree["next"]) == ["b", "a"]


@given(st.dictionaries(PATHS, st.integers(), max_size=6))
def test_nest_loses_nothing(entries: dict[tuple[str, ...], int]) -> None:
    leaves = {p: v for p, v in entries.items() if not any(q[: len(p)] == p and q != p for q in entries)}
    tree = nest(leaves)
    for path, value in leaves.items():
        node = tree
        for part in path:
            node = node[part]
        assert node == value
