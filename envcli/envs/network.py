"""A network as a policy: what it takes, and what becomes of what it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import nn

from envcli.keys import as_user_key
from envcli.rows.env_specs import leaf_specs
from envcli.rows.row_env import RowEnv

__all__ = ["number_of_inputs", "on_tensordicts"]


def on_tensordicts(policy: Callable[..., Any], env: RowEnv) -> Callable[[TensorDictBase], TensorDictBase | None]:
    """``policy`` as something that is called with a TensorDict.

    A ``TensorDictModule`` and any function are taken as they are: whatever the parameters of a function are called, its
    first one gets the TensorDict (TorchRL 0.14 guesses by names, and breaks on ``def policy(tensordict, env=env)``).
    Any other ``torch.nn.Module`` is given observations, in the order of the env's spec and as many as its ``forward``
    must be given (all, if that takes ``*args``), and what it returns is the action; unless its first parameter is
    called ``tensordict`` or ``td``.
    """
    if not callable(policy):
        raise TypeError(f"policy: expected a callable that takes a TensorDict, found a {type(policy).__name__}")
    if not isinstance(policy, nn.Module) or hasattr(policy, "in_keys"):
        return policy
    if next(iter(_names(_forward(policy))), None) in ("tensordict", "td", "data"):
        return policy
    observations: list[Any] = [as_user_key(path) for path in leaf_specs(env.observation_spec)]
    return TensorDictModule(policy, observations[: number_of_inputs(policy)], list(env.action_keys))


def number_of_inputs(network: Any) -> int | None:  # Any: an exported program is no nn.Module
    """How many inputs the network must be given, at least one; None: any number."""
    forward = _forward(network)
    if _schema(forward) is None:
        parameters = inspect.signature(forward).parameters.values()
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return None
    return max(len(_names(forward)), 1)


def _forward(network: Any) -> Callable[..., Any]:
    """``forward`` of the network that its author wrote, within what torch put around it."""
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif (compiled := getattr(network, "_orig_mod", None)) is not None:  # of torch.compile
            network = compiled
        else:
            found: Callable[..., Any] = network.forward
            return found


def _names(forward: Callable[..., Any]) -> list[str]:
    """Of what ``forward`` must be given."""
    schema = _schema(forward)
    if schema is not None:
        return [argument.name for argument in schema.arguments[1:] if not argument.has_default_value()]
    parameters = inspect.signature(forward).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _schema(forward: Callable[..., Any]) -> Any:
    """Of TorchScript, which takes the network itself first; None: it is Python's."""
    return getattr(forward, "schema", None)
