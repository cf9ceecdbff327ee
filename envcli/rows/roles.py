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
        reads: what ``_step_row`` reads besides the action. Whoever runs the rows keeps it up to date.
        writes_back: what ``_step_row`` writes at the root for the user to keep: an action as the simulator got it.
        recurrent: hidden states of a policy, which writes their ``next`` before the step. Where it does not, ``next``
            is a copy of the root; whoever runs the rows makes that copy before the policy acts.
        reset_markers: what describes the reset itself. Steps that are made within a reset leave it alone.
        clocks: times that were measured, and are others in every run.
        cumulative_rewards: rewards that are sums of the episode so far: of several steps in one, the last counts.
        stacks: images that hold several frames along their channels, the newest last -> how many.
        hidden_states: observations that a transform made of a state and that the user cannot set: the env continues
            from its own state only.
        masks: action -> the entry beside it, ``[*batch, n]`` bool, that says in each row which choices are allowed.
            Random actions of such an env are drawn row by row, and every action is checked against its row's mask.
        end_flags: flags of the end of an episode that may be true where the ``done`` beside them is not.
        independent_ends: those of them that must not set that ``done``.
        reset_reads_input: a reset reads the TensorDict that it is given.
        reward_transforms: the kinds of transforms that rewards passed on their way to the user, in order.
    """

    reads: Set[Key] = _NONE
    writes_back: Set[Key] = _NONE
    recurrent: Set[Key] = _NONE
    reset_markers: Set[Key] = _NONE
    clocks: Set[Key] = _NONE
    cumulative_rewards: Set[Key] = _NONE
    stacks: Mapping[Key, int] = field(default_factory=dict)
    hidden_states: Set[Key] = _NONE
    masks: Mapping[Key, Key] = field(default_factory=dict)
    end_flags: Set[Key] = _NONE
    independent_ends: Set[Key] = _NONE
    reset_reads_input: bool = False
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
            recurrent=both(self.recurrent, added.recurrent),
            reset_markers=both(self.reset_markers, added.reset_markers),
            clocks=both(self.clocks, added.clocks),
            cumulative_rewards=both(self.cumulative_rewards, added.cumulative_rewards),
            stacks=stacks,
        )

    def reading(self, paths: Set[Key]) -> Roles:
        """The same, and ``paths`` are read too."""
        return replace(self, reads=self.reads | paths)
