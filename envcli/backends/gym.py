"""Gymnasium."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import gymnasium
import torch
from gymnasium import error as gym_error
from typing_extensions import Self

from envcli.backends.backend import Backend
from envcli.buffer import Array, RolloutBuffer
from envcli.errors import ConfigError, UnknownName
from envcli.info_reader import InfoReader
from envcli.keys import Key
from envcli.spaces import check_native, row_reader, row_writer, rows_reader, space_to_spec
from envcli.specs import Categorical, Composite, TensorSpec, Unbounded

__all__ = ["GymEnv", "GymWrapper"]


class _AvailableEnvs:
    """``GymEnv.available_envs`` and ``env.available_envs``, as TorchRL has them: no call."""

    def __get__(self, instance: object, owner: type[GymWrapper]) -> Iterator[str]:
        return iter(owner.available_names())


class GymWrapper(Backend):
    """An existing gymnasium env.

    Observations that are not a ``Dict`` are called ``"observation"``, actions that are not a ``Dict`` ``"action"``. The
    reward is ``[1]`` float32. A time limit is ``truncated`` and not ``terminated``; ``done`` is either.

    Args:
        env: a ``gymnasium.Env``; it is closed with this one. Its ``reset`` and ``step`` must not be called from outside
            while this one is in use.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        frame_skip: see :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.env.Env`.

    Raises:
        ConfigError: a space without a fixed shape (``Text``, ``Graph``, ``Sequence``), or not a gymnasium env at all.
    """

    library: ClassVar[str] = "gymnasium"
    available_envs = _AvailableEnvs()

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        categorical_action_encoding: bool = False,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if not isinstance(env, gymnasium.Env):
            raise ConfigError(
                f"GymWrapper: expected a gymnasium.Env, found {type(env).__module__}.{type(env).__name__}. "
                "Build one with gymnasium.make(name)"
            )
        super().__init__(env, frame_skip=frame_skip, device=device)
        self._repeat = frame_skip or 1
        self._seed: int | None = None
        self._info: InfoReader | None = None
        self._categorical = categorical_action_encoding
        self._make_specs()

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> Self:
        """The env called ``name``, wrapped; ``options`` go to ``gymnasium.make``."""
        raise NotImplementedError

    @classmethod
    def available_names(cls) -> list[str]:
        """Every id in gymnasium's registry."""
        return sorted(gymnasium.registry)

    def set_info_dict_reader(self, info_dict_reader: InfoReader) -> Self:
        """Show entries of the simulator's ``info`` beside the observation. Returns the env itself."""
        self._info = info_dict_reader
        self._make_specs()
        return self

    def _make_specs(self) -> None:
        native, device = self._env, self.device
        observation = space_to_spec(
            native.observation_space, categorical=self._categorical, device=device, where="observation_space"
        )
        self._observed: Key = () if isinstance(native.observation_space, gymnasium.spaces.Dict) else ("observation",)
        shown = Composite(observation=observation, device=device) if self._observed else observation
        if self._info is not None:
            shown = shown.clone()
            shown.update(self._info.info_spec.to(device) if device is not None else self._info.info_spec)
        self.observation_spec = shown
        action = space_to_spec(native.action_space, categorical=self._categorical, device=device, where="action_space")
        self._acted: Key = () if isinstance(native.action_space, gymnasium.spaces.Dict) else ("action",)
        self.action_spec = Composite(action=action, device=device) if self._acted else action
        self.reward_spec = Unbounded(torch.Size([1]), device=device)
        flag = Categorical(2, shape=torch.Size([1]), dtype=torch.bool, device=device)
        flags: dict[str, TensorSpec] = dict.fromkeys(("done", "terminated", "truncated"), flag)
        self.full_done_spec = Composite(flags, device=device)
        self._row_layout()  # a Dict space may use a name of ours, or both spaces the same: say so now

    def _native_name(self) -> str:
        spec = self._env.spec
        return spec.id if spec is not None else type(self._env.unwrapped).__name__

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        space = self._env.observation_space
        self._first = row_writer(space, self._observed, buffer)
        self._following = row_writer(space, ("next", *self._observed), buffer)
        self._action = row_reader(self._env.action_space, self._acted, buffer)
        self._actions = rows_reader(self._env.action_space, self._acted, buffer)
        self._reward = buffer.flags(("next", "reward"))
        self._done, self._terminated, self._truncated = (
            buffer.flags(("next", name)) for name in ("done", "terminated", "truncated")
        )
        self._native_step = self._env.step if self._repeat == 1 else self._repeated_step
        self._first_info: Callable[[int, Mapping[str, Any]], None] | None = None
        self._next_info: Callable[[int, Mapping[str, Any]], None] | None = None
        if self._info is not None:
            self._first_info, self._next_info = self._info.writer(buffer, ()), self._info.writer(buffer, ("next",))

    def _reset_row(self, t: int, where: Array | None) -> None:
        options = self._reset_options
        if self._seed is not None:
            options = {"seed": self._seed, **options}
            self._seed = None
        observation, info = self._env.reset(**options)
        check_native(self._env.observation_space, observation, f"{self._native_name()} reset: observation")
        self._first[t] = observation
        if self._first_info is not None:
            self._first_info(t, info)

    def _step_row(self, t: int) -> None:
        self._following[t], self._reward[t], terminated, truncated, info = self._native_step(self._action(t))
        if terminated:
            self._done[t] = self._terminated[t] = True
        if truncated:
            self._done[t] = self._truncated[t] = True
        if self._next_info is not None:
            self._next_info(t, info)

    def _step_rows(self, start: int, stop: int) -> int:
        if self._next_info is not None:
            return super()._step_rows(start, stop)
        step, observations, rewards, t = self._native_step, self._following, self._reward, start
        try:
            for t, action in enumerate(self._actions(start, stop), start):
                observations[t], rewards[t], terminated, truncated, _ = step(action)
                if terminated or truncated:
                    self._done[t] = True
                    self._terminated[t], self._truncated[t] = bool(terminated), bool(truncated)
                    return t + 1
        except BaseException:
            self._stopped_in(t)
            raise
        return stop

    def _repeated_step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total = 0.0
        for _ in range(self._repeat):
            observation, reward, terminated, truncated, info = self._env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info

    def _set_seed(self, seed: int | None) -> None:
        self._seed = seed


class GymEnv(GymWrapper):
    """A gymnasium env by its name: ``GymEnv("CartPole-v1")``.

    Args:
        env_name: an id of ``gymnasium.registry``; ``envcli list`` shows them.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        frame_skip: see :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.env.Env`.
        options: for ``gymnasium.make``.

    Raises:
        UnknownName: there is no such id; says the nearest.
        ConfigError: the env does not take an option, or needs a library that is not installed.
    """

    def __init__(
        self,
        env_name: str,
        *,
        categorical_action_encoding: bool = False,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> None:
        if from_pixels:
            raise ConfigError("from_pixels: gymnasium's envs show their state only, so far. Type: from_pixels=false")
        self.from_pixels = from_pixels
        self.pixels_only = pixels_only
        super().__init__(
            _made(env_name, options),
            categorical_action_encoding=categorical_action_encoding,
            frame_skip=frame_skip,
            device=device,
        )

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        categorical_action_encoding: bool = False,
        **options: Any,
    ) -> Self:
        """The same as the constructor; the name that every backend has."""
        return cls(
            name,
            categorical_action_encoding=categorical_action_encoding,
            frame_skip=frame_skip,
            from_pixels=from_pixels,
            pixels_only=pixels_only,
            device=device,
            **options,
        )


def _made(name: str, options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(name, **options)
    except ImportError as error:
        raise ConfigError(f"{name} needs a library that is not installed: {error}") from error
    except gym_error.Error as error:
        if name in gymnasium.registry:  # DependencyNotInstalled, DeprecatedEnv, ...: gymnasium says it in one line
            raise ConfigError(f"{name} cannot be made: {error}") from error
        known = sorted(gymnasium.registry)
        raise UnknownName("gymnasium env", name, _same_family(name, known) or known, "`envcli list` shows all") from None
    except TypeError as error:
        if not options:
            raise
        raise ConfigError(f"{name} does not take these options: {', '.join(options)} ({error})") from None


def _same_family(name: str, known: list[str]) -> list[str]:
    """The ids that differ from ``name`` in the version only, or in letters that ``difflib`` finds close."""
    stem = name.rpartition("-v")[0] or name
    versions = [k for k in known if k.rpartition("-v")[0].lower() == stem.lower()]
    return versions or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
