from __future__ import annotations

import io

import pytest
from rich.console import Console, Group

from envcli.terminal.summary import summary

CURE = "failed, " + "no room here " * 20 + "type: envcli rollout resume=" + "outputs/" * 30


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_long_value_takes_nothing_from_its_label_and_stays_whole(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    console.print(Group(summary([("run", CURE), ("started", "now")])), crop=False)
    assert file.getvalue().splitlines() == [f"run      {CURE}", "started  now"]


def test_what_others_wrote_is_text() -> None:
    assert summary([("film", "[bold]a[/bold].gif")]).plain == "film  [bold]a[/bold].gif"
