"""What entries are for, beyond what their specs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from envcli.keys import Key

__all__ = ["Roles"]

_NONE: Set[Key] = frozenset()


@dataclass(frozen=True)
class Roles:
    """The roles of the root entries of an env, of a stage within one, or those that a transform adds.

    Attributes:
        reads: what ``_step_row`` reads besides the action: who runs the rows keeps them up to date.
        writes_back: what ``_step_row`` writes at the root for the user to keep: an action as the simulator got it.
        carries: what whoever acts may lead on by writing its ``next`` before the step: hidden states. Where nobody
            does, ``next`` is what the root is; whoever runs the rows sees to that before the policy acts.
        marks: what speaks of the reset itself: steps that are made within a reset leave it alone.
        totals: rewards that are sums of an episode so far: where several steps become one, the last one stands.
        stacks: images that are several, one after the other along their channels, the newest last -> how many.
        sealed: observations whose original is state that is kept inside: the env goes on from where it stands only.
        masks: action -> the entry beside it, ``[*batch, n]`` bool, that says in each row which choices are allowed.
            Random actions of such an env are drawn row by row, and every action is held against its row's mask.
        ends: flags of the end of an episode that may be true where the ``done`` beside them is not.
        apart: those of them that were asked to leave that ``done`` alone.
        heeds_given: a reset looks at the TensorDict that it is given.
        reward_transforms: the kinds of transforms that rewards went through on their way to the user, in order.
    """

    reads: Set[Key] = _NONE
    writes_back: Set[Key] = _NONE
    carries: Set[Key] = _NONE
    marks: Set[Key] = _NONE
    totals: Set[Key] = _NONE
    stacks: Mapping[Key, int] = field(default_factory=dict)
    sealed: Set[Key] = _NONE
    masks: Mapping[Key, Key] = field(default_factory=dict)
    ends: Set[Key] = _NONE
    apart: Set[Key] = _NONE
    heeds_given: bool = False
    reward_transforms: Sequence[str] = ()

    def behind(self, renamed: Mapping[Key, Key], added: Roles) -> Roles:
        """What a stage is told of the one before it: its own by their new names, and those that its transform adds.

        That is all that a transform may ask for; the others are the whole chain's: see
        :class:`~envcli.chain.stages.Stages`.
        """

        def both(before: Set[Key], own: Set[Key]) -> Set[Key]:
            return {*(renamed.get(path, path) for path in before), *own}

        stacks = {renamed.get(path, path): count for path, count in self.stacks.items()}
        stacks |= {path: count * stacks.get(path, 1) for path, count in added.stacks.items()}
        return Roles(
            carries=both(self.carries, added.carries),
            marks=both(self.marks, added.marks),
            totals=both(self.totals, added.totals),
            stacks=stacks,
        )

    def reading(self, paths: Set[Key]) -> Roles:
        """The same, and ``paths`` are read too."""
        return replace(self, reads=self.reads | paths)
