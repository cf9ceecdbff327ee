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
    BACKEND: "reads the action, then checks and writes what the simulator returns",
    POLICY_ROWS: "shows the policy its row, then checks and stores its action",
    LOOP: "iterates over steps and envs",
    ROOT: "copies each step's result to where the next step begins",
    MEMORY: "allocates, binds and returns the TensorDict",
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
