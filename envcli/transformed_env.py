"""One env seen differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, Self

import torch

from envcli.buffer import Array, Place, RolloutBuffer
from envcli.env import Env
from envcli.errors import EnvcliError, TransformError
from envcli.keys import Key, under_next
from envcli.roles import Roles
from envcli.seeding import first_seed
from envcli.specs import Composite
from envcli.stages import Stages
from envcli.transforms.compose import Compose
from envcli.transforms.inside import Inside
from envcli.transforms.tensordict_rows import TensorDictRows, speaks_tensordict
from envcli.transforms.transform import Transform

__all__ = ["TransformedEnv"]


class TransformedEnv(Env):
    """``env`` with ``transform`` between it and the user.

    What no transform touches is the same memory inside and outside; nothing is copied for it. A ``TransformedEnv``
    given as ``env`` is taken apart: its transforms come first. Attributes that are not our own are the base env's, and
    when its specs change, so do ours.

    A state that a transform rewrites or drops is kept inside, where a TensorDict cannot say what it is: such an env
    goes on from where it stands, and refuses to step from an earlier moment that shows another value. With
    ``out_keys`` of its own the transform leaves the state as it is, and one can go back.

    Args:
        env: it belongs to the new env from here on, and is closed with it.
        transform: a transform, or a :class:`~envcli.Compose` of several, the first nearest to ``env``; None: none yet.

    Raises:
        TransformError: a transform does not fit where it stands.
    """

    base_env: Env
    _private: dict[tuple[int, Key], Array]  # stage and path -> rows that a step reads and nobody outside sees

    def __init__(
        self, env: Env, transform: Transform | None = None, *, device: torch.device | str | None = None
    ) -> None:
        if not isinstance(env, Env):
            raise TransformError(f"TransformedEnv: expected an env, found a {type(env).__name__}")
        super().__init__(device=env.device, batch_size=env.batch_size)
        chain = Compose() if transform is None else transform
        if not isinstance(chain, Transform):
            raise TransformError(f"TransformedEnv: expected a transform, found a {type(chain).__name__}")
        if isinstance(env, TransformedEnv):
            chain = Compose(
                *(t.clone() for t in env._chain()), *(chain.flat() if isinstance(chain, Compose) else [chain])
            )
            env = env.base_env
        chain.set_container(self)
        self.base_env = env
        self.transform: Transform = chain
        try:
            self._changed()
            if device is not None:
                self.to(device)
        except EnvcliError:
            chain.set_container(None)
            raise

    # -- the chain ------------------------------------------------------------------------------------------------

    def append_transform(self, transform: Transform) -> Self:
        """Add ``transform`` nearest to the user. Returns the env itself, as in TorchRL."""
        return self.insert_transform(len(self._chain_list()), transform)

    def insert_transform(self, index: int, transform: Transform) -> Self:
        """Put ``transform`` at ``index`` in the chain. Returns the env itself.

        Raises:
            TransformError: it does not fit there; the env stays as it was.
        """
        if not isinstance(transform, Transform):
            raise TransformError(f"expected a transform, found a {type(transform).__name__}")
        transform._added_later()
        self._chain_list().insert(index, transform)
        return self

    def _chain_list(self) -> Compose:
        if not isinstance(self.transform, Compose):
            single = self.transform
            single.set_container(None)
            self.transform = Compose(single)
            self.transform.set_container(self)
        return self.transform

    def _chain(self) -> list[Transform]:
        return self.transform.flat() if isinstance(self.transform, Compose) else [self.transform]

    def _env_before(self, transform: Transform) -> TransformedEnv:
        chain = self._chain()
        own = transform.flat() if isinstance(transform, Compose) else [transform]
        place = chain.index(own[0]) if own else 0
        return TransformedEnv(self.base_env, Compose(*(earlier.clone() for earlier in chain[:place])))

    def _changed(self) -> None:
        """Work out what every stage of the chain shows, from the base env outwards."""
        self._stages = stages = Stages(self.base_env, self._chain())
        self._base_version = self.base_env._specs_version
        self._specs = dict(stages.specs[-1]._specs) if stages.chain else {}
        self._device = stages.specs[-1].device
        self._private = {}
        self._specs_changed()

    def _notice(self) -> None:
        """Work it out anew if the base env has other specs than before."""
        if self._base_version != self.base_env._specs_version:
            self._changed()

    def _spec(self, family: str) -> Composite:
        self._notice()
        return super()._spec(family)

    def _default(self, family: str) -> Composite:
        return self.base_env._spec(family)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        stages = self._stages
        buffers = stages.buffers(buffer)
        timed = [t for t in stages.chain if type(t)._begin_reset is not Transform._begin_reset]
        self._before_reset = [transform._begin_reset for transform in timed]
        self._before_step: list[Callable[[int], None]] = []
        self._after_step: list[Callable[[int], None]] = []
        self._after_reset: list[Callable[[int, Array | None], None]] = []
        entered: list[Callable[[], None]] = []
        for stage, transform, inner, outer in _fused(stages.chain, buffers):
            if type(transform)._enter is not Transform._enter:
                entered.append(self._inside(stage, transform, inner))
            self._bind_one(transform, inner, outer)
        self._inner = buffers[0]
        self._bind_private(buffers)
        self.base_env._attach(self._inner)
        self._base_step = self.base_env._step_row
        for enter in entered:
            enter()
        self._idle = not (self._before_step or self._after_step or self._private_moves or self._private_flags)

    def _bind_one(self, transform: Transform, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        """Bind one transform between two buffers; the chain is walked from the base env outwards."""
        speaks = speaks_tensordict(transform)
        kind = type(transform)
        if speaks:
            rows = TensorDictRows(transform, inner, outer, self.device)
            step, reset, inverse = rows.step_row, rows.reset_row, rows.inv_row
        else:
            transform._attach(inner, outer)
            step, reset, inverse = transform._step_row, transform._reset_row, transform._inv_row
        if not speaks and transform._is_idle():
            return
        if speaks or kind._step_row is not Transform._step_row or transform._next_moves:
            self._after_step.append(step)
        if speaks or kind._reset_row is not Transform._reset_row or transform._root_moves:
            self._after_reset.append(reset)
        if speaks or kind._inv_row is not Transform._inv_row or transform._inverse_moves:
            self._before_step.insert(0, inverse)

    def _inside(self, stage: int, transform: Transform, rows: RolloutBuffer) -> Callable[[], None]:
        """Lets ``transform`` step what stands before it, once that is bound."""
        before, after, resets = list(self._before_step), list(self._after_step), list(self._after_reset)

        def step(t: int) -> None:
            self._run(t, before, after)

        def reset(t: int, where: Array | None) -> None:
            self.base_env._reset_row(t, where)
            for hook in resets:
                hook(t, where)

        def enter() -> None:
            specs, reads = self._stages.specs[stage], self._stages.reads_of(stage)
            transform._enter(Inside(specs, self.base_env, rows, step, reset, reads))
            transform._of_rows.add("_inside")

        return enter

    def _bind_private(self, buffers: list[RolloutBuffer]) -> None:
        """What nobody outside sees is moved and cleared here; what a step reads of it goes along to new memory."""
        reads = {(i, path): buffers[i].array(path) for i, path in self._stages.private_reads}
        for place, rows in self._private.items():
            if place in reads and reads[place][0].shape == rows[0].shape:
                reads[place][0] = rows[0]
        self._private = reads
        self._private_moves = [(buffers[i].array(under_next(path)), rows) for (i, path), rows in reads.items()]
        self._private_flags = [
            (buffers[i].array(path), buffers[i].array(under_next(path))) for i, path in self._stages.private_flags
        ]

    def _place(self, paths: Set[Key] = frozenset()) -> Place:
        return self.base_env._place(paths)

    def _is_attached(self, buffer: RolloutBuffer) -> bool:
        return super()._is_attached(buffer) and self.base_env._is_attached(self._inner)

    def _roles(self) -> Roles:
        return self._stages.roles

    def _reset_row(self, t: int, where: Array | None) -> None:
        for flags, _ in self._private_flags:
            flags[t][... if where is None else where] = False
        for begin in self._before_reset:
            begin()
        base = self.base_env
        base._reset_options, base._reset_given = self._reset_options, self._reset_given
        try:
            base._reset_row(t, where)
        finally:
            base._reset_options, base._reset_given = {}, None
        for reset in self._after_reset:
            reset(t, where)

    def _step_row(self, t: int) -> None:
        self._run(t, self._before_step, self._after_step)

    def _run(self, t: int, before: list[Callable[[int], None]], after: list[Callable[[int], None]]) -> None:
        for _, flags in self._private_flags:
            flags[t] = False
        for inverse in before:
            inverse(t)
        self._base_step(t)
        for step in after:
            step(t)
        for source, target in self._private_moves:
            target[t] = source[t]

    def _send_row(self, t: int) -> None:
        for _, flags in self._private_flags:
            flags[t] = False
        for inverse in self._before_step:
            inverse(t)
        self.base_env._send_row(t)

    def _receive_row(self, t: int) -> None:
        self.base_env._receive_row(t)
        for step in self._after_step:
            step(t)
        for source, target in self._private_moves:
            target[t] = source[t]

    def _step_rows(self, start: int, stop: int) -> int:
        if not self._idle:
            return super()._step_rows(start, stop)
        try:  # nothing happens between the base env and the user: its own loop is the tightest
            return self.base_env._step_rows(start, stop)
        except BaseException:
            self._stopped_in(self._inner.filled)
            raise

    @property
    def _autoresets(self) -> bool:  # type: ignore[override]  # it changes with the chain
        return self.base_env._autoresets and self._idle and not (self._before_reset or self._after_reset)

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self.base_env._autoreset_rows(start, stop, onward)

    def _pause(self, where: Array | None) -> None:
        self.base_env._pause(where)

    @property
    def _seeds_taken(self) -> int:  # type: ignore[override]  # as many as the base env
        return self.base_env._seeds_taken

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
        self.base_env.to(device)
        self._device = self.base_env.device
        self.transform.to(device)
        self._changed()
        return self

    def state_dict(self) -> dict[str, Any]:
        """That of the transform, or of the chain, and under ``"base_env"`` that of the base env if it has any."""
        found: dict[str, Any] = self.transform.state_dict()
        inner = self.base_env.state_dict()
        return {**found, "base_env": inner} if inner else found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See :meth:`state_dict`."""
        self.transform.load_state_dict({key: value for key, value in state_dict.items() if key != "base_env"})
        if "base_env" in state_dict:
            self.base_env.load_state_dict(state_dict["base_env"])

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
        if name == "base_env" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.base_env, name)

    def __repr__(self) -> str:
        indented = repr(self.transform).replace("\n", "\n    ")
        return f"{type(self).__name__}(\n    env={self.base_env!r},\n    transform={indented})"


def _fused(
    chain: list[Transform], buffers: list[RolloutBuffer]
) -> list[tuple[int, Transform, RolloutBuffer, RolloutBuffer]]:
    """Stage, transform, memory on its two sides: neighbours that can run as one are one."""
    placed: list[tuple[int, Transform, RolloutBuffer, RolloutBuffer]] = []
    for stage, (transform, inner, outer) in enumerate(zip(chain, buffers, buffers[1:], strict=False)):
        if placed and (one := placed[-1][1]._fused(transform)) is not None:
            first, _, before, _ = placed.pop()
            placed.append((first, one, before, outer))
        else:
            placed.append((stage, transform, inner, outer))
    return placed
