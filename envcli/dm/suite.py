"""The DeepMind Control suite: which tasks there are, and how one is loaded. dm_control is imported when asked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dm_env

from envcli import gl
from envcli.dm.library import missing_dm_control
from envcli.errors import ConfigError, UnknownName

__all__ = ["draws_its_model", "load", "tasks"]


def tasks() -> list[tuple[str, list[str]]]:
    """Each domain with its tasks, the benchmark's first.

    Raises:
        MissingDependency: dm_control is not installed.
    """
    suite = _suite(pixels=False)
    found: dict[str, list[str]] = {}
    for domain, task in (*suite.BENCHMARKING, *suite.EXTRA):
        found.setdefault(domain, []).append(task)
    return list(found.items())


def load(domain: str, task: str, task_kwargs: Mapping[str, Any], pixels: bool, **options: Any) -> dm_env.Environment:
    """The environment of a task.

    Args:
        domain, task: their names.
        task_kwargs: for the task's own function.
        pixels: whether it will be drawn: the way of drawing is chosen when dm_control is first imported.
        options: for ``suite.load``.

    Raises:
        UnknownName: there is no such task; says the nearest.
        ConfigError: the task does not take an option, or nothing can draw.
    """
    suite = _suite(pixels)
    if (domain, task) not in suite.ALL_TASKS:
        known = [f"{d}-{t}" for d, t in suite.ALL_TASKS]
        raise UnknownName("dm_control task", f"{domain}-{task}".strip("-"), known, "`envcli list` shows all")
    try:
        with _without_hints():
            env: dm_env.Environment = suite.load(domain, task, task_kwargs=dict(task_kwargs), **options)
    except TypeError as error:
        if not task_kwargs:
            raise
        raise ConfigError(f"{domain}-{task} does not take these options: {', '.join(task_kwargs)} ({error})") from error
    return env


def draws_its_model(domain: str) -> bool:
    """Whether the very model is drawn from the seed, and not only the first state: then a seed means to load anew."""
    return domain == "lqr"


def _suite(pixels: bool) -> Any:  # Any: dm_control is not annotated
    gl.prepare_mujoco(pixels)
    try:
        from dm_control import suite
    except ModuleNotFoundError as error:
        raise missing_dm_control("backend=dm_control") from error
    except (AttributeError, ImportError, RuntimeError) as error:  # what it raises where the GL it is told is not there
        told = os.environ.get("MUJOCO_GL")
        raise ConfigError(
            f"dm_control cannot be imported with MUJOCO_GL={told} ({error}). Unset it, or see what works: envcli doctor"
        ) from error
    return suite


@contextmanager
def _without_hints() -> Iterator[None]:
    """Leave out what dm_control's own models are told at each load: that an attribute of their XML is deprecated."""
    logger = logging.getLogger("absl")

    def useful(record: logging.LogRecord) -> bool:
        return "is deprecated" not in record.getMessage()

    logger.addFilter(useful)
    try:
        yield
    finally:
        logger.removeFilter(useful)
