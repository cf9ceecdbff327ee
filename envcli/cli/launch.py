"""Hands a subcommand to Hydra, and shows a table when a multirun has ended, however it ended."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli import commands
from envcli.cli import arguments, sweep_lock
from envcli.configuration import composition, overrides, refusals
from envcli.configuration.checker import known_to
from envcli.configuration.unknown_key import unknown_key
from envcli.errors import ConfigError
from envcli.override import parsed
from envcli.terminal.answer import answers_alone, to_stdout
from envcli.typed_word import quoted
from envcli.vocabulary import catalog
from envcli.vocabulary.schema import Answer

if TYPE_CHECKING:
    from envcli.cli.resumed_sweep import ResumedSweep

__all__ = ["launch"]


def launch(command: str, words: Sequence[str]) -> int:
    """Run ``envcli <command> <words>`` and return the exit code. Raises whatever goes wrong."""
    given = arguments.parse(words, known_to(command))
    with sweep_lock.let_go_after():
        return _launch(command, given)


def _launch(command: str, given: arguments.Arguments) -> int:
    resumed = _resumed(command, given)
    wanted = given.overrides if resumed is None else resumed.words
    typed = overrides.check(command, wanted, given.has("--multirun"), given.config_dirs)
    typed += overrides.resumed_place(typed, given.has("--multirun"))

    from envcli.cli import sweep
    from envcli.configuration import environment_variables

    composition.register(command)
    environment_variables.register()
    try:
        if given.has("--multirun"):
            _require_jobs(typed, given.config_dirs)
        if given.has("--cfg"):
            for part in given.values("--package"):
                _require_part(part, command, typed, given.config_dirs)
        as_json = _asks_json(typed)
        asked = any(map(given.has, ("--cfg", "--info", "--hydra-help")))  # Hydra answers then, and not in JSON
        alone = answers_alone() if as_json and not asked else nullcontext()
        told = _instead(logging.StreamHandler, "handleError", _raise) if given.has("--info") else nullcontext()
        with alone, told, _places(command, given.has("--multirun")) as places, sweep.watched(as_json):
            _hydra(command, [*typed, *places, *given.flags], None if asked else resumed)
    except refusals.kinds() as error:
        raise ConfigError(refusals.explain(error, command, typed)) from error
    return 0


def _resumed(command: str, given: arguments.Arguments) -> ResumedSweep | None:
    """The sweep that is to go on; None if that is not what was typed."""
    if not given.has("--multirun") or overrides.resumed(given.overrides) is None:
        return None
    from envcli.cli.resumed_sweep import ResumedSweep

    return ResumedSweep.asked(command, given.overrides, given.config_dirs)


def _raise(handler: logging.Handler, record: logging.LogRecord) -> None:
    """Replaces ``Handler.handleError``, since Hydra logs the answer to ``--info``: a closed stdout must be an error."""
    with to_stdout():
        raise


def _asks_json(words: Sequence[str]) -> bool:
    """Whether ``json`` is typed with a value that OmegaConf takes as true.

    >>> _asks_json(["json=yes"]), _asks_json(["json=1"]), _asks_json(["json='on'"]), _asks_json(["json=false"])
    (True, True, True, False)
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import ValidationError

    typed = [override.unquoted for override in parsed(words) if override.key == "json"]
    try:
        return bool(typed and OmegaConf.merge(OmegaConf.structured(Answer), {"json": typed[-1]}).json)
    except ValidationError:  # composing the configuration will report it
        return False


def _require_jobs(words: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise `ConfigError` for a sweep over no values, such as ``range(2,2)``: Hydra would launch 0 jobs and succeed."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob

    for word in OverridesParser.create().parse_overrides(list(words)):
        value: Any = word.value()  # Any: Hydra's annotation leaves out what it makes of glob(...)
        none = word.is_range_sweep() and not any(True for _ in word.sweep_iterator())
        if isinstance(value, Glob):
            none = not value.filter(list(catalog.choices(word.key_or_group, folders)))
        if none:
            raise ConfigError(f"{word.input_line}: contains no values, so there is no job to run.")


def _require_part(part: str, command: str, words: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise `ConfigError` for a ``part`` that ``--package`` cannot print; Hydra checks the parts below ``hydra``."""
    from omegaconf import DictConfig, OmegaConf

    if part == "_global_" or part.split(".")[0] == "hydra":
        return
    single = [str(override) for override in parsed(words) if not override.is_sweep]
    cfg = composition.compose(command, single, folders)
    if isinstance(OmegaConf.select(cfg, part), DictConfig):
        return
    above, _, name = part.rpartition(".")
    around = OmegaConf.select(cfg, above) if above else cfg
    if isinstance(around, DictConfig) and name in around:
        raise ConfigError(f"--package: {part} is a single value, expected a section with keys, such as backend.")
    raise ConfigError(f"--package: {unknown_key(part, command, parsed(words))}")


def _hydra(command: str, words: list[str], resumed: ResumedSweep | None = None) -> None:
    import hydra
    import hydra._internal.hydra as internal
    from hydra.plugins.sweeper import Sweeper

    from envcli.cli import job, sweep
    from envcli.configuration.loader import ConfigLoader

    application = hydra.main(version_base="1.3", config_path=str(catalog.folder()), config_name=command)(job.run)
    noting = sweep.noting_jobs(Sweeper.validate_batch_is_legal, resumed is not None)
    going_on = nullcontext() if resumed is None else resumed.launched()
    try:
        with (
            _instead(sys, "argv", [sys.argv[0], *words]),
            going_on,
            _instead(internal, "ConfigLoaderImpl", ConfigLoader),
            _instead(Sweeper, "validate_batch_is_legal", noting),
            _instead(ConfigLoader, "load_sweep_config", sweep.heeding(ConfigLoader.load_sweep_config)),
            _full_errors(),
        ):
            application()
    except job.Failure as failure:
        raise failure.error from failure.error.__cause__


@contextmanager
def _places(command: str, multirun: bool) -> Iterator[list[str]]:
    """Yields overrides that keep Hydra from making folders for a command that writes nothing."""
    if commands.keeps(command):
        yield []
    elif not multirun:
        yield ["hydra.run.dir=."]
    else:
        with tempfile.TemporaryDirectory(prefix="envcli-") as scratch:  # it writes multirun.yaml in any case
            yield ["hydra.run.dir=.", f"hydra.sweep.dir={quoted(scratch)}", "hydra.sweep.subdir=."]


@contextmanager
def _full_errors() -> Iterator[None]:
    """Make Hydra raise instead of print. The user's own setting, read before, still decides about tracebacks."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def _instead(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
