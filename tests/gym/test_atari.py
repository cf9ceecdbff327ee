"""The names of Atari's games."""

from __future__ import annotations

import gymnasium
import pytest

ale_py = pytest.importorskip("ale_py")

from envcli.gym.atari import game_names, rom_of, title_of  # noqa: E402


@pytest.mark.parametrize("name", ["AirRaid", "air_raid", "airraid", "ALE/AirRaid-v5", "Air Raid"])
def test_a_game_is_found_however_it_is_spelled(name: str) -> None:
    assert rom_of(name) == "air_raid"


def test_every_listed_name_is_found() -> None:
    assert [rom_of(name) for name in game_names()] == sorted(rom_of(name) for name in game_names())
    assert len(game_names()) > 90
    assert "Combat" not in game_names()


def test_gymnasium_has_them_under_the_same_names() -> None:
    gymnasium.register_envs(ale_py)
    registered = {name for name in gymnasium.registry if name.startswith("ALE/")}
    assert {f"ALE/{name}-v5" for name in game_names()} <= registered
    assert [title_of(rom_of(name)) for name in game_names()] == game_names()
