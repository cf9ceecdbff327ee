"""An env that is stepped by hand: TensorDicts outside, rows inside."""

from __future__ import annotations

import types
from abc import ABC
from functools import cached_property
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import updated
from envcli.envs.front import Front
from envcli.envs.overridden import is_overridden
from envcli.errors import ClosedError, EnvError, SpecError
from envcli.keys import Key, as_user_key, groups_above
from envcli.mdp import set_next, step_mdp
from envcli.rows.action_gate import masked
from envcli.rows.row_env import RowEnv
from envcli.seeding import as_seed, seed_chain
from envcli.specs import Composite

__all__ = ["SteppedEnv"]


class SteppedEnv(RowEnv, ABC):
    """The part of :class:`~envcli.Env` that is about single steps, and about being open, at rest or closed.

    Args:
        device, batch_size: see :class:`~envcli.Env`.
    """

    batch_locked = True
    """Are only TensorDicts of the env's own batch size accepted? False for a stateless env, which takes any."""

    _under_way: TensorDictBase | None = None  # the TensorDict of a step that was sent and is not yet received
    _is_made = False  # does it hold the result of that step already?
    _closed = False

    def __init__(self, *, device: torch.device | str | None = None, batch_size: object = ()) -> None:
        super().__init__(device, batch_size)

    # -- one step -------------------------------------------------------------------------------------------------

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> int | None:
        """Make the next ``reset`` draw from ``seed``.

        Returns:
            The seed for the next env in line (``envcli.seeding``), or ``seed`` itself if ``static_seed``.

        Raises:
            ConfigError: it is no whole number of at least 0.
        """
        self._require_open()
        seed = as_seed(seed)
        self._set_seed(seed)
        return seed if static_seed or seed is None else seed_chain(seed, self._seeds_taken)[-1]

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        """Begin a new episode.

        Args:
            tensordict: if given, it is updated and returned. Its entry ``"_reset"``, ``[*batch, 1]`` bool, says which
                envs of a batch begin anew, which may be none; the others keep their entries, and what the TensorDict
                lacks of them is what they showed last.
            options: passed on to the simulator's own ``reset``.

        Returns:
            ``[*batch]``: observation, state and done family, in fresh memory.

        Raises:
            ClosedError: after ``close()``.
            SpecError: ``"_reset"`` has the wrong shape; or an env that is not reset has shown nothing yet.
        """
        self._require_open()
        try:
            return updated(tensordict, self._front.reset(tensordict, options), self.reset_keys)
        except (AttributeError, TypeError):
            if tensordict is not None:
                _require_tensordict("reset", tensordict)
            raise

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Make one step.

        Args:
            tensordict: ``[*batch]``, with the action (and the state, if ``state_spec`` is not empty). With a mask
                ``"_step"``, ``[*batch]`` bool, the envs of a batch that it leaves out make no step: they show what they
                show here, and earn nothing.

        Returns:
            The same object, with observation, reward and done family of the next moment under ``"next"``: fresh memory.

        Raises:
            ActionError: the action is not in ``action_spec``; nothing has been stepped.
            ClosedError: after ``close()``.
            SpecError: it is of another batch_size; or an entry that the step reads is not there, or shows a moment that
                the env cannot go back to; or ``"_step"`` leaves out envs of a batch that has one step for all.
            TypeError: it is no TensorDict.
        """
        self._require_open()
        try:
            set_next(tensordict, self._front.step(tensordict))
        except AttributeError:  # looked at only then, so that no step pays for it
            _require_tensordict("step", tensordict)
            raise
        return tensordict

    def async_step_send(self, tensordict: TensorDictBase) -> None:
        """Begin a step and do not wait for it: what follows in the program runs beside the workers of a batch.

        ``async_step_recv`` ends it. Until then the env is neither stepped nor reset; whatever else is asked of it, or
        changed in it, waits for the step to be made. See :meth:`step`.
        """
        self._require_open()
        self._front.take(tensordict)
        self._send_row(0)
        self._under_way, self._is_made = tensordict, False

    def async_step_recv(self) -> TensorDictBase:
        """Wait for the step that ``async_step_send`` has begun.

        Returns:
            The TensorDict that was sent, as :meth:`step` returns it.

        Raises:
            EnvError: no step is in progress; or the step failed.
        """
        tensordict = self._under_way
        if tensordict is None:
            raise EnvError("async_step_recv: no step is in progress. Call async_step_send(tensordict) first")
        self._finish_step()
        self._under_way = None
        return tensordict

    def _finish_step(self) -> None:
        """Complete a step that was sent: called before anything changes that the step depends on."""
        tensordict = self._under_way
        if tensordict is None or self._is_made:
            return
        self._under_way = None  # unless it succeeds
        self._receive_row(0)
        set_next(tensordict, self._front.show(tensordict))
        self._under_way, self._is_made = tensordict, True

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Write a random action into ``tensordict`` (a new one if None), from torch's global generator.

        One of another batch size than the env's, as of some envs of a pool, gets as many actions as it has places.
        Where a mask restricts the action, it is that of ``tensordict``, or the one that was shown last.
        """
        if tensordict is None:
            tensordict = TensorDict({}, batch_size=self.batch_size, device=self.device)
        masks, foreign = self._roles().masks, tensordict.batch_size != self.batch_size
        actions = self.full_action_spec_unbatched if foreign else self.full_action_spec
        for path, leaf in actions.leaves().items():
            mask = self._front.mask(path, tensordict) if masks else None
            _make_groups(tensordict, path, actions)
            if mask is None:
                drawn = leaf.rand(tensordict.batch_size if foreign else ())
            else:
                whole = leaf.expand(*tensordict.batch_size, *leaf.shape) if foreign else leaf
                drawn = masked(whole, mask.to(leaf.device or "cpu")).rand()
            tensordict.set(as_user_key(path), drawn)
        return tensordict

    def all_actions(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Every action that there is, ``[actions, *batch]``; where a mask restricts them, those that it allows.

        The mask is that of ``tensordict``, or the one that was shown last. Raises SpecError where they cannot be
        listed.
        """
        spec = self.full_action_spec.clone()
        for path in self._roles().masks:
            mask = self._front.mask(path, tensordict)
            if mask is not None:
                spec[as_user_key(path)] = masked(spec[as_user_key(path)], mask)
        return spec.enumerate(use_mask=True)

    def rand_step(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """``step`` with a random action."""
        return self.step(self.rand_action(tensordict))

    def step_mdp(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        """:func:`envcli.step_mdp` with the keys of this env: the TensorDict that the next ``step`` takes.

        A reward that is state too, as a sum of rewards, is among it.
        """
        rewards, state = self.reward_keys, self.state_spec
        if not state.is_empty():
            rewards = [key for key in rewards if key not in state]
        return step_mdp(next_tensordict, reward_keys=rewards, action_keys=self.action_keys, exclude_action=False)

    def any_done(self, tensordict: TensorDictBase) -> bool:
        """Is any env done in ``tensordict``? If so, the mask is left in it, under ``"_reset"``.

        Raises SpecError where it does not say.
        """
        masks, paths = {}, self._governing_flags()
        for group in dict.fromkeys(path[:-1] for path in paths):
            given = [tensordict.get(as_user_key(path), None) for path in paths if path[:-1] == group]
            flags = [flag for flag in given if flag is not None]
            if not flags:
                raise SpecError(f"no {as_user_key((*group, 'done'))!r} in the TensorDict. Pass what step_mdp() gives")
            masks[as_user_key((*group, "_reset"))] = torch.stack(flags).any(0)
        found = any(bool(mask.any()) for mask in masks.values())
        for key, mask in masks.items() if found else ():
            tensordict.set(key, mask)
        return found

    def maybe_reset(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``reset`` where ``tensordict`` says that an env is done."""
        return self.reset(tensordict) if self.any_done(tensordict) else tensordict

    def step_and_maybe_reset(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, TensorDictBase]:
        """``step``, and what the step after it begins with: reset where an env is done.

        Returns:
            ``tensordict``, as ``step`` returns it, and a new one ``[*batch]`` for the next call.
        """
        self._require_open()
        _require_tensordict("step_and_maybe_reset", tensordict)
        if not self._front.leads or self._is_foreign(tensordict) or tensordict.get("_step", None) is not None:
            tensordict = self.step(tensordict)
            return tensordict, self.maybe_reset(self.step_mdp(tensordict))
        following, begun = self._front.step_onward(tensordict)
        after = self.step_mdp(set_next(tensordict, following))
        return tensordict, after if begun is None else updated(after, begun, self.reset_keys)

    # -- open and closed ------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Has it been closed? A batch is so before its start, too."""
        return self._closed

    def close(self, *, raise_if_closed: bool = False) -> None:
        """Release the simulator. A second call does nothing, or raises ClosedError if ``raise_if_closed``."""
        if self.is_closed:
            if raise_if_closed:
                raise ClosedError(f"{type(self).__name__} is already closed")
            return
        self._closed, self._under_way = True, None
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device={self.device})"

    def _require_open(self) -> None:
        if self.is_closed:
            raise ClosedError(f"{type(self).__name__} was closed. Build a new one")
        self._require_rest()

    def _require_rest(self) -> None:
        if self._under_way is not None:
            raise EnvError("a step is in progress. Call async_step_recv() first")

    # -- the private side -----------------------------------------------------------------------------------------

    @cached_property
    def _front(self) -> Front:
        alone = ("step", "reset", "maybe_reset", "any_done", "step_mdp")  # what step_and_maybe_reset is made of
        return Front(self, bool(self.batch_size) and not any(is_overridden(self, name) for name in alone))

    def __getstate__(self) -> dict[str, Any]:
        """The state of the env, without the rows that it is bound to."""
        state = super().__getstate__()
        for name in ("_bound", "_front", "_is_done", "_kept", "_row_note"):
            state.pop(name, None)
        return state

    def _specs_changed(self) -> None:
        self._finish_step()
        super()._specs_changed()
        self._forget_front()
        self._unbind()

    def _forget_front(self) -> None:
        self.__dict__.pop("_front", None)
        self.__dict__.pop("_kept", None)

    @property
    def _draws_itself(self) -> bool:
        """Does a subclass override ``rand_action``?"""
        return is_overridden(self, "rand_action")

    def _set_attribute(self, name: str, value: Any) -> None:
        """Set the attribute ``name`` where ``env.name`` finds it."""
        if name in self.__dict__ or hasattr(type(self), name):
            setattr(self, name, value)
        else:
            self._set_further_in(name, value)

    def _set_further_in(self, name: str, value: Any) -> None:
        """Set an attribute that this class does not have; an env around something else sets it there."""
        setattr(self, name, value)

    def _is_foreign(self, tensordict: TensorDictBase) -> bool:
        """Does it have another batch size than the env, which the env accepts?"""
        return not self.batch_locked and tensordict.batch_size != self.batch_size


def _require_tensordict(call: str, given: object) -> None:
    if not isinstance(given, TensorDictBase):
        raise TypeError(
            f"{call}: expected a TensorDict, found a {type(given).__name__}. Start with env.reset()"
        ) from None


def _make_groups(tensordict: TensorDictBase, path: Key, spec: Composite) -> None:
    """Put the groups around ``path`` that ``tensordict`` lacks into it, each of the batch size that ``spec`` says."""
    for group in map(as_user_key, groups_above(path)):
        if tensordict.get(group, None) is None:
            shape = (*tensordict.batch_size, *spec[group].shape[spec.ndim :])
            tensordict.set(group, TensorDict({}, batch_size=shape, device=tensordict.device))
