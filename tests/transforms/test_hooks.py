"""Of the hooks that the classes of a transform have written, those that are run."""

from __future__ import annotations

from typing import Any

import pytest

from envcli.transforms.binarize_reward import BinarizeReward
from envcli.transforms.clip import ClipTransform
from envcli.transforms.elementwise import Elementwise
from envcli.transforms.hooks import hook_plan
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


def below(base: type[Any], *names: str, **attributes: Any) -> type[Any]:
    """A subclass of ``base`` that writes these methods anew."""
    return type("Below", (base,), {**dict.fromkeys(names, lambda self, *args: args[-1]), **attributes})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Transform, set()),
        (StepCounter, set()),
        (below(Transform, "_call"), {"step", "reset"}),  # it is for _reset to say whether a reset calls it
        (below(Transform, "_call", "_reset"), {"step", "reset"}),
        (below(Transform, "_inv_call"), {"inverse"}),
        (below(Transform, "_step", "_step_row"), set()),
        (below(below(Transform, "_step_row"), "_step"), {"step"}),
        (below(below(Transform, "_step"), "_step_row"), set()),
        (below(below(Transform, "_row_hooks"), "_reset", "_inv_call"), {"inverse", "reset"}),
        (below(StepCounter, "_step"), {"step"}),
    ],
)
def test_a_tensordict_hook_is_run_where_it_was_written_last(kind: type[Any], expected: set[str]) -> None:
    assert hook_plan(kind).on_tensordicts == expected


def test_a_row_hook_is_left_aside_where_what_it_does_was_written_anew() -> None:
    fast = below(Transform, "_apply_transform", "_step_row")
    assert not hook_plan(fast).stale
    assert hook_plan(below(fast, "_apply_transform")).stale == {"_step_row"}
    assert not hook_plan(below(fast, "_apply_transform", "_step_row")).stale
    assert not hook_plan(below(StepCounter, "_apply_transform")).stale  # whose rows never stood for that


def test_what_is_written_later_counts_at_once() -> None:
    kind = below(Transform)
    assert not hook_plan(kind).on_tensordicts
    kind._inv_call = lambda self, td: td
    assert hook_plan(kind).on_tensordicts == {"inverse"}
    del kind._inv_call
    assert not hook_plan(kind).on_tensordicts


def test_who_writes_a_method_on_values_may_keep_one() -> None:
    assert hook_plan(Transform).keeps_values
    for ours in (BinarizeReward, ClipTransform):
        assert issubclass(ours, Elementwise)
        assert not hook_plan(ours).keeps_values
        assert hook_plan(below(ours, "_apply_transform")).keeps_values
        assert not hook_plan(below(ours, "_apply_transform", _keeps_values=False)).keeps_values
