"""DeepMind Control: the suite's tasks, and any other ``dm_env`` environment."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envcli.backends.backend import AvailableEnvs, Backend, ByName, single
from envcli.dm.camera import PhysicsCamera, release
from envcli.dm.library import missing_dm_control
from envcli.envs.several import Several
from envcli.errors import ConfigError, EnvError
from envcli.gl_contexts import ending_in_time
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer, Rows
from envcli.rows.announced import UNFIT
from envcli.rows.done_family import EndRows, done_family
from envcli.rows.pixels import FrameSize, Unwritten
from envcli.specs import Composite, TensorSpec

try:
    import dm_env

    from envcli.dm import suite
    from envcli.dm.answers import DMAnswers
    from envcli.dm.generators import generators, reseed
    from envcli.dm.specs import dm_spec_to_spec, is_nested, row_reader, row_writer
except ModuleNotFoundError as error:
    raise missing_dm_control("backend=dm_control") from error

__all__ = ["DMControlEnv", "DMControlWrapper", "from_dm_env"]


class DMControlWrapper(Backend):
    """An existing ``dm_env.Environment``, from dm_control or elsewhere.

    Each entry of the observation is one key, nested ones are nested; an observation that is a bare array is called
    ``"observation"``, and a bare action ``"action"``. Numbers keep their dtype, usually float64, and a scalar is
    ``[1]``. The last step of an episode is ``terminated`` where its discount is 0, and ``truncated`` where anything of
    the future still counts.

    Args:
        env: it is closed with this one. Its ``reset`` and ``step`` must not be called from outside meanwhile.
        from_pixels: show frames of ``env.physics``, uint8 ``[height, width, 3]``, under ``"pixels"``.
        pixels_only: with ``from_pixels``: leave the other observations out. (It is what TorchRL's documentation says;
            there they stay unless ``pixels_only=True`` is given.)
        camera_id, pixel_size, render_quality, render_kwargs: see :class:`~envcli.dm.camera.PhysicsCamera`.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        frame_skip, checks, batch_size, convert_actions_to_numpy, allow_done_after_reset, spec_locked: see
            :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.Env`.

    Raises:
        ConfigError: not a ``dm_env.Environment``, a batch size, a spec without a fixed shape, or pixels of an env that
            cannot draw.
    """

    library: ClassVar[str] = "dm_control"
    available_envs = AvailableEnvs(lambda cls: suite.tasks())

    def __init__(
        self,
        env: dm_env.Environment,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        camera_id: int | str = 0,
        render_kwargs: Mapping[str, Any] | None = None,
        pixel_size: FrameSize | None = None,
        render_quality: str = "full",
        categorical_action_encoding: bool = False,
        frame_skip: int | None = None,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        convert_actions_to_numpy: bool = True,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        if not isinstance(env, dm_env.Environment):
            raise ConfigError(
                f"DMControlWrapper: expected a dm_env.Environment, found {type(env).__module__}.{type(env).__name__}. "
                "Build one with dm_control.suite.load(domain, task)"
            )
        single("DMControlWrapper", batch_size)
        super().__init__(env, frame_skip=frame_skip, checks=checks, device=device)
        self.is_spec_locked = spec_locked
        self.from_pixels, self.pixels_only = from_pixels, pixels_only
        self._camera = PhysicsCamera(camera_id, pixel_size, render_quality, render_kwargs)
        self.render_kwargs, self.render_quality = self._camera.options, render_quality
        self._categorical = categorical_action_encoding
        self._take(env)
        self._make_specs()

    def _take(self, env: dm_env.Environment) -> None:
        self._env = env
        self._release = weakref.finalize(self, release, env)  # also where close() is forgotten
        self._pixels = self._camera.aim(env, self._native_name()) if self.from_pixels else None
        if self._pixels is not None:
            self._release.detach()
            self._release = ending_in_time(self, release, env)

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every task of the suite, as ``domain-task``: ``"acrobot-swingup"``."""
        return sorted(f"{domain}-{task}" for domain, tasks in suite.tasks() for task in tasks)

    def _make_specs(self) -> None:
        native, device, categorical = self._env, self.device, self._categorical
        self._shown, self._taken = native.observation_spec(), native.action_spec()
        shown: TensorSpec = dm_spec_to_spec(
            self._shown, categorical=categorical, device=device, where="observation_spec"
        )
        self._observed: Key = () if is_nested(self._shown) else ("observation",)
        if not isinstance(shown, Composite):
            shown = Composite(observation=shown, device=device)
        if self._pixels is not None:
            shown = self._pixels.added_to(shown, self.pixels_only)
        self.observation_spec = shown
        self._acted: Key = () if is_nested(self._taken) else ("action",)
        action = dm_spec_to_spec(self._taken, categorical=categorical, device=device, where="action_spec")
        self.action_spec = Composite(action=action, device=device) if self._acted else action
        if is_nested(native.reward_spec()):
            raise ConfigError(f"{self._native_name()} returns several rewards at once. Wrap it so that it returns one")
        self._answers = DMAnswers(self._shown, native.reward_spec(), self._native_name(), self.checks)
        self.reward_spec = dm_spec_to_spec(native.reward_spec(), device=device, where="reward_spec")
        self.full_done_spec = done_family(device=device)
        self._row_layout()  # an observation may use a name of ours: say so now

    def _native_name(self) -> str:
        return type(getattr(self._env, "task", self._env)).__name__

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` control steps; None for a ``dm_env`` that does not say how long one is."""
        clock = getattr(self._env, "control_timestep", None)
        return float(clock()) * (self.frame_skip or 1) if callable(clock) else None

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        first: Rows | None = None
        following: Rows | None = None
        if self._pixels is None or not self.pixels_only:
            first, following = (
                row_writer(self._shown, (*prefix, *self._observed), buffer) for prefix in ((), ("next",))
            )
        first, following, self._reward = self._answers.bind(first, following, buffer.array(("next", "reward")))
        self._first = Unwritten() if first is None else first
        self._following = Unwritten() if following is None else following
        self._action = row_reader(self._taken, self._acted, buffer)
        self._flags = EndRows(buffer)
        if self._pixels is not None:
            self._pixels.bind(buffer)
        self._native_step = self._env.step if self.frame_skip in (None, 1) else self._repeated_step

    def _reset_row(self, t: int, where: Array | None) -> None:
        answers = self._answers
        if not t:
            answers.begin_anew()
        try:
            observation = self._env.reset(**self._reset_request.options).observation
        except RuntimeError as error:
            answers.explain_reset(error)
            raise
        if answers.new_reset:
            answers.check_reset(observation)
        try:
            self._first[t] = observation
        except UNFIT as error:
            answers.explain_first(observation, error)
            raise
        if answers.full:
            answers.look_at_reset(t)
        if self._pixels is not None:
            self._pixels.show_first(t)

    def _step_row(self, t: int) -> None:
        answers = self._answers
        try:
            step = self._native_step(self._action(t))
        except RuntimeError as error:
            answers.explain_step(error)
            raise
        if step.reward is None:
            raise answers.unpaid(step)
        if answers.new_step:
            answers.check_step(step)
        try:
            self._reward[t], self._following[t] = step.reward, step.observation
        except UNFIT as error:
            answers.explain_following(step, error)
            raise
        if answers.full:
            answers.look_at_step(t)
        if step.last():
            over = answers.is_terminal(step.discount)
            self._flags.mark(t, over, not over)
        if self._pixels is not None:
            self._pixels.show_next(t)

    def _repeated_step(self, action: Any) -> dm_env.TimeStep:
        step = self._env.step(action)
        total = step.reward
        for _ in range((self.frame_skip or 1) - 1):
            if total is None or step.last():
                break
            step = self._env.step(action)
            try:
                total = None if step.reward is None else total + step.reward
            except TypeError:
                if self._answers.full:
                    self._answers.check_reward(step.reward)
                raise
        return step._replace(reward=total)

    def _set_seed(self, seed: int | None) -> None:
        if callable(own := getattr(self._env, "seed", None)):
            own(seed)
            return
        if not (found := generators(self._env)):
            raise EnvError(f"{self._native_name()} has no generator to seed. Give it a method seed(seed)")
        try:
            reseed(found, seed)
        except ValueError as error:
            raise ConfigError(f"seed: found {seed}. {error}") from error

    def _close(self) -> None:
        self._release()


class DMControlEnv(Several, DMControlWrapper):
    """A task of the DeepMind Control suite: ``DMControlEnv("cheetah", "run")``.

    After ``set_seed(s)`` the next ``reset`` begins the episode that ``suite.load(domain, task, {"random": s})`` begins
    with.

    Args:
        env_name, task_name: the domain and its task; ``envcli list`` shows them as ``domain-task``.
        visualize_reward: colour what is drawn by the reward.
        environment_kwargs: for ``dm_control.rl.control.Environment``.
        num_envs, num_workers: give a batch of such envs instead: see :class:`~envcli.envs.several.Several`.
        task_kwargs: for the task, such as ``random`` (a seed) and ``time_limit`` (seconds).

    The other arguments are those of :class:`DMControlWrapper`.

    Raises:
        UnknownName: there is no such task; says the nearest.
        MissingDependency: dm_control is not installed.
        ConfigError: the task does not take an option, or pixels are wanted and nothing here can draw them.
    """

    from_name = ByName(lambda name: name.partition("-")[::2])

    def __init__(
        self,
        env_name: str,
        task_name: str,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        frame_skip: int | None = None,
        camera_id: int | str = 0,
        render_kwargs: Mapping[str, Any] | None = None,
        pixel_size: FrameSize | None = None,
        render_quality: str = "full",
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        convert_actions_to_numpy: bool = True,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
        visualize_reward: bool = False,
        environment_kwargs: Mapping[str, Any] | None = None,
        num_envs: int = 0,
        num_workers: int = 1,
        **task_kwargs: Any,
    ) -> None:
        self.env_name, self.task_name, self.from_pixels = env_name, task_name, from_pixels
        self._options = {"visualize_reward": visualize_reward, "environment_kwargs": environment_kwargs}
        self._task_kwargs = task_kwargs
        super().__init__(
            self._loaded(),
            from_pixels=from_pixels,
            pixels_only=pixels_only,
            camera_id=camera_id,
            render_kwargs=render_kwargs,
            pixel_size=pixel_size,
            render_quality=render_quality,
            frame_skip=frame_skip,
            checks=checks,
            device=device,
            batch_size=batch_size,
            spec_locked=spec_locked,
        )

    def _loaded(self, **drawn: Any) -> dm_env.Environment:
        kwargs = {**self._task_kwargs, **drawn}
        return suite.load(self.env_name, self.task_name, kwargs, self.from_pixels, **self._options)

    def _native_name(self) -> str:
        return f"{self.env_name}, task={self.task_name}"

    def _set_seed(self, seed: int | None) -> None:
        if not suite.draws_its_model(self.env_name):
            super()._set_seed(seed)
            return
        self._release()
        self._take(self._loaded(random=seed))
        self._unbind()  # the hooks are those of the old native env


def from_dm_env(env: dm_env.Environment, **options: Any) -> DMControlWrapper:
    """``env``, a ``dm_env.Environment``, as one of ours: ``DMControlWrapper(env, **options)``, whoever made it."""
    return DMControlWrapper(env, **options)
