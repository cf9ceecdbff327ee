"""The episodes of a rollout, in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envcli.terminal.answer import number

__all__ = ["episode_lines", "restarts_line"]

_UNPAID = "-, as there is no reward at the root"


def episode_lines(counted: Mapping[str, Any], reward_transforms: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yields a label and a text for each line.

    Args:
        counted: see :meth:`envcli.episodes.Episodes.metrics`.
        reward_transforms: the kinds of transforms that the rewards went through.

    >>> counted = {"episodes": 2, "unfinished_episodes": 1}
    >>> counted |= {"return_mean": 0.5, "return_min": 0.0, "return_max": 1.0}
    >>> counted |= {"length_mean": 5.0, "length_min": 5, "length_max": 5}
    >>> counted |= {"restarted_episodes": 3}
    >>> for name, text in episode_lines(counted, ["RewardClipping"]):
    ...     print(name, text)
    episodes 2 and 1 cut off by the end, 3 by restarts
    return mean 0.5, from 0 to 1, of rewards after RewardClipping
    length mean 5, from 5 to 5 steps

    If groups of agents are rewarded, each has its return:

    >>> paid = {"mean": -2.0, "min": -3.0, "max": -1.0}
    >>> for name, text in episode_lines({**counted, "return_mean": None, "group_returns": {"preys": paid}}):
    ...     print(name, text)
    episodes 2 and 1 cut off by the end, 3 by restarts
    return preys mean -2, from -3 to -1
    length mean 5, from 5 to 5 steps

    So has each of several objectives:

    >>> for name, text in episode_lines({**counted, "objective_returns": [paid, paid]}):
    ...     print(name, text)
    episodes 2 and 1 cut off by the end, 3 by restarts
    return mean 0.5, from 0 to 1, the sum of 2 objectives
    objectives [0] mean -2, from -3 to -1; [1] mean -2, from -3 to -1
    length mean 5, from 5 to 5 steps
    """
    by_end, by_restarts = counted["unfinished_episodes"], counted.get("restarted_episodes")
    cut = [(by_end, "cut off by the end"), (by_restarts, "by restarts" if by_end else "cut off by restarts")]
    few = ", ".join(f"{number(count)} {how}" for count, how in cut if count)
    if counted["episodes"] is None:
        yield "episodes", "-, as no flag at the root marks their end"
        return
    yield "episodes", number(counted["episodes"]) + (f" and {few}" if few else "")
    after = f", of rewards after {' and '.join(reward_transforms)}" if reward_transforms else ""
    objectives = counted.get("objective_returns", [])
    whole = f", the sum of {len(objectives)} objectives" if objectives else ""
    for name, unit in (("return", whole + after), ("length", " steps")):
        if counted[f"{name}_mean"] is not None:
            yield name, _spread({kind: counted[f"{name}_{kind}"] for kind in ("mean", "min", "max")}) + unit
            if objectives and name == "return":
                yield "objectives", "; ".join(f"[{at}] {_spread(found)}" for at, found in enumerate(objectives))
        elif counted["episodes"] and name == "return":
            groups = counted.get("group_returns", {}).items()
            yield name, "; ".join(f"{group} {_spread(found)}" for group, found in groups) + after if groups else _UNPAID


def _spread(found: Mapping[str, Any]) -> str:
    return "mean {}, from {} to {}".format(*(number(found[kind]) for kind in ("mean", "min", "max")))


def restarts_line(count: int) -> str:
    """How many workers were restarted, in words.

    >>> restarts_line(1), restarts_line(3)
    ('1 worker died and was restarted', '3 workers died and were restarted')
    """
    return f"{number(count)} worker{' died and was' if count == 1 else 's died and were'} restarted"
