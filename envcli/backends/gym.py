"""Gymnasium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import gymnasium
import torch

from envcli.backends.backend import AvailableEnvs, Backend, ByName, single
from envcli.backends.gymnasium_vector import GymnasiumVectorWrapper
from envcli.envs.several import Several
from envcli.errors import ConfigError, SpecError
from envcli.gym import ids
from envcli.gym.answers import GymAnswers, Step
from envcli.gym.called_reader import CalledReader, InfoFunction
from envcli.gym.info_reader import InfoReader, ShownInfo
from envcli.gym.info_readers import InfoReaders
from envcli.gym.lens import Lens
from envcli.gym.objectives import Objectives
from envcli.gym.old_gym import from_old, is_old
from envcli.gym.registered import Registered
from envcli.gym.space_rows import row_reader, row_writer, rows_reader
from envcli.gym.spaces import is_image, space_to_spec
from envcli.gym.texts import with_room
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer, Rows
from envcli.rows.announced import UNFIT
from envcli.rows.done_family import EndRows, done_family
from envcli.rows.note import HALT, ROW
from envcli.rows.pixels import Pixels, Unwritten
from envcli.specs import Composite

__all__ = ["GymEnv", "GymWrapper", "from_gymnasium"]

_AT_ONCE = 64  # rows whose actions are converted together: an episode that ends among them was little work in vain


class GymWrapper(Registered, Backend):
    """An existing gymnasium env.

    Observations that are not a ``Dict`` are called ``"observation"``, actions that are not a ``Dict`` ``"action"``. The
    reward is ``[1]`` float32, or ``[objectives]`` of an env with a ``reward_space``, as MO-Gymnasium's. A time limit is
    ``truncated`` and not ``terminated``; ``done`` is either.

    An observation that is an image, uint8 ``[height, width, 3]``, is called ``"pixels"``, and ``from_pixels`` is true
    by itself. Any other env can be drawn: ``"pixels"`` then holds the frame of the moment, beside the observation or
    instead of it.

    Args:
        env: a ``gymnasium.Env``; it is closed with this one. Its ``reset`` and ``step`` must not be called from outside
            while this one is in use. A ``gymnasium.vector.VectorEnv`` gives a batch of such envs:
            :class:`~envcli.backends.gymnasium_vector.GymnasiumVectorWrapper`. An env written for gym, the library
            before gymnasium, is taken too: see :class:`~envcli.gym.old_gym.OldGym` for its steps and seeds.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        from_pixels: show what ``env.render()`` draws; the env must be made with ``render_mode="rgb_array"``.
        pixels_only: with ``from_pixels``: leave the state out. (It is what TorchRL's documentation says; its GymWrapper
            leaves the state in unless ``pixels_only=True`` is given.)
        info_keys: entries of the simulator's ``info`` to show beside the observation; all else in ``info`` is dropped.
            Their shapes and dtypes are those that a reset and a step with a random action show.
        text_length: bytes to keep of each text in the observation whose space does not say how long it may be, such as
            MiniGrid's mission; see :class:`~envcli.Text`.
        frame_skip, checks, batch_size, convert_actions_to_numpy, allow_done_after_reset, spec_locked: see
            :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.Env`.

    Raises:
        ConfigError: a space without a fixed shape (``Graph``, ``Sequence``), actions that are texts, no frames
            where they are wanted, a batch size, an ``info`` without one of ``info_keys``, or no gymnasium env.
    """

    library: ClassVar[str] = "gymnasium"
    available_envs = AvailableEnvs(lambda cls: cls.available_names())

    def __new__(cls, env: object = None, *args: Any, **options: Any) -> Any:  # Any: or of a vector env
        """The env; or a :class:`GymnasiumVectorWrapper`, for which :meth:`__init__` is then not called."""
        if isinstance(env, gymnasium.vector.VectorEnv):
            return GymnasiumVectorWrapper(env, *args, **options)
        return super().__new__(cls)

    def __init__(
        self,
        env: Any,  # Any: or one of gym's, which is there for some only
        categorical_action_encoding: bool = False,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        info_keys: Sequence[str] = (),
        text_length: int = 256,
        frame_skip: int | None = None,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        convert_actions_to_numpy: bool = True,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        if not isinstance(env, gymnasium.Env):
            if not is_old(env):
                raise ConfigError(f"GymWrapper: expected a gymnasium.Env, found {_described(type(env))}")
            env = from_old(env)
        single("GymWrapper", batch_size)
        super().__init__(env, frame_skip=frame_skip, checks=checks, device=device)
        self.is_spec_locked = spec_locked
        self._repeat = frame_skip or 1
        self._seed: int | None = None
        self._infos = InfoReaders()
        self._categorical = categorical_action_encoding
        self._text_length = text_length
        self._lens = Lens(env)
        image = is_image(env.observation_space)
        self.from_pixels, self.pixels_only = from_pixels or image, pixels_only
        self._pixels = self._camera() if from_pixels and not image else None
        self._make_specs()
        if info_keys:
            self.set_info_dict_reader(InfoReader.named(info_keys, *self._first_infos()))

    def _camera(self) -> Pixels:
        name = self._native_name()
        self._env.reset()  # nothing can be drawn before
        with ids.drawing_explained(name):
            pixels = Pixels(self._lens, f"{name}, which must be made with render_mode='rgb_array'")
        self._lens.look_anew()  # its camera looks at where this reset was, which no seed decides
        return pixels

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every id in gymnasium's registry, but for those whose env has moved to another package."""
        return ids.names()

    def render(self) -> Any:  # Any: as gymnasium has it
        """What ``env.render()`` gives, whoever else draws in this process: see :class:`~envcli.gym.lens.Lens`."""
        return self._lens()

    @property
    def info_dict_reader(self) -> list[InfoReader]:
        """What reads the simulator's ``info``: see :meth:`set_info_dict_reader`."""
        return self._infos.readers

    def set_info_dict_reader(
        self, info_dict_reader: InfoReader | ShownInfo | InfoFunction | None = None, ignore_private: bool = True
    ) -> Self:
        """Show entries of the simulator's ``info`` beside the observation, and beside those that are shown already.

        Returns the env itself.

        Args:
            info_dict_reader: which; or a function ``read(info, tensordict)`` that writes them into the TensorDict, see
                :class:`~envcli.gym.called_reader.CalledReader`. None: all numbers and arrays of numbers that a reset
                and a step with a random action show. These are made for that, and for a function, and where no specs
                are given, so do it before ``set_seed``.
            ignore_private: leave out those that begin with ``_``, with None.

        Raises:
            SpecError: a name is taken by the observation, or a function writes nothing.
            ConfigError: it is nothing of these.
        """
        reader = info_dict_reader
        if reader is None:
            reader = ShownInfo(ignore_private=ignore_private)
        if isinstance(reader, ShownInfo):
            reader = reader.reader(*self._first_infos())
        elif callable(reader):
            fake = self.fake_tensordict().exclude(*self.action_keys).cpu()
            moments = fake.exclude("next"), fake["next"]
            reader = CalledReader(reader, list(zip(self._first_infos(), moments, strict=True)))
        if not isinstance(reader, InfoReader):
            raise ConfigError(
                f"info_dict_reader: found a {type(reader).__name__}. Give "
                "envcli.default_info_dict_reader(keys, spec), a function, or None for all numbers in info"
            )
        before, self._infos = self._infos, self._infos.and_then(reader)
        try:
            self._make_specs()
        except SpecError:
            self._infos = before
            self._make_specs()
            raise
        return self

    def auto_register_info_dict(
        self, ignore_private: bool = True, *, info_dict_reader: InfoReader | ShownInfo | InfoFunction | None = None
    ) -> Self:
        """:meth:`set_info_dict_reader`, by TorchRL's other name: what an ``info`` lacks is 0 in any case."""
        return self.set_info_dict_reader(info_dict_reader, ignore_private)

    def _first_infos(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        _, first = self._answers.reset()
        return first, self._answers.step(self._env.action_space.sample())[-1]

    def _make_specs(self) -> None:
        native, device = self._env, self.device
        self._space = space = with_room(native.observation_space, self._text_length)
        observation = space_to_spec(space, categorical=self._categorical, device=device, where="observation_space")
        self._answers = GymAnswers(native, self._native_name(), self.checks, space)
        name = "pixels" if is_image(space) else "observation"
        self._observed: Key = () if isinstance(space, gymnasium.spaces.Dict) else (name,)
        shown = Composite({name: observation}, device=device)
        if isinstance(observation, Composite) and not self._observed:
            shown = observation
        if self._pixels is not None:
            shown = self._pixels.added_to(shown, self.pixels_only)
        self.observation_spec = self._infos.added_to(shown, device)
        action = space_to_spec(native.action_space, categorical=self._categorical, device=device, where="action_space")
        self._acted: Key = () if isinstance(native.action_space, gymnasium.spaces.Dict) else ("action",)
        self.action_spec = Composite(action=action, device=device) if self._acted else action
        self._pay = Objectives(native)
        self.reward_spec = self._pay.spec(self._repeat, device)
        self.full_done_spec = done_family(device=device)
        self._row_layout()  # a Dict space may use a name of ours, or both spaces the same: say so now

    def _native_attribute(self, name: str) -> Any:
        return self._env.get_wrapper_attr(name)  # gymnasium's wrappers do not pass attributes on by themselves

    def _set_further_in(self, name: str, value: Any) -> None:
        self._env.set_wrapper_attr(name, value)

    def _native_name(self) -> str:
        spec = self._env.spec or getattr(self._env.unwrapped, "spec", None)  # gym's, of an OldGym
        return spec.id if spec is not None else type(self._env.unwrapped).__name__

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        first: Rows | None = None
        following: Rows | None = None
        if self._pixels is None or not self.pixels_only:
            first, following = (
                row_writer(self._space, (*prefix, *self._observed), buffer) for prefix in ((), ("next",))
            )
        rewards = buffer.array(("next", "reward"))
        first, following = self._answers.bind(first, following, rewards if self._pay.several else rewards[:, 0])
        self._first = Unwritten() if first is None else first
        self._following = Unwritten() if following is None else following
        if self._pixels is not None:
            self._pixels.bind(buffer)
        self._action = row_reader(self._env.action_space, self._acted, buffer)
        self._actions = rows_reader(self._env.action_space, self._acted, buffer)
        self._reward: Rows = rewards if self._pay.several else buffer.flags(("next", "reward"))
        self._flags = EndRows(buffer)
        self._first_info, self._next_info = self._infos.writer(buffer, ()), self._infos.writer(buffer, ("next",))

    def _reset_row(self, t: int, where: Array | None) -> None:
        options = self._reset_request.options
        if self._seed is not None:
            options = {"seed": self._seed, **options}
            self._seed = None
            self._lens.look_anew()  # the same seed gives the same frames, whatever was drawn before
        if not t:
            self._answers.begin_anew()
        result: Any = self._answers.reset(**options)
        try:
            self._first[t], info = result
        except UNFIT as error:
            self._answers.explain_reset(result, error)
            raise
        self._answers.check_first(t)
        if self._first_info is not None:
            self._first_info(t, info)
        if self._pixels is not None:
            self._pixels.show_first(t)

    def _step_row(self, t: int) -> None:
        answers, once = self._answers, self._repeat == 1
        action = self._action(t)
        result = answers.step(action) if once else self._repeated_step(action)
        clock = answers.clock
        over = False
        if once and clock is not None:  # as in answers.over(), without the call
            clock._elapsed_steps = made = clock._elapsed_steps + 1
            over = made >= clock._max_episode_steps
        try:
            self._following[t], self._reward[t], terminated, truncated, info = result
        except UNFIT as error:
            answers.explain_step(result, error)
            raise
        truncated = over or truncated
        if answers.full:
            answers.check(t, t + 1)
        # Only False itself goes on at once: that costs less than to ask for the truth, and None is seen.
        if (terminated is not False or truncated is not False) and answers.is_end(terminated, truncated):
            self._flags.mark(t, bool(terminated), bool(truncated))
        if self._next_info is not None:
            self._next_info(t, info)
        if self._pixels is not None:
            self._pixels.show_next(t)

    def _step_rows(self, start: int, stop: int) -> int:
        if self._next_info is not None or self._pixels is not None or self._repeat > 1:
            return super()._step_rows(start, stop)
        answers, t = self._answers, start
        if answers.new_step:  # it is looked at by itself
            t = start = super()._step_rows(start, start + 1)
            if start == stop or self._flags.done[start - 1]:
                return start
        stop = min(stop, start + min(_AT_ONCE, answers.left()))
        step, observations, rewards, note = answers.step, self._following, self._reward, self._row_note
        try:
            for t, action in enumerate(self._actions(start, stop), start):
                note[ROW] = t
                result = step(action)
                try:
                    observations[t], rewards[t], terminated, truncated, _ = result
                except Exception as error:
                    answers.over()  # it has been made
                    if isinstance(error, UNFIT):
                        answers.explain_step(result, error)
                    raise
                if (terminated is not False or truncated is not False) and answers.is_end(terminated, truncated):
                    answers.check(start, t + 1)
                    self._flags.mark(t, bool(terminated), answers.over(t + 1 - start) or bool(truncated))
                    return t + 1
                if note[HALT]:
                    stop = t + 1
                    break
            answers.check(start, stop)
            if answers.over(stop - start):
                self._flags.mark(t, False, True)
        except BaseException:
            answers.over(t - start)
            self._stopped_in(answers.whole(start, t))
            raise
        return stop

    def _repeated_step(self, action: Any) -> Step:
        answers, paid = self._answers, self._pay.total
        total: Any = 0.0
        for _ in range(self._repeat):
            result: Any = answers.step(action)
            try:
                observation, reward, terminated, truncated, info = result
                total = total + paid(reward)
            except UNFIT as error:
                answers.explain_step(result, error)
                raise
            truncated = answers.over() or truncated
            if (terminated is not False or truncated is not False) and answers.is_end(terminated, truncated):
                break
        return observation, total, terminated, truncated, info

    def _set_seed(self, seed: int | None) -> None:
        self._seed = seed

    def _close(self) -> None:
        self._lens.close()
        super()._close()


class GymEnv(Several, GymWrapper):
    """A gymnasium env by its name: ``GymEnv("CartPole-v1")``.

    Args:
        name: an id of ``gymnasium.registry``; ``envcli list`` shows them. TorchRL's code may give it as ``env_name``,
            as the attribute is called. Beside it, ``env_name`` is an option, as Meta-World's envs have one.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        from_pixels: show frames, under ``"pixels"``; true by itself where the observation is an image, as Atari's is.
        pixels_only: with ``from_pixels``: leave the state out.
        info_keys: entries of the simulator's ``info`` to show beside the observation.
        text_length: bytes to keep of each text in the observation, see :class:`GymWrapper`.
        frame_skip: see :class:`~envcli.backends.backend.Backend`; Atari's own repetition is then switched off.
        checks, batch_size, convert_actions_to_numpy, allow_done_after_reset, spec_locked: see
            :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.Env`.
        num_envs, num_workers: give a batch of such envs instead: see :class:`~envcli.envs.several.Several`.
        options: for ``gymnasium.make``.

    Raises:
        UnknownName: there is no such id; says the nearest.
        ConfigError: the env does not take an option, needs a library that is not installed, or cannot be drawn here.
    """

    from_name = ByName()
    _made = staticmethod(ids.make)

    def __init__(
        self,
        name: str | None = None,
        /,
        *,
        categorical_action_encoding: bool = False,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        info_keys: Sequence[str] = (),
        text_length: int = 256,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        convert_actions_to_numpy: bool = True,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
        num_envs: int = 0,
        num_workers: int = 1,
        **options: Any,
    ) -> None:
        if name is None and "env_name" not in options:
            raise TypeError(f"{type(self).__name__} needs the name of an env: {type(self).__name__}('CartPole-v1')")
        env_name = options.pop("env_name") if name is None else name
        native = self._made(env_name, options, from_pixels=from_pixels, frame_skip=frame_skip)
        try:
            super().__init__(
                native,
                categorical_action_encoding=categorical_action_encoding,
                from_pixels=from_pixels,
                pixels_only=pixels_only,
                info_keys=info_keys,
                text_length=text_length,
                frame_skip=frame_skip,
                checks=checks,
                device=device,
                batch_size=batch_size,
                spec_locked=spec_locked,
            )
        except BaseException:
            native.close()  # nobody else ever sees it
            raise
        self.env_name = env_name


def from_gymnasium(env: Any, **options: Any) -> GymWrapper:  # Any: see GymWrapper
    """``env``, a ``gymnasium.Env`` or one of gym's, as one of ours: ``GymWrapper(env, **options)``."""
    return GymWrapper(env, **options)


def _described(kind: type) -> str:
    """What ``kind``, of which no gymnasium env is, is called, and what to do."""
    olds = any(base.__module__.partition(".")[0] == "gym" for base in kind.__mro__)
    cure = "Of gym's it takes a single env with both its spaces" if olds else "Build one with gymnasium.make(name)"
    return f"{kind.__module__}.{kind.__name__}. {cure}"
