"""An env of ours as a ``gymnasium.Env``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

from envcli.adapters.adopted import adopted, owned
from envcli.adapters.entries import Entries
from envcli.adapters.gymnasium_spaces import GymnasiumSpaces
from envcli.adapters.over_stepper import OverStepper
from envcli.adapters.stepper import Stepper
from envcli.builder import step_seconds
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.frames.image import as_image
from envcli.frames.look import Look
from envcli.override import parsed
from envcli.rows.pixels import PIXELS

__all__ = ["GymnasiumAdapter", "as_gymnasium"]

_REGISTRY = "envcli.adapters.gymnasium_registry"  # by name: it makes what is here


class GymnasiumAdapter(OverStepper, gymnasium.Env[Any, Any]):
    """``env`` as a ``gymnasium.Env``, for any trainer that takes one.

    Spaces are those of :class:`~envcli.adapters.gymnasium_spaces.GymnasiumSpaces`: an observation whose only entry is
    called ``"observation"`` or ``"pixels"`` is that entry, any other is a ``Dict``; discrete actions are whole numbers,
    whether ours are one-hot or not. Values are fresh memory, numbers keep their dtype, and a reward is a Python float.
    An action that is not in its space is refused before the simulator sees it, as everywhere in envcli: a policy of
    unbounded actions clips them (``gymnasium.wrappers.ClipAction``).

    The same seed and actions give the same trajectory as ``env`` itself, bit for bit; a simulator's rewards are rounded
    to float32 there too. ``render()`` gives the frame of the moment as ``[height, width, 3]`` uint8, where the env
    shows ``"pixels"``, or its simulator is gymnasium's and was made with ``render_mode="rgb_array"``.

    Args:
        env: a single one. It belongs to this object from here on, and is closed with it.
        observation, info_keys: see :class:`~envcli.adapters.gymnasium_spaces.GymnasiumSpaces`.

    Raises:
        ConfigError: a batch of envs; several rewards; or an entry that has no space in gymnasium.
    """

    def __init__(
        self, env: Env, observation: str | Sequence[str] | None = None, info_keys: Sequence[str] | None = None
    ) -> None:
        if env.ndim:
            raise ConfigError(
                f"as_gymnasium: found a batch of envs, {list(env.batch_size)}. Use as_gymnasium_vector for them"
            )
        self.base_env = env
        self._stepper = stepper = Stepper(env)
        self._spaces = GymnasiumSpaces(env, observation, info_keys)
        self.observation_space, self.action_space = self._spaces.observation, self._spaces.action
        self._bind()
        self._drawn_by_us = PIXELS in stepper.root
        drawn = self._drawn_by_us or getattr(env, "render_mode", None) == "rgb_array"
        self.render_mode = "rgb_array" if drawn else None
        self._look = Look.of(env, PIXELS)
        seconds = step_seconds(env)
        self.metadata = {"render_modes": ["rgb_array"] if drawn else []}
        if seconds:
            self.metadata["render_fps"] = max(round(1 / seconds), 1)

    def _entries(self) -> tuple[Entries, Entries]:
        return self._spaces.shown, self._spaces.taken

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a new episode: ``(observation, info)``.

        Args:
            seed: what the episode, and those after it, are drawn from: ``env.set_seed(seed)``.
            options: for the simulator's own ``reset``.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.base_env.set_seed(seed)
        self._stepper.reset(options={"options": options} if options and self._spaces.native else options)
        self._stepped = False
        return self._first(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """``(observation, reward, terminated, truncated, info)``.

        Raises:
            ActionError: ``action`` is not in ``action_space``; nothing has been stepped.
            EnvError: before the first ``reset``.
        """
        stepper = self._stepper
        if self._stepped:
            stepper.go_on()
        self._act(action)
        stepper.step()
        self._stepped = True
        terminated, truncated = stepper.ends()
        return self._later(), float(stepper.rewards), bool(terminated), bool(truncated), self._info()

    def _info(self) -> dict[str, Any]:
        return {key: entries.reader(self._now)() for key, entries in self._spaces.info.items()}

    def render(self) -> Any:  # Any: gymnasium's own annotation allows anything
        """The frame of the moment, ``[height, width, 3]`` uint8; None where nothing can be drawn."""
        if self._drawn_by_us:
            return np.array(as_image(torch.from_numpy(self._now[PIXELS]), self._look))
        return getattr(self.base_env, "render")() if self.render_mode else None  # noqa: B009  # the simulator's own

    def close(self) -> None:
        """Close the env. A second call does nothing."""
        self.base_env.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_env!r})"

    __str__ = __repr__


def as_gymnasium(*env: str | Env, observation: str | Sequence[str] | None = None) -> GymnasiumAdapter:
    """A ``gymnasium.Env`` of the env that these words describe, or of this env. See :class:`GymnasiumAdapter`.

    What words made can be made again by gymnasium: it has a ``spec``.

    >>> with as_gymnasium("env=pendulum") as env:
    ...     observation, info = env.reset(seed=0)
    ...     env.action_space
    Box(-2.0, 2.0, (1,), float32)
    """
    adapter = owned(GymnasiumAdapter, adopted("as_gymnasium", env), observation)
    words = [word for word in env if isinstance(word, str)]
    if len(words) == len(env):
        adapter.spec = EnvSpec(
            _name(words),
            entry_point=f"{_REGISTRY}:made",
            vector_entry_point=f"{_REGISTRY}:made_vector",
            kwargs={"words": words, "observation": observation},
        )
    return adapter


def _name(words: Sequence[str]) -> str:
    """An id that gymnasium takes: ``"envcli/pendulum"``."""
    named = [override.text for override in parsed(words) if override.key in ("env", "backend.name")]
    return f"envcli/{re.sub(r'[^A-Za-z0-9_.:-]', '-', named[-1]) if named else 'env'}"
