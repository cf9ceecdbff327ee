"""A batch of our envs as a ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envcli.adapters.adopted import adopted, owned
from envcli.adapters.each_env import EachEnv
from envcli.adapters.entries import Entries
from envcli.adapters.gymnasium_spaces import GymnasiumSpaces
from envcli.adapters.over_stepper import OverStepper
from envcli.adapters.stepper import Stepper
from envcli.adapters.vector_infos import VectorInfos
from envcli.batch.gathered import of_first
from envcli.builder import step_seconds
from envcli.envs.env import Env
from envcli.errors import ClosedError, ConfigError, EnvError
from envcli.frames.image import as_image
from envcli.frames.look import Look
from envcli.memory.buffer import Array
from envcli.rows.pixels import PIXELS
from envcli.seeding import as_seed

__all__ = ["GymnasiumVectorAdapter", "as_gymnasium_vector"]

Results = tuple[Any, Array, Array, Array, dict[str, Any]]


class GymnasiumVectorAdapter(OverStepper, VectorEnv[Any, Any, Any]):
    """``env``, a batch ``[n]``, as a vector env of gymnasium: arrays ``[n, ...]``, fresh in each step.

    Spaces, values and refusals are those of :class:`~envcli.adapters.gymnasium_adapter.GymnasiumAdapter`; rewards are
    float64, as with gymnasium's own, of what a simulator's were rounded to, float32. Workers write into memory that is
    shared with this process, and a step costs two messages a worker: no value is pickled, and no TensorDict is built.

    What happens at the end of an episode is said in ``metadata["autoreset_mode"]``:

    * ``SAME_STEP``, the default, as SB3 and most trainers want it: the observation is the first of the next episode;
      ``infos["final_obs"][i]`` is the last of the one that ended, ``infos["final_info"]`` what its ``info`` was.
    * ``NEXT_STEP``, gymnasium's own default: the observation is the last of the episode. The next step of that env
      begins a new one, whatever its action; it earns 0.
    * ``DISABLED``: ``reset(options={"reset_mask": done})`` does it.

    Args:
        env: a ``SerialEnv``, a ``ParallelEnv``, or an engine that steps a batch by itself, with or without transforms.
            It belongs to this object from here on, is started here, and closed with it.
        observation, info_keys: see :class:`~envcli.adapters.gymnasium_spaces.GymnasiumSpaces`.
        autoreset_mode: one of ``gymnasium.vector.AutoresetMode``, or its value (``"NextStep"``).

    ``each`` reaches the envs one by one.

    Raises:
        ConfigError: a single env, or a batch of several dimensions; several rewards; no such mode; or an entry that has
            no space in gymnasium.
    """

    _bound = OverStepper._bound | {"_first_infos", "_later_infos"}

    def __init__(
        self,
        env: Env,
        observation: str | Sequence[str] | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        info_keys: Sequence[str] | None = None,
    ) -> None:
        if env.ndim != 1:
            found = f"a batch {list(env.batch_size)}" if env.ndim else "a single env"
            cure = "" if env.ndim else ". Add parallel=processes parallel.num_envs=8, or use as_gymnasium"
            raise ConfigError(f"as_gymnasium_vector: found {found}, expected a batch [n]{cure}")
        self.autoreset_mode = _mode(autoreset_mode)
        self.base_env, self.num_envs = env, env.batch_size[0]
        self.each = EachEnv(env)
        self._stepper = stepper = Stepper(env, onward=self.autoreset_mode is AutoresetMode.SAME_STEP)
        self._spaces = found_spaces = GymnasiumSpaces(env, observation, info_keys)
        self.single_observation_space, self.single_action_space = found_spaces.observation, found_spaces.action
        self.observation_space = batch_space(found_spaces.observation, self.num_envs)
        self.action_space = batch_space(found_spaces.action, self.num_envs)
        self._bind()
        self._done = np.zeros(self.num_envs, bool)  # of envs that are to be reset in the next step, or by the user
        self._sent = False
        draws = PIXELS in stepper.root or of_first(env, "render_mode") == "rgb_array"
        self.render_mode = "rgb_array" if draws else None
        self._look = Look.of(env, PIXELS)
        seconds = step_seconds(env)
        self.metadata = {
            "autoreset_mode": self.autoreset_mode,
            "render_modes": [self.render_mode] if self.render_mode else [],
        }
        if seconds:
            self.metadata["render_fps"] = max(round(1 / seconds), 1)

    def _entries(self) -> tuple[Entries, Entries]:
        return self._spaces.shown, self._spaces.taken

    def _bind(self) -> None:
        super()._bind()
        self._first_infos, self._later_infos = (
            VectorInfos(self.num_envs, self._spaces.info, rows)
            for rows in (self._stepper.root, self._stepper.following)
        )

    # -- episodes -------------------------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes: ``(observations, infos)``.

        Args:
            seed: of the first env; the others follow as ``seed + 1``, ``seed + 2``, ... as gymnasium has it (not as in
                envcli's own chain). A list: one for each; None leaves one as it is (an engine seeds it afresh). An
                engine that draws for all its envs from one seed takes the first.
            options: for the simulators' own ``reset``; ``"reset_mask"``, ``[n]`` bool, says which envs begin anew.

        Raises:
            ConfigError: seeds or a mask of another length; or both for an engine, which seeds all its envs or none.
            ClosedError: after ``close()``.
        """
        self._require_open()
        seed = seed if isinstance(seed, Iterable) else as_seed(seed)
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = dict(options or {})
        where = self._mask(options.pop("reset_mask", None))
        self._seed(seed, where)
        if where is not None and self._stepped:
            self._stepper.go_on(everything=True)
        self._stepper.reset(where, {"options": options} if options and self._spaces.native else options)
        self._done = np.zeros(self.num_envs, bool) if where is None else self._done & ~where
        self._sent = self._stepped = False
        return self._first(), self._first_infos.read(where)

    def _mask(self, mask: Any) -> Array | None:
        if mask is None:
            return None
        found = np.asarray(mask)
        if found.shape != (self.num_envs,) or found.dtype != np.bool_ or not found.any():
            raise ConfigError(
                f"reset_mask: expected bool ({self.num_envs},) with a True in it, found {found.dtype} {found.shape}"
            )
        return found

    def _seed(self, seed: int | Sequence[int | None] | None, where: Array | None) -> None:
        if seed is None:
            return
        if where is not None and self.each.batch is None:
            raise ConfigError(
                f"reset_mask: found a seed with it, but {type(self.each.env).__name__} seeds all its envs or none"
            )
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise ConfigError(f"seed: found {len(seeds)} seeds for {self.num_envs} envs, expected one for each")
        chosen = seeds if where is None else [one if begins else None for one, begins in zip(seeds, where, strict=True)]
        if any(one is not None for one in chosen):
            self.base_env.set_seed(chosen)  # type: ignore[arg-type]  # a batch takes a list, with None in it too

    # -- steps ----------------------------------------------------------------------------------------------------

    def step(self, actions: Any) -> Results:
        """``(observations, rewards, terminations, truncations, infos)``.

        Raises:
            ActionError: an action is not in its space; nothing has been stepped.
            ClosedError: after ``close()``.
            EnvError: before the first ``reset``; or an env failed, or its worker died; or, without autoreset, an env is
                stepped that is done.
        """
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Begin a step and do not wait for it; :meth:`step_wait` ends it."""
        self._require_open()
        if self._sent:
            raise EnvError("a step is in progress. Call step_wait() first")
        self._act(actions)
        waiting = self._done if self._done.any() else None
        if waiting is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise EnvError(f"env {int(waiting.argmax())} is done. Call reset(options={{'reset_mask': done}}) first")
        if waiting is None or not waiting.all():
            self._stepper.send(waiting)
        self._sent = True

    def step_wait(self) -> Results:
        """Wait for the step that :meth:`step_async` has begun. See :meth:`step`."""
        if not self._sent:
            raise EnvError("no step is in progress. Call step_async(actions) first")
        self._sent = False
        if self._done.any():
            return self._begun_instead()
        stepper = self._stepper
        stepper.receive()
        rewards = stepper.rewards.astype(np.float64)
        terminated, truncated = stepper.ends()
        done = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and done.any():
            final = self._later_infos.final(self._later(), done)
            stepper.begin_anew(done)
            self._stepped = False
            return self._first(), rewards, terminated, truncated, self._first_infos.read() | final
        stepper.go_on()
        self._stepped = True
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._done = done
        return self._later(), rewards, terminated, truncated, self._later_infos.read()

    def _begun_instead(self) -> Results:
        """A step that resets the envs that were done, and steps only the others."""
        stepper, waiting = self._stepper, self._done
        if waiting.all():
            stepper.reset()
            rewards = np.zeros(self.num_envs)
            terminated, truncated = np.zeros_like(waiting), np.zeros_like(waiting)
        else:
            stepper.receive()
            rewards = stepper.rewards.astype(np.float64)
            rewards[waiting] = 0
            terminated, truncated = (flags & ~waiting for flags in stepper.ends())
            stepper.go_on(everything=True)
            stepper.reset(waiting)
        self._done = terminated | truncated
        self._stepped = False
        return self._first(), rewards, terminated, truncated, self._first_infos.read()

    # -- the envs -------------------------------------------------------------------------------------------------

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What the method ``name`` of each env returns; where it is no method, the attribute, as gymnasium has it."""
        return self.each.call(name, *args, **kwargs)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute ``name`` of each env."""
        return self.each.get(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set the attribute ``name`` of every env, where it is: the simulator's, too.

        Args:
            name: of the attribute.
            values: a list or a tuple has one for each env, as in gymnasium; anything else is for all of them.

        Raises:
            ConfigError: not as many as envs; or several for an engine, which is one simulator.
        """
        several = isinstance(values, list | tuple)
        if several and len(values) != self.num_envs:
            raise ConfigError(f"set_attr: found {len(values)} values for {self.num_envs} envs, expected one for each")
        if not several:
            self.each.set_some(range(self.num_envs), name, values)
            return
        for i, value in enumerate(values):
            self.each.set_some([i], name, value)

    def _require_open(self) -> None:
        if self.closed:
            raise ClosedError(f"{type(self).__name__} was closed. Build a new one")

    def render(self) -> tuple[Any, ...] | None:
        """The frame of each env, ``[height, width, 3]`` uint8; None where nothing can be drawn."""
        if PIXELS in self._now:
            return tuple(np.array(as_image(frame, self._look)) for frame in torch.from_numpy(self._now[PIXELS]))
        return self.call("render") if self.render_mode else None

    def close_extras(self, **kwargs: Any) -> None:
        """Close the envs, and with them their processes. ``kwargs`` are gymnasium's and change nothing."""
        self._sent = False
        self.base_env.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_envs={self.num_envs}, {self.autoreset_mode})"


def as_gymnasium_vector(
    *env: str | Env,
    observation: str | Sequence[str] | None = None,
    autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
) -> GymnasiumVectorAdapter:
    """A vector env of the batch that these words describe, or of this one. See :class:`GymnasiumVectorAdapter`.

    >>> envs = as_gymnasium_vector("env=cartpole", "parallel=serial", "parallel.num_envs=2")
    >>> observations, infos = envs.reset(seed=0)
    >>> observations.shape, envs.action_space
    ((2, 4), MultiDiscrete([2 2]))
    >>> envs.close()
    """
    return owned(GymnasiumVectorAdapter, adopted("as_gymnasium_vector", env), observation, autoreset_mode)


def _mode(mode: str | AutoresetMode) -> AutoresetMode:
    for known in AutoresetMode:
        if mode in (known, known.value, known.name):
            return known
    raise ConfigError(f"autoreset_mode: found {mode!r}, expected one of {', '.join(m.value for m in AutoresetMode)}")
