"""A TensorDictModule as a transform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli import torch_script
from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path, as_user_key
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.roles import Roles
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.transform import Transform

__all__ = ["ModuleTransform"]

Change = TensorSpec | Callable[[Any], Any] | None  # Any: a Composite, changed in place or anew


class ModuleTransform(Transform):
    """``module`` is called on what each reset and each step shows; what it writes, the user sees. Where something
    that it reads is missing (a reset shows no reward), it is not called.

    What it writes is found by calling it on zeros: entries become Unbounded with the shape and dtype that came out,
    unless a ``*_spec_transform`` says more. (TorchRL 0.14 leaves a reset out, and asks for every spec.)

    Args:
        module: a TensorDictModule; or the path of a network saved by ``torch.jit.save``, with ``in_keys`` and
            ``out_keys``.
        module_factory: makes it, when the transform is built; instead of ``module``.
        no_grad: call it without a graph. What a rollout stores has none either way.
        inverse: call it on the way to the simulator instead: it reads what the user gives and writes the action.
        device: where the module is put, and its input moved to and its output back from.
        observation_spec_transform, action_spec_transform, reward_spec_transform, done_spec_transform,
            state_spec_transform: the Composite or leaf that takes the place of the env's, or a function that changes
                it.
        in_keys, out_keys: what a saved network takes and gives.
        allow_imports: a saved network is trusted, and may do more than compute.

    Raises:
        ConfigError: not exactly one of ``module`` and ``module_factory``, or no TensorDictModule; no such file.
        TransformError: in an env: the module cannot be called on what is there, or, with ``inverse``, reads an action
            that no spec describes.
    """

    def __init__(
        self,
        *,
        module: Any = None,  # a TensorDictModuleBase or a path
        module_factory: Callable[[], Any] | None = None,
        no_grad: bool = False,
        inverse: bool = False,
        device: torch.device | str | None = None,
        observation_spec_transform: Change = None,
        action_spec_transform: Change = None,
        reward_spec_transform: Change = None,
        done_spec_transform: Change = None,
        state_spec_transform: Change = None,
        in_keys: list[Any] | None = None,  # Any: tensordict's own idea of a key
        out_keys: list[Any] | None = None,
        allow_imports: bool = False,
    ) -> None:
        super().__init__()
        if (module is None) == (module_factory is None):
            raise ConfigError("module: expected exactly one of module and module_factory")
        made = module if module_factory is None else module_factory()
        made = _loaded(made, in_keys, out_keys, allow_imports) if isinstance(made, str | Path) else made
        if not hasattr(made, "in_keys") or not hasattr(made, "out_keys"):
            raise ConfigError(
                f"module: expected a TensorDictModule, found a {type(made).__name__}. "
                "Write TensorDictModule(module, in_keys=[...], out_keys=[...])"
            )
        self.device = None if device is None else torch.device(device)
        self.module = made if self.device is None else made.to(self.device)
        self.no_grad, self.inverse = no_grad, inverse
        self._changes: dict[str, Change] = {
            "observation": observation_spec_transform,
            "action": action_spec_transform,
            "reward": reward_spec_transform,
            "done": done_spec_transform,
            "state": state_spec_transform,
        }
        self._inputs, self._outputs = list(made.in_keys), list(made.out_keys)
        if inverse:
            self._take_keys(in_keys_inv=self._outputs, out_keys_inv=self._inputs)
        else:
            self._take_keys(in_keys=self._inputs, out_keys=self._outputs)
        self._zeros: TensorDictBase | None = None

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """What the module writes, in place, under ``"next"`` as well."""
        following = tensordict.get("next", None)
        if following is not None:
            self._call(following)
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        missing = any(next_tensordict.get(key, None) is None for key in self._inputs)  # a reset shows no reward
        return next_tensordict if self.inverse or missing else self._applied(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._call(tensordict_reset)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return self._applied(tensordict) if self.inverse else tensordict

    def _applied(self, tensordict: TensorDictBase) -> TensorDictBase:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.no_grad):
            given = tensordict if self.device is None else tensordict.to(self.device)
            made = self.module(given)
        for key in self._outputs:
            value = made.get(key)
            tensordict.set(key, value if tensordict.device is None else value.to(tensordict.device))
        return tensordict

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        """Call the module on zeros of what is there."""
        families = ("observation", "state", "action") if self.inverse else ("observation", "reward", "done")
        self._zeros = TensorDict({}, batch_size=before.batch_size, device=before.device)
        for family in families:
            self._zeros.update(
                self._changed(family, before._spec(family).clone()).zero()
                if self.inverse
                else before._spec(family).zero()
            )
        missing = [key for key in self._inputs if self._zeros.get(key, None) is None]
        if missing:
            cure = " Declare what the user gives: action_spec_transform" if self.inverse else ""
            have = [".".join(path) for name in families for path in before._spec(name).leaves()]
            raise TransformError(
                f"ModuleTransform: in_keys {missing} do not exist. The env has: {', '.join(have)}.{cure}"
            )
        try:
            with torch.no_grad():
                self._applied(self._zeros)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            shapes = {str(key): list(self._zeros.get(key).shape) for key in self._inputs}
            reason = str(error).strip().splitlines()[0]
            raise TransformError(f"ModuleTransform: the module does not take {shapes}: {reason}") from error

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return ([], self._outputs) if self.inverse else (self._inputs, [])

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With what the module writes."""
        return self._changed("observation", self._derived_from_zeros(observation_spec, new_ones=True))

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """With what the module writes of it."""
        return self._changed("reward", self._derived_from_zeros(reward_spec))

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """As it is, unless something else was asked for."""
        return self._changed("done", done_spec)

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """What the user gives."""
        return self._changed("action", action_spec)

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """As it is, unless something else was asked for."""
        return self._changed("state", state_spec)

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        families = ("observation", "reward", "done")
        self._owners = {path: name for name in families for path in output_spec[f"full_{name}_spec"].leaves()}
        return super().transform_output_spec(output_spec)

    def _derived_from_zeros(self, spec: Composite, new_ones: bool = False) -> Composite:
        if self.inverse or self._zeros is None:
            return spec
        present = spec.leaves()
        for path in map(as_path, self._outputs):
            if path in present or (new_ones and path not in self._owners):
                value = self._zeros.get(as_user_key(path))
                spec[as_user_key(path)] = Unbounded(value.shape, dtype=value.dtype, device=spec.device)
        return spec

    def _changed(self, family: str, spec: Composite) -> Composite:
        change = self._changes[family]
        if change is None:
            return spec
        if isinstance(change, Composite):
            return change
        if isinstance(change, TensorSpec):
            changed = spec.empty()
            changed[family] = change
            return changed
        found = change(spec)
        return spec if found is None else found

    # -- rows -----------------------------------------------------------------------------------------------------

    def _roles(self) -> Roles:
        return Roles(reads=set(map(as_path, self._inputs)) if self.inverse else set())

    def extra_repr(self) -> str:
        """The module's keys, for ``repr``."""
        return f"in_keys={self._inputs}, out_keys={self._outputs}, inverse={self.inverse}"


def _loaded(
    path: str | Path, in_keys: list[Any] | None, out_keys: list[Any] | None, allow_imports: bool
) -> TensorDictModule:
    if not in_keys or not out_keys:
        raise ConfigError("in_keys, out_keys: a saved network needs both, to know its inputs and outputs")
    network = torch_script.load_named("module", path, allow_imports)
    return TensorDictModule(network, in_keys=in_keys, out_keys=out_keys)
