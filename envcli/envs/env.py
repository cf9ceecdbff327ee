"""Env: what it does in many steps, and as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import begin_from, require_shown
from envcli.envs.ending import check_truncatable, end_rule, mark_truncated
from envcli.envs.given_actions import GivenActions
from envcli.envs.kept_rows import KeptRows
from envcli.envs.network import on_tensordicts
from envcli.envs.overridden import is_overridden, refuse_in_vain
from envcli.envs.policy_rows import PolicyRows
from envcli.envs.rollout import Callback, Rollout
from envcli.envs.rollout_request import RolloutRequest
from envcli.envs.stepped_env import SteppedEnv
from envcli.envs.unrolled import cast, collected, each_step
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.keys import NestedKey, as_user_key
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.env_shape import usable
from envcli.rows.env_specs import FAMILIES
from envcli.specs import TensorSpec

__all__ = ["Env", "holds_any"]


def holds_any(state: Any) -> bool:  # Any: whatever is in a state_dict
    """Is there anything in ``state``? That of a batch whose envs have learnt nothing has but their names."""
    return any(map(holds_any, state.values())) if isinstance(state, Mapping) else True


class Env(SteppedEnv):
    """An environment, or a batch of them, that speaks TensorDict.

    ``reset`` gives observation and done family; ``step`` takes an action in a TensorDict and writes what followed under
    ``"next"``; ``rollout`` does both many times. A subclass assigns its specs in ``__init__`` and writes the four hooks
    of :class:`~envcli.rows.row_env.RowEnv`; write your own env with :class:`~envcli.EnvBase`, on TensorDicts.

    Args:
        device: where tensors are handed out; None: on the host, and the TensorDicts' ``device`` is None.
        batch_size: ``[*batch]``, the leading shape of everything; ``[]`` for a single env.
    """

    _asked_on_tensordicts = False  # are there _reset and _step?

    _kept: KeptRows | None = None  # that the last rollout was made in

    training = True
    """What ``train`` and ``eval`` have set, as in a ``torch.nn.Module``; an env that has no network ignores it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls._asked_on_tensordicts:
            refuse_in_vain(cls)

    # -- many steps -----------------------------------------------------------------------------------------------

    def rollout(
        self,
        max_steps: int,
        policy: Callable[..., Any] | None = None,
        callback: Callback | None = None,
        *,
        actions: Iterable[Any] | None = None,  # Any: what a TensorDict takes
        auto_reset: bool = True,
        auto_cast_to_device: bool = False,
        break_when_any_done: bool | None = None,
        break_when_all_done: bool | None = None,
        return_contiguous: bool = False,
        tensordict: TensorDictBase | None = None,
        set_truncated: bool = False,
        trust_policy: bool = False,
        out: RolloutBuffer | TensorDictBase | None = None,
        storing_device: torch.device | str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> TensorDictBase:
        """Up to ``max_steps`` steps in one TensorDict.

        A subclass with a ``step`` or ``reset`` of its own has them called, at the price of a TensorDict a step (but not
        within a ``TransformedEnv`` or a batch); with a ``rand_action`` of its own, its actions are the random ones.

        Args:
            max_steps: at most so many steps; at least 1.
            policy: called with a TensorDict, returns it with an action; None: random actions, from torch's global
                generator, so that ``torch.manual_seed`` repeats them and ``set_seed`` does not. It runs on rows of the
                result's own memory, and what it computes is stored detached from its graph.
            callback: called as ``callback(env, tensordict)`` after each step that another one follows, with the moment
                that this begins with: what ``step_mdp`` gives, or a reset where an episode has ended. What it sets
                there, the action excepted, is stored, and is what the policy sees next; its result is ignored.
                (TorchRL does so where a rollout ends with the first ``done``; where it does not, the callback is shown
                the step itself, with its ``"next"``, and the policy sees nothing of what it sets.)
            actions: what to do in each step, ``[*batch, *value]`` each, instead of a policy. If their number is known,
                there are no more steps than that.
            auto_reset: begin with a reset. Otherwise ``tensordict`` says where the envs stand, and those that are done
                there are reset.
            auto_cast_to_device: move the policy's input to where its parameters are.
            break_when_any_done: end as soon as any env is done (the default). If False, done envs are reset and go on.
            break_when_all_done: end when all envs are done; those that are done earlier repeat their last values and
                earn nothing. (TorchRL repeats their last step, reward and all.)
            return_contiguous: make the result contiguous, in ``[*batch, time]`` order. It is already, unless ``out``
                says where it lives; and it is dense either way.
            tensordict: where to begin (see ``auto_reset``), or, with ``auto_reset``, what the reset is given. Entries
                that the env does not know, such as a policy's hidden state, are led on. If it has another batch size
                than the env and ``batch_locked`` is False, the rollout is of that size and keeps its graph.
            set_truncated: mark the last step as truncated (and done).
            trust_policy: kept for TorchRL's sake; nothing is guessed about a policy here.
            out: a buffer of this env's rows to write into, from its first row on; the result is a view of it. Its
                length takes the place of ``max_steps`` if it is shorter. Or a TensorDict of the size of the result,
                which is copied into its tensors at the end; what it lacks is added, and it is what is returned.
            storing_device: where the result is moved to at the end; None: it stays where the env's tensors are.
            progress: called with the number of steps made, every quarter of a second or so.

        Returns:
            ``[*batch, time]``, its last dimension named ``"time"``. Observation, state, action and done family at the
            root; observation, reward and done family of the next moment under ``"next"``.

        Raises:
            TypeError: ``max_steps`` is no whole number.
            RuntimeError: ``auto_reset=False`` without a ``tensordict``.
            ValueError: there are both a policy and actions.
            ActionError: the policy's action is not in ``action_spec``.
            SpecError: ``out`` lacks an entry, or holds another one by its name, or is a TensorDict of another size; or
                ``tensordict`` lacks an entry that the env begins from, or has another batch size.
        """
        self._require_open()
        if actions is not None:
            if policy is not None:
                raise ConfigError("rollout: found a policy and actions. Give one of them")
            max_steps = min(max_steps, len(actions)) if isinstance(actions, Sized) else max_steps
            policy = GivenActions({self.action_keys[0]: actions})
        if policy is None and self._draws_itself:
            policy = self.rand_action
        buffer = out if isinstance(out, RolloutBuffer) else None
        asked = RolloutRequest(
            steps=max_steps,
            act=None if policy is None else on_tensordicts(policy, self),
            act_on=_device_of(policy) if auto_cast_to_device else None,
            callback=callback,
            reset=auto_reset,
            at_end=end_rule(break_when_any_done, break_when_all_done),
            begin=tensordict,
            set_truncated=set_truncated,
            out=buffer,
            progress=progress,
        )
        if set_truncated:
            check_truncatable(self)
        if buffer is not None:
            buffer.require(self._row_layout())
        result = self._by_steps(asked) if self._goes_by_steps(tensordict) else self._in_rows(asked)
        result = result if storing_device is None else result.to(storing_device)
        result = result.contiguous() if return_contiguous else result
        return _copied(result, out) if isinstance(out, TensorDictBase) else result

    def _in_rows(self, asked: RolloutRequest) -> TensorDictBase:
        """The rollout in a buffer that this env is bound to."""
        buffer = self._buffer_for(asked.steps) if asked.out is None else asked.out
        begin = None if asked.begin is None else asked.begin.clone()  # it may be of rows that are used again here
        buffer.drop_added()
        stays = False
        try:
            self._front.go_on()
            self._attach(buffer)
            kept = KeptRows(buffer) if buffer.again else None
            self._roll(asked, buffer, begin)
            is_seen = asked.act is not None or asked.callback is not None
            stays = kept is not None and (not is_seen or kept.are_free())
        except Exception as error:
            if not self.batch_size:  # a batch names its envs itself
                error.add_note(f"after {buffer.filled} steps of the rollout")
            raise
        finally:
            if not self.is_closed:  # as after a fault in a batch
                self._front.take_over(buffer, stays)
        self._kept = kept if stays else None
        if asked.set_truncated:
            mark_truncated(self, buffer)
        if asked.out is None:
            buffer = buffer.compact(apart=stays)
        return buffer.tensordict(device=self.device)

    def _buffer_for(self, steps: int) -> RolloutBuffer:
        """A buffer for so many: that which the env is still bound to, or a new one.

        It is nobody's to keep until the rollout has ended well: a policy that fails may have kept what it was shown.
        """
        kept, self._kept = self._kept, None
        buffer = None if kept is None else kept.of(steps)
        if buffer is None:
            buffer = self._buffer(steps)
            buffer.again = KeptRows.are_cheap(buffer)
        return buffer

    def _roll(self, asked: RolloutRequest, buffer: RolloutBuffer, begin: TensorDictBase | None) -> None:
        """Make the steps in ``buffer``, which the env is bound to."""
        if begin is not None:
            begin_from(self, buffer, begin, asked.reset)
            self._front.require_here(begin, asked.reset)
        policy = None if asked.act is None else PolicyRows(self, buffer, asked.act, asked.act_on)
        watched = asked.progress is not None or asked.out is not None
        steps = min(asked.steps, buffer.steps)
        loop = Rollout(self, buffer, steps, policy, asked.callback, asked.at_end, asked.progress, watched)
        loop.begin(begin, reset=asked.reset)
        loop.run()

    def _by_steps(self, asked: RolloutRequest) -> TensorDictBase:
        """The rollout by :meth:`step` and :meth:`reset`, which somebody wrote anew, or which keep a graph."""
        foreign = asked.begin is not None and self._is_foreign(asked.begin)
        if foreign and asked.out is not None:
            raise SpecError(
                "rollout: rows, which are of the env's batch size, are no place for another one. Leave out 'out', or "
                "give a TensorDict of the size of the result"
            )
        act = asked.act if asked.act is None or asked.act_on is None else cast(asked.act, asked.act_on)
        steps = asked.steps if asked.out is None else min(asked.steps, asked.out.steps)
        first = self._first_moment(asked.begin, asked.reset)
        made = each_step(self, steps, first, act, asked.callback, asked.at_end)
        return collected(self, made, asked.out, asked.set_truncated, asked.progress)

    def _first_moment(self, tensordict: TensorDictBase | None, reset: bool) -> TensorDictBase:
        """Where a rollout by steps begins; flags that ``tensordict`` lacks are down."""
        if tensordict is None:
            return self.reset()
        moment = tensordict.copy()
        lead = moment.batch_size[: moment.ndim - self.ndim]
        for path, leaf in self.full_done_spec.leaves().items():
            if moment.get(as_user_key(path), None) is None:
                moment.set(as_user_key(path), leaf.zero(lead))
        if reset:
            return self.reset(moment)
        require_shown(self, moment)
        return self.maybe_reset(moment)

    def _goes_by_steps(self, tensordict: TensorDictBase | None) -> bool:
        """Must a rollout that begins from ``tensordict`` call ``step``, and not make rows?"""
        foreign = tensordict is not None and self._is_foreign(tensordict)
        return foreign or is_overridden(self, "step") or is_overridden(self, "reset")

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

    def check_env_specs(self, *args: Any, **kwargs: Any) -> None:
        """:func:`envcli.check_env_specs` of this env, with its arguments."""
        import envcli

        envcli.check_env_specs(self, *args, **kwargs)  # by its public name: it stands above this module

    @staticmethod
    def make_parallel(create_env_fn: Callable[..., Env], *, num_envs: int = 1, **arguments: Any) -> Env:
        """A :class:`~envcli.ParallelEnv` of ``num_envs`` envs that ``create_env_fn`` makes, with its ``arguments``."""
        import envcli

        batch: Env = envcli.ParallelEnv(num_envs, create_env_fn, **arguments)
        return batch

    @classmethod
    def register_gym(
        cls,
        id: str,
        *,
        entry_point: Callable[..., Env] | None = None,
        info_keys: Sequence[str] | None = None,
        to_numpy: bool = False,
        backend: Any = None,
        **arguments: Any,
    ) -> None:
        """Let ``gymnasium.make(id)`` give an env of this class: :func:`envcli.register_gym` as TorchRL's method has it.

        ``DMControlEnv.register_gym("cheetah-v0", env_name="cheetah", task_name="run")``. An observation is a dict
        however many entries it has, and is of tensors; ``to_numpy=True`` is what gymnasium's trainers expect.

        Args:
            entry_point: what makes the env instead; None: this class.
            backend: see :class:`~envcli.set_gym_backend`.
            id, info_keys, to_numpy, arguments: see :func:`envcli.register_gym`.
        """
        import envcli

        envcli.set_gym_backend(backend or "gymnasium")
        envcli.register_gym(id, entry_point or cls, info_keys=info_keys or [], to_numpy=to_numpy, **arguments)

    def append_transform(self, transform: Any) -> Env:
        """This env with ``transform``, a :class:`~envcli.Transform`, between it and the user: a ``TransformedEnv``.

        As in TorchRL; the env itself stays as it is, and belongs to the new one.
        """
        import envcli

        transformed: Env = envcli.TransformedEnv(self, transform)  # by its public name: it stands on this module
        return transformed

    def to(self, device: torch.device | str) -> Self:
        """Hand tensors out on ``device`` from now on. Returns the env itself.

        Raises:
            ConfigError: there is no such device here; the env stays where it was.
        """
        found = usable(device)
        self._finish_step()
        self._specs = {family: self._spec(family).to(found) for family in FAMILIES}
        self._device = found
        self._specs_changed()
        return self

    def state_dict(self) -> dict[str, Any]:
        """What the env has learnt, for ``load_state_dict``: that of its transforms; nothing for an env without."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """From ``state_dict()``. Raises EnvError where it holds what is not known here, unless ``strict`` is False."""
        if strict and (found := [str(key) for key, state in state_dict.items() if holds_any(state)]):
            raise EnvError(
                f"load_state_dict: {type(self).__name__} has nothing to load, found {', '.join(found)}. "
                "Build the env with the transforms that it had, or pass strict=False"
            )

    def empty_cache(self) -> None:
        """Look at the specs anew, after something that they follow from was changed in place."""
        self._specs_changed()

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

    def modules(self) -> Iterator[Any]:  # Any: an env is no torch.nn.Module, but stands for one here
        """The env, its base env if it has one, and all modules of its transforms, as a ``torch.nn.Module`` lists them.

        The envs of a batch are not among them: they may be in other processes.
        """
        yield self

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """Call ``fn`` with each of :meth:`modules`, inner ones first. Returns the env itself.

        So ``env.apply(dump)`` can have each :class:`~envcli.VideoRecorder` in it write its video.
        """
        fn(self)
        return self

    def add_truncated_keys(self) -> Self:
        """Put ``truncated`` into ``full_done_spec`` beside each ``done`` that has none. Returns the env itself.

        An :class:`~envcli.EnvBase` need not write it: it follows from the other flags, or is false.
        """
        if missing := self._missing_truncated():
            self.full_done_spec = self.full_done_spec.clone().update(missing)
        return self

    def _missing_truncated(self) -> dict[NestedKey, TensorSpec]:
        flags = self.full_done_spec.leaves()
        beside = {(*path[:-1], "truncated"): leaf for path, leaf in flags.items() if path[-1] == "done"}
        return {as_user_key(path): leaf for path, leaf in beside.items() if path not in flags}


def _copied(result: TensorDictBase, out: TensorDictBase) -> TensorDictBase:
    """``out``, with ``result`` in its own tensors."""
    if out.batch_size != result.batch_size:
        raise SpecError(f"rollout: out has {list(out.batch_size)}, the rollout {list(result.batch_size)}. Resize out")
    return out.update(result, inplace=True)


def _device_of(policy: Any) -> torch.device | None:
    parameters = getattr(policy, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return None if first is None else first.device
