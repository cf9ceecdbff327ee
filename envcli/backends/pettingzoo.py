"""PettingZoo: many agents in one env."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces

from envcli.agent_groups import MarlGroupMapType, group_map_of, groups_by_name
from envcli.backends.backend import AvailableEnvs, Backend, ByName, single
from envcli.errors import ConfigError, EnvcliError, EnvError, SpecError, described
from envcli.gym.space_rows import row_writer
from envcli.gym.spaces import announced, space_to_spec
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer, Rows
from envcli.pygame_turns import pygame_turn
from envcli.rows.done_family import EndRows, done_family
from envcli.rows.pixels import Pixels
from envcli.rows.roles import Roles
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.zoo import tasks
from envcli.zoo.agent_group import ACTION_MASK, AgentGroup
from envcli.zoo.group_rows import EndedRows, ShownRows, readers
from envcli.zoo.play import Acts, Infos, Play
from envcli.zoo.rounds import Rounds
from envcli.zoo.turns import Turns
from envcli.zoo.zoo_answers import ZooAnswers

__all__ = ["PettingZooEnv", "PettingZooWrapper"]


class PettingZooWrapper(Backend):
    """An existing env of PettingZoo: a ``ParallelEnv``, whose agents act all at once, or an ``AECEnv``, in turns.

    The agents of a group are stacked in its order, in a nested TensorDict ``[*batch, agents]``: ``(group,
    "observation")``, ``(group, "action")``, ``(group, "reward")`` ``[agents, 1]`` float32, and a done family ``[agents,
    1]``. An observation that is a ``Dict`` has its entries under ``(group, "observation", key)``; an ``"action_mask"``
    in it, or in the infos, is ``(group, "action_mask")`` ``[agents, n]`` bool. Numbers in the infos of a reset are
    ``(group, "info", key)``; what a later info lacks is 0, and what it has besides is dropped.

    The flags at the root say when the episode is over, for all agents at once. An agent that is gone before is shown
    zeros, is paid nothing, and is done, terminated and truncated.

    Where there is an action mask, random actions are drawn from what it allows, and other actions of a user or a policy
    are refused (TorchRL passes them on). Who does not act has all choices, and its action is not looked at.

    Args:
        env: a ``pettingzoo.ParallelEnv`` or ``AECEnv``; it is closed with this one. Its ``reset`` and ``step`` must not
            be called from outside while this one is in use.
        return_state: show what ``env.state()`` gives, as ``"state"``.
        group_map: groups and their agents, a :class:`~envcli.MarlGroupMapType` or its name; None: by the names of the
            agents without their number, and one agent a group where they take turns.
        use_mask: show ``(group, "mask")`` ``[agents]`` bool, who acts next. It is needed where agents take turns, and
            where some are gone before the others.
        categorical_actions: choices as numbers and not as one-hot vectors.
        seed: as ``set_seed(seed)``: the first reset draws from it, and not the one before it as in TorchRL.
        done_on_any: the episode is over with the first agent, and not with the last; None: where all act at once.
            Where all are done, some of them terminated and others truncated, it is truncated (in TorchRL neither).
        from_pixels: show ``"pixels"``, what ``env.render()`` draws; the env must be made with
            ``render_mode="rgb_array"``.
        pixels_only: with ``from_pixels``: leave observations and state out.
        frame_skip: how often actions are repeated, see :class:`~envcli.backends.backend.Backend`; not where agents take
            turns.
        checks, batch_size, allow_done_after_reset, spec_locked: see :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.Env`.

    Raises:
        ConfigError: agents take turns, and there is no ``use_mask``, or a ``frame_skip``; agents of a group whose
            spaces cannot be stacked; a space without a fixed shape; no state or no frames where they are wanted; or no
            env of PettingZoo's at all.
        EnvError: from a reset or step: an agent is not there, and there is no ``use_mask``.
    """

    library: ClassVar[str] = "pettingzoo"
    available_envs = AvailableEnvs(lambda cls: cls.available_names())

    def __init__(
        self,
        env: Any,  # Any: of a library that is there for some only
        return_state: bool = False,
        group_map: MarlGroupMapType | dict[str, list[str]] | str | None = None,
        use_mask: bool = False,
        categorical_actions: bool = True,
        seed: int | None = None,
        done_on_any: bool | None = None,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        frame_skip: int | None = None,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        self.parallel = _is_parallel(env)
        single(type(self).__name__, batch_size)
        super().__init__(env, frame_skip=frame_skip, checks=checks, device=device)
        if not self.parallel and not use_mask:
            raise ConfigError(
                f"use_mask: {env} has agents that take turns, so a mask must show whose turn it is. Type: use_mask=true"
            )
        if not self.parallel and (frame_skip or 1) > 1:
            raise ConfigError(
                f"frame_skip: {env} has agents that take turns, so none can repeat its action. Type: frame_skip=null"
            )
        self.is_spec_locked = spec_locked
        self.return_state, self.use_mask, self.categorical_actions = return_state, use_mask, categorical_actions
        self.done_on_any = self.parallel if done_on_any is None else done_on_any
        self.from_pixels, self.pixels_only = from_pixels, pixels_only
        agents = list(env.possible_agents)
        default = groups_by_name(agents) if self.parallel else MarlGroupMapType.ONE_GROUP_PER_AGENT
        self.group_map = group_map_of(default if group_map is None else group_map, agents)
        self._play: Play = Rounds(env, frame_skip or 1, self.done_on_any) if self.parallel else Turns(env)
        self._observed = {agent: env.observation_space(agent) for agent in agents}
        self._answers = ZooAnswers(self._native_name(), self._observed, self.checks)
        self._pixels: Pixels | None = None
        self._state_space: spaces.Space[Any] | None = None
        self._make_specs()
        self.seed = self._next_seed = seed

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every task of PettingZoo, ``family/name``."""
        return tasks.names()

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` frames at the rate that the env's ``metadata`` gives."""
        rate = getattr(self._env, "metadata", {}).get("render_fps")
        return (self.frame_skip or 1) / rate if rate else None

    def _make_specs(self) -> None:
        env, device = self._env, self.device
        _, infos = self._play.reset()  # shows what is in infos, and nothing can be drawn before
        acted = {agent: env.action_space(agent) for agent in self._observed}
        self._groups = [self._group(name, agents, acted, infos) for name, agents in self.group_map.items()]
        self.has_action_mask = {group.name: group.has_action_mask for group in self._groups}
        shown: dict[str, TensorSpec] = {
            group.name: group.observation_spec for group in self._groups if not group.observation_spec.is_empty()
        }
        if self.return_state and not (self.from_pixels and self.pixels_only):
            shown["state"] = self._state_spec()
        observation = Composite(shown, device=device)
        if self.from_pixels:
            self._pixels = self._camera()
            observation = self._pixels.added_to(observation, only=False)
        self.observation_spec = observation
        self.action_spec = Composite({group.name: group.action_spec for group in self._groups}, device=device)
        self.reward_spec = Composite({group.name: group.reward_spec for group in self._groups}, device=device)
        flags = done_family(device=device)
        flags.update({group.name: group.done_spec for group in self._groups})
        self.full_done_spec = flags
        self._row_layout()  # a group may have a name of ours: say so now

    def _group(self, name: str, agents: list[str], acted: dict[str, Any], infos: Infos) -> AgentGroup:
        return AgentGroup(
            name,
            agents,
            self._observed,
            acted,
            infos,
            shown=not (self.from_pixels and self.pixels_only),
            use_mask=self.use_mask,
            categorical=self.categorical_actions,
            device=self.device,
        )

    def _camera(self) -> Pixels:
        name = self._native_name()
        try:
            return Pixels(self._drawn, f"{name}, which must be made with render_mode='rgb_array'")
        except (AttributeError, ImportError, NotImplementedError) as error:
            raise ConfigError(
                f"from_pixels: {name} renders no frames: {described(error)}. Type: from_pixels=false"
            ) from error

    def _drawn(self) -> Any:  # Any: whatever the env gives
        with pygame_turn():
            return self._env.render()

    def _state_spec(self) -> TensorSpec:
        """That of the space of states, where there is one and the env keeps to it; else numbers of the same shape."""
        state = np.asarray(self._state(ConfigError))
        space: Any = getattr(self._env, "state_space", None)
        try:
            announced(space).check(state, "state")
        except (ConfigError, SpecError):
            if state.dtype.kind not in "biuf":
                raise ConfigError(
                    f"return_state: expected numbers, found {state.dtype}. Type: return_state=false"
                ) from None
            shape = (torch.Size(state.shape), torch.from_numpy(np.empty_like(state)).dtype)
            self._state_space = spaces.Box(-np.inf, np.inf, state.shape)  # only says how rows are written
            return Unbounded(shape[0], dtype=shape[1], device=self.device)
        self._state_space = space
        return space_to_spec(space, device=self.device, where="state")

    def _state(self, kind: type[EnvcliError] = EnvError) -> Any:
        try:
            return self._env.state()
        except Exception as error:  # whatever an env without one raises
            raise kind(
                f"return_state: {self._native_name()} has no state: {described(error)}. Type: return_state=false"
            ) from error

    def _roles(self) -> Roles:
        masks: dict[Key, Key] = {(g.name, "action"): (g.name, ACTION_MASK) for g in self._groups if g.masks_choices}
        return Roles(reads=set(masks.values()), masks=masks)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._first, self._following = (
            [ShownRows(group, buffer, prefix) for group in self._groups] for prefix in ((), ("next",))
        )
        self._paid = [EndedRows(group, buffer) for group in self._groups]
        self._acts: Acts = {agent: read for group in self._groups for agent, read in readers(group, buffer).items()}
        self._flags = EndRows(buffer)
        self._states: list[Rows] = []
        if self._state_space is not None:
            self._states = [row_writer(self._state_space, (*at, "state"), buffer) for at in ((), ("next",))]
        if self._pixels is not None:
            self._pixels.bind(buffer)
        self._answers.begin_anew()

    def _reset_row(self, t: int, where: Array | None) -> None:
        options = self._reset_request.options
        if self._next_seed is not None:
            options = {"seed": self._next_seed, **options}
            self._next_seed = None
        if not t:
            self._answers.begin_anew()
        answer = self._play.reset(**options)
        if self._answers.new_reset:
            self._answers.check_reset(answer)
        observations, infos = answer
        acting = self._play.acting()
        for rows in self._first:
            rows.write(t, observations, infos, acting)
        if self._states:
            self._states[0][t] = self._state()
        if self._pixels is not None:
            self._pixels.show_first(t)

    def _step_row(self, t: int) -> None:
        answer = self._play.step(self._acts, t)
        acting = self._play.acting()
        if self._answers.new_step:
            self._answers.check_step(answer, acting)
        observations, rewards, terminations, truncations, infos = answer
        ended = over = cut = 0
        for rows, paid in zip(self._following, self._paid, strict=True):
            rows.write(t, observations, infos, acting)
            counts = paid.write(t, rewards, terminations, truncations)
            ended, over, cut = ended + counts[0], over + counts[1], cut + counts[2]
        if ended:
            self._end(t, ended, over, cut)
        if self._states:
            self._states[1][t] = self._state()
        if self._pixels is not None:
            self._pixels.show_next(t)

    def _end(self, t: int, ended: int, over: int, cut: int) -> None:
        """So many agents are done, terminated and truncated."""
        if self.done_on_any:
            self._flags.mark(t, over > 0, cut > 0)
        elif ended == len(self._observed):
            self._flags.mark(t, over == ended, cut == ended or over < ended)

    def _set_seed(self, seed: int | None) -> None:
        self.seed = self._next_seed = seed


