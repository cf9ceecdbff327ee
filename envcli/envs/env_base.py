"""EnvBase: a user's own env, written on TensorDicts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import begun_where, reset_masks, updated
from envcli.envs.found_specs import FoundSpecs, Keys
from envcli.envs.front import refuse_some
from envcli.envs.module_parts import ModuleParts
from envcli.errors import EnvError, SpecError
from envcli.keys import DONE_FAMILY, Key, as_path, as_user_key, under_next
from envcli.mdp import Begun, begun_at, leaf_paths, renewed, set_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.rows.action_gate import as_member
from envcli.rows.parts import Masks, flag_parts, names_all, over_part
from envcli.rows.private_names import refuse_assigned, refuse_taken
from envcli.rows.roles import Roles
from envcli.specs import TensorSpec

__all__ = ["EnvBase"]


class EnvBase(ModuleParts):
    """The base of envs that are written as for TorchRL: ``_reset``, ``_step`` and ``_set_seed`` on TensorDicts.

    Assign ``observation_spec``, ``action_spec`` and what else differs from the defaults of
    :class:`~envcli.rows.env_specs.EnvSpecs` in ``__init__``, after ``super().__init__()``. A state that ``_step``
    changes is declared in ``observation_spec`` too, so that the next step begins with it. Such an env runs everywhere,
    at the price of the TensorDicts it asks for.

    Args:
        device: where ``_step`` gets its input and leaves its output.
        batch_size: ``[*batch]``, how many envs this is in one.
        run_type_checks: compare every value with its spec (slow).
        allow_done_after_reset: an env may be done as soon as it was reset.
        spec_locked: lock the specs once there are rows: a change in place, which nobody would notice, is refused then.
            Others can be assigned at any time.

    Raises:
        TypeError: a subclass has something of its own by the name of a private method or attribute of an env. (In
            TorchRL such an env breaks wherever that is used.)
    """

    _asked_on_tensordicts = True
    _batch_locked = True  # as TorchRL's envs say it
    _root_views: RowViews
    _root_rows: dict[Key, torch.Tensor]
    _next_rows: dict[Key, torch.Tensor]
    _rows_batch: torch.Size
    _keys_seen: bool
    _states_returned: list[Key]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_taken(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Raises TypeError where a value takes the name of a private method or attribute of an env."""
        if name[0] == "_":
            refuse_assigned(self, name, value)
        super().__setattr__(name, value)

    def __init__(
        self,
        *,
        device: torch.device | str | None = None,
        batch_size: object = None,
        run_type_checks: bool = False,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        super().__init__(device=device, batch_size=batch_size)
        self.is_spec_locked = spec_locked
        self.run_type_checks = run_type_checks
        self._allow_done_after_reset = allow_done_after_reset

    @property
    def batch_locked(self) -> bool:
        """Are only TensorDicts of the env's own batch size accepted?

        A stateless env, which takes any, says ``batch_locked = False``, or ``_batch_locked = False`` as in TorchRL.
        """
        return self._batch_locked

    @batch_locked.setter
    def batch_locked(self, locked: bool) -> None:
        self._batch_locked = locked

    @abstractmethod
    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """From ``[*batch]`` with action (and state): a new TensorDict with observation, reward and done family.

        A reward or flag whose spec is ``[*batch, 1]`` may be ``[*batch]``, as in TorchRL.
        """

    @abstractmethod
    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        """A new TensorDict ``[*batch]`` with the first observation. ``"_reset"`` in ``tensordict`` says where.

        Flags that are left out are false.
        """

    # -- on TensorDicts, straight ---------------------------------------------------------------------------------

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        """See :meth:`envcli.Env.reset`. Here ``_reset`` gets ``tensordict`` and ``options`` as they are."""
        self._require_open()
        return updated(tensordict, self._reset_where(tensordict, options), self.reset_keys)

    def _reset_where(self, tensordict: TensorDictBase | None, options: dict[str, Any]) -> TensorDictBase:
        """What ``reset`` shows: nothing new, where it names no env."""
        if tensordict is None:
            return self._checked_reset(self._reset(None, **options), None)
        batch_size = self.batch_size if self.batch_locked else tensordict.batch_size
        masks = reset_masks(self, tensordict, batch_size)
        begun = None if names_all(self, masks, batch_size) else begun_where(self, masks, batch_size)
        if begun is not None and not any(where.any() for where in begun.values()):
            return TensorDict({}, batch_size=batch_size)
        fresh = self._checked_reset(self._reset(tensordict, **options), begun)
        return fresh if begun is None else renewed(tensordict, fresh, begun)

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :meth:`envcli.Env.step`. Here ``_step`` gets ``tensordict`` itself, and what it returns is not copied.

        If the action is of another dtype than ``action_spec`` says, a shallow copy with the action in the right one.
        """
        self._require_open()
        if self.batch_size:
            refuse_some(self, tensordict)
        given = tensordict
        for path, leaf in self.full_action_spec.leaves().items():
            value = tensordict.get(as_user_key(path), None)
            if value is None:
                raise SpecError(
                    f"step: no {as_user_key(path)!r} in the TensorDict. env.rand_action(tensordict) writes one"
                )
            if self.batch_locked:
                member = as_member(path, leaf, value)
                if member is not value:
                    given = given.copy().set(as_user_key(path), member)
        result = self._step(given)
        if result is given or result is tensordict:
            raise EnvError(
                f"{type(self).__name__}._step returned its input. Return a new TensorDict, without the action"
            )
        return set_next(tensordict, self._checked_step(result))

    def auto_specs_(
        self,
        policy: Callable[[TensorDictBase], TensorDictBase],
        *,
        tensordict: TensorDictBase | None = None,
        action_key: Keys = "action",
        done_key: Keys | None = None,
        observation_key: Keys = "observation",
        reward_key: Keys = "reward",
    ) -> Self:
        """Assign the specs that one step shows: any number is a member, of the shapes and dtypes seen.

        Args:
            policy: from a TensorDict to one with the action.
            tensordict: where the step begins; None: after a reset.
            action_key, observation_key, reward_key: one key or several of each. What else the root holds is state.
            done_key: the flags; None: all that are called ``done``, ``terminated`` or ``truncated``.

        Returns:
            The env itself.

        Raises:
            EnvError: ``_step`` returns an entry that none of the keys names.
        """
        given = (self._reset(None) if tensordict is None else tensordict).copy()
        acted = policy(given)
        found = FoundSpecs(
            acted,
            self._step(acted.copy()),
            self.ndim,
            action=action_key,
            reward=reward_key,
            observation=observation_key,
            done=done_key,
        )
        self.full_action_spec, self.full_reward_spec, self.full_done_spec = found.action, found.reward, found.done
        self.observation_spec, self.state_spec = found.observation, found.state
        return self

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        """See :meth:`envcli.backends.backend.Backend._native_calls`: the simulator is what a user has written."""
        yield self, "_step", "steps"
        yield self, "_reset", "resets"

    # -- on rows --------------------------------------------------------------------------------------------------

    def _binds_batch_of(self, batch_size: torch.Size) -> bool:
        return not self.batch_locked or batch_size == self.batch_size

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._rows_batch = buffer.batch_size
        root = [path for path in buffer if path[0] != "next"]
        self._root_views = RowViews(buffer, root, self.device, lasting=True)  # a user's env may keep its last action
        self._root_rows = {path: buffer[path] for path in self._shown(("observation", "state", "done"))}
        self._next_rows = {path: buffer[under_next(path)] for path in self._shown(("observation", "reward", "done"))}
        self._keys_seen = False

    def _shown(self, families: tuple[str, ...]) -> list[Key]:
        return [path for family in families for path in self._leaves(family)]

    def _roles(self) -> Roles:
        """``_step`` is given all, and may read any; and nobody sees to it that ``done`` follows from the others."""
        flags = {path for path in self._leaves("done") if path[-1] in DONE_FAMILY}
        return Roles(reads=set(self._shown(("observation", "state", "done"))), end_flags=flags, reset_reads_input=True)

    def _reset_row(self, t: int, where: Array | None) -> None:
        if where is None:
            self._begin_row(t, self._reset_request.given, None)
            return
        self._reset_parts(t, {group: over_part(where, part) for group, part in flag_parts(self).items()})

    def _reset_parts(self, t: int, masks: Masks) -> None:
        given = self._root_views(t)
        for group, mask in masks.items():
            given.set(as_user_key((*group, "_reset")), torch.tensor(mask, device=self.device))
        self._begin_row(t, given, begun_where(self, masks, self._rows_batch))

    def _begin_row(self, t: int, given: TensorDictBase | None, begun: Begun | None) -> None:
        result = self._reset(given, **self._reset_request.options)
        if self._rows_batch != self.batch_size and isinstance(result, TensorDictBase):
            result = result.expand(self._rows_batch)
        result = self._checked_reset(result, begun)
        for path, rows in self._root_rows.items():
            value = result.get(as_user_key(path), None)
            if value is not None:
                where: Any = ... if begun is None else begun_at(path, begun)
                rows[t][where] = value[where].to(rows.device)

    def _step_row(self, t: int) -> None:
        result = self._checked_step(self._step(self._root_views(t)))
        if not self._keys_seen:
            self._check_keys(result)
        for path in self._states_returned:
            self._require_led_on(path, result, t)
        for path, rows in self._next_rows.items():
            rows[t] = result.get(as_user_key(path)).detach()

    def _check_keys(self, result: TensorDictBase) -> None:
        others = [path for path in leaf_paths(result) if path not in self._next_rows]
        self._states_returned = [path for path in others if path in self._root_rows]
        undeclared = [path for path in others if path not in self._root_rows]
        if undeclared:
            flags = all(path[-1] in DONE_FAMILY for path in undeclared)
            raise SpecError(
                f"{type(self).__name__}._step returned {[as_user_key(path) for path in undeclared]}, which no spec "
                "declares, so a rollout has no memory for it. Add it to "
                f"{'done_spec' if flags else 'observation_spec'}, or leave it out"
            )
        self._keys_seen = True

    def _require_led_on(self, path: Key, result: TensorDictBase, t: int) -> None:
        """Raise SpecError if ``_step`` has changed a state for which a rollout has no memory."""
        key, row = as_user_key(path), self._root_rows[path][t]
        if not torch.equal(result.get(key).to(row), row):
            raise SpecError(
                f"{type(self).__name__}._step changed {key!r}, which is in state_spec and not in observation_spec, so "
                "a rollout would keep using the old value. Add it to observation_spec too"
            )

    # -- what a user's methods return ------------------------------------------------------------------------------

    def _checked_reset(self, result: TensorDictBase, begun: Begun | None) -> TensorDictBase:
        self._check_type(result, "_reset")
        self._complete_flags(result)
        self._check_values(result, ("observation", "done"), "_reset")
        if not self._allow_done_after_reset and any(
            result.get(key)[... if begun is None else begun_at(as_path(key), begun)].any() for key in self.done_keys
        ):
            raise EnvError(
                f"{type(self).__name__} is done right after its reset. Reset it to a state that does not end the "
                "episode, or build it with allow_done_after_reset=True"
            )
        return result

    def _checked_step(self, result: TensorDictBase) -> TensorDictBase:
        self._check_type(result, "_step")
        self._complete_flags(result)
        self._check_values(result, ("observation", "reward", "done"), "_step")
        return result

    def _check_type(self, result: object, method: str) -> None:
        if not isinstance(result, TensorDictBase):
            raise EnvError(f"{type(self).__name__}.{method} must return a TensorDict, returned {type(result).__name__}")
        if self.batch_size and self.batch_locked and not result.batch_size:
            for key, value in result.items(True, True):
                if value.shape[: self.ndim] != self.batch_size:
                    raise SpecError(
                        f"{type(self).__name__}.{method}: {key!r} has shape {list(value.shape)}, which does not begin "
                        f"with the env's batch_size {list(self.batch_size)}"
                    )
            result.batch_size = self.batch_size

    def _check_values(self, result: TensorDictBase, families: tuple[str, ...], method: str) -> None:
        lead = self.ndim
        for family in families:
            for path, leaf in self._spec(family).leaves().items():
                value = result.get(as_user_key(path), None)
                where = f"{type(self).__name__}.{method}: {as_user_key(path)!r}"
                if value is None:
                    cure = ". If there are none, write full_reward_spec = Composite(shape=batch_size)"
                    raise SpecError(
                        f"{where} is missing; {family}_spec declares it{cure if family == 'reward' else ''}"
                    )
                fits = value.shape[result.batch_dims :] == leaf.shape[lead:]
                if not fits and family != "observation":
                    value = self._viewed(value, leaf, result)
                    result.set(as_user_key(path), value)
                    fits = value.shape[result.batch_dims :] == leaf.shape[lead:]
                if not fits or (self.batch_locked and result.batch_size != self.batch_size):
                    raise SpecError(
                        f"{where} has shape {list(value.shape)}, {family}_spec says {list(leaf.shape)} "
                        f"for batch_size {list(self.batch_size)}"
                    )
                if not torch.can_cast(value.dtype, leaf.dtype):
                    raise SpecError(f"{where} has dtype {value.dtype}, {family}_spec says {leaf.dtype}")
                if self.run_type_checks:
                    leaf.assert_is_in(value)

    def _complete_flags(self, result: TensorDictBase) -> None:
        """``done`` is ``terminated`` or ``truncated``; what a user left out follows from the others, or is false.

        Done for no reason that is given is terminated, or truncated where ``terminated`` says that it is not that.
        """
        for path in self.full_done_spec.leaves():
            if result.get(as_user_key(path), None) is None:
                result.set(as_user_key(path), self._completed(path, result))

    def _completed(self, path: Key, result: TensorDictBase) -> torch.Tensor:
        leaf = self.full_done_spec[as_user_key(path)]
        flags = (result.get(as_user_key((*path[:-1], name)), None) for name in DONE_FAMILY)
        done, terminated, truncated = (None if flag is None else self._viewed(flag, leaf, result) for flag in flags)
        known = [flag for flag in (terminated, truncated) if flag is not None]
        if path[-1] == "done" and known:
            return torch.stack(known).any(0)
        if path[-1] == "terminated" and done is not None:
            return done.clone() if truncated is None else done & ~truncated
        if path[-1] == "truncated" and done is not None and terminated is not None:
            return done & ~terminated
        return torch.zeros(*result.batch_size, *leaf.shape[self.ndim :], dtype=torch.bool, device=self.device)

    def _viewed(self, value: torch.Tensor, leaf: TensorSpec, result: TensorDictBase) -> torch.Tensor:
        """``value``, as ``[*batch, 1]`` where it is ``[*batch]`` and ``leaf`` is that."""
        shape = leaf.shape[self.ndim :]
        lacks = len(shape) and shape[-1] == 1 and value.shape[result.batch_dims :] == shape[:-1]
        return value.unsqueeze(-1) if lacks else value
