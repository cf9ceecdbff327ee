"""What a command's module says of it."""

from __future__ import annotations

import inspect

import pytest

from envcli import commands


@pytest.mark.parametrize("command", commands.names())
def test_a_command_that_keeps_results_is_given_a_folder(command: str) -> None:
    run = getattr(commands.find(command), "run", None)
    taken = list(inspect.signature(run).parameters) if run else []
    assert commands.keeps(command) == ("folder" in taken)


def test_the_report_keeps_nothing_of_its_own() -> None:
    assert not commands.keeps("report")
