"""VMAS: many agents in many envs, stepped together in torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch

from envcli.agent_groups import MarlGroupMapType, group_map_of, groups_by_name
from envcli.backends.backend import AvailableEnvs, Backend, ByName
from envcli.errors import ConfigError, described
from envcli.gym.old_spaces import as_gymnasium
from envcli.keys import DONE_FAMILY, Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.done_family import done_family
from envcli.rows.pixels import Pixels
from envcli.rows.roles import Roles
from envcli.specs import Composite
from envcli.vmas import scenarios
from envcli.vmas.group import VmasGroup
from envcli.vmas.play import VmasPlay
from envcli.vocabulary.schema import at_least
from envcli.zoo.agent_group import ACTION_MASK

__all__ = ["VmasEnv", "VmasWrapper"]


class VmasWrapper(Backend):
    """An existing env of VMAS, what ``vmas.make_env`` gives, as TorchRL's class of this name has it.

    The agents of a group are stacked in its order, in a nested TensorDict ``[num_envs, agents]``: ``(group,
    "observation")``, ``(group, "action")``, ``(group, "reward")`` ``[num_envs, agents, 1]``, and ``(group, "info",
    key)`` float32, where a scenario tells something. All is detached: no gradients go through a step.

    The flags are at the root: ``done`` and ``terminated`` ``[num_envs, 1]``. VMAS does not tell the horizon
    ``max_steps`` from any other end, so both are ``terminated``; an env that is made with ``terminated_truncated=True``
    tells them apart, and has ``truncated``, too. Who wants the flag may also leave ``max_steps`` out, and use a
    ``StepCounter``. After a reset all flags are false, even if the scenario is over at once (TorchRL shows it); the
    next step says so. What infos tell of a step, those that are all 0 in a new world, is 0 after each reset, where
    scenarios still tell of the last step before.

    All envs draw from one seed, and from generators of their own: the same seed gives the same bits, whatever else
    draws, and the global generators, from which scenarios draw, are put back after each call. (In TorchRL all envs of
    VMAS in a process draw from one another's.) The worlds of one env share them: if a scenario draws in every step,
    what it draws in one depends on the resets of the others. Those that begin anew do so one by one, as VMAS resets
    them. A scenario that itself remembers something across resets, as ``wind_flocking`` and ``road_traffic`` do, only
    repeats a seed in a new env.

    Args:
        env: a ``vmas.simulator.environment.Environment``. It must not be reset or stepped from outside meanwhile.
        categorical_actions: choices as numbers and not as one-hot vectors.
        group_map: groups and their agents, a :class:`~envcli.MarlGroupMapType` or its name; None: by the names of the
            agents without their number, and all in the group ``"agents"`` where one has no number, or they are called
            ``"agent"``.
        from_pixels: show ``"pixels"``, what ``env.render(mode="rgb_array")`` draws of each env.
        pixels_only: with ``from_pixels``: leave observations out.
        frame_skip: how often actions are repeated, see :class:`~envcli.backends.backend.Backend`. An env that is done
            on the way is stepped along, keeps what it showed at its end, and earns nothing more.
        device: that of ``env``; None: it is where that computes on a GPU.
        batch_size: ``[num_envs]``, or None.
        allow_done_after_reset, spec_locked: see :class:`~envcli.backends.backend.Backend`.

    Attributes:
        num_envs: how many envs there are.
        agent_names: of all agents, in VMAS's order.
        agent_names_to_indices_map: their places in it.
        het_specs, het_specs_map: for TorchRL's sake: agents of a group have the same specs here.

    Raises:
        ConfigError: agents of a group whose values cannot be stacked; another device or batch size; no frames where
            they are wanted; or no env of VMAS's at all.
        MissingDependency: VMAS is not installed.
    """

    library: ClassVar[str] = "vmas"
    batched: ClassVar[bool] = True
    available_envs = AvailableEnvs(lambda cls: cls.available_names())

    def __init__(
        self,
        env: Any,  # Any: of a library that is there for some only
        categorical_actions: bool = True,
        group_map: MarlGroupMapType | Mapping[str, Sequence[str]] | str | None = None,
        *,
        from_pixels: bool = False,
        pixels_only: bool = True,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        if not scenarios.is_native(env):
            kind = f"{type(env).__module__}.{type(env).__name__}"
            raise ConfigError(
                f"{type(self).__name__}: expected an Environment of VMAS, found {kind}. "
                "Build one by its name: VmasEnv('navigation', num_envs=32)"
            )
        expected = torch.Size([env.num_envs])
        if device is None and env.device.type != "cpu":
            device = env.device
        super().__init__(env, frame_skip=frame_skip, device=device, batch_size=batch_size or expected)
        if self.batch_size != expected:
            raise ConfigError(f"batch_size: found {list(self.batch_size)}, but the env of VMAS has {list(expected)}")
        if self.device is not None and self.device.type != env.device.type:
            raise ConfigError(f"device: found {self.device}, but the env of VMAS is on {env.device}")
        self.is_spec_locked = spec_locked
        self.num_envs, self.categorical_actions = env.num_envs, categorical_actions
        self.from_pixels, self.pixels_only = from_pixels, pixels_only
        self._play = VmasPlay(env, frame_skip or 1)
        self.agent_names = self._play.agents
        self.agent_names_to_indices_map = {name: i for i, name in enumerate(self.agent_names)}
        wanted = _usual_groups(self.agent_names) if group_map is None else group_map
        self.group_map = group_map_of(wanted, self.agent_names)
        self.het_specs, self.het_specs_map = False, dict.fromkeys(self.group_map, False)
        self._pixels: Pixels | None = None
        self._make_specs()

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every scenario of VMAS."""
        return scenarios.names()

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` steps of the world, as long as it says."""
        return float(self._env.world.dt) * (self.frame_skip or 1)

    def _make_specs(self) -> None:
        env, play, device = self._env, self._play, self.device
        observed, acted = (
            {agent: as_gymnasium(space) for agent, space in play.by_agent(of_all.spaces).items()}
            for of_all in (env.observation_space, env.action_space)
        )
        infos = play.infos()
        play.groups = groups = [
            VmasGroup(
                name,
                agents,
                observed,
                acted,
                infos,
                shown=not (self.from_pixels and self.pixels_only),
                categorical=self.categorical_actions,
                device=device,
                num_envs=self.num_envs,
                computed=env.device,
            )
            for name, agents in self.group_map.items()
        ]
        observation = Composite(
            {g.name: g.observation_spec for g in groups if not g.observation_spec.is_empty()}, device=device
        )
        if self.from_pixels:
            self._pixels = self._camera()
            observation = self._pixels.added_to(observation, only=False)
        self.observation_spec = self._of_all(observation)
        self.action_spec = self._of_all(Composite({g.name: g.action_spec for g in groups}, device=device))
        self.reward_spec = self._of_all(Composite({g.name: g.reward_spec for g in groups}, device=device))
        flags = done_family(self.batch_size, device)
        self.full_done_spec = flags if env.terminated_truncated else flags.select("done", "terminated")
        self._row_layout()  # a group may have a name of ours: say so now

    def _of_all(self, spec: Composite) -> Composite:
        expanded: Composite = spec.expand(*self.batch_size, *spec.shape)
        return expanded

    def _camera(self) -> Pixels:
        try:
            return Pixels(self._play.frames, self._native_name(), several=True)
        except Exception as error:  # whatever pyglet raises where there is no display
            raise ConfigError(
                f"from_pixels: {self._native_name()} cannot be drawn here: {described(error)}. VMAS draws with "
                "OpenGL, without a display by EGL (apt-get install libegl1 libglu1-mesa). Type: from_pixels=false"
            ) from error

    def _roles(self) -> Roles:
        masks: dict[Key, Key] = {
            (g.name, "action"): (g.name, ACTION_MASK) for g in self._play.groups if g.masks_choices
        }
        return Roles(reads=set(masks.values()), masks=masks)

    def _native_name(self) -> str:
        scenario = type(self._env.scenario)
        return f"{scenario.__module__}.{scenario.__name__}".strip(".")

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        yield from super()._native_calls()
        yield from ((self._env, name, "resets") for name in ("reset_at", "get_from_scenario"))

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        seen = self.observation_spec.leaves()
        self._first = {path: buffer.array(path) for path in seen}
        self._following = {path[1:]: buffer.array(path) for path in buffer.tensors if path[0] == "next"}
        self._actions = [(group, buffer[(group.name, "action")]) for group in self._play.groups]
        self._flags = {
            name: buffer.array(("next", name))[..., 0] for name in DONE_FAMILY if name in self.full_done_spec
        }
        if self._pixels is not None:
            self._pixels.bind(buffer)

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._refuse_options("VMAS")
        if where is not None and where.all():
            where = None
        for path, value in self._play.reset(where).items():
            if where is None:
                self._first[path][t] = value
            else:
                self._first[path][t][where] = value[where]
        if self._pixels is not None:
            self._pixels.show_first(t, where)

    def _step_row(self, t: int) -> None:
        acts = {agent: act for group, rows in self._actions for agent, act in group.acts(rows[t])}
        values, terminated, truncated = self._play.step(acts)
        for path, value in values.items():
            self._following[path][t] = value
        if (done := terminated | truncated).any():
            found = {"done": done, "terminated": terminated, "truncated": truncated}
            for name, flags in self._flags.items():
                flags[t] = found[name]
        if self._pixels is not None:
            self._pixels.show_next(t)

    def _set_seed(self, seed: int | None) -> None:
        self._play.seed(seed)

    def _close(self) -> None:
        if self._env.viewer is not None:
            self._env.viewer.close()
            self._env.viewer = None


class VmasEnv(VmasWrapper):
    """A scenario of VMAS by its name: ``VmasEnv("navigation", num_envs=32, max_steps=100, n_agents=3)``.

    Args:
        scenario: its name, which ``envcli list`` shows, or a ``vmas.BaseScenario``; as an attribute ``scenario_name``.
        num_envs: how many envs there are; None: one.
        continuous_actions: forces, within the bounds of each agent; False: choices.
        max_steps: an episode is over after so many steps; None: never by itself.
        categorical_actions: see :class:`VmasWrapper`.
        seed: as ``set_seed(seed)``: the first reset draws from it, and not the one before it as in TorchRL. The world
            is made from it, too.
        group_map: see :class:`VmasWrapper`.
        scenario_kwargs: for the scenario, as ``options``, which come first.
        terminated_truncated: tell the horizon from other ends: ``truncated`` beside ``terminated``.
        from_pixels, pixels_only, frame_skip: see :class:`VmasWrapper`.
        device: where it is computed, too; None: the host.
        batch_size, allow_done_after_reset, spec_locked: see :class:`VmasWrapper`.
        options: for the scenario (``n_agents=5``), or for ``vmas.make_env`` (``multidiscrete_actions=True``).

    Raises:
        UnknownName: there is no such scenario; says the nearest.
        ConfigError: the scenario does not take an option; or as of :class:`VmasWrapper`.
        MissingDependency: VMAS is not installed.
    """

    of_python: ClassVar = ("batch_size", "scenario_kwargs", "seed")
    from_name = ByName()

    def __init__(
        self,
        scenario: Any,  # Any: a str, or of a library that is there for some only
        *,
        num_envs: int | None = None,
        continuous_actions: bool = True,
        max_steps: int | None = None,
        categorical_actions: bool = True,
        seed: int | None = None,
        group_map: MarlGroupMapType | dict[str, list[str]] | str | None = None,
        scenario_kwargs: Mapping[str, Any] | None = None,
        terminated_truncated: bool = False,
        from_pixels: bool = False,
        pixels_only: bool = True,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
        **options: Any,
    ) -> None:
        at_least("num_envs", num_envs, 1)
        at_least("max_steps", max_steps, 1)
        given = {
            "continuous_actions": continuous_actions,
            "max_steps": max_steps,
            "terminated_truncated": terminated_truncated,
            **(scenario_kwargs or {}),
            **options,
        }
        self.scenario_name = scenario
        super().__init__(
            scenarios.make(scenario, num_envs or 1, torch.device(device or "cpu"), seed, given),
            categorical_actions,
            group_map,
            from_pixels=from_pixels,
            pixels_only=pixels_only,
            frame_skip=frame_skip,
            device=device,
            batch_size=batch_size,
            spec_locked=spec_locked,
        )
        self._play.seed(seed)

    def _native_name(self) -> str:
        return self.scenario_name if isinstance(self.scenario_name, str) else super()._native_name()


def _usual_groups(agents: Sequence[str]) -> MarlGroupMapType | dict[str, list[str]]:
    """By name, as in TorchRL.

    >>> _usual_groups(["agent_0", "agent_1"]), _usual_groups(["adversary_0", "agent_0"])
    ({'agents': ['agent_0', 'agent_1']}, {'adversary': ['adversary_0'], 'agent': ['agent_0']})
    """
    if not all(re.fullmatch(r".+_\d+", agent) for agent in agents):
        return MarlGroupMapType.ALL_IN_ONE_GROUP
    found = groups_by_name(agents)
    return {"agents": found["agent"]} if list(found) == ["agent"] else found
