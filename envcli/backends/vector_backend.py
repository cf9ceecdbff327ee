"""The base of backends whose engine steps many envs at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import gymnasium
import torch

from envcli.backends.backend import Backend
from envcli.buffer import Array, RolloutBuffer
from envcli.keys import Key
from envcli.seeding import seed_chain
from envcli.spaces import space_to_spec
from envcli.specs import Categorical, Composite, TensorSpec, Unbounded
from envcli.vector_rows import VectorRows, vector_reader

__all__ = ["VectorBackend"]


class VectorBackend(Backend, ABC):
    """``[num_envs]`` envs that one engine steps together, by ``step`` and ``reset`` of gymnasium's vector envs.

    A row goes to the engine whole, and what it answers is copied into the row: nothing runs for each env. Such engines
    begin an env that is done anew in a step of its own (NEXT_STEP), which pays 0 and shows no end. That step is never
    made: whoever runs the rows resets the envs that are done, in the same row in which they would go on, and an engine
    here takes a mask of those. Who steps on without a reset finds an env that has begun anew.

    A subclass makes the engine, calls :meth:`_describe`, and writes :meth:`_begin`.

    Args:
        engine: reachable as ``_env``; closed with this one.
        num_envs: how many.
        frame_skip: how often each action is repeated by us; None: not at all. An env that is done on the way is stepped
            along, keeps what it showed at its end, and earns nothing more.
        device: see :class:`~envcli.env.Env`.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self, engine: Any, num_envs: int, *, frame_skip: int | None = None, device: torch.device | str | None = None
    ) -> None:
        super().__init__(engine, frame_skip=frame_skip, device=device, batch_size=[num_envs])
        self.num_envs = num_envs
        self._seeds_taken = num_envs
        self._repeat = frame_skip or 1
        self._seeds: list[int] | None = None

    @abstractmethod
    def _begin(self, where: Array | None) -> Any:  # Any: whatever the observation space holds
        """Begin new episodes: of the envs in ``where``, ``[num_envs]`` bool, or of all, drawn from ``_taken_seeds()``.

        Returns what they show, ``[num_envs, ...]``, or of a few of them ``[few, ...]``.
        """

    # -- what it is -----------------------------------------------------------------------------------------------

    def _describe(
        self, observation: gymnasium.Space[Any], action: gymnasium.Space[Any], name: str, categorical: bool
    ) -> None:
        """The specs, from the spaces of a single env. An observation that is not a ``Dict`` is called ``name``."""
        device, self._space, self._actions = self.device, observation, action
        self._observed: Key = () if isinstance(observation, gymnasium.spaces.Dict) else (name,)
        shown = space_to_spec(observation, categorical=categorical, device=device, where="observation_space")
        self._show(shown if isinstance(shown, Composite) and not self._observed else Composite({name: shown}))
        self._acted: Key = () if isinstance(action, gymnasium.spaces.Dict) else ("action",)
        taken = space_to_spec(action, categorical=categorical, device=device, where="action_space")
        full = Composite(action=taken, device=device) if self._acted else taken
        assert isinstance(full, Composite)
        self.full_action_spec = self._of_all(full)
        one = torch.Size([1])
        flag = Categorical(2, shape=one, dtype=torch.bool, device=device)
        flags: dict[str, TensorSpec] = dict.fromkeys(("done", "terminated", "truncated"), flag)
        self.full_reward_spec = self._of_all(Composite(reward=Unbounded(one, device=device), device=device))
        self.full_done_spec = self._of_all(Composite(flags, device=device))
        self._row_layout()  # a Dict space may use a name of ours, or both spaces the same: say so now

    def _show(self, shown: Composite) -> None:
        """Each env shows ``shown``."""
        self.observation_spec = self._of_all(Composite(dict(shown.items()), device=self.device))

    def _of_all(self, spec: Composite) -> Composite:
        expanded: Composite = spec.expand(self.num_envs, *spec.shape)
        return expanded

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._first, self._following = (self._rows(prefix, buffer) for prefix in ((), ("next",)))
        self._action = vector_reader(self._actions, self._acted, buffer)
        self._reward, self._done, self._terminated, self._truncated = (
            buffer.array(("next", name))[..., 0] for name in ("reward", "done", "terminated", "truncated")
        )

    def _rows(self, prefix: Key, buffer: RolloutBuffer) -> VectorRows:
        return VectorRows(self._space, (*prefix, *self._observed), buffer)

    def _reset_row(self, t: int, where: Array | None) -> None:
        if where is not None and where.all():
            where = None
        shown = self._begin(where)
        if where is None:
            self._first.put(t, shown)
        else:
            self._first.put_where(t, where, shown)

    def _step_row(self, t: int) -> None:
        actions = self._action(t)
        observation, reward, terminated, truncated, info = self._advance(actions)
        self._following.put(t, observation)
        self._reward[t] = reward
        ended = terminated | truncated
        for _ in range(1, self._repeat):
            on = ~ended
            if not on.any():
                break
            observation, reward, again_terminated, again_truncated, info = self._advance(actions)
            self._following.put_where(t, on, observation)
            self._reward[t][on] += reward[on]
            terminated, truncated = terminated | (again_terminated & on), truncated | (again_truncated & on)
            ended = terminated | truncated
        if ended.any():
            self._done[t], self._terminated[t], self._truncated[t] = ended, terminated, truncated
        self._note(t, info)

    def _advance(self, actions: Any) -> tuple[Any, Array, Array, Array, Any]:  # Any: as the spaces are
        """One step of all: observation, reward, terminated, truncated, each ``[num_envs, ...]``, and the info."""
        answer: tuple[Any, Array, Array, Array, Any] = self._env.step(actions)
        return answer

    def _note(self, t: int, info: Any) -> None:  # Any: each engine's own
        """What else row ``t`` of next shows, besides the observation."""

    # -- seeds ----------------------------------------------------------------------------------------------------

    def _set_seed(self, seed: int | None) -> None:
        self._seeds = None if seed is None else seed_chain(seed, self.num_envs)[:-1]

    def _taken_seeds(self) -> list[int] | None:
        """One for each env, if the next reset of all of them is to draw from them."""
        seeds, self._seeds = self._seeds, None
        return seeds
