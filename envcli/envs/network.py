"""A network as a policy: what it takes, and what becomes of what it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import nn

from envcli.keys import as_user_key
from envcli.rows.row_env import RowEnv

__all__ = ["inputs_of", "on_tensordicts"]


def on_tensordicts(policy: Callable[..., Any], env: RowEnv) -> Callable[[TensorDictBase], TensorDictBase | None]:
    """``policy`` as something that is called with a TensorDict.

    A ``TensorDictModule`` and any function are taken as they are: whatever the parameters of a function are called, its
    first one gets the TensorDict (TorchRL 0.14 guesses by names, and breaks on ``def policy(tensordict, env=env)``).
    Any other ``torch.nn.Module`` is given observations, see :func:`inputs_of`, and what it returns is the action;
    unless its first parameter is called ``tensordict`` or ``td``.
    """
    if not callable(policy):
        raise TypeError(f"policy: expected a callable that takes a TensorDict, found a {type(policy).__name__}")
    if not isinstance(policy, nn.Module) or hasattr(policy, "in_keys"):
        return policy
    if next(iter(_parameters(_forward(policy))), None) in ("tensordict", "td", "data"):
        return policy
    observations: list[Any] = [as_user_key(path) for path in env.observation_spec.leaves()]
    return TensorDictModule(policy, inputs_of(policy, observations), list(env.action_keys))


def inputs_of(network: Any, observations: Sequence[Any]) -> list[Any]:  # Any: an exported program is no nn.Module
    """Which of the keys ``observations`` the network is given, in the order of its ``forward``.

    Where every parameter that has no default is called like an observation, as in ``forward(velocity, position)``, that
    is what it is given, and those that have a default and follow likewise. Otherwise the first observations, as many as
    there are such parameters, and one at least; all, if it takes ``*args``.
    """
    forward = _forward(network)
    parameters = _parameters(forward)
    required = [name for name, optional in parameters.items() if not optional]
    named = list(takewhile(lambda name: name in observations, parameters))
    if named and set(required) <= set(named):
        return named
    return list(observations) if _takes_any_number(forward) else list(observations[: max(len(required), 1)])


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


def _parameters(forward: Callable[..., Any]) -> dict[str, bool]:
    """The names of what ``forward`` may be given by position, and whether it may be left out."""
    schema = _schema(forward)
    if schema is not None:
        return {argument.name: argument.has_default_value() for argument in schema.arguments[1:]}
    parameters = inspect.signature(forward).parameters.values()
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return {p.name: p.default is not p.empty for p in by_position}


def _takes_any_number(forward: Callable[..., Any]) -> bool:
    if _schema(forward) is not None:
        return False
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(forward).parameters.values())


def _schema(forward: Callable[..., Any]) -> Any:
    """Of TorchScript, which takes the network itself first; None: it is Python's."""
    return getattr(forward, "schema", None)
