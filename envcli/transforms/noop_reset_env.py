"""Begins each episode at another moment."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.memory.masks import any_of
from envcli.seeding import drawing_from
from envcli.specs import Composite, TensorSpec
from envcli.transforms.drawing import Drawing
from envcli.transforms.inner_env import InnerEnv, put_back

__all__ = ["NoopResetEnv"]


class NoopResetEnv(Drawing):
    """After each reset, a number of steps before the user takes over (Mnih et al., 2015).

    They take the env's no-op where it has one: where its ``get_action_meanings()`` lists ``"NOOP"``, as Atari's does.
    Otherwise they take random actions. (TorchRL 0.14 always takes random ones.) Their rewards are lost. If the episode
    ends on the way the env is reset, and what is left of them follows, so that the user never begins in an episode that
    is over. (TorchRL begins to count again, and gives up after some trials.)

    All draws follow from the seed of the env: see :class:`~envcli.transforms.drawing.Drawing`.

    Args:
        noops: how many steps, or the largest number of them.
        random: draw the number for each episode, from 1 to ``noops``, as DeepMind's DQN does. (TorchRL: from 0 to
            ``noops - 1``.)

    Raises:
        ConfigError: ``noops`` is negative.
        TransformError: the env is a batch, whose envs cannot be stepped one by one. Give each of them this transform.
    """

    _heeds_only_keys = True
    _inner_env: InnerEnv
    _actions: list[tuple[Array, TensorSpec]]

    def __init__(self, noops: int = 30, random: bool = True) -> None:
        super().__init__()
        if noops < 0:
            raise ConfigError(f"noops: expected at least 0, found {noops}")
        self.noops, self.random = noops, random

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """The same."""
        if output_spec.shape:
            raise TransformError(
                f"NoopResetEnv steps a single env after its reset, found a batch {list(output_spec.shape)}. Put it "
                "into each env of the batch"
            )
        return output_spec

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env = inner
        leaves = inner.specs.full_action_spec.leaves()
        self._actions = [(inner.rows.array(path), leaf) for path, leaf in leaves.items()]
        self._noop = _noop_of(inner.base_env, leaves)

    def _reset_row(self, t: int, where: Array | None) -> None:
        inner = self._inner_env
        if getattr(inner.base_env, "game_goes_on", False):
            return
        actions = inner.saved_actions(t)
        for _ in range(self._count()):
            self._act(t)
            inner.step(t)
            if any_of(inner.done(t)):
                inner.reset(t)
            else:
                inner.show_last(t)
        inner.clear_flags(t)
        put_back(actions)

    def _count(self) -> int:
        if not self.random or not self.noops:
            return self.noops
        return int(torch.randint(1, self.noops + 1, (), generator=self._generator))

    def _act(self, t: int) -> None:
        if self._noop is not None:
            self._actions[0][0][t] = self._noop
            return
        seed = int(torch.empty((), dtype=torch.int64).random_(2**62, generator=self._generator))
        with drawing_from(seed):  # specs draw from torch's global generator, which is not ours to move
            for rows, leaf in self._actions:
                rows[t] = leaf.rand().cpu().numpy()

    def extra_repr(self) -> str:
        """How many."""
        return f"noops={self.noops}, random={self.random}"


def _noop_of(env: object, leaves: Mapping[Key, TensorSpec]) -> Array | None:
    """The row of the no-op; None: there is none."""
    meanings = getattr(env, "get_action_meanings", None)
    if not callable(meanings) or len(leaves) != 1:
        return None
    names = list(meanings())
    if "NOOP" not in names:
        return None
    leaf = next(iter(leaves.values()))
    row: Array = leaf.encode(torch.tensor(names.index("NOOP"))).cpu().numpy()
    return row
