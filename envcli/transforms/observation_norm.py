"""Normalises observations by numbers that are known, or measured once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.seeding import drawing_from
from envcli.specs import Composite
from envcli.transforms.affine import Affine
from envcli.transforms.loc_scale import Numbers

__all__ = ["ObservationNorm"]


class ObservationNorm(Affine):
    """``obs * scale + loc``, or ``(obs - loc) / scale`` if ``standard_normal``; a float observation keeps its dtype.

    Args:
        loc, scale: numbers, or as many as the observation has; None: :meth:`init_stats` measures them.
        in_keys: which observations; all get the same numbers. (TorchRL refuses None with a deprecation; here it is
            ``"observation"`` where ``in_keys_inv`` is not given either.)
        out_keys: what they are called after; None: the same.
        in_keys_inv, out_keys_inv: actions or states that go the other way round: the user gives normalised ones.
        standard_normal: ``loc`` and ``scale`` are mean and standard deviation, and taken out.
        eps: the least that a standard deviation is taken for; None: 1e-6. (TorchRL divides by zero.)
        init_steps: measure ``loc`` and ``scale`` over so many random steps once it stands in an env; None: do not.
        init_seed: what the env and the random actions are seeded with for that. The env is seeded afresh afterwards,
            by the operating system: seed it once its transforms are in place.

    Raises:
        ConfigError: only one of ``loc`` and ``scale`` is given, or ``eps`` or ``init_steps`` is out of range.
        TransformError: it is used before ``loc`` and ``scale`` are known.
    """

    _resets_by_call = True

    def __init__(
        self,
        loc: Numbers | None = None,
        scale: Numbers | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        standard_normal: bool = False,
        eps: float | None = None,
        init_steps: int | None = None,
        init_seed: int = 0,
    ) -> None:
        self.eps = 1e-6 if eps is None else eps
        if in_keys is None and in_keys_inv is None:
            in_keys = ["observation"]
        super().__init__(loc, scale, in_keys, out_keys, in_keys_inv, out_keys_inv, standard_normal, self.eps)
        if not self.eps > 0:
            raise ConfigError(f"ObservationNorm: eps must be above 0, found {eps}")
        if init_steps is not None and init_steps < 2:
            raise ConfigError(
                f"ObservationNorm: init_steps must be at least 2, to measure a deviation; found {init_steps}"
            )
        self.init_steps, self.init_seed = init_steps, init_seed

    # -- measuring ------------------------------------------------------------------------------------------------

    def init_stats(
        self,
        num_iter: int,
        reduce_dim: int | Sequence[int] | None = None,
        cat_dim: int | None = None,
        key: NestedKey | None = None,
        keep_dims: Sequence[int] | None = None,
    ) -> None:
        """Measure ``loc`` and ``scale`` over ``num_iter`` random steps of the parent env, from a reset on.

        With ``standard_normal`` they are mean and (unbiased) standard deviation, else ``-mean / std`` and ``1 / std``:
        the result is near to standard normal either way. Actions come from torch's global generator. Episodes that end
        are followed by others.

        Args:
            num_iter: steps of each env, at least 2.
            reduce_dim: dimensions of the data ``[*batch, time, *value]`` that are measured over; None: batch and time
                (TorchRL: 0, which is the same for a single env).
            cat_dim: kept for TorchRL's sake: episodes are joined along time.
            key: the entry that is measured; None: the only one of ``in_keys``.
            keep_dims: those of ``reduce_dim`` that stay, with size 1, so that the numbers fit what follows them.

        Raises:
            TransformError: it stands in no env, knows its numbers already, or the key is no observation there.
            ConfigError: too few steps, or several keys and none chosen.
        """
        del cat_dim
        key = self._measured(num_iter, key)
        parent = self.parent
        if parent is None:
            raise TransformError(
                "ObservationNorm: init_stats needs an env to measure. Put the transform into one first"
            )
        self._measure(parent, num_iter, reduce_dim, key, keep_dims)

    def _measured(self, steps: int, key: NestedKey | None) -> NestedKey:
        if self.initialized:
            raise TransformError(f"ObservationNorm: loc {self.loc} and scale {self.scale} are already set")
        if steps < 2:
            raise ConfigError(f"ObservationNorm: {steps} steps are too few to measure a deviation, take at least 2")
        keys = self.in_keys or self.in_keys_inv
        if key is None and len(keys) != 1:
            raise ConfigError(f"ObservationNorm: init_stats measures one of {keys}. Say which: key=...")
        return keys[0] if key is None else key

    def _measure(self, env: Any, steps: int, reduce_dim: Any, key: NestedKey, keep_dims: Sequence[int] | None) -> None:
        path = as_path(key)
        if key not in env.observation_keys:
            raise TransformError(
                f"ObservationNorm: {key!r} is not an observation of the env, which has {env.observation_keys}. Name "
                "one of them in in_keys"
            )
        shown = env.rollout(steps, break_when_any_done=False).get(path)
        data = shown.double()
        if not data.isfinite().all():
            raise TransformError(f"ObservationNorm: {key!r} was not finite within {steps} random steps")
        dims = list(range(env.ndim + 1)) if reduce_dim is None else reduce_dim
        dims = [dim % data.ndim for dim in ([dims] if isinstance(dims, int) else dims)]
        kept = [dim % data.ndim for dim in keep_dims or ()]
        mean, std = data.mean(dims, keepdim=True), data.std(dims, keepdim=True).clamp_min(self.eps)
        for dim in sorted(set(dims) - set(kept), reverse=True):
            mean, std = mean.squeeze(dim), std.squeeze(dim)
        loc, scale = (mean, std) if self.standard_normal else (-mean / std, 1 / std)
        dtype = torch.promote_types(shown.dtype, torch.get_default_dtype())
        self._learn(loc.to(dtype), scale.to(dtype))

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Elementwise`; this is where ``init_steps`` are made."""
        if self.init_steps is not None and not self.initialized and (parent := self.parent) is not None:
            self._measure_by_itself(parent, self.init_steps)
        return super().transform_output_spec(output_spec)

    def _measure_by_itself(self, parent: Any, steps: int) -> None:
        """As the env is built: the same numbers in every process, and no trace in torch's global generator."""
        key = self._measured(steps, None)
        with drawing_from(self.init_seed):
            parent.set_seed(self.init_seed)
            container = self._container
            self._hold(None)  # the env is working out its specs just now: it need not do so again
            try:
                self._measure(parent, steps, None, key, None)
            finally:
                self._hold(container)
        parent.set_seed(int.from_bytes(os.urandom(4), "big") >> 1)

    # -- values ---------------------------------------------------------------------------------------------------

    def _require_known(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.loc is None or self.scale is None:
            raise TransformError(
                "ObservationNorm: loc and scale are not set yet. Give them, call init_stats(steps), or set init_steps"
            )
        return self.loc, self.scale

    def _spec_after(self, leaf: Any) -> Any:  # Any: a spec for a spec
        return super()._spec_after(leaf) if self.initialized else leaf

    def _leaf_after(self, leaf: Any) -> Any:
        if not self.initialized:  # shape and dtype are the same once they are, and init_stats needs the env until then
            return leaf
        return super()._leaf_after(leaf)
