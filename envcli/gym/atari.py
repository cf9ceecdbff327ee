"""Atari's games: their names, which gymnasium's ids spell in one way and the Arcade Learning Environment in another."""

from __future__ import annotations

from envcli.errors import ConfigError, MissingDependency, UnknownName

try:
    from ale_py import roms
except ModuleNotFoundError as missing:
    raise MissingDependency("ale-py", "backend=ale", "atari") from missing

__all__ = ["game_names", "rom_of", "title_of"]

_TWO_PLAYERS = frozenset({"combat", "joust", "maze_craze", "warlords"})  # ALE ends the process that loads one


def game_names() -> list[str]:
    """The games for one player, sorted and spelled as in ``ALE/<name>-v5``. No ROM is read for this.

    >>> game_names()[:3]
    ['Adventure', 'AirRaid', 'Alien']
    """
    return sorted(title_of(rom) for rom in roms.get_all_rom_ids() if rom not in _TWO_PLAYERS)


def rom_of(name: str) -> str:
    """ALE's own name of a game, however it is spelled: ``AirRaid``, ``air_raid`` or ``ALE/AirRaid-v5``.

    Raises:
        UnknownName: there is no such game; says the nearest.
        ConfigError: the game is for two players, which ALE's interface for one cannot play.

    >>> rom_of("ALE/AirRaid-v5")
    'air_raid'
    """
    stem = name.removeprefix("ALE/").removesuffix("-v5")
    rom = {_folded(rom): rom for rom in roms.get_all_rom_ids()}.get(_folded(stem))
    if rom is None:
        cure = "Other ids, such as PongNoFrameskip-v4, are gymnasium's: backend=gymnasium" if "-v" in stem else ""
        raise UnknownName("Atari game", stem, game_names(), cure)
    if rom in _TWO_PLAYERS:
        raise ConfigError(f"{title_of(rom)} needs two players, but ALE supports one. Choose another: envcli list")
    return rom


def title_of(rom: str) -> str:
    """The game that is ``rom`` to ALE as gymnasium spells it, by the rule of ale_py's registration.

    >>> title_of("air_raid"), title_of("tic_tac_toe_3d")
    ('AirRaid', 'TicTacToe3D')
    """
    return rom.title().replace("_", "")


def _folded(name: str) -> str:
    return name.replace("_", "").replace(" ", "").lower()
