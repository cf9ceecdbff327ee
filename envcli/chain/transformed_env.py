"""One env seen differently."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from tensordict import TensorDictBase

from envcli.chain.bound_chain import BoundChain, PrivateRows
from envcli.chain.stages import Change, Stages, keys_of
from envcli.chain.tensordict_chain import TensorDictChain
from envcli.envs.beginning import updated
from envcli.envs.env import Env, holds_any
from envcli.errors import EnvcliError, TransformError
from envcli.mdp import set_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.spare_memory import SpareMemory
from envcli.rows.note import Note
from envcli.rows.reset_request import ResetRequest
from envcli.rows.roles import Roles
from envcli.seeding import first_seed
from envcli.specs import Composite
from envcli.transforms.callable_transform import Transforming, as_transform
from envcli.transforms.compose import Compose
from envcli.transforms.transform import Transform

__all__ = ["TransformedEnv"]

_PER_STEP = ("frames_per_step", "step_seconds")


class TransformedEnv(Env):
    """``env`` with ``transform`` between it and the user.

    What no transform touches is the same memory inside and outside; nothing is copied for it. A ``TransformedEnv``
    given as ``env`` is taken apart: its transforms come first. Attributes that are not our own are the base env's, and
    when its specs change, so do ours. Its ``step_seconds`` and ``frames_per_step`` are those of a step out here, which
    is several further in where a transform repeats it.

    A state that a transform rewrites or drops is kept inside, where a TensorDict cannot say what it is: such an env
    goes on from where it stands, and refuses to step from an earlier moment that shows another value. With
    ``out_keys`` of its own the transform leaves the state as it is, and one can go back.

    A transform stays in the mode that it comes in, which is training, until ``env.eval()``: a network in it that has
    dropout drops out, and a ``VecNorm`` learns. (TorchRL sets it to ``eval``, in which its ``VecNorm`` learns, too.)

    Args:
        env: it belongs to the new env from here on, and is closed with it.
        transform: a transform, or a :class:`~envcli.Compose` of several, the first nearest to ``env``; or a function
            that takes a TensorDict and gives one, see :class:`~envcli.transforms.callable_transform.CallableTransform`.
            None: none yet.
        cache_specs, auto_unwrap: taken for TorchRL's sake. Specs are worked out once, and again when something changes
            (:meth:`empty_cache`); transforms are always in one chain, which gives the same values.
        base_env: TorchRL's name for ``env``.
        device: move all of it there.

    Raises:
        TransformError: a transform does not fit where it stands.
    """

    base_env: Env
    _transform: Transform
    _private: PrivateRows  # of the memory that was bound last
    _bound_chain: BoundChain  # once there are rows
    _is_asking = False

    def __init__(
        self,
        env: Env | None = None,
        transform: Transforming | None = None,
        cache_specs: bool = True,
        *,
        base_env: Env | None = None,
        device: torch.device | str | None = None,
        auto_unwrap: bool | None = None,
    ) -> None:
        if env is not None and base_env is not None:
            raise TransformError("TransformedEnv: env and base_env are aliases. Give only one of them")
        env = base_env if env is None else env
        if not isinstance(env, Env):
            raise TransformError(f"TransformedEnv: expected an env, found a {type(env).__name__}")
        super().__init__(device=env.device, batch_size=env.batch_size)
        given = chain = Compose() if transform is None else as_transform(transform, "TransformedEnv")
        if isinstance(env, TransformedEnv):
            chain = Compose(*(t.clone() for t in env._chain()))
            chain.append(given)
            env = env.base_env
        chain.set_container(self)
        self.base_env = env
        self._transform = chain
        try:
            self._changed()
            if device is not None:
                self.to(device)
        except EnvcliError:
            chain.set_container(None)
            if isinstance(chain, Compose) and chain is not given:
                chain._give_back(given)
            raise

    # -- the chain ------------------------------------------------------------------------------------------------

    @property
    def transform(self) -> Transform:
        """The transform, or the chain of them. Another one can be put in its place, which then stands alone again.

        Raises TransformError where the new one does not fit; the env stays as it was.
        """
        return self._transform

    @transform.setter
    def transform(self, transform: Transforming) -> None:
        before, after = self._transform, as_transform(transform, "TransformedEnv")
        if after is before:
            return
        after.set_container(self)
        self._transform = after
        before._hold(None)
        try:
            self._changed()
        except Exception:  # whatever made it misfit: the env must stay usable, and the caller gets the reason
            after._hold(None)
            before._hold(self)
            self._transform = before
            self._changed()
            raise

    def _exchange(self, transform: Transform, other: Transform) -> None:
        self.transform = other

    def empty_cache(self) -> None:
        """Work out the specs anew, after an attribute of a transform was changed that they follow from."""
        self._changed()

    def append_transform(self, transform: Transforming) -> Self:
        """Add ``transform`` nearest to the user. Returns the env itself, as in TorchRL."""
        added = as_transform(transform, "TransformedEnv")
        self._chain_list().append(added)
        return self

    def insert_transform(self, index: int, transform: Transforming) -> Self:
        """Put ``transform`` at ``index`` in the chain. Returns the env itself.

        Raises:
            TransformError: it does not fit there; the env stays as it was.
        """
        added = as_transform(transform, "TransformedEnv")  # before the chain is touched
        self._chain_list().insert(index, added)
        return self

    def _chain_list(self) -> Compose:
        if not isinstance(self._transform, Compose):
            single = self._transform
            single.set_container(None)
            self._transform = Compose(single)
            self._transform.set_container(self)
        return self._transform

    def _chain(self) -> list[Transform]:
        return self.transform.flat() if isinstance(self.transform, Compose) else [self.transform]

    def _env_before(self, transform: Transform) -> TransformedEnv:
        chain = self._chain()
        own = transform.flat() if isinstance(transform, Compose) else [transform]
        place = chain.index(own[0]) if own else 0
        return TransformedEnv(self.base_env, Compose(*(earlier.clone() for earlier in chain[:place])))

    def _changed(self) -> None:
        """Work out what every stage of the chain shows, and release the rows that were laid out by the old specs."""
        self._finish_step()
        self._work_out()
        self._private = {}
        self._specs_changed()

    def _work_out(self) -> None:
        """What every stage of the chain shows, from the base env outwards."""
        with self._asking():
            self._stages = stages = Stages(self.base_env, self._chain())
        self._base_version = self.base_env._specs_version
        self._specs = dict(stages.specs[-1]._specs) if stages.chain else {}
        self._device, self._batch_size = stages.specs[-1].device, stages.specs[-1].batch_size

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """While transforms are asked for their specs, the attributes that they set on themselves are not acted on."""
        self._is_asking = True
        try:
            yield
        finally:
            self._is_asking = False

    def _notice(self) -> None:
        """Work out the stages again if the specs of the base env or the keys of a transform have changed."""
        stages = self._stages
        if self._base_version != self.base_env._specs_version:
            self._changed()
        elif stages.has_other_keys():
            keys = list(map(keys_of, stages.chain))
            for transform, own, was in zip(stages.chain, keys, stages.keys, strict=True):
                for name in [name for name in own if own[name] != was[name]]:
                    transform._keys_given(name)  # as a list that was changed in place does not say
            self._changed()
            for transform, own in zip(stages.chain, keys, strict=True):
                if keys_of(transform) != own:
                    raise TransformError(
                        f"{type(transform).__name__}: its keys follow from its other arguments and from the env. Build "
                        "another one with the arguments that give the keys"
                    )

    def _spec(self, family: str) -> Composite:
        self._notice()
        return super()._spec(family)

    def _default(self, family: str) -> Composite:
        return self.base_env._spec(family)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._bound_chain = BoundChain(self._stages, buffer, self.device, self._private)
        self._private = self._bound_chain.private

    def _attribute_set(self, transform: Transform) -> None:
        """Heed an attribute that was set on ``transform``, from the next step on, in rows that are bound too.

        Raises TransformError where the transform no longer fits; the env stays as it was.
        """
        if self._is_asking:
            return
        with self._asking():
            change = self._stages.change_by(transform)
        if change < Change.ROWS and "_bound_chain" in self.__dict__:
            self._bound_chain.rebind(transform)
        if change == Change.BOUNDS:
            self._work_out()
            self._specs_version += 1
        elif change == Change.ROWS:
            self._changed()

    @property
    def _row_memory(self) -> SpareMemory:
        return self.base_env._row_memory

    def _is_attached(self, buffer: RolloutBuffer) -> bool:
        return super()._is_attached(buffer) and self.base_env._is_attached(self._bound_chain.inner)

    def _roles(self) -> Roles:
        return self._stages.roles

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._bound_chain.reset(t, where)

    def _take_reset_request(self, request: ResetRequest) -> None:
        self.base_env._take_reset_request(request.of_batch(self._stages.specs[0].batch_size))

    def _step_row(self, t: int) -> None:
        self._bound_chain.step(t)

    def _send_row(self, t: int, onward: bool = False) -> None:
        self._bound_chain.send(t, onward)

    def _receive_row(self, t: int, onward: bool = False) -> None:
        self._bound_chain.receive(t, onward)

    def _note_in(self, note: Note) -> None:
        super()._note_in(note)
        self.base_env._note_in(note)

    def _step_rows(self, start: int, stop: int) -> int:
        if not self._bound_chain.is_idle:
            return super()._step_rows(start, stop)
        try:  # nothing happens between the base env and the user: its own loop is the tightest
            return self.base_env._step_rows(start, stop)
        except BaseException:
            self._stopped_in(self._bound_chain.inner.filled)
            raise

    @property
    def _autoresets(self) -> bool:  # type: ignore[override]  # it changes with the chain
        if "_bound_chain" not in self.__dict__:  # nobody knows yet what happens between
            return False
        chain = self._bound_chain
        return self.base_env._autoresets and chain.is_idle and chain.is_idle_at_reset

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self.base_env._autoreset_rows(start, stop, onward)

    @property
    def _pauses(self) -> bool:  # type: ignore[override]  # as the base env
        return self.base_env._pauses

    def _pause(self, where: Array | None) -> None:
        self.base_env._pause(None if where is None else where.reshape(self._stages.specs[0].batch_size))
        if "_bound_chain" in self.__dict__:
            self._bound_chain.wait(where)

    @property
    def _seeds_taken(self) -> int:  # type: ignore[override]  # as many as the base env
        return self.base_env._seeds_taken

    # -- on TensorDicts of another batch size ---------------------------------------------------------------------

    @property
    def batch_locked(self) -> bool:  # type: ignore[override]  # that of the base env
        """Does the base env take TensorDicts of its own batch size only?"""
        return self.base_env.batch_locked

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        """See :meth:`Env.reset`. With a TensorDict of another batch size: that of the base env, if it takes it."""
        if tensordict is None or not self._is_foreign(tensordict):
            return super().reset(tensordict, **options)
        self._require_open()
        return updated(tensordict, self._on_tensordicts().reset(tensordict, **options), self.reset_keys)

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :meth:`Env.step`, and :meth:`reset`."""
        if not self._is_foreign(tensordict):
            return super().step(tensordict)
        self._require_open()
        return set_next(tensordict, self._on_tensordicts().step(tensordict))

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """See :meth:`Env.rand_action`; where the base env has one of its own, as in TorchRL, that one."""
        return self.base_env.rand_action(tensordict) if self._draws_itself else super().rand_action(tensordict)

    @property
    def _draws_itself(self) -> bool:
        return super()._draws_itself or self.base_env._draws_itself

    def _on_tensordicts(self) -> TensorDictChain:
        return TensorDictChain(self.base_env, self._chain())

    # -- seeds ----------------------------------------------------------------------------------------------------

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> int | None:
        """See :meth:`Env.set_seed`, or that of the base env, which may take a list."""
        self._require_open()
        following = self.base_env.set_seed(seed, static_seed)
        self._seed_transforms(first_seed(seed))
        return following

    def _set_seed(self, seed: int | None) -> None:
        self.base_env._set_seed(seed)
        self._seed_transforms(seed)

    def _seed_transforms(self, seed: int | None) -> None:
        for transform in self._chain():
            transform._set_seed(seed)

    # -- the whole ------------------------------------------------------------------------------------------------

    def to(self, device: torch.device | str) -> Self:
        """See :meth:`Env.to`; the base env and the transforms go along."""
        self._finish_step()
        self.base_env.to(device)
        self._device = self.base_env.device
        self.transform.to(device)
        self._changed()
        return self

    def state_dict(self) -> dict[str, Any]:
        """That of the transform, or of the chain, and under ``"base_env"`` that of the base env if it has any."""
        found: dict[str, Any] = self.transform.state_dict()
        inner = self.base_env.state_dict()
        return {**found, "base_env": inner} if holds_any(inner) else found

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """See :meth:`state_dict`. With ``strict=False`` the chain may lack entries, and there may be others."""
        of_chain = {key: value for key, value in state_dict.items() if key != "base_env"}
        self.transform.load_state_dict(of_chain, strict=strict)
        if "base_env" in state_dict:
            self.base_env.load_state_dict(state_dict["base_env"], strict=strict)

    def train(self, mode: bool = True) -> Self:
        """See :meth:`Env.train`; the base env and the transforms go along."""
        self.base_env.train(mode)
        self.transform.train(mode)
        return super().train(mode)

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Those of the transforms, and those of the base env."""
        yield from self.transform.parameters(recurse)
        yield from self.base_env.parameters(recurse)

    def modules(self) -> Iterator[Any]:  # Any: see Env
        """See :meth:`Env.modules`."""
        yield self
        yield from self.base_env.modules()
        yield from self.transform.modules()

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """See :meth:`Env.apply`."""
        self.base_env.apply(fn)
        self.transform.apply(fn)
        return super().apply(fn)

    def add_truncated_keys(self) -> Self:
        """See :meth:`Env.add_truncated_keys`; the base env has them then, too."""
        self.base_env.add_truncated_keys()
        return self

    @property
    def is_closed(self) -> bool:
        """Is the base env?"""
        return self.base_env.is_closed

    def _require_open(self) -> None:
        self.base_env._require_open()
        self._require_rest()
        self._notice()

    def _close(self) -> None:
        self.base_env.close()

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self), name):  # a property of our own has failed: say with what, and do not ask the base env
            return object.__getattribute__(self, name)
        if name == "base_env" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name == "unroll" and hasattr(self.base_env, name) and self._chain():
            raise AttributeError(
                "unroll belongs to the base env and would skip the transforms. Use env.base_env.unroll(...), or "
                "env.rollout(..., auto_reset=False, tensordict=moment.expand(n)), which keeps the graph and applies "
                "them"
            )
        found = getattr(self.base_env, name)
        return self._of_steps(found) if name in _PER_STEP else found

    def _of_steps(self, amount: Any) -> Any:
        """``amount``, of one step of the base env, for one step of ours; a batch has one for each env."""
        steps = math.prod(transform._steps_per_step for transform in self._chain())
        if amount is None or steps == 1:
            return amount
        return [self._of_steps(each) for each in amount] if isinstance(amount, Sequence) else amount * steps

    def _set_further_in(self, name: str, value: Any) -> None:
        self.base_env._set_attribute(name, value)

    def __repr__(self) -> str:
        indented = repr(self.transform).replace("\n", "\n    ")
        return f"{type(self).__name__}(\n    env={self.base_env!r},\n    transform={indented})"
