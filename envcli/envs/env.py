"""Env: TensorDicts outside, rows inside."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from operator import index
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import begin_from
from envcli.envs.ending import check_truncatable, end_rule, mark_truncated
from envcli.envs.front import Front
from envcli.envs.overridden import is_overridden, refuse_in_vain
from envcli.envs.policy_rows import PolicyRows, on_tensordicts
from envcli.envs.rollout import Callback, Rollout
from envcli.envs.unrolled import Acts, cast, collected, each_step
from envcli.errors import ClosedError, EnvError, SpecError
from envcli.keys import NestedKey, as_user_key
from envcli.mdp import step_mdp
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.action_gate import masked
from envcli.rows.env_shape import usable
from envcli.rows.env_specs import FAMILIES, leaf_specs
from envcli.rows.row_env import RowEnv
from envcli.seeding import as_seed, seed_chain
from envcli.specs import TensorSpec

__all__ = ["Env", "updated"]


class Env(RowEnv):
    """An environment, or a batch of them, that speaks TensorDict.

    ``reset`` gives observation and done family; ``step`` takes an action in a TensorDict and writes what followed under
    ``"next"``; ``rollout`` does both many times. A subclass assigns its specs in ``__init__`` and writes the four hooks
    of :class:`~envcli.rows.row_env.RowEnv`; write your own env with :class:`~envcli.EnvBase`, on TensorDicts.

    Args:
        device: where tensors are handed out; None: on the host, and the TensorDicts' ``device`` is None.
        batch_size: ``[*batch]``, the leading shape of everything; ``[]`` for a single env.
    """

    _asked_on_tensordicts = False  # are there _reset and _step?

    batch_locked = True
    """Does it take TensorDicts of its own batch size only? A stateless env that takes any says False."""

    training = True
    """What ``train`` and ``eval`` have set, as in a ``torch.nn.Module``; an env that has no network ignores it."""

    def __init__(self, *, device: torch.device | str | None = None, batch_size: object = ()) -> None:
        super().__init__(device, batch_size)
        self._reset_options: dict[str, Any] = {}
        self._reset_given: TensorDictBase | None = None  # what a reset of all envs was given, while it lasts
        self._under_way: TensorDictBase | None = None  # what a step was sent with that is not yet received
        self._closed = False

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
                envs of a batch begin anew, which may be none; the others keep what the TensorDict holds, and of what it
                lacks, what they showed last.
            options: passed on to the simulator's own ``reset``.

        Returns:
            ``[*batch]``: observation, state and done family, in fresh memory.

        Raises:
            ClosedError: after ``close()``.
            SpecError: ``"_reset"`` has the wrong shape; or an env that is not reset has shown nothing yet.
        """
        self._require_open()
        self._reset_options, self._reset_given = options, tensordict
        try:
            return updated(tensordict, self._front.reset(tensordict), self.reset_keys)
        except (AttributeError, TypeError):
            if tensordict is not None:
                _require_tensordict("reset", tensordict)
            raise
        finally:
            self._reset_options, self._reset_given = {}, None

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Make one step.

        Args:
            tensordict: ``[*batch]``, with the action (and the state, if ``state_spec`` is not empty).

        Returns:
            The same object, with observation, reward and done family of the next moment under ``"next"``: fresh memory.

        Raises:
            ActionError: the action is not in ``action_spec``; nothing has been stepped.
            ClosedError: after ``close()``.
            SpecError: an entry that the step reads is not there, or shows a moment that the env cannot go back to.
            TypeError: it is no TensorDict.
        """
        self._require_open()
        try:
            tensordict.set("next", self._front.step(tensordict))
        except AttributeError:  # looked at only then, so that no step pays for it
            _require_tensordict("step", tensordict)
            raise
        return tensordict

    def async_step_send(self, tensordict: TensorDictBase) -> None:
        """Begin a step and do not wait for it: what follows in the program runs beside the workers of a batch.

        ``async_step_recv`` ends it; until then the env does nothing else. See :meth:`step`.
        """
        self._require_open()
        self._front.take(tensordict)
        self._send_row(0)
        self._under_way = tensordict

    def async_step_recv(self) -> TensorDictBase:
        """Wait for the step that ``async_step_send`` has begun.

        Returns:
            The TensorDict that was sent, as :meth:`step` returns it.

        Raises:
            EnvError: no step is under way; or the step failed.
        """
        tensordict, self._under_way = self._under_way, None
        if tensordict is None:
            raise EnvError("async_step_recv: no step is under way. Call async_step_send(tensordict) first")
        self._receive_row(0)
        tensordict.set("next", self._front.show(tensordict))
        return tensordict

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Write a random action into ``tensordict`` (a new one if None), from torch's global generator.

        Where a mask restricts the action, it is that of ``tensordict``, or the one that was shown last.
        """
        if tensordict is None:
            tensordict = TensorDict({}, batch_size=self.batch_size, device=self.device)
        masks, foreign = self._roles().masks, self._is_foreign(tensordict)
        for path, leaf in leaf_specs(self.full_action_spec).items():
            mask = self._front.mask(path, tensordict) if masks else None
            spec = leaf if mask is None else masked(leaf, mask.to(leaf.device or "cpu"))
            tensordict.set(as_user_key(path), spec.rand(tensordict.batch_size if foreign else ()))
        return tensordict

    def rand_step(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """``step`` with a random action."""
        return self.step(self.rand_action(tensordict))

    def append_transform(self, transform: Any) -> Env:
        """This env with ``transform``, a :class:`~envcli.Transform`, between it and the user: a ``TransformedEnv``.

        As in TorchRL; the env itself stays as it is, and belongs to the new one.
        """
        import envcli

        transformed: Env = envcli.TransformedEnv(self, transform)  # by its public name: it stands on this module
        return transformed

    def step_mdp(self, tensordict: TensorDictBase) -> TensorDictBase:
        """:func:`envcli.step_mdp` with the keys of this env: the TensorDict that the next ``step`` takes."""
        return step_mdp(tensordict, reward_keys=self.reward_keys, action_keys=self.action_keys, exclude_action=False)

    def any_done(self, tensordict: TensorDictBase) -> bool:
        """Is any env done in ``tensordict``? If so, the mask is left in it, under ``"_reset"``.

        Raises SpecError where it does not say.
        """
        found, paths = False, self._governing_flags()
        for group in dict.fromkeys(path[:-1] for path in paths):
            given = [tensordict.get(as_user_key(path), None) for path in paths if path[:-1] == group]
            flags = [flag for flag in given if flag is not None]
            if not flags:
                raise SpecError(f"no {as_user_key((*group, 'done'))!r} in the TensorDict. Pass what step_mdp() gives")
            mask = torch.stack(flags).any(0)
            if mask.any():
                tensordict.set(as_user_key((*group, "_reset")), mask)
                found = True
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
        if not self._front.leads or self._is_foreign(tensordict):
            tensordict = self.step(tensordict)
            return tensordict, self.maybe_reset(self.step_mdp(tensordict))
        following, begun = self._front.step_onward(tensordict)
        after = self.step_mdp(tensordict.set("next", following))
        return tensordict, after if begun is None else updated(after, begun, self.reset_keys)

    # -- many steps -----------------------------------------------------------------------------------------------

    def rollout(
        self,
        max_steps: int,
        policy: Callable[..., Any] | None = None,
        callback: Callback | None = None,
        *,
        auto_reset: bool = True,
        auto_cast_to_device: bool = False,
        break_when_any_done: bool | None = None,
        break_when_all_done: bool | None = None,
        return_contiguous: bool = False,
        tensordict: TensorDictBase | None = None,
        set_truncated: bool = False,
        trust_policy: bool = False,
        out: RolloutBuffer | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> TensorDictBase:
        """Up to ``max_steps`` steps in one TensorDict.

        A subclass with a ``step`` or ``reset`` of its own has them called, at the price of a TensorDict a step (but not
        within a ``TransformedEnv`` or a batch); with a ``rand_action`` of its own, its actions are the random ones.

        Args:
            max_steps: at most so many steps; at least 1.
            policy: called with a TensorDict, returns it with an action; None: random actions. It runs on rows of the
                result's own memory, and what it computes is stored detached from its graph.
            callback: called as ``callback(env, tensordict)`` after each step but the last; its result is ignored.
            auto_reset: begin with a reset. Otherwise ``tensordict`` says where the envs stand, and those that are done
                there are reset.
            auto_cast_to_device: move the policy's input to where its parameters are.
            break_when_any_done: end as soon as any env is done (the default). If False, done envs are reset and go on.
            break_when_all_done: end when all envs are done; those that are done earlier repeat their last values and
                earn nothing.
            return_contiguous: make the result contiguous, in ``[*batch, time]`` order. It is already, unless ``out``
                says where it lives; and it is dense either way.
            tensordict: where to begin (see ``auto_reset``), or, with ``auto_reset``, what the reset is given. Entries
                that the env does not know, such as a policy's hidden state, are led on. If it has another batch size
                than the env and ``batch_locked`` is False, the rollout is of that size and keeps its graph.
            set_truncated: mark the last step as truncated (and done).
            trust_policy: kept for TorchRL's sake; nothing is guessed about a policy here.
            out: a buffer of this env's rows to write into, from its first row on; the result is a view of it. Its
                length takes the place of ``max_steps`` if it is shorter.
            progress: called with the number of steps made, every few hundred steps.

        Returns:
            ``[*batch, time]``, its last dimension named ``"time"``. Observation, state, action and done family at the
            root; observation, reward and done family of the next moment under ``"next"``.

        Raises:
            TypeError: ``max_steps`` is no whole number.
            RuntimeError: ``auto_reset=False`` without a ``tensordict``.
            ActionError: the policy's action is not in ``action_spec``.
            SpecError: ``out`` lacks an entry, or holds another one by its name; or ``tensordict`` lacks one that the
                env begins from, or has another batch size.
        """
        self._require_open()
        if policy is None and self._draws_itself:
            policy = self.rand_action
        try:
            max_steps = index(max_steps)
        except TypeError:
            raise TypeError(f"rollout: max_steps must be a whole number, found {max_steps!r}") from None
        if max_steps < 1:
            raise ValueError(f"rollout: max_steps must be at least 1, found {max_steps}")
        if not auto_reset and tensordict is None:
            raise EnvError("rollout: tensordict must be provided when auto_reset is False. Pass tensordict=env.reset()")
        if set_truncated:
            check_truncatable(self)
        if out is not None:
            out.require(self._row_layout())
        if self._goes_by_steps(tensordict):
            foreign = tensordict is not None and self._is_foreign(tensordict)
            if break_when_all_done or (foreign and out is not None):
                why = "of another batch size than the env's" if foreign else "of an env with a step or reset of its own"
                lacks = "break_when_all_done" if break_when_all_done else "out"
                raise SpecError(f"rollout: {why}, there is no {lacks}")
            acts: Acts | None = None if policy is None else on_tensordicts(policy, self)
            if acts is not None and auto_cast_to_device and (device := _device_of(policy)) is not None:
                acts = cast(acts, device)
            moment, stop = self._first_moment(tensordict, auto_reset), break_when_any_done is not False
            steps = max_steps if out is None else min(max_steps, out.steps)
            made = each_step(self, steps, moment, acts, callback, stop)
            return collected(self, made, out, set_truncated, progress)
        buffer = self._buffer(max_steps) if out is None else out
        if tensordict is not None:
            tensordict = tensordict.clone()  # it may be of rows that ``out`` is about to use again
        buffer.drop_added()
        try:
            self._attach(buffer)
            if tensordict is not None:
                begin_from(self, buffer, tensordict, auto_reset)
                self._front.require_here(tensordict, auto_reset)
            rows = None
            if policy is not None:
                device = _device_of(policy) if auto_cast_to_device else None
                rows = PolicyRows(self, buffer, on_tensordicts(policy, self), device)
            at_end = end_rule(break_when_any_done, break_when_all_done)
            loop = Rollout(self, buffer, min(max_steps, buffer.steps), rows, callback, at_end, progress)
            self._reset_given = tensordict if auto_reset else None
            loop.begin(tensordict, reset=auto_reset)
            self._reset_given = None  # later episodes begin by themselves
            loop.run()
        except Exception as error:
            if not self.batch_size:  # a batch names its envs itself
                error.add_note(f"after {buffer.filled} steps of the rollout")
            raise
        finally:
            self._reset_given = None
            if not self.is_closed:  # as after a fault in a batch
                self._front.take_over(buffer)  # and let go of the rollout's memory
        if set_truncated:
            mark_truncated(self, buffer)
        result = (buffer.compact() if out is None else buffer).tensordict(device=self.device)
        return result.contiguous() if return_contiguous else result

    def _first_moment(self, tensordict: TensorDictBase | None, reset: bool) -> TensorDictBase:
        """Where a rollout by steps begins; flags that ``tensordict`` lacks are down."""
        if tensordict is None:
            return self.reset()
        moment = tensordict.copy()
        lead = moment.batch_size[: moment.ndim - self.ndim]
        for path, leaf in leaf_specs(self.full_done_spec).items():
            if moment.get(as_user_key(path), None) is None:
                moment.set(as_user_key(path), leaf.zero(lead))
        return self.reset(moment) if reset else self.maybe_reset(moment)

    # -- the whole ------------------------------------------------------------------------------------------------

    def fake_tensordict(self) -> TensorDictBase:
        """Zeros of everything a step holds, ``[*batch]``, with the keys, shapes and dtypes of a real one."""
        fake = TensorDict({}, batch_size=self.batch_size, device=self.device)
        for spec in (self.observation_spec, self.state_spec, self.full_done_spec, self.full_action_spec):
            fake.update(spec.zero())
        following = TensorDict({}, batch_size=self.batch_size, device=self.device)
        for spec in (self.observation_spec, self.full_reward_spec, self.full_done_spec):
            following.update(spec.zero())
        return fake.set("next", following)

    def to(self, device: torch.device | str) -> Self:
        """Hand tensors out on ``device`` from now on. Returns the env itself.

        Raises:
            ConfigError: there is no such device here; the env stays where it was.
        """
        found = usable(device)
        self._specs = {family: self._spec(family).to(found) for family in FAMILIES}
        self._device = found
        self._specs_changed()
        return self

    def state_dict(self) -> dict[str, Any]:
        """What the env has learnt, for ``load_state_dict``: that of its transforms; nothing for an env without."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """From ``state_dict()``."""

    def train(self, mode: bool = True) -> Self:
        """Set ``training``. Returns the env itself, as a ``torch.nn.Module`` does, which TorchRL's envs are."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """``train(False)``."""
        return self.train(False)

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Those of its transforms; none of an env without, or of a batch, whose envs may be in other processes."""
        return iter(())

    def add_truncated_keys(self) -> Self:
        """Put ``truncated`` into ``full_done_spec`` beside each ``done`` that has none. Returns the env itself.

        An :class:`~envcli.EnvBase` need not write it: it follows from the other flags, or is false.
        """
        if missing := self._missing_truncated():
            self.full_done_spec = self.full_done_spec.clone().update(missing)
        return self

    def _missing_truncated(self) -> dict[NestedKey, TensorSpec]:
        flags = leaf_specs(self.full_done_spec)
        beside = {(*path[:-1], "truncated"): leaf for path, leaf in flags.items() if path[-1] == "done"}
        return {as_user_key(path): leaf for path, leaf in beside.items() if path not in flags}

    @property
    def is_closed(self) -> bool:
        """Has it been closed? A batch is so before its start, too."""
        return self._closed

    def close(self, *, raise_if_closed: bool = False) -> None:
        """Let go of the simulator. A second call does nothing, unless ``raise_if_closed``."""
        if self.is_closed:
            if raise_if_closed:
                raise ClosedError(f"{type(self).__name__} is closed already")
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

    # -- the private side -----------------------------------------------------------------------------------------

    @cached_property
    def _front(self) -> Front:
        alone = ("step", "reset", "maybe_reset", "any_done", "step_mdp")  # what step_and_maybe_reset is made of
        return Front(self, bool(self.batch_size) and not any(is_overridden(type(self), name) for name in alone))

    def __getstate__(self) -> dict[str, Any]:
        """A copy stands where the env does, without the rows that it was bound to."""
        gone = {*self._of_rows, "_bound", "_front", "_is_done"}
        return {name: value for name, value in self.__dict__.items() if name not in gone}

    def _specs_changed(self) -> None:
        super()._specs_changed()
        self._forget_front()
        self._unbind()

    def _forget_front(self) -> None:
        self.__dict__.pop("_front", None)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls._asked_on_tensordicts:
            refuse_in_vain(cls)

    @property
    def _draws_itself(self) -> bool:
        """Has somebody written another ``rand_action``?"""
        return is_overridden(type(self), "rand_action")

    def _goes_by_steps(self, tensordict: TensorDictBase | None) -> bool:
        """Must a rollout that begins from ``tensordict`` call ``step``, and not make rows?"""
        foreign = tensordict is not None and self._is_foreign(tensordict)
        return foreign or is_overridden(type(self), "step") or is_overridden(type(self), "reset")

    def _is_foreign(self, tensordict: TensorDictBase) -> bool:
        """Is it of another batch size than the env's, and may it be?"""
        return not self.batch_locked and tensordict.batch_size != self.batch_size

    def _require_open(self) -> None:
        if self.is_closed:
            raise ClosedError(f"{type(self).__name__} was closed. Build a new one")
        self._require_rest()

    def _require_rest(self) -> None:
        if self._under_way is not None:
            raise EnvError("a step is under way. Call async_step_recv() first")


def _require_tensordict(call: str, given: object) -> None:
    if not isinstance(given, TensorDictBase):
        raise TypeError(
            f"{call}: expected a TensorDict, found a {type(given).__name__}. Begin with env.reset()"
        ) from None


def updated(tensordict: TensorDictBase | None, fresh: TensorDictBase, masks: list[Any]) -> TensorDictBase:
    """What ``reset`` gives back: ``fresh``, or ``tensordict`` with it and without the ``masks``."""
    if tensordict is None:
        return fresh
    tensordict.update(fresh)
    for key in masks:
        if key in tensordict.keys(include_nested=True):
            del tensordict[key]
    return tensordict


def _device_of(policy: Any) -> torch.device | None:
    parameters = getattr(policy, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return None if first is None else first.device
