"""Which class of several, one below the other, has written what."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

__all__ = ["is_overtaken", "is_written_for", "place_of", "writer"]


def _place_of(kind: type, name: str) -> int:
    return next(i for i, above in enumerate(kind.__mro__) if name in vars(above))


place_of: Callable[[type, str], int] = lru_cache(4096)(_place_of)  # every rollout asks: 3 us each without it
"""How far above a class is the one that writes this attribute of it? 0: it does so itself."""


def writer(kind: type, name: str) -> type:
    """The class that writes attribute ``name`` of ``kind``."""
    return kind.__mro__[place_of(kind, name)]


@lru_cache(4096)
def _is_written_for(kind: type, shortcut: str, rule: str) -> bool:
    rules = [i for i, above in enumerate(kind.__mro__) if rule in vars(above)][:-1]
    meant = next((i for i in rules if i >= place_of(kind, shortcut)), rules[-1] if rules else None)
    return not rules or rules[0] == meant


def is_written_for(kind: type, shortcut: str, rule: str) -> bool:
    """Was attribute ``shortcut`` of ``kind`` written for its method ``rule`` as that is now?

    It was for the method of the class that writes it, or, if that has none, for the first one below; what the root of
    all says of the method does not count. A class further below may have written the method anew, and not the
    attribute.

    >>> class Root:
    ...     def rule(self): ...
    >>> class Twice(Root):
    ...     fast = True
    ...     def rule(self): return 2
    >>> class Thrice(Twice):
    ...     def rule(self): return 3
    >>> is_written_for(Twice, "fast", "rule"), is_written_for(Thrice, "fast", "rule")
    (True, False)
    """
    return _is_written_for(kind, shortcut, rule)


def _is_overtaken(kind: type, hook: str, rule: str) -> bool:
    root = next(above for above in reversed(kind.__mro__) if rule in vars(above))
    plain = getattr(root, rule)
    return getattr(writer(kind, hook), rule, plain) is not plain and not is_written_for(kind, hook, rule)


is_overtaken: Callable[[type, str, str], bool] = lru_cache(4096)(_is_overtaken)
"""Does the hook of a class do what the method of the same class did, which a class further below has written anew?"""
