"""The simulator's own loop in several processes at once, the limit of the machine."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.native import NativeContender

__all__ = ["NativeProcessesContender"]


class NativeProcessesContender(Contender):
    """``native`` in each of as many processes as share the envs, side by side.

    The same: as for ``native``, and the number of env steps of the batch. Each process steps one env as often as its
    share of the envs would be stepped. Not the same: as for ``native``; results are not gathered, and no process waits
    for another before the end. Two cores that share a cache, a clock or a hypervisor are not twice as fast as one: this
    measures how fast they are, and what is left is the cost of a batch.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        context = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        for worker in range(work.workers):
            ours, theirs = context.Pipe()
            passes = len(range(worker, work.envs, work.workers))
            process = context.Process(target=_serve, args=(theirs, work, passes), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)
        try:
            self._hear()
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Run all loops at once, until the last has ended."""
        for line in self._lines:
            line.send("run")
        self._hear()

    def close(self) -> None:
        """End the processes."""
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.join()

    def _hear(self) -> None:
        """Wait for a message of each. Raises what one of them raised, and EOFError if one has ended."""
        for line in self._lines:
            if isinstance(said := line.recv(), Exception):
                raise said


def _serve(line: Connection, work: Workload, passes: int) -> None:
    try:
        native = NativeContender(work)
    except Exception as error:  # raised again on the other side
        line.send(error)
        return
    line.send(None)
    try:
        while line.recv():
            for _ in range(passes):
                native.run()
            line.send(None)
    except EOFError:  # the other side has closed the pipe
        native.close()
