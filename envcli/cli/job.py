"""One job: from the configuration that Hydra composed to the command's ``run``."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import secrets
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from envcli import commands
from envcli.cli import answers, jobs, launched, messages, sweep
from envcli.cli.interrupt import require_not_called_off, unless_called_off
from envcli.configuration import composition, environment_variables, overrides, reading
from envcli.errors import ConfigError, EnvcliError, raised_in, told
from envcli.folders.given_file import given_files, recorded_files
from envcli.folders.json_file import read_json
from envcli.folders.run_folder import RunFolder
from envcli.folders.saved_config import saved_config
from envcli.installed.provenance import versions
from envcli.override import parsed
from envcli.reports.job import shown
from envcli.terminal.answer import answers_alone

__all__ = ["Failure", "run"]

log = logging.getLogger(__name__)


class Failure(BaseException):
    """Carries the exception of a single run past Hydra, which would print two lines in addition."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(error)


def run(cfg: DictConfig) -> Any:  # Any: what a command returns is the sweeper's business
    """The task function; at module level and undecorated, so that launchers can pickle it by name."""
    hydra = HydraConfig.get()
    assert hydra.job.config_name is not None  # set by the entry point
    composition.register(hydra.job.config_name)  # not yet done in a launcher's new process
    environment_variables.register()
    _mend_start_method()
    if hydra.mode == RunMode.MULTIRUN and not sweep.launched_here():
        launched.stand_alone()
        require_not_called_off(_of_sweep(hydra))
    try:
        with answers_alone():
            return _run(cfg, hydra)
    except Exception as error:
        if hydra.mode == RunMode.MULTIRUN:
            # Launchers pickle it; an exception that cannot be unpickled would end the other jobs too.
            said = messages.explain(error)[0].removeprefix("error: ") if _of_system(error) else told(error)
            raise EnvcliError(said) from error
        raise Failure(error) from error


def _of_system(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, EnvcliError)


def _run(cfg: DictConfig, hydra: Any) -> Any:  # Any: Hydra's own configuration, a DictConfig with attributes
    import numpy  # noqa: F401  # torch would import it in C++, which swallows a Ctrl-C and goes on with half of it

    command = hydra.job.config_name
    module = commands.find(command)
    if not commands.keeps(command):
        config = _settled(command, cfg, hydra)
        if config.json and hydra.mode == RunMode.MULTIRUN:
            with answers.of_job(hydra, getattr(config, "seed", None)):
                return _called(module.run, config)
        return _called(module.run, config)
    sweeping = hydra.mode == RunMode.MULTIRUN
    given = {"resumed": bool(cfg.get("resume")), "overwrite": bool(cfg.get("overwrite"))}
    typed = overrides.as_typed(hydra.overrides.task)
    place = Path(hydra.runtime.output_dir)
    elsewhere = sweeping and not sweep.launched_here()
    if elsewhere:
        import torch  # noqa: F401  # many seconds on busy cores; once the job has a status, it would be waited for
    folder = RunFolder(place, command, typed, sweeping, **given, hide=environment_variables.hidden)
    with contextlib.ExitStack() as leaving:
        if elsewhere:
            leaving.enter_context(launched.interrupted_once())
            leaving.enter_context(launched.ended_with_launcher())
        with unless_called_off(_of_sweep(hydra)) if elsewhere else contextlib.nullcontext():
            leaving.enter_context(folder)
        cfg = _looked_up(command, cfg, typed)
        texts = environment_variables.unresolved(cfg)
        environment_variables.require_no_name(texts)
        config = _settled(command, cfg, hydra)
        resolved: Any = OmegaConf.to_container(OmegaConf.structured(config))
        files = given_files(resolved, texts)
        folder.write_config(environment_variables.written(resolved, texts), getattr(config, "seed", None), files)
        if not sweeping:  # a sweep has these signals handled already
            leaving.enter_context(jobs.interruptible(()))()
        return _called(module.run, config, folder)


def _called(run: Callable[..., Any], *args: Any) -> Any:
    """``run(*args)``. Raises EnvcliError for a ``sys.exit`` in a user's env or policy, which would end a sweep too."""
    try:
        return run(*args)
    except SystemExit as error:
        said = f"sys.exit({error.code}) was called. Raise an exception instead"
        raise EnvcliError(f"{raised_in(error)}: {said}") from error


def _of_sweep(hydra: Any) -> Path:  # Any: see above
    """The folder of the multirun, wherever the job's working directory is."""
    return Path(hydra.runtime.cwd, hydra.sweep.dir)


