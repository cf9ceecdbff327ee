"""Ends an episode where a function says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, as_user_key, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.roles import Roles
from envcli.transforms.given_function import given_function, name_of
from envcli.transforms.transform import Transform

__all__ = ["TerminateTransform"]


class TerminateTransform(Transform):
    """``stop`` is called with what each step shows, the future ``"next"``; where it says true the env is terminated.

    >>> from envcli.testing.toys import CountingEnv
    >>> from envcli import TransformedEnv
    >>> env = TransformedEnv(CountingEnv(99), TerminateTransform(lambda td: td["observation"] > 3))
    >>> env.rollout(50).shape
    torch.Size([4])

    It sees what the transforms before it show. A TensorDict is made for it at each step. What a reset shows it is not
    asked about.

    Args:
        stop: takes a TensorDict ``[*batch]`` and gives a bool, or a tensor that fits the flags: ``[*batch]``, or the
            shape of ``done``, where a missing dimension at the end is added. From YAML ``module:function``, with
            ``allow_imports=true``.
        write_done: set ``done`` beside ``terminated``. Without it, too, the flag ends the episode, as that of a
            :class:`~envcli.StepCounter` does. (TorchRL: a rollout stops there, but one that goes on does not reset.)
        allow_imports: ``stop`` may be the name of a function, whose module is imported.

    Raises:
        ConfigError: ``stop`` is no function, nor the name of one.
        TransformError: from a step: ``stop`` gave something else, or a tensor that does not fit. On a rollout: always,
            as its episodes have their ends.
    """

    def __init__(
        self,
        stop: Callable[[TensorDictBase], Any] | str,
        *,
        write_done: bool = True,
        allow_imports: bool = False,
    ) -> None:
        super().__init__()
        self.stop = given_function(stop, "stop", "a TensorDict", allow_imports)
        self.write_done = write_done
        self._terminated: list[Key] = [("terminated",)]
        self._done: list[Key] = [("done",)]
        self._device: torch.device | None = None  # of the env that it is in

    def _inspect(self, before: EnvSpecs) -> None:
        flags = before.full_done_spec.leaves()
        self._terminated = [path for path in flags if path[-1] == "terminated"]
        self._done = [path for path in flags if path[-1] == "done"]
        self._device = before.device

    def _roles(self) -> Roles:
        flags = set[Key]() if self.write_done else set(self._terminated)
        return Roles(end_flags=flags, independent_ends=flags)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        shown = [path for path in inner if path[0] == "next"]
        self._views = RowViews(inner, shown, self._device, prefix=("next",), lasting=True)  # stop may keep what it sees
        self._raised = [(path, outer[under_next(path)]) for path in self._flags()]

    def _step_row(self, t: int) -> None:
        said = self.stop(self._views(t))
        for path, flags in self._raised:
            flag = flags[t]
            flag |= self._fitted(said, flag, path)

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        said = self.stop(next_tensordict)
        for path in self._flags():
            given = next_tensordict.get(path, None)
            if given is not None:
                next_tensordict.set(path, given | self._fitted(said, given, path))
        return next_tensordict

    def _flags(self) -> list[Key]:
        return [*self._terminated, *(self._done if self.write_done else [])]

    def _fitted(self, said: Any, flag: torch.Tensor, path: Key) -> torch.Tensor:
        """``said`` in the shape of ``flag``."""
        try:
            stops = torch.as_tensor(said, device=flag.device).bool()
            return stops.reshape(*stops.shape, *[1] * (flag.ndim - stops.ndim)).expand(flag.shape)
        except (RuntimeError, TypeError, ValueError):
            found = list(said.shape) if isinstance(said, torch.Tensor) else f"{said!r}"
            raise TransformError(
                f"TerminateTransform: stop gave {found}, expected a bool, or a tensor that fits {as_user_key(path)!r} "
                f"{list(flag.shape)}"
            ) from None

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("TerminateTransform ends the episodes of an env: add it to one")

    def extra_repr(self) -> str:
        """The name of the function, for ``repr``."""
        return f"stop={name_of(self.stop)}, write_done={self.write_done}"
