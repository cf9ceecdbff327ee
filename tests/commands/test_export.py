"""Exports, as they are typed; what each format holds is tested in tests/exports."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Command, ran

PROGRAM = """
import os, sys
from envcli.cli import main
from envcli.vocabulary import registry

format, number = sys.argv[1], int(sys.argv[2])
class_of = registry.find("exports", format)
write = class_of.write

def interrupted(self, data, path):
    write(self, data, path)
    assert path.name.endswith(".part") and path.exists()
    os.kill(os.getpid(), number)

class_of.write = interrupted
sys.exit(main(["export", "a", f"format={format}", "to=new/folder/here"]))
"""


@pytest.mark.parametrize(
    ("format", "number", "code"),
    [
        ("npz", signal.SIGTERM, -signal.SIGTERM),
        ("npz", signal.SIGHUP, -signal.SIGHUP),
        ("npz", signal.SIGINT, 130),
        ("minari", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_of_one_that_is_ended_nothing_is_left(
    cli: Command, tmp_path: Path, format: str, number: signal.Signals, code: int
) -> None:
    assert cli("rollout", "env=cartpole", "max_steps=40", "seed=1", "hydra.run.dir=a").code == 0
    before = sorted(tmp_path.rglob("*"))
    done = ran([sys.executable, "-c", PROGRAM, format, str(int(number))], tmp_path)
    assert done.code == code, done.err
    assert done.err == ("interrupted\n" if number == signal.SIGINT else "")
    assert sorted(tmp_path.rglob("*")) == before
