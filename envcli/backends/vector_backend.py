"""The base of backends whose engine steps many envs at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch

from envcli.backends.backend import Backend, ByName
from envcli.backends.vector_paces import Answer
from envcli.backends.vector_rows import VectorRows, vector_reader
from envcli.envs.seeded_envs import SeededEnvs
from envcli.errors import EnvError
from envcli.gym.spaces import space_to_spec
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of, any_of
from envcli.processes import cores
from envcli.rows.done_family import EndRows, done_family
from envcli.rows.note import HALT, ROW
from envcli.specs import Composite, Unbounded
from envcli.vocabulary.schema import at_least

__all__ = ["VectorBackend", "thread_count"]


class VectorBackend(SeededEnvs, Backend, ABC):
    """``[num_envs]`` envs that one engine steps together, by ``step`` and ``reset`` of gymnasium's vector envs.

    A row goes to the engine whole, and what it answers is copied into the row: nothing runs for each env. Such engines
    begin an env that is done anew in a step of its own (NEXT_STEP), which pays 0 and shows no end. That step is never
    made: whoever runs the rows resets the envs that are done, in the same row in which they would go on, and an engine
    here takes a mask of those. Who steps on without a reset finds an env that has begun anew.

    A subclass makes the engine, calls :meth:`_describe`, and writes :meth:`_begin`. Its constructor is
    ``from_name``, so that what it takes is said once: ``name``, ``num_envs``, and what a YAML can say by their names.

    Args:
        engine: reachable as ``_env``; closed with this one.
        num_envs: how many; None: one.
        frame_skip: how often each action is repeated by us; None: not at all. An env that is done on the way is stepped
            along, keeps what it showed at its end, and earns nothing more.
        device: see :class:`~envcli.Env`.
    """

    batched: ClassVar[bool] = True
    _engine_copies: ClassVar[bool] = False  # can the engine be copied and pickled? C++ can not
    from_name = ByName()

    def __init__(
        self,
        engine: Any,
        num_envs: int | None,
        *,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        at_least("num_envs", num_envs, 1)
        num_envs = num_envs or 1
        super().__init__(engine, frame_skip=frame_skip, device=device, batch_size=[num_envs])
        self.num_envs = num_envs
        self._repeat = frame_skip or 1
        self._seeds: list[int] | None = None
        self._sent = False  # is a step under way?

    def __getstate__(self) -> dict[str, Any]:
        if not (self._engine_copies or self.is_closed):
            raise EnvError(f"the engine of {type(self).__name__} cannot be copied or pickled. Build another env")
        return super().__getstate__()

    @abstractmethod
    def _begin(self, where: Array | None) -> Any:  # Any: whatever the observation space holds
        """Begin new episodes: of the envs in ``where``, ``[num_envs]`` bool, or of all, drawn from ``_taken_seeds()``.

        Returns what they show, ``[num_envs, ...]``, or of a few of them ``[few, ...]``.
        """

    # -- what it is -----------------------------------------------------------------------------------------------

    def _describe(
        self,
        observation: gymnasium.Space[Any],
        action: gymnasium.Space[Any],
        name: str,
        categorical: bool,
        reward_shape: Sequence[int] = (1,),
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
        reward = Unbounded(torch.Size(reward_shape), device=device)
        self.full_reward_spec = self._of_all(Composite(reward=reward, device=device))
        self.full_done_spec = done_family([self.num_envs], device)
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
        rewards = buffer.array(("next", "reward"))
        self._reward = rewards[..., 0] if rewards.shape[2:] == (1,) else rewards
        self._flags = EndRows(buffer)

    def _rows(self, prefix: Key, buffer: RolloutBuffer) -> VectorRows:
        return VectorRows(self._space, (*prefix, *self._observed), buffer)

    def _reset_row(self, t: int, where: Array | None) -> None:
        if self._sent:  # by a rollout that was interrupted
            self._received()
        if where is not None and all_of(where):
            where = None
        shown = self._begin(where)
        if where is None:
            self._first.put(t, shown)
        else:
            self._first.put_where(t, where, shown)

    def _step_row(self, t: int) -> None:
        self._send_row(t)
        self._receive_row(t)

    def _send_row(self, t: int, onward: bool = False) -> None:
        if onward:
            self._autoreset_rows(t, t + 1, True)
            return
        self._taken = self._action(t)
        self._send(self._taken)

    def _receive_row(self, t: int, onward: bool = False) -> None:
        if onward:
            return
        answer = self._received()
        ended = answer[2] | answer[3]
        self._write(t, answer, ended)
        for _ in range(1, self._repeat):
            if all_of(ended):
                break
            self._send(self._taken)
            ended = self._write_on(t, self._received(), ended)

    def _step_rows(self, start: int, stop: int) -> int:
        if self._repeat > 1:
            return super()._step_rows(start, stop)
        note, t = self._row_note, start
        try:
            self._send(self._action(t))
            for t in range(start, stop):
                note[ROW] = t
                answer = self._received()
                ended = answer[2] | answer[3]
                over = any_of(ended) or note[HALT]
                if not over and t + 1 < stop:
                    self._send(self._action(t + 1))  # the engine works while the row is written
                self._write(t, answer, ended)
                if over:
                    return t + 1
        except BaseException:
            self._stopped_in(t)
            raise
        return stop

    def _write(self, t: int, answer: Answer, ended: Array) -> None:
        observation, reward, terminated, truncated, info = answer
        self._following.put(t, observation)
        self._reward[t] = reward
        if any_of(ended):
            self._flags.mark(t, terminated, truncated)
        self._note(t, info)

    def _write_on(self, t: int, answer: Answer, ended: Array) -> Array:
        """One more step of a repeated action, for the envs that are not done; returns those that are done now."""
        observation, reward, terminated, truncated, info = answer
        on = ~ended
        self._following.put_where(t, on, observation)
        self._reward[t][on] += reward[on]
        self._flags.terminated[t] |= terminated & on
        self._flags.truncated[t] |= truncated & on
        self._flags.done[t] = now = ended | terminated | truncated
        self._note(t, info, on)
        return now

    # -- the engine -----------------------------------------------------------------------------------------------

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        yield from ((self, "_send", "steps"), (self, "_receive", "steps"), (self, "_begin", "resets"))

    def _send(self, actions: Any) -> None:  # Any: as the space is
        """Begin a step of all; an engine that cannot do so beside us makes it in :meth:`_receive`."""
        self._sent, self._waiting_actions = True, actions

    def _receive(self) -> Answer:
        """End it."""
        answer: Answer = self._env.step(self._waiting_actions)
        return answer

    def _received(self) -> Answer:
        self._sent = False
        return self._receive()

    def _note(self, t: int, info: Any, where: Array | None = None) -> None:  # Any: each engine's own
        """Write row ``t`` of next, all but the observation, from ``info``, for the envs in ``where`` or for all."""

    # -- seeds ----------------------------------------------------------------------------------------------------

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        """See :class:`SeededEnvs`. An engine that draws for all its envs from one seed takes that of the first."""
        chance = np.random.SeedSequence().generate_state(self.num_envs).tolist()
        given = [one if own is None else own for own, one in zip(seeds, chance, strict=True)]
        self._seeds = None if all(own is None for own in seeds) else given

    def _taken_seeds(self) -> list[int] | None:
        """One for each env, if the next reset of all of them is to draw from them."""
        seeds, self._seeds = self._seeds, None
        return seeds


def thread_count(wanted: int | None, num_envs: int) -> int:
    """``wanted`` threads, or one for each core; at most one for each env. Raises ConfigError unless it is a count.

    >>> thread_count(3, num_envs=8), thread_count(3, num_envs=2)
    (3, 2)
    """
    at_least("num_threads", wanted, 1)
    return min(wanted or cores(), num_envs)
