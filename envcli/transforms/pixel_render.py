"""Draws the env after each reset and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_keys, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.transforms.inner_env import InnerEnv
from envcli.transforms.transform import Transform

__all__ = ["PixelRenderTransform"]


class PixelRenderTransform(Transform):
    """``"pixels"``, ``[*batch, height, width, 3]``: what ``env.render()`` gives after each reset and step.

    For envs that were made to draw, such as ``GymEnv("CartPole-v1", render_mode="rgb_array")``, but do not show it as
    ``from_pixels=True`` does; in the env of a batch, or around the batch. Where the spec is not known yet the env is
    reset and drawn once: seed it afterwards.

    Args:
        out_keys: what the frame is called, one key; None: ``"pixels"``.
        preproc: is given what ``render`` returns, and returns the frame, ``[*batch, *frame]``, an array or a tensor.
        as_non_tensor: not offered here, since a rollout has memory for tensors only; None or False.
        render_method: the env's method, or the simulator's.
        pass_tensordict: give the method what the reset or step shows, a TensorDict ``[*batch]``, for stateless envs.
        **options: arguments of the method, such as ``mode="rgb_array"``.

    Raises:
        ConfigError: several ``out_keys``, or ``as_non_tensor=True``.
        TransformError: in an env: it has no such method, or that gives no frame for each env of the batch.
    """

    _inner_env: InnerEnv

    def __init__(
        self,
        out_keys: Sequence[NestedKey] | NestedKey | None = None,
        preproc: Callable[[Any], Any] | None = None,  # Any: arrays, tensors, or lists of them
        as_non_tensor: bool | None = None,
        render_method: str = "render",
        pass_tensordict: bool = False,
        **options: Any,
    ) -> None:
        named = ["pixels"] if out_keys is None else as_keys(out_keys)
        super().__init__([], named)
        if len(named) != 1:
            raise ConfigError(f"out_keys: expected one key, found {named}")
        if as_non_tensor:
            raise ConfigError("as_non_tensor: expected false: a rollout has memory for tensors. preproc can make one")
        self.preproc, self.render_method, self.pass_tensordict = preproc, render_method, pass_tensordict
        self.options = options
        self.enabled = True
        self._leaf: TensorSpec | None = None  # of the frame, once one was drawn
        self._drawn: list[Key] = []  # what a reset and a step show

    def switch(self, mode: str | bool | None = None) -> None:
        """Draw from now on, or no more, which leaves black frames; ``"on"``, ``"off"`` or a bool; None: the other."""
        if mode not in ("on", "off", True, False, None):
            raise ConfigError(f"mode: expected 'on', 'off' or a bool, found {mode!r}")
        self.enabled = not self.enabled if mode is None else mode in ("on", True)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        self._drawn = [*before.full_observation_spec.leaves(), *before.full_done_spec.leaves()]
        batch = before.batch_size
        if self._leaf is not None and self._leaf.shape[: len(batch)] == batch:
            return
        env = self.parent
        container = self._container
        self._hold(None)  # the env is working out its specs just now: it need not do so again
        try:
            frame = self._frame(env, env.reset())
        finally:
            self._hold(container)
        if frame.shape[: len(batch)] != batch or frame.ndim == len(batch):
            raise TransformError(
                f"PixelRenderTransform: {self.render_method}() gave {list(frame.shape)} for a batch {list(batch)}; it "
                "must give a frame for each env. Let preproc make them, or put the transform into the envs"
            )
        shape, dtype, device = frame.shape, frame.dtype, before.device
        image = dtype == torch.uint8
        self._leaf = Bounded(0, 255, shape, device, dtype) if image else Unbounded(shape, device, dtype)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the frame."""
        assert self._leaf is not None
        observation_spec[self.out_keys[0]] = self._leaf
        return observation_spec

    # -- frames ---------------------------------------------------------------------------------------------------

    def _frame(self, env: Any, shown: Any) -> torch.Tensor:
        """Draw ``env``, which shows ``shown``, a TensorDict."""
        method = getattr(env, self.render_method, None)
        if not callable(method):
            raise TransformError(f"PixelRenderTransform: the env has no method {self.render_method!r} to draw it")
        made = method(shown, **self.options) if self.pass_tensordict else method(**self.options)
        if self.preproc is not None:
            made = self.preproc(made)
        if made is None:
            raise TransformError(
                f"PixelRenderTransform: {self.render_method}() gave None. Make the env with render_mode='rgb_array'"
            )
        if isinstance(made, torch.Tensor):
            return made
        made = np.stack([np.asarray(one) for one in made]) if isinstance(made, Sequence) else np.asarray(made)
        return torch.from_numpy(np.ascontiguousarray(made))

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        path = as_path(self.out_keys[0])
        self._inner, self._root, self._next = inner, outer[path], outer[under_next(path)]

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env = inner

    def _step_row(self, t: int) -> None:
        self._next[t] = self._now(t, ("next",))

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else torch.from_numpy(np.asarray(where))
        self._root[t][mask] = self._now(t, ())[mask]

    def _now(self, t: int, prefix: Key) -> torch.Tensor:
        if not self.enabled:
            return torch.zeros_like(self._root[t])
        shown = None
        if self.pass_tensordict:
            values = {as_user_key(path): self._inner[*prefix, *path][t] for path in self._drawn}
            shown = TensorDict(values, batch_size=self._inner.batch_size)
        return self._frame(self._inner_env.base_env, shown)

    def extra_repr(self) -> str:
        """The key, for ``repr``."""
        return f"out_keys={self.out_keys}, enabled={self.enabled}"
