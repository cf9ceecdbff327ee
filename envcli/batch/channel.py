"""The channel between the main process and a worker: numbers and two bells for what is frequent, words for the rest."""

from __future__ import annotations

import os
import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle  # by value, so that a worker needs no module of the main script's
import torch

from envcli.batch.bell import Bell
from envcli.errors import EnvError, described

__all__ = [
    "AUTORESET", "FAILED", "IDLE", "NOTE", "NUMBERS", "ONWARD", "ORDER", "PAUSE", "QUESTIONS",
    "RESET", "SOME", "START", "STATE", "STEP", "STOP", "TOGETHER", "WORDS", "WORKING", "Channel", "in_words",
]  # fmt: skip

# The numbers, one place each. The first six are the share's note.
NOTE = slice(0, 6)
ORDER, START, STOP, ONWARD, SOME, TOGETHER, STATE = range(6, 13)
NUMBERS = 16  # a cache line or two for each worker, so that they do not share one

# What ORDER says. All but WORDS are done without a word.
STEP, AUTORESET, RESET, PAUSE, WORDS = range(5)

# What STATE says.
IDLE, WORKING, FAILED = range(3)

# The words that may fail without an end of the pool: what the envs are asked, and nothing that rows depend on.
QUESTIONS = ("get", "call")


def in_words(thing: Any) -> bytes:
    """``thing``, ready to be sent. Raises EnvError if it cannot be pickled."""
    if script := sys.modules.get("__mp_main__"):  # what spawn calls the script, in a rank of a distributed training
        cloudpickle.register_pickle_by_value(script)
    try:
        text: bytes = cloudpickle.dumps(thing)
    except Exception as error:  # whatever a user's __reduce__ raises
        raise EnvError(f"everything sent to a worker must be picklable: {described(error)}") from error
    return text


class Channel:
    """One end of it.

    The main process writes an order into the numbers and rings; the worker does it, says in ``STATE`` how it went, and
    rings back; where the order is ``TOGETHER`` with those of others, whoever is the last rings for all. Words are
    pickles of the main process's own making; what the worker sends is what was asked for, or a report made of text
    alone.

    Args:
        numbers: ``[NUMBERS]`` int64 in shared memory.
        call: rung by the main process.
        answer: rung by the worker.
        words: a socket.
    """

    def __init__(self, numbers: torch.Tensor, call: Bell, answer: Bell, words: Connection) -> None:
        self.numbers = numbers.numpy().data  # an item costs 40 ns to read or write
        self.call, self.answer, self.words = call, answer, words

    def send(self, text: bytes) -> None:
        """Say what :func:`in_words` made."""
        self.words.send_bytes(text)

    def receive(self) -> Any:
        """The next thing in words. Raises EOFError when the other side is gone."""
        return pickle.loads(self.words.recv_bytes())

    def drain(self) -> None:
        """Read away what has been said, so that who is saying it can go on; nobody hears it."""
        while self.words.poll() and os.read(self.words.fileno(), 2**20):
            pass

    def close(self) -> None:
        """Let go of the file descriptors."""
        self.call.close()
        self.answer.close()
        self.words.close()