class PettingZooEnv(PettingZooWrapper):
    """A task of PettingZoo by its name: ``PettingZooEnv("pursuit_v5", parallel=True)``.

    Args:
        task: ``"family/name"`` or ``"name"``; ``envcli list`` shows them. It is an attribute, too.
        parallel: the version whose agents act all at once, and not the one where they take turns.
        return_state, group_map, use_mask, categorical_actions, seed, done_on_any, from_pixels, pixels_only, frame_skip:
            see :class:`PettingZooWrapper`.
        checks, batch_size, allow_done_after_reset, spec_locked: see :class:`~envcli.backends.backend.Backend`.
        device: see :class:`~envcli.Env`.
        options: for the task's constructor: ``n_pistons=21``.

    Raises:
        UnknownName: there is no such task; says the nearest.
        ConfigError: the task has no parallel version, does not take an option, or needs a library that is not
            installed; or as of :class:`PettingZooWrapper`.
        MissingDependency: PettingZoo, or MPE2 for a task of ``mpe``, is not installed.
    """

    of_python: ClassVar = ("batch_size", "seed")
    from_name = ByName()

    def __init__(
        self,
        task: str,
        parallel: bool = True,
        return_state: bool = False,
        group_map: MarlGroupMapType | dict[str, list[str]] | str | None = None,
        use_mask: bool = False,
        categorical_actions: bool = True,
        seed: int | None = None,
        done_on_any: bool | None = None,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        frame_skip: int | None = None,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
        **options: Any,
    ) -> None:
        native = tasks.make(task, parallel, options, from_pixels=from_pixels)
        try:
            super().__init__(
                native,
                return_state,
                group_map,
                use_mask,
                categorical_actions,
                seed,
                done_on_any,
                from_pixels=from_pixels,
                pixels_only=pixels_only,
                frame_skip=frame_skip,
                checks=checks,
                device=device,
                batch_size=batch_size,
                spec_locked=spec_locked,
            )
        except BaseException:
            native.close()  # nobody else ever sees it
            raise
        self.task = task


def _is_parallel(env: Any) -> bool:
    """Do its agents act all at once? The two kinds of env share no base class. Raises ConfigError for any other."""
    if all(hasattr(env, name) for name in ("possible_agents", "observation_space", "action_space", "reset", "step")):
        return not hasattr(type(env), "agent_iter")
    kind = f"{type(env).__module__}.{type(env).__name__}"
    raise ConfigError(
        f"PettingZooWrapper: expected a pettingzoo.ParallelEnv or AECEnv with possible_agents, found {kind}. "
        "Build one by its name: PettingZooEnv('sisl/pursuit_v5')"
    )
