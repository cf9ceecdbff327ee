"""Nested keys: one spelling inside (a tuple of strings), the user's spelling outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "DONE_FAMILY", "RESTARTED", "Key", "NestedKey", "as_keys", "as_path", "as_user_key", "groups_above", "nest",
    "places", "under_next",
]  # fmt: skip

NestedKey: TypeAlias = str | tuple[str, ...]
"""What a user writes: ``"observation"`` or ``("next", "observation")``."""

Key: TypeAlias = tuple[str, ...]
"""What we write inside: always a tuple, never empty."""

DONE_FAMILY = ("done", "terminated", "truncated")
"""The flags of the end of an episode: either end, that of the task, that of its time."""

RESTARTED = "restarted"
"""The flag beside each ``truncated``: the episode was cut since the env was lost with its worker."""

T = TypeVar("T")


def as_path(key: NestedKey) -> Key:
    """``key`` as a tuple.

    >>> as_path("reward"), as_path(("next", "reward"))
    (('reward',), ('next', 'reward'))
    """
    return (key,) if isinstance(key, str) else tuple(key)


def as_keys(keys: Sequence[NestedKey] | None) -> list[NestedKey]:
    """``keys`` as a list: a string is one key, and a tuple of strings one nested key, as in TorchRL; None: no key.

    >>> as_keys("reward"), as_keys(("agents", "reward")), as_keys(["done", ("agents", "reward")])
    (['reward'], [('agents', 'reward')], ['done', ('agents', 'reward')])
    """
    if isinstance(keys, str) or (isinstance(keys, tuple) and keys and all(isinstance(part, str) for part in keys)):
        return [as_user_key(as_path(keys))]
    return list(keys or [])


def as_user_key(path: Key) -> NestedKey:
    """``path`` as a user writes it: a string where one is enough.

    >>> as_user_key(("reward",))
    'reward'
    """
    return path[0] if len(path) == 1 else path


def groups_above(path: Key) -> list[Key]:
    """The groups that ``path`` stands in, from the outermost.

    >>> groups_above(("next", "agents", "reward"))
    [('next',), ('next', 'agents')]
    """
    return [path[:depth] for depth in range(1, len(path))]


def under_next(path: Key) -> Key:
    """The same entry one step later.

    >>> under_next(("agents", "reward"))
    ('next', 'agents', 'reward')
    """
    return ("next", *path)


def places(entries: Mapping[Any, T] | Sequence[T]) -> Iterator[tuple[Any, str, T]]:  # Any: a key, or a number
    """How a simulator's nested value is indexed, what the entry is called here, and what ``entries`` hold there.

    Keys of a mapping need not be strings.

    >>> list(places({1: "a"})), list(places(["b"]))
    ([(1, '1', 'a')], [(0, '0', 'b')])
    """
    inner = entries.items() if isinstance(entries, Mapping) else enumerate(entries)
    yield from ((at, str(at), entry) for at, entry in inner)


def nest(entries: Mapping[Key, T] | Iterable[tuple[Key, T]]) -> dict[str, Any]:
    """A flat mapping from paths as a dict of dicts, in the same order.

    >>> nest({("a",): 1, ("next", "a"): 2})
    {'a': 1, 'next': {'a': 2}}
    """
    tree: dict[str, Any] = {}
    for path, value in entries.items() if isinstance(entries, Mapping) else entries:
        node = tree
        if len(path) > 1:
            for part in path[:-1]:
                node = node.setdefault(part, {})
        node[path[-1]] = value
    return tree
