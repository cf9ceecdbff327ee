"""The actors of a batch as the main process sees them: who is asked what, who has answered, who never will."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from envcli.batch.channel import QUESTIONS, in_words
from envcli.batch.replay_log import ReplayLog, advanced
from envcli.batch.timeouts import Timeouts
from envcli.batch.undisturbed import is_leaving, undisturbed
from envcli.errors import EnvcliError
from envcli.ray.actor import RayActor
from envcli.ray.actor_handle import RayHandle
from envcli.ray.cluster import Gone, RayCluster

__all__ = ["RayPool"]

Args: TypeAlias = Callable[[range], tuple[Any, ...] | None]
"""What an actor is asked with, by its share of the envs; None: it is not asked."""

_AGAIN_IN = 0.5  # seconds between two tries to find room elsewhere
_SOON = 1.0  # seconds that envs have to close after a Ctrl-C


class RayPool:
    """Actors, each with a share of the envs.

    An exception in one of them ends all, and is raised as one error that says which env it was. So does the loss of
    one; or, if they last, it is replaced by a new one with new envs, and asked the same.

    Args:
        cluster: where they live; it is let go of at the end.
        shares: the envs of each.
        timeouts: how long to wait for them.
        restarts: what happened to those that were replaced is added here.
        lasts: are they replaced?
    """

    def __init__(
        self, cluster: RayCluster, shares: Sequence[range], timeouts: Timeouts, restarts: list[str], lasts: bool
    ) -> None:
        self.cluster, self.timeouts, self.restarts, self.lasts = cluster, timeouts, restarts, lasts
        self.places = 1
        self.replay_log = ReplayLog()
        self._owner = os.getpid()
        self._pending: dict[Any, tuple[RayHandle, Callable[[RayHandle], Any]]] = {}
        self._paused: Callable[[range], tuple[Any, ...]] | None = None
        self._handles: list[RayHandle] = []
        try:
            for index, envs in enumerate(shares):
                self._handles.append(RayHandle(index, envs, self._hired(index, envs)))
        except BaseException:
            self.end()
            raise

    def _hired(self, index: int, envs: range) -> Any:
        return self.cluster.hire(index, RayActor, envs.start, sys.path, torch.get_default_dtype())

    @property
    def ended(self) -> bool:
        """Are there no actors any more?"""
        return not self._handles

    def seeded(self, seeds: Sequence[int | None], places: int) -> None:
        """Remember what each env was seeded with: errors name it. ``places``: of the chain that the batch takes."""
        self.places = places
        for handle in self._handles:
            handle.seeds = seeds[handle.envs.start : handle.envs.stop]
            handle.restarts = 0

    # -- questions ------------------------------------------------------------------------------------------------

    def ask(self, name: str, args: Args) -> list[Any]:
        """What each actor answers to ``name``, in words. Raises what one of them failed with."""
        texts = {handle.index: in_words((name, args(handle.envs))) for handle in self._handles}
        self.replay_log.keep(name, args)  # type: ignore[arg-type]  # all are told in words
        answers: dict[int, Any] = {}
        for handle in self._handles:
            self._send(handle, lambda handle: handle.told(name, texts[handle.index]))
        refusal = self._wait(name, lambda handle, answer: answers.update({handle.index: answer}))
        if refusal is not None:
            raise refusal
        return [answers[index] for index in sorted(answers)]

    def post(self, name: str, args: Args, row: int = 0, count: int = 1) -> None:
        """Have the actors make rows, and do not wait."""
        for handle in self._handles:
            given = args(handle.envs)
            if given is not None:
                self._send(handle, lambda handle, given=given: handle.asked(name, given, row, count))  # type: ignore[misc]

    def wait(self, take: Callable[[range, Any], None]) -> None:
        """Until all have made their rows, which ``take`` is given as they come. Raises what one of them failed with."""
        self._wait("", lambda handle, chunk: take(handle.envs, chunk))

    def pause(self, args: Callable[[range], tuple[Any, ...]] | None) -> None:
        """Let envs wait; who is replaced is told too."""
        self._paused = args
        self.ask("pause", (lambda _: (None,)) if args is None else args)

    def _send(self, handle: RayHandle, request: Callable[[RayHandle], Any]) -> None:
        self._pending[request(handle)] = handle, request

    def _wait(self, word: str, take: Callable[[RayHandle, Any], None]) -> EnvcliError | AttributeError | None:
        """Until all have answered. Returns what was wrong with a question that they survived."""
        refusal: EnvcliError | AttributeError | None = None
        patience = self.timeouts.of(word)
        try:
            while self._pending:
                ready = self.cluster.first(list(self._pending), patience)
                for ref in ready or list(self._pending)[:1]:
                    handle, request = self._pending.pop(ref)
                    try:
                        if not ready:
                            raise handle.hung(patience)
                        answer = self.cluster.fetch(ref)
                    except (Gone, EnvcliError) as lost:
                        error = handle.loss(lost) if isinstance(lost, Gone) else lost
                        self._replace(handle, error, word, request)
                        continue
                    try:
                        take(handle, handle.heard(answer))
                    except (EnvcliError, AttributeError) as error:
                        if word not in QUESTIONS:
                            raise
                        refusal = error
        except (EnvcliError, AttributeError):
            self.end()
            raise
        return refusal

    # -- losses ---------------------------------------------------------------------------------------------------

    def _replace(self, lost: RayHandle, error: EnvcliError, word: str, request: Callable[[RayHandle], Any]) -> None:
        """Put a new actor in the place of one that is lost, and ask it the same; or raise ``error``."""
        if not self.lasts or word in ("build", "close"):
            raise error
        if not lost.is_first and not lost.has_made:
            error.add_note(f"It had been restarted, after: {self.restarts[-1]}")
            raise error
        self.restarts.append(str(error))
        until = time.monotonic() + (self.timeouts.start or float("inf"))
        new = self._successor(lost, word)
        while not self._settles_in(new, word, until):
            new.actor = self._hired(new.index, new.envs)
        self._tell(new, "lose", ())
        if self._paused is not None:
            self._tell(new, "pause", self._paused(new.envs))
        new.word, new.row, new.count = lost.word, lost.row, lost.count
        self._send(new, request)

    def _settles_in(self, new: RayHandle, word: str, until: float) -> bool:
        """Tell ``new`` what the one before it was told. False: it was on a machine that is lost too."""
        try:
            for name, args in self.replay_log.words(new.envs, new.restarts * self.places, but=word):
                self._tell(new, name, args)
        except EnvcliError as error:
            gone = error.__cause__
            if not (isinstance(gone, Gone) and gone.with_machine and time.monotonic() < until):
                raise
            time.sleep(_AGAIN_IN)
            return False
        return True

    def _successor(self, lost: RayHandle, word: str) -> RayHandle:
        with undisturbed():
            self.cluster.dismiss(lost.actor)
            new = RayHandle(lost.index, lost.envs, self._hired(lost.index, lost.envs))
            self._handles[lost.index] = new
        new.is_first, new.restarts = False, lost.restarts + (word != "set_seeds")
        new.seeds = lost.seeds if word == "set_seeds" else advanced(lost.seeds, self.places)
        return new

    def _tell(self, handle: RayHandle, name: str, args: tuple[Any, ...]) -> None:
        """Have one actor alone hear a word."""
        ref, patience = handle.told(name, in_words((name, args))), self.timeouts.of(name)
        if not self.cluster.first([ref], patience):
            raise handle.hung(patience)
        try:
            handle.heard(self.cluster.fetch(ref))
        except Gone as gone:
            raise handle.loss(gone) from gone

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Have all envs closed, and end the actors. Raises what an env failed with; the actors are gone then too.

        While a Ctrl-C is on its way through the program, it is quick and quiet.
        """
        if os.getpid() != self._owner or self.ended:
            return
        hasty = is_leaving()
        self.lasts = False
        if hasty:
            self.timeouts = Timeouts(_SOON, _SOON, _SOON)
        try:
            self._pending.clear()
            self.ask("close", lambda _: ())
        except EnvcliError:
            if not hasty:
                raise
        finally:
            self.end()

    def end(self) -> None:
        """Kill whatever is left."""
        if os.getpid() != self._owner:  # a forked child's copy: the actors are not its own
            return
        with undisturbed():
            handles, self._handles = self._handles, []
            self._pending.clear()
            for handle in handles:
                self.cluster.dismiss(handle.actor)
        self.cluster.close()
