"""Several envs where a constructor of one is asked for them."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from envcli.envs.env import Env
from envcli.vocabulary.schema import whole

__all__ = ["Several"]


class Several(Env):
    """A backend by its name whose constructor gives a batch where it is asked for several envs, as TorchRL's does.

    ``num_workers=4`` gives a :class:`~envcli.ParallelEnv` of four, ``num_envs=4`` a :class:`~envcli.SerialEnv`; both
    together are a batch of batches. It is started, so that attributes of its envs can be read at once. One worker or
    none, and no ``num_envs``, is the env itself. A YAML asks for several by ``parallel``.
    """

    of_python: ClassVar = ("num_envs", "num_workers")

    def __new__(cls, *args: Any, num_envs: int = 0, num_workers: int = 1, **options: Any) -> Any:  # Any: or a batch
        """The env; or a batch of such, for which :meth:`__init__` is then not called."""
        if whole("num_workers", num_workers, 0) > 1:
            make = functools.partial(cls, *args, num_envs=num_envs, **options)
            return _started("ParallelEnv", num_workers, make)
        if whole("num_envs", num_envs, 0):
            return _started("SerialEnv", num_envs, functools.partial(cls, *args, **options))
        return super().__new__(cls)


def _started(kind: str, count: int, make: functools.partial[Any]) -> Any:  # Any: as said
    import envcli

    batch: Any = getattr(envcli, kind)(count, make)  # by its public name: it stands above this module
    batch.start()
    return batch
