"""One actor as the main process sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cloudpickle

from envcli.batch.fault import Fault, located, traced
from envcli.batch.phases import PHASES
from envcli.errors import EnvcliError, EnvError
from envcli.ray.actor import Place
from envcli.ray.cluster import Gone

__all__ = ["RayHandle"]

_NAMED = 3  # seeds of a share that an error names


class RayHandle:
    """An actor: its share of the envs; and what to say when it fails.

    Args:
        index: which of the actors.
        envs: which of the envs are its.
        actor: Ray's handle.
    """

    def __init__(self, index: int, envs: range, actor: Any) -> None:
        self.index, self.envs, self.actor = index, envs, actor
        self.seeds: Sequence[int | None] = [None] * len(envs)
        self.restarts = 0  # of this share since it was seeded
        self.is_first = True  # of this share
        self.has_made = False  # a row
        self.word, self.row, self.count = "", 0, 1  # what it was asked last, and of which rows

    def asked(self, word: str, args: tuple[Any, ...], row: int = 0, count: int = 1) -> Any:
        """Ask for rows, ``count`` from ``row`` on. Returns Ray's reference to the answer."""
        self.word, self.row, self.count = word, row, count
        return self.actor.make.remote(word, *args)

    def told(self, word: str, text: bytes) -> Any:
        """Say something rare, which :func:`~envcli.batch.channel.in_words` made of a name and arguments."""
        self.word = word
        return self.actor.say.remote(text)

    def heard(self, answer: Any) -> Any:
        """What it answered. Raises what went wrong there, as an error of ours."""
        if isinstance(answer, bytes):
            answer = cloudpickle.loads(answer)
        if isinstance(answer, tuple) and answer and isinstance(answer[0], Fault):
            fault, place = answer
            raise fault.error(self._where(place), looked_up=self.word == "get")
        self.has_made = self.has_made or self.word in ("step", "autoreset")
        return answer

    def _where(self, place: Place) -> str:
        """Which env does what: ``"env 5 (actor 1, seed 13) in step 17"``."""
        index, phase, row = place
        row += self.row
        if phase < 0:
            return f"the policy of {self._all()} in step {row}"
        doing = self.word if PHASES[phase] == "call" else PHASES[phase]
        seed = self.seeds[index] if index < len(self.seeds) else None
        return located(self.envs[index], f"actor {self.index}", seed, doing, row)

    def _all(self) -> str:
        """``"envs 4 to 7 (actor 1, seeds 3, 5, 8 and 1 more)"``."""
        first, last = self.envs[0], self.envs[-1]
        known = [str(seed) for seed in self.seeds if seed is not None]
        more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        seeds = f", seed{'s' if len(known) > 1 else ''} {', '.join(known[:_NAMED])}{more}" if known else ""
        envs = f"env {first}" if first == last else f"envs {first} to {last}"
        return f"{envs} (actor {self.index}{seeds})"

    def _doing(self) -> str:
        if self.word in ("step", "autoreset"):
            return f"{self._all()} in step {self.row}{' or later' if self.count > 1 else ''}"
        if self.word == "reset":
            return f"{self._all()} in reset before step {self.row}"
        return f"{self._all()} in {self.word}"

    def loss(self, gone: Gone) -> EnvError:
        """It is gone."""
        return traced(EnvError(f"{self._doing()}: {gone}"), gone.report)

    def hung(self, patience: float) -> EnvcliError:
        """It does not answer."""
        option = {"build": "start_timeout", "close": "close_timeout"}.get(self.word, "step_timeout")
        cure = f"If it needs longer, raise {option} (0: no limit)"
        return EnvError(f"{self._doing()}: no answer in {patience:g} s. {cure}")
