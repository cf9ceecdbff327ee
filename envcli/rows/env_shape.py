"""How many envs in one, and where."""

from __future__ import annotations

import torch

from envcli.errors import ConfigError

__all__ = ["EnvShape", "found_here", "usable"]


class EnvShape:
    """The shape ``batch_size`` of an env, and the device of its TensorDicts.

    Raises:
        ConfigError: there is no such device here.
    """

    _device: torch.device | None = None  # until __init__: specs may be assigned before
    _batch_size = torch.Size()

    def __init__(self, device: torch.device | str | None = None, batch_size: object = ()) -> None:
        self._device = None if device is None else usable(device)
        lead = (batch_size,) if isinstance(batch_size, int) else batch_size
        self._batch_size = torch.Size(lead or ())  # type: ignore[arg-type]  # whatever torch.Size takes, as in TorchRL

    @property
    def batch_size(self) -> torch.Size:
        """The shape of the env, ``[]`` for a single one. Every entry of every TensorDict begins with it."""
        return self._batch_size

    @property
    def shape(self) -> torch.Size:
        """The same as ``batch_size``."""
        return self.batch_size

    @property
    def ndim(self) -> int:
        """The number of batch dimensions."""
        return len(self.batch_size)

    @property
    def batch_dims(self) -> int:
        """The same as ``ndim``."""
        return len(self.batch_size)

    def ndimension(self) -> int:
        """The same as ``ndim``."""
        return len(self.batch_size)

    def numel(self) -> int:
        """How many envs this is."""
        return self.batch_size.numel()

    @property
    def device(self) -> torch.device | None:
        """Where the tensors of this env's TensorDicts are; None: on the host, and their ``device`` is None."""
        return self._device


def found_here(device: torch.device | str, said: str) -> torch.device:
    """The device. Raises ConfigError, which begins with ``said``, where this machine has none, whatever it is called.

    To find that out torch starts CUDA, which :func:`usable` does not.
    """
    try:
        torch.empty(0, device=device)  # a name may be well formed and still stand for nothing here
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise ConfigError(f"{said}, which cannot be used here: {reason}") from error
    return torch.device(device)


def usable(device: torch.device | str) -> torch.device:
    """The device, or a ConfigError; CUDA is not started for it, or workers could not be forked."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ConfigError(f"device: found {device!r}, expected 'cpu', 'cuda', 'cuda:1' or the like") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: found '{found}', but torch finds no CUDA here. Leave it out, or write 'cpu'")
    return found
