"""A job in a process of its own, and the end of the process that launched it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCHER = """
import subprocess, sys
from envcli.cli.launched import launching
with launching():
    subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdin=subprocess.DEVNULL)
"""
JOB = """
import os, pathlib, sys, time
from envcli.cli.launched import ended_with_launcher
from envcli.processes import began
while began(int(os.environ["ENVCLI_LAUNCHER"].split("|")[0])):
    time.sleep(0.01)
os.environ.update(word.split("=") for word in sys.argv[2:])
said = "went on"
with ended_with_launcher():
    try:
        time.sleep(3)
    except KeyboardInterrupt:
        said = "interrupted"
    pathlib.Path(sys.argv[1]).write_text(said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("changed", "said"), [((), "interrupted"), (("SLURM_JOB_ID=7",), "went on")])
def test_a_job_that_begins_after_its_launcher_was_killed(tmp_path: Path, changed: tuple[str, ...], said: str) -> None:
    noted = tmp_path / "said"
    command = [sys.executable, "-c", LAUNCHER, JOB, str(noted), *changed]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=100, check=True)
    until = time.monotonic() + 100
    while not (noted.exists() and noted.read_text(encoding="utf-8")) and time.monotonic() < until:
        time.sleep(0.05)
    assert noted.read_text(encoding="utf-8") == said
