"""Entries of a simulator's ``info``, as a function writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import SpecError
from envcli.gym.info_reader import InfoReader
from envcli.keys import as_path, as_user_key
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Unbounded

__all__ = ["CalledReader", "InfoFunction"]

Info = Mapping[str, Any]  # Any: whatever a simulator says

InfoFunction = Callable[[Info, TensorDictBase], TensorDictBase | None]
"""``read(info, tensordict)``."""


class CalledReader(InfoReader):
    """A function ``read(info, tensordict)`` that writes into the TensorDict what it finds, as TorchRL takes it.

    The TensorDict shows the moment that ``info`` belongs to: observation and flags, after a step the reward too. What
    the function adds is an observation. It may return another TensorDict instead. (In TorchRL what it adds does not
    move on from ``"next"`` to the root of the following step, as it is in no spec.)

    Args:
        function: it must write the same entries, in the same shapes, each time.
        moments: a reset and a step, each as ``info`` and the TensorDict; what is added to them says what the entries
            look like.

    Raises:
        SpecError: it adds nothing, or something other than tensors; or it writes what is the env's own.
    """

    def __init__(
        self,
        function: InfoFunction,
        moments: Sequence[tuple[Info, TensorDictBase]],
    ) -> None:
        self._function = function
        self._shown = {  # where the rows are: what there is to show
            prefix: [as_path(key) for key in moment.keys(True, True)]
            for prefix, (_, moment) in zip(((), ("next",)), moments, strict=True)
        }
        found: dict[str, Any] = {}
        for info, moment in moments:
            found.update(self._added(info, moment.clone()))
        if not found:
            raise SpecError("info reader: the function wrote nothing, neither at a reset nor at a step")
        super().__init__(list(found), {key: Unbounded(value.shape, dtype=value.dtype) for key, value in found.items()})

    def _added(self, info: Info, moment: TensorDictBase) -> dict[str, torch.Tensor]:
        before = dict(moment.items())
        given = self._function(info, moment)
        added = {}
        for key, value in (moment if given is None else given).items():
            if key not in before:
                added[key] = _tensor(key, value)
            elif value is not before[key]:
                raise SpecError(
                    f"info reader: the function writes {key!r}, which is the env's. Use a Transform for that"
                )
        return added

    def writer(self, buffer: RolloutBuffer, prefix: tuple[str, ...]) -> Callable[[int, Info], None]:
        """See :class:`InfoReader`."""
        put = super().writer(buffer, prefix)
        shown = [(as_user_key(path), buffer[*prefix, *path]) for path in self._shown[prefix]]

        def write(t: int, info: Info) -> None:
            moment = TensorDict({key: rows[t].clone() for key, rows in shown}, batch_size=[])
            put(t, {key: value.numpy() for key, value in self._added(info, moment).items()})

        return write


def _tensor(key: str, value: object) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise SpecError(f"info reader: {key!r}: found a {type(value).__name__}, expected a tensor")
    return value
