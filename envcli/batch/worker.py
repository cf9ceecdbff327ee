"""A worker process: it waits to be called, carries out orders on its share of the envs, and answers."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import cloudpickle
import numpy as np
import numpy.random  # otherwise each worker loads it when it is seeded, 15 ms
import torch

from envcli.batch.awake import IN_ORDER, soon
from envcli.batch.bell import Bell
from envcli.batch.channel import (
    FAILED,
    IDLE,
    NOTE,
    ONWARD,
    ORDER,
    QUESTIONS,
    SOME,
    START,
    STATE,
    STOP,
    TOGETHER,
    WORDS,
    WORKING,
    Channel,
)
from envcli.batch.fault import Fault
from envcli.batch.share_server import ShareServer
from envcli.batch.this_process import this_process
from envcli.memory.mapped import open_mapped
from envcli.rows.note import HALT

__all__ = ["work"]

_FENCE = threading.Lock()


def work(words: int, call: int, answer: int, stack: int) -> None:
    """Serve until the main process says close. The arguments are file descriptors: a channel, and a stack file.

    What was there before is shared with other workers, and no concern of the garbage collector: to look through torch
    would take it 0.1 s, in the middle of a step, and copy 40 MB, because it writes into all that it looks at.
    """
    gc.freeze()
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGUSR1, stack, all_threads=False)
    connection = Connection(words)
    setting = _settle_in(connection)
    table, index = open_mapped(setting["table"]), setting["index"]
    channel = Channel(table[index], Bell(listen=call), Bell(ring=answer), connection)
    others = [numbers.numpy().data for i, numbers in enumerate(table) if i != index]
    _Worker(channel, setting["first"], others).serve()


def _settle_in(connection: Connection) -> dict[str, Any]:
    """Take over the setting of the main process, with one thread and random generators of our own."""
    setting: dict[str, Any] = pickle.loads(connection.recv_bytes())
    sys.path[:] = setting["path"]
    os.chdir(setting["folder"])
    os.environ.clear()
    os.environ.update(setting["environ"])
    torch.set_default_dtype(setting["dtype"])
    torch.set_num_threads(1)
    torch.seed()
    np.random.seed()
    return setting


class _Worker:
    def __init__(self, channel: Channel, first: int, others: Sequence[memoryview]) -> None:
        numbers = channel.numbers
        self.channel = channel
        self.process = this_process()
        self.duty = ShareServer(first, numbers[NOTE], lambda: bool(numbers[HALT]) or self.is_forked())
        self.others = others  # the numbers of the other workers
        self.open = True

    def serve(self) -> None:
        numbers, answer = self.channel.numbers, self.channel.answer
        while self.open:
            self._await_order()
            try:
                reply = self._do(numbers)
                if self.is_forked():
                    _leave(None)
            except BaseException as error:  # SystemExit and the like too: whatever it is, the main process hears of it
                if self.is_forked():
                    _leave(error)
                numbers[STATE] = FAILED
                answer.ring()
                self.channel.words.send_bytes(_report(error))
                continue
            numbers[STATE] = IDLE
            if not numbers[TOGETHER] or self._is_last():
                answer.ring()
            if reply is not None:
                self.channel.words.send_bytes(reply)

    def is_forked(self) -> bool:
        """Is this a child that an env has forked? It must not talk to the main process."""
        return this_process() != self.process

    def _await_order(self) -> None:
        """Until there is one."""
        numbers, call = self.channel.numbers, self.channel.call
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
        order = numbers[ORDER]
        if order == WORDS:
            return self._say()
        self.duty.do(order, numbers[START], numbers[STOP], bool(numbers[ONWARD]), bool(numbers[SOME]))
        return None

    def _say(self) -> bytes:
        name, args = self.channel.receive()
        self.open = name != "close"
        try:
            answer: bytes = cloudpickle.dumps((True, self.duty.say(name, args)))
        except Exception as error:
            if name not in QUESTIONS or self.is_forked():
                raise
            return _report(error)
        finally:
            if not self.open:  # whoever reads our answer may kill us
                sys.stdout.flush()
                sys.stderr.flush()
        return answer


def _report(error: BaseException) -> bytes:
    return pickle.dumps((False, Fault.of(error)))


def _leave(error: BaseException | None) -> NoReturn:
    """End a child that an env has forked and that came back from it, as a program of its own would end."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if error.code is not None and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    elif error is not None:
        code = 1
        with contextlib.suppress(Exception):  # an error that cannot be shown
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code & 0xFF)
