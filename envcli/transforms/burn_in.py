"""Hidden states that are up to date, from the first steps of data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_keys, as_path, as_user_key
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.transform import Transform

__all__ = ["BurnInTransform"]


class BurnInTransform(Transform):
    """Data ``[*batch, time]`` without its first ``burn_in`` steps, over which ``modules`` have run: what they wrote
    under ``"next"`` in the last of them is the hidden state that the rest begins with (Kapturowski et al., 2019).

    States that were recorded stem from the policy of that time; these stem from the one that learns. The other steps of
    the rest keep theirs, or have zeros if there were none. It has no graph, and what it is given stays as it is.
    (TorchRL writes into it, and takes ``[batch, time]`` only.) It is for data; in an env it cannot be.

    Args:
        modules: TensorDictModules that take sequences, run one after the other; or one of them.
        burn_in: how many steps; 0 changes nothing.
        out_keys: the hidden states, by their names at the root (a ``"next"`` before them is left out); None: all
            that the modules write under ``"next"``.

    Raises:
        ConfigError: ``burn_in`` is negative; one of the modules is none.
        TransformError: in an env; or on a TensorDict: no more than ``burn_in`` steps, or the modules wrote no such
            state under ``"next"``.
    """

    def __init__(self, modules: Any, burn_in: int, out_keys: Sequence[NestedKey] | None = None) -> None:
        if burn_in < 0:
            raise ConfigError(f"burn_in: expected at least 0 steps, found {burn_in}")
        given = list(modules) if isinstance(modules, Sequence | torch.nn.ModuleList) else [modules]
        for module in given:
            if not (callable(module) and hasattr(module, "in_keys") and hasattr(module, "out_keys")):
                raise ConfigError(f"modules: expected TensorDictModules, found a {type(module).__name__}")
        read = [as_user_key(path) for path in dict.fromkeys(as_path(key) for each in given for key in each.in_keys)]
        written = [as_path(key) for each in given for key in each.out_keys]
        asked = [path for path in written if path[0] == "next"] if out_keys is None else map(as_path, as_keys(out_keys))
        found = [as_user_key(path) for path in dict.fromkeys(p[1:] if p[0] == "next" else p for p in asked)]
        super().__init__(read, found)
        self.burn_in = burn_in
        self._run: list[Callable[[TensorDictBase], TensorDictBase]] = given  # a list: they stay their owner's

    def _inspect(self, before: EnvSpecs) -> None:
        raise TransformError("BurnInTransform: an env shows one step at a time. Apply it to data: transform(rollout)")

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``[*batch, time]`` -> ``[*batch, time - burn_in]``."""
        if not self.burn_in:
            return tensordict
        shape = tensordict.batch_size
        if not shape or shape[-1] <= self.burn_in:
            raise TransformError(
                f"BurnInTransform: expected data [*batch, time] of more than burn_in={self.burn_in} steps, found "
                f"{list(shape)}"
            )
        burnt = tensordict[..., : self.burn_in].copy()
        with torch.no_grad():
            for module in self._run:
                home = _home_of(module)
                burnt = module(burnt if home is None else burnt.to(home))
        rest = tensordict[..., self.burn_in :].copy()
        for key in self.out_keys:
            rest.set(key, self._begun(rest, burnt, key))
        return rest

    def _begun(self, rest: TensorDictBase, burnt: TensorDictBase, key: NestedKey) -> torch.Tensor:
        """The states of ``rest``, the first of which is the last one of ``burnt``."""
        time = rest.batch_dims - 1
        last: torch.Tensor | None = burnt.get(("next", *as_path(key)), None)
        if last is None:
            raise TransformError(f"BurnInTransform: the modules wrote no {('next', *as_path(key))} for {key!r}")
        last = last.select(time, -1)
        states: torch.Tensor | None = rest.get(key, None)
        if states is None:
            home = next(iter(rest.values(True, True))).device
            states = torch.zeros(*rest.batch_size, *last.shape[time:], dtype=last.dtype, device=home)
        states = states.clone()
        states.select(time, 0).copy_(last)
        return states

    def extra_repr(self) -> str:
        """Steps and keys, for ``repr``."""
        return f"burn_in={self.burn_in}, in_keys={self.in_keys}, out_keys={self.out_keys}"


def _home_of(module: Any) -> torch.device | None:
    """Where its parameters are; None: it has none."""
    first = next(iter(module.parameters()), None) if hasattr(module, "parameters") else None
    return None if first is None else first.device
