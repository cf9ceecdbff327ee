"""Which of a class and its bases defines what."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar

__all__ = ["cached_on_class", "is_stale", "is_written_for", "place_of", "writer"]

Answer = TypeVar("Answer")


def cached_on_class(ask: Callable[..., Answer]) -> Callable[..., Answer]:
    """Cache ``ask(kind, *names)``, which depends on these attributes of a class, for as long as they stay the same.

    Every rollout asks several times for each transform: some 50 us each without this, and 1 with it. The answers are
    kept on the class itself, so they go when it goes.
    """

    place = f"_notes_on_{ask.__name__}"

    @wraps(ask)
    def answer(kind: type, *names: str) -> Answer:
        notes: dict[tuple[str, ...], tuple[attrgetter[Any], Any, Answer]] | None = kind.__dict__.get(place)
        if notes is None:
            notes = {}
            setattr(kind, place, notes)
        note = notes.get(names)
        if note is None or note[0](kind) != note[1]:
            look = attrgetter(*names)
            note = notes[names] = (look, look(kind), ask(kind, *names))
        return note[2]

    return answer


def place_of(kind: type, name: str) -> int:
    """The place in the MRO of ``kind`` of the class that defines its attribute ``name``; 0: ``kind`` itself."""
    return next(i for i, above in enumerate(kind.__mro__) if name in vars(above))


def writer(kind: type, name: str) -> type:
    """The class that defines the attribute ``name`` of ``kind``."""
    return kind.__mro__[place_of(kind, name)]


@cached_on_class
def is_written_for(kind: type, shortcut: str, rule: str) -> bool:
    """Was the attribute ``shortcut`` of ``kind`` written for the method ``rule`` that ``kind`` has?

    A shortcut is written for the method of the class that defines it, or, if that has none, for the first one among its
    bases; the method of the root class does not count. A subclass may have overridden the method, and not the shortcut.

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
    rules = [i for i, above in enumerate(kind.__mro__) if rule in vars(above)][:-1]
    meant = next((i for i in rules if i >= place_of(kind, shortcut)), rules[-1] if rules else None)
    return not rules or rules[0] == meant


def is_stale(kind: type, hook: str, rule: str) -> bool:
    """Does ``hook`` do what the method ``rule`` of the same class does, which a subclass overrides?"""
    root = next(above for above in reversed(kind.__mro__) if rule in vars(above))
    plain = getattr(root, rule)
    return getattr(writer(kind, hook), rule, plain) is not plain and not is_written_for(kind, hook, rule)
