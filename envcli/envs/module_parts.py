"""What a user's env has in common with a ``torch.nn.Module``, which TorchRL's envs are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import torch

from envcli.envs.env import Env
from envcli.errors import EnvError

__all__ = ["ModuleParts"]


class ModuleParts(Env):
    """An env that knows the networks, parameters and buffers that it was given.

    They are plain attributes: a network or a parameter is one that is assigned, a buffer one that ``register_buffer``
    names. All move with ``to`` and are in ``state_dict``; ``train`` reaches the networks.
    """

    _registered_buffers: dict[str, bool] | None = None  # the names of the buffers; is it in the state_dict?

    def register_buffer(self, name: str, tensor: torch.Tensor | None, persistent: bool = True) -> None:
        """Make ``tensor`` the attribute ``name``, which moves with the env and, if persistent, is in ``state_dict``.

        Raises KeyError if the env has something else by that name.
        """
        known = self._registered_buffers or {}
        if hasattr(self, name) and name not in known:
            raise KeyError(f"register_buffer: {type(self).__name__} has something by the name {name!r}. Choose another")
        setattr(self, name, tensor)
        self._registered_buffers = {**known, name: persistent}

    def register_parameter(self, name: str, param: torch.nn.Parameter | None) -> None:
        """Make ``param`` the attribute ``name``, as assigning it does."""
        setattr(self, name, param)

    def register_module(self, name: str, module: torch.nn.Module | None) -> None:
        """Make ``module`` the attribute ``name``, as assigning it does."""
        setattr(self, name, module)

    add_module = register_module

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Those of the env and, with ``recurse``, of its networks."""
        return self._as_module().parameters(recurse)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """See :meth:`parameters`; each with its name, such as ``"net.weight"``."""
        return self._as_module().named_parameters(prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[torch.Tensor]:
        """Those of the env and, with ``recurse``, of its networks."""
        return self._as_module().buffers(recurse)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """See :meth:`buffers`; each with its name."""
        return self._as_module().named_buffers(prefix, recurse, remove_duplicate)

    def modules(self) -> Iterator[Any]:  # Any: see Env
        """See :meth:`envcli.Env.modules`; and those of the networks."""
        yield self
        for network in self._as_module().children():
            yield from network.modules()

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """See :meth:`envcli.Env.apply`; networks come before the env."""
        for network in self._as_module().children():
            network.apply(fn)
        return super().apply(fn)

    def state_dict(self) -> dict[str, Any]:
        """The parameters and buffers by their names; the memory is the env's own."""
        return dict(self._as_module().state_dict())

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy ``state_dict()`` into the env's own tensors. Raises EnvError where it does not fit."""
        module = self._as_module()
        if not module.state_dict():
            return super().load_state_dict(state_dict, strict)
        try:
            module.load_state_dict(state_dict, strict=strict)
        except RuntimeError as error:
            raise EnvError(f"{type(self).__name__}: {' '.join(str(error).split())}") from None

    def to(self, device: torch.device | str) -> Self:
        """See :meth:`envcli.Env.to`; networks, parameters and buffers go along."""
        super().to(device)
        module = self._as_module().to(self.device)
        for tensors in (module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
            for name, tensor in tensors:
                setattr(self, name, tensor)
        return self

    def train(self, mode: bool = True) -> Self:
        """See :meth:`envcli.Env.train`; the networks go along."""
        self._as_module().train(mode)
        return super().train(mode)

    def _as_module(self) -> torch.nn.Module:
        """A module of what there is now: attributes may come and go."""
        module = torch.nn.Module()
        for name, value in vars(self).items():
            if isinstance(value, torch.nn.Module):
                module.add_module(name, value)
            elif isinstance(value, torch.nn.Parameter):
                module.register_parameter(name, value)
            elif self._registered_buffers is not None and name in self._registered_buffers:
                module.register_buffer(name, value, self._registered_buffers[name])
        return module
