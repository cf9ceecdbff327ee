"""What went wrong in another process, as text."""

from __future__ import annotations

import traceback
from typing import NamedTuple, TypeVar

from envcli import errors
from envcli.errors import EnvcliError, EnvError, described, message_of

__all__ = ["Fault", "located", "traced"]

Error = TypeVar("Error", bound=Exception)

_KINDS = ("ActionError", "ConfigError", "EnvError", "SpecError", "StoreError", "TransformError")  # made of a message


class Fault(NamedTuple):
    """An exception as text alone: it may be of a class that cannot be pickled, or not be made again."""

    kinds: list[str]  # its class, and what that is one of
    message: str
    description: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """What ``error`` says, and from where."""
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return cls(kinds, message_of(error), described(error), "".join(traceback.format_exception(error)))

    def error(self, where: str, looked_up: bool = False) -> EnvcliError | AttributeError:
        """An error of ours: of its own kind, or of what that is one of.

        AttributeError where an attribute was ``looked_up`` that the envs lack.
        """
        kind = next((kind for kind in self.kinds if kind in _KINDS), None)
        ours: type[EnvcliError | AttributeError] = getattr(errors, kind) if kind else EnvError
        if kind is None and looked_up and "AttributeError" in self.kinds:
            return traced(AttributeError(f"{where}: {self.message}"), self.traceback)
        said = self.message if kind else self.description
        return traced(ours(f"{where}: {said}"), self.traceback)


def located(env: int, who: str, seed: int | None, doing: str, row: int, vague: bool = False) -> str:
    """Which env does what: ``"env 5 (worker 1, seed 13) in step 17"``.

    Args:
        env: its place in the batch.
        who: runs it.
        seed: of the env, if anybody gave it one.
        doing: ``"step"``, ``"reset"`` or a word that was said.
        row: of the rollout; counts for the first two alone.
        vague: it may be in a later step.
    """
    found = f"env {env} ({who}{'' if seed is None else f', seed {seed}'})"
    if doing == "step":
        return f"{found} in step {row}{' or later' if vague else ''}"
    return f"{found} in reset before step {row}" if doing == "reset" else f"{found} in {doing}"


def traced(error: Error, trace: str) -> Error:
    """``error``, with what its process left as a note."""
    if trace:
        error.add_note(f"In the worker:\n{trace}")
    return error
