from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from envcli.processes import anonymous_bytes, cpu_seconds, family, peak_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
BUSY = "print(flush=True)\nwhile True: pass"


@pytest.fixture
def grandparent() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose child is busy."""
    process = subprocess.Popen([sys.executable, "-c", CHILD.format(BUSY)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    for pid in reversed(family(process.pid)):
        os.kill(pid, 9)
    process.wait()
    process.stdout.close()


def test_children_of_children_are_of_the_family(grandparent: subprocess.Popen[bytes]) -> None:
    ours = family(os.getpid())
    assert ours[0] == os.getpid()
    of_child = family(grandparent.pid)
    assert len(of_child) == 2
    assert set(of_child) <= set(ours)


def test_their_cpu_time_is_seen_while_they_run(grandparent: subprocess.Popen[bytes]) -> None:
    _, busy = family(grandparent.pid)
    before = cpu_seconds(busy)
    deadline = time.monotonic() + 10
    while cpu_seconds(busy) - before < 0.05:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_memory_is_a_peak() -> None:
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    high, own = peak_bytes(os.getpid()), anonymous_bytes(os.getpid())
    assert own is not None
    assert own >= 200_000_000
    del held
    after = peak_bytes(os.getpid())
    assert high is not None
    assert after is not None
    assert min(high, after) >= 200_000_000


def test_of_who_is_gone_nothing_is_said() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert cpu_seconds(process.pid) == 0
    assert peak_bytes(process.pid) is None
    assert family(process.pid) == [process.pid]
