"""One env seen differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from typing_extensions import Self

from envcli.buffer import Array, RolloutBuffer
from envcli.env import Env
from envcli.env_specs import EnvSpecs, leaf_specs
from envcli.errors import EnvcliError, TransformError
from envcli.keys import Key
from envcli.specs import Composite
from envcli.transforms.compose import Compose
from envcli.transforms.tensordict_rows import TensorDictRows, speaks_tensordict
from envcli.transforms.transform import Transform

__all__ = ["TransformedEnv"]


class TransformedEnv(Env):
    """``env`` with ``transform`` between it and the user.

    What no transform touches is the same memory inside and outside; nothing is copied for it. A ``TransformedEnv`` given
    as ``env`` is taken apart: its transforms come first. Attributes that are not our own are the base env's.

    Args:
        env: it belongs to the new env from here on, and is closed with it.
        transform: a transform, or a :class:`~envcli.Compose` of several, the first nearest to ``env``; None: none yet.

    Raises:
        TransformError: a transform does not fit where it stands.
    """

    def __init__(self, env: Env, transform: Transform | None = None, *, device: torch.device | str | None = None) -> None:
        if not isinstance(env, Env):
            raise TransformError(f"TransformedEnv: expected an env, found a {type(env).__name__}")
        super().__init__(device=env.device, batch_size=env.batch_size)
        chain = Compose() if transform is None else transform
        if not isinstance(chain, Transform):
            raise TransformError(f"TransformedEnv: expected a transform, found a {type(chain).__name__}")
        if isinstance(env, TransformedEnv):
            chain = Compose(*(t.clone() for t in env._chain()), *(chain.flat() if isinstance(chain, Compose) else [chain]))
            env = env.base_env
        chain.set_container(self)
        self.base_env = env
        self.transform: Transform = chain
        try:
            self._changed()
        except EnvcliError:
            chain.set_container(None)
            raise
        if device is not None:
            self.to(device)

    # -- the chain ------------------------------------------------------------------------------------------------

    def append_transform(self, transform: Transform | Callable[[Any], Any]) -> Self:
        """Add ``transform`` nearest to the user. Returns the env itself."""
        return self.insert_transform(len(self._chain_list()), transform)

    def insert_transform(self, index: int, transform: Transform | Callable[[Any], Any]) -> Self:
        """Put ``transform`` at ``index`` in the chain. Returns the env itself.

        Raises:
            TransformError: it does not fit there; the env stays as it was.
        """
        if not isinstance(transform, Transform):
            raise TransformError(f"expected a transform, found a {type(transform).__name__}")
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
        place = next(i for i, other in enumerate(chain) if other is transform) if transform in chain else 0
        return TransformedEnv(self.base_env, Compose(*(earlier.clone() for earlier in chain[:place])))

    def _changed(self) -> None:
        """Work out what every stage of the chain shows, from the base env outwards."""
        stages: list[EnvSpecs] = [self.base_env]
        for transform in self._chain():
            stages.append(_after(stages[-1], transform))
        self._stages = stages
        self._specs = dict(stages[-1]._specs) if len(stages) > 1 else {}
        self._specs_changed()

    def _default(self, family: str) -> Composite:
        return self.base_env._spec(family)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        chain = self._chain()
        self._before_step: list[Callable[[int], None]] = []
        self._after_step: list[Callable[[int], None]] = []
        self._after_reset: list[Callable[[int, Array | None], None]] = []
        outer = buffer
        for stage, transform in zip(reversed(self._stages[:-1]), reversed(chain), strict=True):
            inner = outer.behind(stage._row_layout(), transform._rewrites())
            self._place(transform, inner, outer)
            outer = inner
        self._inner = outer
        self._private_moves = [
            (outer.array(("next", *path)), outer.array(path))
            for path in self.base_env._row_reads()
            if path in outer and ("next", *path) in outer and outer[path] is not buffer.tensors.get(path)
        ]
        self.base_env._attach(outer)
        self._base_step = self.base_env._step_row

    def _place(self, transform: Transform, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        """Bind one transform between two buffers; the chain is walked from the user inwards."""
        if speaks_tensordict(transform):
            rows = TensorDictRows(transform, inner, outer, self.device)
            step, reset, inverse = rows.step_row, rows.reset_row, rows.inv_row
        else:
            transform._bind(inner, outer)
            step, reset, inverse = transform._step_row, transform._reset_row, transform._inv_row
        self._after_step.insert(0, step)
        self._after_reset.insert(0, reset)
        if transform.in_keys_inv or speaks_tensordict(transform) or type(transform)._inv_row is not Transform._inv_row:
            self._before_step.append(inverse)

    def _is_attached(self, buffer: RolloutBuffer) -> bool:
        return super()._is_attached(buffer) and self.base_env._is_attached(self._inner)

    def _row_reads(self) -> set[Key]:
        own = set(self._row_layout())
        return super()._row_reads() | {path for path in self.base_env._row_reads() if path in own}

    def _reset_row(self, t: int, where: Array | None) -> None:
        self.base_env._reset_options = self._reset_options
        try:
            self.base_env._reset_row(t, where)
        finally:
            self.base_env._reset_options = {}
        for reset in self._after_reset:
            reset(t, where)

    def _step_row(self, t: int) -> None:
        for inverse in self._before_step:
            inverse(t)
        self._base_step(t)
        for step in self._after_step:
            step(t)
        for source, target in self._private_moves:
            target[t] = source[t]

    def _set_seed(self, seed: int | None) -> None:
        self.base_env._set_seed(seed)

    # -- the whole ------------------------------------------------------------------------------------------------

    def to(self, device: torch.device | str) -> Self:
        """See :meth:`Env.to`; the base env and the transforms go along."""
        self.base_env.to(device)
        self._device = self.base_env.device
        self.transform.to(device)
        self._changed()
        return self

    def _close(self) -> None:
        self.base_env.close()

    def __getattr__(self, name: str) -> Any:
        if name == "base_env" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.base_env, name)

    def __repr__(self) -> str:
        indented = repr(self.transform).replace("\n", "\n    ")
        return f"{type(self).__name__}(\n    env={self.base_env!r},\n    transform={indented})"


def _after(before: EnvSpecs, transform: Transform) -> EnvSpecs:
    """What ``transform`` makes of the specs of the stage before it."""
    try:
        output = transform.transform_output_spec(before.output_spec)
        inputs = transform.transform_input_spec(before.input_spec)
    except EnvcliError:
        raise
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        shown = {".".join(path): list(leaf.shape) for path, leaf in leaf_specs(before.observation_spec).items()}
        raise TransformError(f"{transform!r} does not fit an env that shows {shown}: {error}") from error
    _require_keys(before, transform)
    after = EnvSpecs(before.device, before.batch_size)
    for family, spec in (("observation", output), ("reward", output), ("done", output), ("action", inputs), ("state", inputs)):
        after._assign(family, cast(Composite, spec[f"full_{family}_spec"]))
    return after


def _require_keys(before: EnvSpecs, transform: Transform) -> None:
    shown = {path for family in ("observation", "reward", "done") for path in before._leaves(family)}
    taken = {path for family in ("action", "state") for path in before._leaves(family)}
    for name, keys, known in (("in_keys", transform.in_keys, shown), ("in_keys_inv", transform.in_keys_inv, taken)):
        missing = [key for key in keys if ((key,) if isinstance(key, str) else key) not in known]
        if missing:
            have = [".".join(path) for path in sorted(known)]
            raise TransformError(f"{type(transform).__name__}: {name} {missing} are not there. The env has: {', '.join(have)}")
