"""A trained network from a file."""

from __future__ import annotations

import itertools
import logging
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict.nn import TensorDictModule
from torch import nn

from envcli import torch_script
from envcli.envs.env import Env
from envcli.envs.network import inputs_of
from envcli.errors import ConfigError, EnvcliError, UnknownName
from envcli.keys import as_path
from envcli.policies.policy import BoundPolicy, Policy
from envcli.specs import TensorSpec
from envcli.specs.hot import HotSpec

__all__ = ["ModulePolicy"]

log = logging.getLogger(__name__)

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class ModulePolicy(Policy):
    """A network that maps observations to an action.

    Three kinds of files are taken: TorchScript (``torch.jit.save``), which is looked through first and must do nothing
    but compute; a state dict (``torch.save(module.state_dict())``) of a stack of ``Linear`` layers, which are put one
    after the other with ``activation`` between them; and, with ``allow_imports`` alone, an exported program
    (``torch.export.save``, ``.pt2``), in which torch unpickles whatever is there.

    What the network gives is projected on the action spec: scores become the one-hot vector of the highest, numbers are
    clamped to their bounds.

    Args:
        path: the file.
        in_keys: which observations the network takes, in its order; None: those that the parameters of its ``forward``
            are called like, or else the first that the env shows, see :func:`~envcli.envs.network.inputs_of`.
        activation: between the layers of a state dict: elu, gelu, relu, sigmoid, silu or tanh.
        allow_imports: the file is trusted, and may run code when it is read.

    Raises:
        ConfigError: no such file, or not of these kinds; or it could do more than compute, and is not trusted.
    """

    def __init__(
        self,
        path: str,
        in_keys: Sequence[str] | None = None,
        activation: str = "tanh",
        allow_imports: bool = False,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise UnknownName("activation", activation, _ACTIVATIONS)
        self._path = Path(path).expanduser()
        self._module = _loaded(self._path, _ACTIVATIONS[activation], allow_imports)
        self._in_keys = in_keys

    def bind(self, env: Env) -> BoundPolicy:
        """See :class:`Policy`. The network is tried on zeros, so that what does not fit is said here."""
        shown = env.observation_spec.leaves()
        given = self._in_keys
        keys: list[Any] = inputs_of(self._module, env.observation_keys) if given is None else list(given)
        for key in keys:
            if as_path(key) not in shown:
                raise UnknownName("observation", ".".join(as_path(key)), map(".".join, shown), "(policy.in_keys)")
        try:
            action = env.action_key
        except KeyError:
            raise ConfigError(f"policy=module gives one action, but this env takes {env.action_keys}") from None
        network = _Projected(self._module, env.full_action_spec.leaves()[as_path(action)])
        if env.device is not None:
            network.to(env.device)
        zeros = [shown[as_path(key)].zero() for key in keys]
        try:
            network(*zeros)
        except (EnvcliError, RuntimeError, TypeError, ValueError) as error:
            given = ", ".join(f"{'.'.join(as_path(k))} {list(z.shape)}" for k, z in zip(keys, zeros, strict=True))
            reason, wanted = str(error).strip().splitlines()[0], list(env.full_action_spec[action].shape)
            others = sorted(map(".".join, set(shown) - set(map(as_path, keys))))
            more = f". The env shows {', '.join(others)} too: policy.in_keys=[...] selects its inputs" if others else ""
            raise ConfigError(
                f"{self._path}: does not fit this env. Given {given}, it has to give {wanted}: {reason}{more}"
            ) from error
        return TensorDictModule(network, in_keys=keys, out_keys=[action])


class _Projected(nn.Module):
    """The network, without a graph, its output moved into the action spec."""

    def __init__(self, network: Any, spec: TensorSpec) -> None:  # Any: an exported program is no nn.Module
        super().__init__()
        self._network = network
        self._spec = spec

    @torch.no_grad()
    def forward(self, *observations: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self._network(*observations)
        return value if self._spec.is_in(value) else self._projected(value)

    def _projected(self, value: torch.Tensor) -> torch.Tensor:
        if isinstance(self._spec, HotSpec) and not value.is_floating_point():
            lead = self._spec.shape[:-1]
            if value.shape in (lead, (*lead, 1)) and value.shape != self._spec.shape:
                raise ConfigError(
                    "it gives the index of an action, but this env takes one-hot vectors. Add "
                    "backend.categorical_action_encoding=true"
                )
        projected: torch.Tensor = self._spec.project(value)
        return projected


def _loaded(path: Path, activation: type[nn.Module], allow_imports: bool) -> Any:
    if not path.is_file():
        raise ConfigError(f"policy.path: no file {path.absolute()}")
    try:
        match _kind(path):
            case "torchscript":
                return torch_script.load(path, allow_imports)
            case "export" if not allow_imports:
                raise ConfigError(
                    f"{path}: is an exported program, which can run any code when read. If you trust it, add "
                    "allow_imports=true. Or save torch.jit.script(module)"
                )
            case "export":
                log.info("allow_imports: reading %s may run code", path)
                return torch.export.load(path).module()
            case _:
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path}: contains pickled Python objects, which can run any code, so it was not read. "
            "Save torch.jit.script(module) or module.state_dict() instead"
        ) from error
    except EnvcliError:
        raise
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a network ({str(error).splitlines()[0]})") from error
    return _stack(path, state, activation)


def _kind(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        raise ConfigError(f"{path}: is not a file of torch.save, torch.jit.save or torch.export.save")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names):
        return "export"
    return "torchscript" if any("/code/" in name for name in names) else "state dict"


def _stack(path: Path, state: Any, activation: type[nn.Module]) -> nn.Sequential:
    """The Linear layers of a state dict, in the order of their names, with activations between."""
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = f"a dict of {', '.join(map(str, [*state][:5]))}" if isinstance(state, dict) else type(state).__name__
        raise ConfigError(
            f"{path}: expected a state dict (name -> tensor), found {found}. "
            "Save the network alone: torch.save(network.state_dict(), path)"
        )
    weights = {name.removesuffix("weight"): value for name, value in state.items() if name.endswith("weight")}
    strange = [
        name for name in state if name.rpartition(".")[0] + "." not in weights and name not in ("weight", "bias")
    ]
    strange += [f"{name}weight" for name, value in weights.items() if value.ndim != 2]
    if strange or not weights:
        raise ConfigError(
            f"{path}: expected the state dict of Linear layers only, found {strange[:3] or 'none'}. "
            "Save any other network with torch.jit.save or torch.export.save"
        )
    ordered = sorted(weights, key=_numbers)
    parts = dict.fromkeys(name.partition(".")[0] for name in ordered)
    pairs = itertools.pairwise(weights[name] for name in ordered)
    if len(parts) > 1 and not all(first.shape[0] == second.shape[1] for first, second in pairs):
        raise ConfigError(
            f"{path}: expected the layers of one network, found those of {', '.join(parts)}, which do not follow each "
            "other. Save one network alone: torch.save(network.state_dict(), path)"
        )
    layers: list[nn.Module] = []
    for name in ordered:
        weight, bias = weights[name], state.get(f"{name}bias")
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]).eval()


def _numbers(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``"10."`` after ``"2."``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]
