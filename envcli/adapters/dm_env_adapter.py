"""An env of ours as a ``dm_env.Environment``."""

from __future__ import annotations

from typing import Any

from envcli.adapters.entries import Entries
from envcli.adapters.over_stepper import OverStepper
from envcli.adapters.stepper import Stepper
from envcli.envs.env import Env
from envcli.errors import ConfigError, MissingDependency

try:
    import dm_env

    from envcli.adapters.dm_arrays import DmArrays
except ModuleNotFoundError as error:
    raise MissingDependency("dm_env", "as_dm_env", "dm-control") from error

__all__ = ["DmEnvAdapter"]

# A dm spec is a leaf or a mapping or a sequence of them, and so is a value: hence Any throughout this file.


class DmEnvAdapter(OverStepper, dm_env.Environment):  # type: ignore[misc]  # dm_env has no annotations
    """``env`` as a ``dm_env.Environment``, for Acme and other libraries that use that interface.

    Specs are those of :class:`~envcli.adapters.dm_arrays.DmArrays`: an observation whose only entry is called
    ``"observation"`` or ``"pixels"`` is that array, discrete actions are whole numbers. Values are fresh memory.

    The discount is 0 where an episode is terminated, else 1: also in its last step, where only its time is up. dm_env
    knows no seeds: ``env.set_seed(3)``, or ``seed=3`` among the words, says where the first episode comes from.

    Args:
        env: a single one. It belongs to this object from here on, and is closed with it.

    Raises:
        ConfigError: a batch of envs; several rewards; or an entry that numpy cannot hold.
    """

    def __init__(self, env: Env) -> None:
        if env.ndim:
            raise ConfigError(f"as_dm_env: found a batch of envs, {list(env.batch_size)}, expected a single one")
        self.base_env = env
        self._stepper = Stepper(env)
        self._specs = DmArrays(env)
        self._bind()
        self._over = True  # the next step begins an episode

    def _entries(self) -> tuple[Entries, Entries]:
        return self._specs.observed, self._specs.acted

    def reset(self) -> dm_env.TimeStep:
        """Begin a new episode: its first moment, without reward and discount."""
        self._stepper.reset()
        self._over = False
        return dm_env.restart(self._first())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Take a step with ``action``. Before the first episode and after the end of one, the same as :meth:`reset`.

        Raises:
            ActionError: ``action`` is not in ``action_spec()``; nothing has been stepped.
        """
        if self._over:
            return self.reset()
        stepper = self._stepper
        self._act(action)
        stepper.step()
        stepper.go_on()
        terminated, truncated = map(bool, stepper.ends())
        self._over = terminated or truncated
        kind = dm_env.StepType.LAST if self._over else dm_env.StepType.MID
        return dm_env.TimeStep(kind, stepper.rewards[()], 0.0 if terminated else 1.0, self._later())

    def observation_spec(self) -> Any:
        """What the moments of an episode show."""
        return self._specs.shown

    def action_spec(self) -> Any:
        """What :meth:`step` takes."""
        return self._specs.taken

    def reward_spec(self) -> Any:
        """A number, of the dtype of the env's reward."""
        return self._specs.reward

    def close(self) -> None:
        """Close the env. A second call does nothing."""
        self.base_env.close()
