"""Check that an env keeps its contract.

Prints a line for each promise of the contract. A promise is kept "in part" if some of it was not seen, such as the end
of an episode where none ended. The exit code is 1 if any promise is broken.

  envcli check env=pendulum transforms=double_to_float
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envcli.errors import EnvError
from envcli.terminal.answer import answer
from envcli.terminal.table import empty_table
from envcli.vocabulary.schema import EnvConfig

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from envcli.testing.contract import Finding

__all__ = ["Config", "run"]

_CURE = "To see episodes end, add transforms=step_counter transforms.step_counter.max_steps=9"
_NUMBERS = re.compile(r"(?<![\w.])[-+]?(\d+([_.,]\d+)*(e[-+]?\d+)?|inf|nan)(?!\w)")


@dataclass
class Config(EnvConfig):
    """What ``envcli check`` reads."""


def run(cfg: Config) -> None:
    """Print a line for each promise of the contract. Raises `EnvError` if one is broken."""
    from envcli.builder import build
    from envcli.testing.contract import check_env

    cfg.settle_torch()
    with build(_strict(vars(cfg))) as env:
        findings = check_env(env)
    told = [{"name": f.name, "passed": f.passed, "message": f.message, "unseen": f.unseen} for f in findings]
    answer(told, lambda: _table(findings, cfg.env_name, "" if cfg.transforms else _CURE), cfg.json)
    if broken := [finding for finding in findings if not finding.passed]:
        alike: dict[str, list[str]] = {}
        for finding in broken:
            alike.setdefault(_cause(finding.message), []).append(finding.name)
        causes = (
            f"{first} (and {len(others)} more, for the same reason)" if others else first
            for first, *others in alike.values()
        )
        raise EnvError(f"{len(broken)} of {len(findings)} checks failed: {', '.join(causes)} (seed {cfg.seed})")


def _cause(message: str) -> str:
    """``message`` without its numbers, which an env that draws them tells anew in each promise.

    >>> _cause("CartPole-v1 reset: expected -1.0 to 1.0, found 5.2e-07 at [0], and 1 more. Fix it")
    'CartPole-v1 reset: expected # to #, found # at [#]. Fix it'
    """
    return _NUMBERS.sub("#", message).replace(", and # more", "")


def _strict(node: Mapping[str, Any]) -> dict[str, Any]:  # Any: what a configuration holds
    """``node`` with ``checks: full`` for each backend that checks only first steps."""
    strict = {**node, "envs": {name: _strict(one) for name, one in (node.get("envs") or {}).items()}}
    backend = node.get("backend") or {}
    if backend.get("checks") == "first":
        strict["backend"] = {**backend, "checks": "full"}
    return strict


def _table(findings: list[Finding], name: str, cure: str) -> RenderableType:
    """``cure``: what to type where no episode ended."""
    from rich.console import Group
    from rich.text import Text

    kept = f"{sum(finding.passed for finding in findings)} of {len(findings)} promises kept"
    if unseen := [finding.unseen for finding in findings if finding.unseen is not None]:
        kept += f", {len(unseen)} of them seen only in part"
        kept += f". {cure}" if cure and any("no episode ended" in reason for reason in unseen) else ""
    drawn = empty_table("", "promise", "finding", title=name)
    told: dict[str, str] = {}
    for finding in findings:
        first = told.setdefault(_cause(finding.message), finding.name)
        message = finding.message if first == finding.name else f"same as: {first}"
        if finding.unseen is not None:
            message += f"; not all of it was seen, as {finding.unseen}"
        drawn.add_row(_mark(finding), Text(finding.name), Text(message))
    return Group(drawn, kept)


def _mark(finding: Finding) -> Text:
    from rich.text import Text

    if not finding.passed:
        return Text("failed", "bold red")
    return Text("ok", "green") if finding.unseen is None else Text("in part", "yellow")
