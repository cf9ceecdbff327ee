"""A thread that lasts as long as the process: parent of those who are to die with the process, and not sooner."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["lastingly"]

T = TypeVar("T")

_ORDERS: list[queue.SimpleQueue[Callable[[], None]]] = []  # of the keeper of this process, once there is one


def lastingly(act: Callable[[], T]) -> T:
    """What ``act()`` returns, called in a thread that ends with the process.

    Linux sends a child the signal that announces the death of its parent when the *thread* that forked it ends
    (``PR_SET_PDEATHSIG`` in prctl(2)).
    """
    if threading.current_thread() is threading.main_thread():
        return act()
    done: Future[T] = Future()

    def answer() -> None:
        try:
            done.set_result(act())
        except BaseException as error:  # it is raised where it was asked for
            done.set_exception(error)

    if not _ORDERS:
        _ORDERS.append(queue.SimpleQueue())
        threading.Thread(target=_keep, args=(_ORDERS[0],), name="envcli-keeper", daemon=True).start()
    _ORDERS[0].put(answer)
    return done.result()


def _keep(orders: queue.SimpleQueue[Callable[[], None]]) -> None:
    while True:
        orders.get()()


if hasattr(os, "register_at_fork"):  # threads are not forked
    os.register_at_fork(after_in_child=_ORDERS.clear)
