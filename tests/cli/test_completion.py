from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envcli.cli.completion import candidates
from envcli.commands.completion import WORDS
from tests.conftest import ROOT, Command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ro"], ["rollout"]),
        (["rollout", "env=pen"], ["env=pendulum"]),
        (["rollout", "env=pendulum,froz"], ["env=pendulum,frozen_lake"]),
        (["rollout", "transforms=[step_counter,dtype"], ["transforms=[step_counter,dtype_cast"]),
        (["rollout", "+transforms=step"], ["+transforms=step_counter"]),
        (["rollout", "outer_transforms=[step"], ["outer_transforms=[step_counter"]),
        (["rollout", "outer_transforms.step_counter.ma"], ["outer_transforms.step_counter.max_steps="]),
        (["rollout", "env_list=[pong,pen"], ["env_list=[pong,pendulum"]),
        (["rollout", "parallel.num_e"], ["parallel.num_envs="]),
        (["rollout", "max_"], ["max_steps="]),
        (["rollout", "transforms.step_counter.ma"], ["transforms.step_counter.max_steps="]),
        (["rollout", "from_pixels="], ["from_pixels=false", "from_pixels=true"]),
        (["rollout", "--mul"], ["--multirun"]),
        (["completion", ""], sorted(WORDS)),
        (["nonsense", "a"], []),
        (["rollout", "seed="], []),
    ],
)
def test_candidates(words: list[str], expected: list[str]) -> None:
    assert candidates(words) == expected


@pytest.mark.parametrize("flag", [["--config-dir", "mine"], ["-cd=mine"]])
def test_choices_of_ones_own_are_offered_too(flag: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "of_mine.yaml").write_text("max_steps: 3\n")
    assert candidates(["rollout", *flag, "experiment=of"]) == ["experiment=of_mine"]
    assert candidates(["rollout", *flag, "env=pendu"]) == ["env=pendulum"]


def test_an_empty_word_offers_everything() -> None:
    found = candidates(["rollout", ""])
    assert {"env=", "seed=", "backend.name="} <= set(found)
    assert "rollout" in candidates([])


@pytest.mark.parametrize("shell_name", WORDS)
def test_a_script_for_every_shell(shell_name: str, cli: Command) -> None:
    done = cli("completion", shell_name)
    assert done.code == 0
    assert "ENVCLI_COMPLETE=1" in done.out
    if program := shutil.which(shell_name):
        assert subprocess.run([program, "-n"], input=done.out, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("envcli ro", ["rollout"]),
        ("envcli rollout env=pen", ["pendulum"]),
        ("envcli rollout env=", ["acrobot"]),
        ("envcli rollout transforms.step_counter.max", ["transforms.step_counter.max_steps="]),
        ("envcli rollout ", ["--"]),
    ],
)
def test_bash_completes(line: str, expected: list[str], tmp_path: Path, cli: Command) -> None:
    """Drives the function as bash does, which splits words at the equals sign."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "envcli"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m envcli "$@"\n')
    program.chmod(0o755)
    parts = line.replace("=", " = ").split(" ") if "=" in line else line.split(" ")
    words = " ".join(f"'{part}'" for part in parts if part or line.endswith(" ")) or "''"
    if line.endswith("="):
        words = " ".join(f"'{part}'" for part in parts if part)
    script = f"""
{cli("completion", "bash").out}
compopt() {{ :; }}
PATH={bin_folder}:$PATH
COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_envcli; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    if expected == ["--"]:
        assert "env=" in found
    else:
        assert found[: len(expected)] == expected
