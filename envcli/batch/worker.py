"""What a worker does: it waits to be called, does as the numbers say to its share of the envs, and answers."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import numpy as np
import torch

from envcli.batch.awake import IN_ORDER, soon
from envcli.batch.bell import Bell
from envcli.batch.fault import Fault
from envcli.batch.line import (
    FAILED,
    HALT,
    IDLE,
    LEAD,
    NOTE,
    ONWARD,
    ORDER,
    PAUSE,
    QUESTIONS,
    RESET,
    SOME,
    START,
    STATE,
    STEP,
    STOP,
    TOGETHER,
    WORKING,
    Line,
)
from envcli.batch.outline import Outline
from envcli.batch.share import Share
from envcli.buffer import Array, RolloutBuffer
from envcli.keys import Key
from envcli.memory.shared_memory import Known, Mapped, open_all, open_mapped

__all__ = ["work"]

_FENCE = threading.Lock()


def work(words: int, call: int, answer: int, stack: int) -> None:
    """Serve until the main process says to close, given the file descriptors of a line and of a file for stacks."""
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGUSR1, stack, all_threads=False)
    connection = Connection(words)
    setting = _settle_in(connection)
    table, index = open_mapped(setting["table"]), setting["index"]
    line = Line(table[index], Bell(listen=call), Bell(ring=answer), connection)
    others = [numbers.numpy().data for i, numbers in enumerate(table) if i != index]
    _Worker(line, setting["first"], others).serve()


def _settle_in(connection: Connection) -> dict[str, Any]:
    """Be at home where the main process is: its paths, its environment; but with one thread, and luck of our own."""
    setting: dict[str, Any] = pickle.loads(connection.recv_bytes())
    sys.path[:] = setting["path"]
    os.chdir(setting["folder"])
    os.environ.clear()
    os.environ.update(setting["environ"])
    torch.set_num_threads(1)
    torch.seed()
    np.random.seed()
    return setting


class _Worker:
    def __init__(self, line: Line, first: int, others: Sequence[memoryview]) -> None:
        self.line = line
        self.first = first  # of our envs in the whole batch
        self.others = others  # the numbers of the other workers
        self.share = Share([])
        self.masks: dict[str, Array] = {}
        self.known: Known = [{}, {}]
        self.open = True

    def serve(self) -> None:
        numbers, answer = self.line.numbers, self.line.answer
        while self.open:
            self._await_order()
            try:
                reply = self._do(numbers)
            except BaseException as error:  # SystemExit and the like too: whatever it is, the main process hears of it
                numbers[STATE] = FAILED
                answer.ring()
                self.line.words.send_bytes(_report(error))
                continue
            numbers[STATE] = IDLE
            if not numbers[TOGETHER] or self._is_last():
                answer.ring()
            if reply is not None:
                self.line.words.send_bytes(reply)

    def _await_order(self) -> None:
        """Until there is one."""
        numbers, call = self.line.numbers, self.line.call
        while not soon(lambda: numbers[STATE] == WORKING):
            call.wait()

    def _is_last(self) -> bool:
        """Has everybody else answered? To wake the main process for each costs it, and whose core it takes, 20 us.

        Of two that end at once both may be the last, but not neither: a lock is a fence, so that each has written that
        it is done before it looks for the other. Where that is not known of the machine, everybody is.
        """
        if not IN_ORDER:
            return True
        with _FENCE:
            return all(numbers[STATE] != WORKING for numbers in self.others)

    def _do(self, numbers: Any) -> bytes | None:
        order, start, onward = numbers[ORDER], numbers[START], bool(numbers[ONWARD])
        if order == LEAD:
            self.share.lead_rows(start, numbers[STOP], onward)
        elif order == STEP:
            self.share.step_row(start)
        elif order == RESET:
            where = self.masks["reset"] if numbers[SOME] else None
            if where is None or where.any():
                self.share.reset_row(start, where)
        elif order == PAUSE:
            self.share.pause(self.masks["pause"] if numbers[SOME] else None)
        else:
            return self._say()
        return None

    def _say(self) -> bytes:
        name, args = self.line.receive()
        try:
            answer: bytes = cloudpickle.dumps((True, getattr(self, f"_{name}")(*args)))
        except Exception as error:
            if name not in QUESTIONS:
                raise
            return _report(error)
        return answer

    # -- words ----------------------------------------------------------------------------------------------------

    def _build(self, makers: Any, abreast: bool) -> dict[int, Outline]:
        numbers = self.line.numbers
        self.share = Share(makers, numbers[NOTE], abreast)
        self.share.stops_early = lambda: bool(numbers[HALT])
        return Outline.telling(self.share.envs, self.first)

    def _bind(
        self, steps: int, rows: dict[Key, Mapped], masks: dict[str, Mapped], restarted: dict[Key, Mapped]
    ) -> None:
        ours = slice(self.first, self.first + len(self.share.envs))
        opened: Mapping[Any, torch.Tensor] = open_all({**rows, **restarted, **masks}, self.known)
        self.masks = {name: opened[name][ours].numpy() for name in masks}
        batch_size = torch.Size([len(self.share.envs), *self.share.envs[0].batch_size])
        buffer = RolloutBuffer(steps, batch_size, {path: opened[path][:, ours] for path in rows})
        self.share.bind(buffer, {path: opened[path][:, ours] for path in restarted})

    def _lose(self) -> None:
        self.share.lose()

    def _set_seeds(self, seeds: Any) -> None:
        self.share.set_seeds(seeds)

    def _give(self, options: Any, given: Any) -> None:
        self.share.give(options, given)

    def _get(self, name: str) -> list[Any]:
        return self.share.get(name)

    def _call(self, name: str, args: Any, kwargs: Any, among: Any) -> list[Any]:
        return self.share.call(name, args, kwargs, among)

    def _load(self, states: Any) -> None:
        self.share.load(states)

    def _close(self) -> None:
        self.open = False
        try:
            self.share.close()
        finally:
            for stream in (sys.stdout, sys.stderr):  # whoever reads our answer may kill us
                stream.flush()


def _report(error: BaseException) -> bytes:
    return pickle.dumps((False, Fault.of(error)))
