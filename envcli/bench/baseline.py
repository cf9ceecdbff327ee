"""An earlier run to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envcli.bench.sample import Sample, speeds, summary
from envcli.errors import ConfigError, EnvcliError
from envcli.folders.json_file import read_json
from envcli.terminal.answer import relative_path

__all__ = ["Baseline"]

_MACHINE = ("cpu", "cores")
_SAME = ("subject", "clock", "workload", "settings.threads")  # they must be equal for the numbers to be comparable


class Baseline:
    """The ``bench.json`` of an earlier run; ``folder`` is its folder, or the file itself.

    Raises:
        ConfigError: there is no such file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.parent if folder.is_file() else folder
        self._then = read_json(self.folder / "bench.json")
        if "contenders" not in self._then:
            raise ConfigError(
                f"baseline: found no {relative_path(self.folder)}/bench.json of one workload, expected a folder of "
                "envcli bench"
            )

    def require_same(self, now: dict[str, Any]) -> None:  # Any: what JSON can hold
        """Raise `ConfigError` unless both runs did the same work and counted in the same way."""
        for path in _SAME:
            then, found = _at(self._then, path), _at(now, path)
            if then != found:
                keys = f": {', '.join(_different(then, found))}" if isinstance(then, dict) else f": {then}, now {found}"
                raise ConfigError(
                    f"baseline: {relative_path(self.folder)} is not comparable, {path.split('.')[-1]}{keys}"
                )

    def slowdown(self, now: dict[str, Any]) -> float:  # Any: see above
        """How many times as long a step of the subject takes now: 1.1 is 10 % longer."""
        return self._speed(self._then) / self._speed(now)

    def notes(self, now: dict[str, Any]) -> list[str]:  # Any: see above
        """The slowdown in words, and whether another machine may be the reason."""
        where = relative_path(self.folder)
        found = [f"a step takes {self.slowdown(now):.3g} times as long as in {where}"]
        then, here = ([data["machine"][name] for name in _MACHINE] for data in (self._then, now))
        if then != here:
            was, is_ = (f"{cores} cores of {cpu}" for cpu, cores in (then, here))
            found.append(f"{where} was measured on another machine, which may be all the difference: {was}, now {is_}")
        return found

    def judge(self, now: dict[str, Any], most: float) -> None:  # Any: see above
        """Raise `EnvcliError` if a step takes more than ``most`` times as long as in the baseline."""
        slowdown = self.slowdown(now)
        if slowdown > most:
            raise EnvcliError(
                f"{now['subject']} takes {slowdown:.3g} times as long as in {relative_path(self.folder)}, "
                f"which is beyond max_slowdown={most:g}"
            )

    def _speed(self, result: dict[str, Any]) -> float:  # Any: see above
        samples = [Sample(**sample) for sample in result["contenders"][result["subject"]]["samples"]]
        return summary(speeds(samples, result["clock"])).median


def _at(data: Any, path: str) -> Any:  # Any: what JSON can hold
    for name in path.split("."):
        data = data.get(name)
    return data


def _different(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [name for name in {**then, **now} if then.get(name) != now.get(name)]
