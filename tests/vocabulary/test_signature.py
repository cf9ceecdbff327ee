"""The signature of a class or function as the schema of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from envcli.errors import ConfigError
from envcli.keys import NestedKey
from envcli.vocabulary import signature


def test_options_are_handed_on_only_where_anything_is_taken() -> None:
    def make(name: str, **options: object) -> tuple[str, dict[str, object]]:
        return name, options

    assert signature.call(make, {"name": "a", "options": {"g": 3}}, "backend") == ("a", {"g": 3})
    with pytest.raises(ConfigError, match=r"backend.options: found 3, expected names and values"):
        signature.call(make, {"name": "a", "options": 3}, "backend")
    with pytest.raises(ConfigError, match=r"backend.options.name: is not one of the options. Type backend.name="):
        signature.call(make, {"name": "a", "options": {"name": "b"}}, "backend")
    with pytest.raises(ConfigError, match=r"backend.g: no such key"):
        signature.call(make, {"name": "a", "g": 3}, "backend")
    with pytest.raises(ConfigError, match=r"backend.options: no such key"):
        signature.call(lambda name: name, {"name": "a", "options": {}}, "backend")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", 1.5, "found 1.5, expected a whole number or null"),
        ("count", True, "found True, expected a whole number"),
        ("count", 2**63, "found 9223372036854775808, expected a number of at most 64 bits"),
        ("size", True, "found True, expected a number."),
        ("size", None, "found None, expected a number."),
        ("size", "3", "found '3', expected a number."),
        ("key", None, "found None, expected the key of an entry: a name, or a list of nested names"),
        ("key", [], r"found \[\], expected the key"),
        ("key", 1.5, "found 1.5, expected the key"),
        ("keys", ["a", None], "found None, expected the key"),
        ("keys", {}, "found {}, expected the key"),
        ("tree", "abc", "found 'abc', expected names and values"),
        ("tree", [1], r"found \[1\], expected names and values"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: object, expected: str) -> None:
    def make(
        count: int | None,
        size: float,
        key: NestedKey,
        keys: Sequence[NestedKey] | None,
        tree: Mapping[str, int] | None = None,
    ) -> tuple[object, ...]:
        return count, size, key, keys

    fine = {"count": None, "size": 3, "key": 0, "keys": ["a", ["b", 1]], "tree": {"a": 1}}
    assert signature.call(make, fine, "x") == (None, 3, "0", ["a", ("b", "1")])
    assert signature.call(make, {**fine, "keys": None, "key": ["a", "b"]}, "x")[2:] == (("a", "b"), None)
    with pytest.raises(ConfigError, match=f"^x.{name}: {expected}"):
        signature.call(make, {**fine, name: value}, "x")


@pytest.mark.parametrize(
    ("given", "keys"), [(None, ()), ([], ()), ("ab", ("ab",)), (0, ("0",)), (["a", ["b", 1]], ("a", ("b", "1")))]
)
def test_keys_are_a_list_or_a_single_one(given: object, keys: tuple[NestedKey, ...]) -> None:
    def make(*keys: NestedKey) -> tuple[NestedKey, ...]:
        return keys

    assert signature.call(make, {"keys": given}, "x") == keys
    with pytest.raises(ConfigError, match=r"^x.keys: found True, expected the key of an entry"):
        signature.call(make, {"keys": True}, "x")


def test_what_a_class_refuses_is_told_with_its_node() -> None:
    class Picky:
        def __init__(self, at: int) -> None:
            raise ConfigError(f"at: found {at}" if at else "Picky: found 0. Give more")

    with pytest.raises(ConfigError, match=r"^transforms.p.at: found 1"):
        signature.call(Picky, {"at": 1}, "transforms.p")
    with pytest.raises(ConfigError, match=r"^transforms.p: Picky: found 0. Give more"):
        signature.call(Picky, {"at": 0}, "transforms.p")


def test_what_is_given_is_passed_only_where_it_is_taken() -> None:
    assert signature.call(lambda a, b: (a, b), {"a": 1}, "x", b=2, c=3) == (1, 2)
    with pytest.raises(ConfigError, match=r"x.b: no such key"):
        signature.call(lambda a, b: (a, b), {"a": 1, "b": 5}, "x", b=2)
