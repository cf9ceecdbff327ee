"""Envs that have a thread each, and are called at their own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

from envcli.batch.batched_env import BatchedEnv
from envcli.errors import EnvError

__all__ = ["EnvThreads"]

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})

_TURNS = count(1)
_KILLED_IN = 1.0  # seconds for a call to fail after its worker was killed


class EnvThreads:
    """Makes calls of several envs, one at a time of each, while the program goes on.

    An env is built, used and closed in its thread: what draws frames belongs to the thread that made it.

    Args:
        batches: batches of one env each, not started.
        kill: has the call that a batch is making fail. Returns whether that can be done.
    """

    def __init__(self, batches: Sequence[BatchedEnv], kill: Callable[[BatchedEnv], bool]) -> None:
        self._kill = kill
        self._news = threading.Condition()  # a call has ended
        self._threads = [_EnvThread(batch, self._news) for batch in batches]

    def send(self, call: str, args: Mapping[int, Sequence[Any]], options: Mapping[str, Any] = _NO_OPTIONS) -> None:
        """Have some envs make ``call``, a method of theirs, with ``args``, by the places of the envs, and ``options``.

        Raises:
            EnvError: what one of them did before was not received; nothing is sent.
        """
        with self._news:
            if busy := [i for i in args if self._threads[i].call]:
                raise EnvError(f"{call}: {_in_words(busy)} busy. Receive what was sent before")
            for i, own in args.items():
                self._threads[i].send(call, own, options)

    def receive(
        self, call: str, least: int, among: Collection[int] | None, most: int | None, timeout: float | None
    ) -> dict[int, Any]:
        """What ``call`` returned, by the places of the envs; waits for ``least`` of those ``among``, or of any.

        The first ``most`` that have ended are taken. See :meth:`envcli.AsyncEnvPool.async_step_recv`.
        """
        with self._news:
            sent = [i for i, thread in enumerate(self._threads) if thread.call == call]
            if among is not None:
                if idle := [i for i in among if i not in sent]:
                    raise EnvError(f"{call}: nothing was sent to {_in_words(idle)}")
                sent, least = sorted(among), len(among)
            if not 1 <= least <= len(sent) or (most is not None and most < least):
                limit = "" if most is None else f" and at most {most}"
                raise EnvError(f"{call}: asked for at least {least}{limit} of {len(sent)} envs that were sent one")
            if not self._news.wait_for(lambda: len(self._ended(sent)) >= least, timeout):
                ready = len(self._ended(sent))
                raise TimeoutError(f"{call}: {ready} of {least} envs were ready in {timeout:g} s. Receive them later")
            taken = self._ended(sent)[:most]
            for i in taken:
                if self._threads[i].error is not None:
                    self._threads[i].take()
            return {i: self._threads[i].take() for i in sorted(taken)}

    def _ended(self, among: Collection[int]) -> list[int]:
        """Those whose call has ended, the first to end first."""
        return sorted((i for i in among if self._threads[i].turn), key=lambda i: self._threads[i].turn)

    def each(
        self, call: str, args: Sequence[Sequence[Any]] | None = None, options: Mapping[str, Any] = _NO_OPTIONS
    ) -> list[Any]:
        """What ``call`` of every env returns; each has ``args`` of its own. Raises the first error once all are done.

        A Ctrl-C leaves them to it; what they find is forgotten.
        """
        places = range(len(self._threads))
        self.send(call, {i: () if args is None else args[i] for i in places}, options)
        with self._news:
            try:
                self._news.wait_for(lambda: len(self._ended(places)) == len(places))
            except BaseException:
                for thread in self._threads:
                    thread.forget()
                raise
            found, errors = {}, list[BaseException]()
            for i in self._ended(places):
                try:
                    found[i] = self._threads[i].take()
                except BaseException as error:
                    errors.append(error)
        if errors:
            raise errors[0]
        return [found[i] for i in places]

    def start(self, together: bool) -> None:
        """Build the envs; not ``together`` in one process: a library that two threads import at once may break."""
        if together:
            self.each("start")
            return
        for i in range(len(self._threads)):
            self.send("start", {i: []})
            self.receive("start", 1, [i], None, None)

    def close(self, patience: float) -> None:
        """Close all envs, and end the threads; 0: however long it takes. Raises the first error."""
        until = time.monotonic() + (patience or float("inf"))
        for thread in self._threads:
            thread.leave()
        stuck = [i for i, thread in enumerate(self._threads) if not thread.has_left(until - time.monotonic())]
        if stuck:
            doing, lasts = self._threads[stuck[0]].call or "close", ""
            for thread in [self._threads[i] for i in stuck]:
                if not (self._kill(thread.batch) and thread.has_left(_KILLED_IN)):
                    lasts = ". Its thread lasts as long as this process"
            cure = "If it needs longer, raise close_timeout (0: no limit)"
            raise EnvError(f"env {stuck[0]} in {doing}: no answer in {patience:g} s. {cure}{lasts}")
        for thread in self._threads:
            if thread.error is not None:
                raise thread.error


class _EnvThread:
    """The thread of one env. Whoever uses it holds ``news``.

    Attributes:
        call: the name of the call that is under way, or whose result nobody has taken; "": there is none.
        turn: of two calls that have ended, the lower one ended first; 0: it is under way.
        error: what it raised.
    """

    def __init__(self, batch: BatchedEnv, news: threading.Condition) -> None:
        self.batch, self._news = batch, news
        self.call, self.turn = "", 0
        self.error: BaseException | None = None
        self._result: Any = None  # Any: whatever the call returns
        self._ticket = 0  # of the call whose end is awaited
        self._orders: SimpleQueue[tuple[int, Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="envcli-env", daemon=True)  # a hung env ends with us
        self._thread.start()

    def send(self, call: str, args: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Have it make ``call``, a method of the batch, after what it is doing."""
        self._expect(call)
        self._orders.put((self._ticket, lambda: getattr(self.batch, call)(*args, **options)))

    def take(self) -> Any:
        """What the call, which has ended, returned. Raises what it raised."""
        result, error = self._result, self.error
        self._expect("")
        if error is not None:
            raise error
        return result

    def forget(self) -> None:
        """Let nobody wait for what it is doing."""
        self._expect("")

    def _expect(self, call: str) -> None:
        self.call, self.turn, self._result, self.error = call, 0, None, None
        self._ticket += 1

    def leave(self) -> None:
        """Have it close the env, once its call has ended, and end."""
        self._orders.put(None)

    def has_left(self, patience: float) -> bool:
        """Has it ended, or does it within ``patience`` seconds?"""
        self._thread.join(None if patience == float("inf") else max(patience, 0))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            self._make(*order)
        self._make(self._ticket, self.batch.close)

    def _make(self, ticket: int, call: Callable[[], Any]) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # a sys.exit too: it is for whoever takes the result
            error = raised
        with self._news:
            if ticket == self._ticket:
                self._result, self.error, self.turn = result, error, next(_TURNS)
                self._news.notify_all()


def _in_words(envs: Sequence[int]) -> str:
    """
    >>> _in_words([2]), _in_words([0, 3])
    ('env 2 is', 'envs 0, 3 are')
    """
    return f"env {envs[0]} is" if len(envs) == 1 else f"envs {', '.join(map(str, envs))} are"