def _looked_up(command: str, cfg: DictConfig, typed: Sequence[str]) -> DictConfig:
    """``cfg``, or the configuration of the run that it replays or resumes."""
    for word in ("replay", "resume"):
        if saved := cfg.get(word):
            replayed = _replayed(command, word, Path(saved), cfg)
            _find_files(word, Path(saved), replayed, cfg, {override.key for override in parsed(typed)})
            cfg = replayed
    return cfg


def _settled(command: str, cfg: DictConfig, hydra: Any) -> Any:  # Any: each command has a Config of its own
    """The command's configuration, complete: a seed is drawn if none was given."""
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.provider == "command-line"]
    config = reading.finished(command, cfg, hydra.overrides.task, folders)
    if getattr(config, "seed", 0) is None and getattr(config, "rollout", None) is None:  # a recorded rollout has a seed
        config.seed = secrets.randbelow(2**32)
    return config


def _replayed(command: str, word: str, folder: Path, cfg: DictConfig) -> DictConfig:
    saved = folder / "config.yaml"
    if folder.is_file():
        raise ConfigError(f"{word}: found the file {folder}, expected its run folder: {word}={folder.parent}")
    if not saved.is_file():
        raise ConfigError(f"{word}: found no {saved}, expected a run folder such as outputs/rollout/CartPole-v1/...")
    made_by = read_json(folder / "manifest.json").get("command")
    if made_by != command and made_by in commands.names():
        raise ConfigError(f"{word}: {folder} is a run of envcli {made_by}, expected one of envcli {command}.")
    schema = OmegaConf.structured(commands.find(command).Config)
    replayed = OmegaConf.merge(schema, saved_config(folder), {"json": cfg.json, "overwrite": cfg.overwrite})
    assert isinstance(replayed, DictConfig)
    if replayed.allow_imports and not cfg.allow_imports:  # a stranger's folder must not allow itself to import code
        raise ConfigError(f"{word}: {saved} imports external code. If you trust it, add allow_imports=true.")
    before, now = read_json(folder / "manifest.json").get("versions"), versions()
    before = before if isinstance(before, dict) else {}
    changed = [shown(f"{name} {was} -> {now.get(name)}") for name, was in before.items() if was != now.get(name)]
    if changed:
        log.warning("%s: versions differ from the original run (%s), so the data may differ", word, ", ".join(changed))
    restarts = read_json(folder / "metrics.json").get("restarts")
    if isinstance(restarts, int) and restarts > 0:
        log.warning(
            "%s: workers died and were restarted in that run, which is not reproducible: the data will differ", word
        )
    if _shares_statistics(replayed):
        why = "workers update shared statistics (shared=true) in no fixed order"
        if word == "resume" and read_json(folder / "rollout" / "shards.json").get("shards"):
            raise ConfigError(
                f"resume: {why}, so the steps of this run cannot be made again, and it cannot go on from its last one. "
                "They stay readable. A run with parallel.num_workers=1 can be resumed."
            )
        log.warning("%s: %s, so the data will differ", word, why)
    return replayed


def _shares_statistics(cfg: DictConfig) -> bool:
    """Whether several workers normalise by one set of running statistics."""
    nodes = [node for part in (cfg, *cfg.envs.values()) for node in part.transforms.values()]
    several = cfg.parallel.type == "processes" and cfg.parallel.get("num_workers") != 1
    return several and any(node.get("shared") for node in nodes if node)


def _find_files(word: str, folder: Path, replayed: DictConfig, cfg: DictConfig, typed: Collection[str]) -> None:
    """Make ``replayed`` name the files that the run in ``folder`` was given, or those that were typed instead.

    Raises:
        ConfigError: a file is missing, or has changed.
    """
    for key, file in recorded_files(folder).items():
        above, _, name = key.rpartition(".")
        if key in typed:  # unresolved: the values of environment variables are not recorded
            node: Any = OmegaConf.to_container(OmegaConf.select(cfg, above), resolve=False)  # Any: what a YAML holds
            OmegaConf.update(replayed, key, node[name])
            continue
        saved = OmegaConf.select(replayed, key)
        if isinstance(saved, str):
            try:
                place = file.again(key, saved)
            except ConfigError as error:
                raise ConfigError(f"{word}: {error}") from None
            if place != saved:
                OmegaConf.update(replayed, key, place)


def _mend_start_method() -> None:
    """Replace the start method that loky sets globally under joblib: only loky knows it, so workers would not start."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("spawn", force=True)
