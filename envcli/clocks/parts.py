"""The parts of a step: what the clocks call them, and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "ACTIONS", "BACKEND", "IDLE", "LOOP", "MEANING", "MEMORY", "PIXELS", "POLICY", "POLICY_ROWS", "RESETS", "ROOT",
    "SIMULATOR", "STEPS", "WAITING", "ranked",
]  # fmt: skip

STEPS, PIXELS, RESETS = "simulator: steps", "simulator: pixels", "simulator: resets"
BACKEND = "backend"
POLICY, POLICY_ROWS, ACTIONS = "policy", "policy's rows", "random actions"
LOOP, ROOT, MEMORY = "loop", "root rows", "memory"
WAITING, IDLE = "waiting for workers", "waiting for orders"

SIMULATOR = {"steps": STEPS, "pixels": PIXELS, "resets": RESETS}
"""What a backend calls it -> the part."""

MEANING = {
    BACKEND: "reads the action, checks and writes what the simulator says",
    POLICY_ROWS: "a view of the row for the policy, its action checked and stored",
    LOOP: "goes from step to step, and from env to env",
    ROOT: "what a step led to is what the next one begins with",
    MEMORY: "allocated, bound, handed out as a TensorDict",
}
"""Part -> what it does, where the name does not say it."""

_BEFORE = (POLICY, POLICY_ROWS, ACTIONS, STEPS, PIXELS, RESETS, BACKEND)
_AFTER = (LOOP, ROOT, MEMORY, WAITING, IDLE)


def ranked(parts: Iterable[str], paths: Sequence[str]) -> list[str]:
    """``parts`` in the order of a step: who acts, the simulator, the transforms as in ``paths``, ourselves, waiting.

    >>> ranked(["loop", "transforms.b", "transforms.a", "simulator: steps"], ["transforms.b", "transforms.a"])
    ['simulator: steps', 'transforms.b', 'transforms.a', 'loop']
    """
    order = {part: place for place, part in enumerate([*_BEFORE, *paths])}
    last = {part: len(order) + 1 + place for place, part in enumerate(_AFTER)}
    return sorted(parts, key=lambda part: {**order, **last}.get(part, len(order)))
