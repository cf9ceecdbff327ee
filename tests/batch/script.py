"""Main processes for the tests beside, each forked from one that has imported torch already, which takes seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Mother:
    """The process from which scripts are forked, one after the other."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = f"from tests.batch.script import main; main({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=[theirs.fileno()]
        )
        theirs.close()

    def close(self) -> None:
        """End it; no script may run."""
        self.line.close()
        self._process.wait(30)


class Script:
    """A process that does ``text`` as ``python -c`` does, with the arguments ``words``, in a session of its own."""

    def __init__(self, mother: Mother, text: str, *words: str) -> None:
        self._line = mother.line
        self._line.settimeout(60)
        self._said, said = os.pipe()
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # read in the end
        order = json.dumps([text, words]).encode()
        socket.send_fds(self._line, [order], [said, self._complaints.fileno()])
        os.close(said)
        self.pid = int(self._line.recv(64))
        self._code: int | None = None

    def say(self) -> str:
        """The next line that it prints."""
        line = b""
        while not line.endswith(b"\n") and (found := os.read(self._said, 1)):
            line += found
        return line.decode().strip()

    def family(self) -> list[int]:
        """All processes of its session that run."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                state, _, _, session = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[:4]
                if int(session) == self.pid and state != "Z":
                    found.append(int(entry))
        return found

    def end(self, seconds: float) -> tuple[int, str]:
        """Its exit code and what it complained of; it and its family must be gone within ``seconds``."""
        until = time.monotonic() + seconds
        self._line.settimeout(seconds)
        self._code = int(self._line.recv(64))
        while (family := self.family()) and time.monotonic() < until:
            time.sleep(0.01)
        assert not family
        self._complaints.seek(0)
        return self._code, self._complaints.read()

    def close(self) -> None:
        """Leave nothing of it, whatever the test has come to."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._line.recv(64)
        for pid in self.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(self._said)
        self._complaints.close()


def main(fd: int) -> None:
    """Be the mother: fork for each order, and tell the number of the new process, and in the end how it ended."""
    import envcli.batch.worker  # noqa: F401  # torch with it
    import tests.batch.faults  # noqa: F401

    line = socket.socket(fileno=fd)
    while True:
        order, given, _, _ = socket.recv_fds(line, 2**16, 2)
        if not order:
            return
        pid = os.fork()
        if not pid:
            break
        for theirs in given:
            os.close(theirs)
        line.send(str(pid).encode())
        line.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
    line.close()
    os.setsid()
    for own, theirs in enumerate(given, start=1):
        os.dup2(theirs, own)
        os.close(theirs)
    text, words = json.loads(order)
    sys.argv[1:] = words
    script = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(text, "<script>", "exec"), script.__dict__)
