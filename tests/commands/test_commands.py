"""What is true of several commands."""

from __future__ import annotations

import inspect

import pytest
import torch

from envcli import commands
from tests.conftest import Command


@pytest.mark.parametrize("command", commands.names())
def test_a_command_that_keeps_results_is_given_a_folder(command: str) -> None:
    run = getattr(commands.find(command), "run", None)
    taken = list(inspect.signature(run).parameters) if run else []
    assert commands.keeps(command) == ("folder" in taken)


def test_the_report_keeps_nothing_of_its_own() -> None:
    assert not commands.keeps("report")


@pytest.mark.parametrize("command", ["check", "render", "rollout"])
def test_a_command_has_one_thread_of_torch_or_those_that_are_typed(
    command: str, cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", said.append)
    assert cli(command, "max_steps=3").code == cli(command, "max_steps=3", "threads=3").code == 0
    assert said == [1, 3]
    done = cli(command, "threads=0")
    assert (done.code, done.err) == (2, "error: threads: found 0, expected a whole number from 1 to 4,096.\n")
