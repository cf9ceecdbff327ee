"""Envs whose dynamics are written in torch: stateless, batched, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from tensordict import TensorDictBase

from envcli.backends.backend import Backend, step_limit
from envcli.dynamics.dynamics import Dynamics
from envcli.envs.front import refuse_some
from envcli.envs.network import on_tensordicts
from envcli.envs.rollout import Callback
from envcli.envs.unrolled import unrolled
from envcli.errors import ConfigError, UnknownName
from envcli.mdp import set_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.roles import Roles
from envcli.specs import Categorical
from envcli.stateless.random_streams import RandomStreams
from envcli.stateless.task import Task
from envcli.stateless.task_front import TaskFront
from envcli.stateless.task_rows import TaskRows
from envcli.vocabulary import registry

__all__ = ["TorchEnv"]


class TorchEnv(Backend):
    """Envs whose step is a pure function: all that they know of an episode stands in the TensorDict.

    ``state``, ``[*batch, size]``, and ``elapsed_steps``, ``[*batch, 1]``, come in with each step and go out under
    ``"next"``, beside ``observation``. So one can go back to any moment, go on from it in several ways, and step more
    or fewer envs than the batch has: ``reset``, ``step``, ``rand_action`` and ``rollout`` take the batch size of the
    TensorDict that they are given.

    ``reset`` and ``step`` keep the graph: a reward has gradients with respect to states, actions and parameters before
    it. ``torch.vmap(env.step)`` works; there, and under ``torch.compile``, the values of actions are not checked. A
    ``rollout`` is detached; :meth:`unroll` is one with its graph.

    Starts are drawn from a stream of random numbers for each env: a batch is, to the bit, what as many single envs with
    the seeds of its chain are.

    >>> from envcli import Pendulum
    >>> env = TorchEnv(Pendulum(g=9.81), batch_size=[3])
    >>> env.rollout(5)["observation"].shape
    torch.Size([3, 5, 3])

    Args:
        dynamics: the laws of the world; its physical parameters may be tensors, one number or ``[*batch]``, and require
            gradients. Those that bound actions or observations bound them in the specs, env by env.
        batch_size: ``[*batch]``.
        params: names of physical parameters that come in with the TensorDict instead, ``[*batch]`` each, under
            ``"params"``. A reset keeps what it is given of them, and fills in those of ``dynamics``. Specs and
            ``step_seconds`` stay those of ``dynamics``: give it the widest bounds, since an action beyond is refused.
        max_episode_steps: an episode is truncated after so many steps; None: as of gymnasium's id; 0: never.
        categorical_action_encoding: choices as numbers and not as one-hot vectors.
        dtype: of states and parameters, float32 or float64.
        frame_skip: see :class:`~envcli.backends.backend.Backend`. ``max_episode_steps`` counts the repetitions, too.
        device: where everything is computed, and handed out. The rows of a rollout are kept on the host.

    Raises:
        UnknownName: no such parameter.
        ConfigError: ``max_episode_steps`` or ``frame_skip`` is no count, ``dtype`` no such dtype, or a physical
            parameter a tensor of another batch size.
    """

    library: ClassVar[str] = "torch"
    batched: ClassVar[bool] = True
    batch_locked = False
    _autoresets = True

    def __init__(
        self,
        dynamics: Dynamics,
        *,
        batch_size: Sequence[int] = (),
        params: Sequence[str] = (),
        max_episode_steps: int | None = None,
        categorical_action_encoding: bool = False,
        dtype: torch.dtype | str = torch.float32,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(dynamics, frame_skip=frame_skip, device=device, batch_size=batch_size)
        self._task = Task(
            dynamics,
            max_episode_steps=step_limit(max_episode_steps, usual=dynamics.max_episode_steps),
            frame_skip=frame_skip or 1,
            one_hot=isinstance(dynamics.action_spec, Categorical) and not categorical_action_encoding,
            dtype=dtype,
            params=params,
        )
        self._streams = RandomStreams(self.numel(), self._where)
        for family, spec in self._task.specs(self.batch_size, self.device).items():
            self._assign(family, spec)
        self._tensordicts = TaskFront(self._task, self._streams, self.batch_size, self.device)

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        num_envs: int | None = None,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        params: Sequence[str] = (),
        max_episode_steps: int | None = None,
        categorical_action_encoding: bool = False,
        dtype: torch.dtype | str = torch.float32,
        **options: Any,
    ) -> Self:
        """The env called ``name``, of shape ``[num_envs]``, or ``[]``. ``options`` are physical parameters.

        Raises:
            UnknownName: no such env, or no such parameter.
            ConfigError: see the class; a parameter is no number; or frames are wanted, which it cannot draw.
        """
        if from_pixels:
            raise ConfigError("from_pixels: backend=torch renders no frames. The same env does with backend=gymnasium")
        kinds = _kinds()
        if name not in kinds:
            raise UnknownName("env of backend=torch", name, kinds)
        for key, value in options.items():
            if isinstance(value, bool) or not isinstance(value, int | float | torch.Tensor):
                raise ConfigError(f"options.{kinds[name].parameter(key)}: found {value!r}, expected a number")
        return cls(
            kinds[name](**{kinds[name].parameter(key): value for key, value in options.items()}),
            batch_size=() if num_envs is None else (num_envs,),
            params=params,
            max_episode_steps=max_episode_steps,
            categorical_action_encoding=categorical_action_encoding,
            dtype=dtype,
            frame_skip=frame_skip,
            device=device,
        )

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """The names of all dynamics."""
        return sorted(_kinds())

    @property
    def dynamics(self) -> Dynamics:
        """The dynamics, as pure functions of tensors."""
        return self._task.dynamics

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` steps of the dynamics."""
        seconds = self.dynamics.step_seconds
        return None if seconds is None else seconds * self._task.frame_skip

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        yield self._task, "advance", "steps"

    def to(self, device: torch.device | str) -> Self:
        """See :meth:`envcli.Env.to`; everything is computed there from now on."""
        super().to(device)
        self._streams.to(self._where)
        self._tensordicts = TaskFront(self._task, self._streams, self.batch_size, self.device)
        return self

    @property
    def _where(self) -> torch.device:
        return self.device or torch.device("cpu")

    def _native_name(self) -> str:
        return self.dynamics.name

    # -- seeds ----------------------------------------------------------------------------------------------------

    @property
    def _seeds_taken(self) -> int:  # type: ignore[override]  # one for each env
        return self.numel()

    def set_seed(self, seed: int | Sequence[int] | None = None, static_seed: bool = False) -> int | None:
        """Seed every env, by its place in the batch.

        Args:
            seed: of the first env; the others follow in the chain of :mod:`envcli.seeding`, at 20 us each. A sequence,
                such as a ``range``: one for each. None: what follows cannot be repeated.
            static_seed: give all envs the same seed.

        Returns:
            The seed that follows the last one. With ``static_seed`` ``seed`` itself; after a sequence, or None: None.
        """
        self._require_open()
        return self._streams.seed_all(seed, static_seed)

    def _set_seed(self, seed: int | None) -> None:
        self.set_seed(seed)

    # -- on TensorDicts, straight ---------------------------------------------------------------------------------

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        """See :meth:`envcli.Env.reset`; of the batch size of ``tensordict``, whose ``"params"`` it keeps.

        Args:
            tensordict: see there.
            options: ``state``, ``[size]`` or ``[*batch, size]``: begin there, and not with a state that is drawn.

        Raises:
            SpecError: ``"_reset"`` has the wrong shape; an entry of those that it leaves alone is not
                there; or ``state`` or ``"params"`` are not what this env takes.
        """
        self._require_open()
        return self._tensordicts.reset(tensordict, self._task.given_state(options))

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :meth:`envcli.Env.step`; of the batch size of ``tensordict``, and with its graph."""
        self._require_open()
        refuse_some(self, tensordict)
        return set_next(tensordict, self._tensordicts.step(tensordict))

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """See :meth:`envcli.Env.rand_action`; of the batch size of ``tensordict``."""
        if tensordict is None:
            return super().rand_action()
        return tensordict.set("action", self._tensordicts.actions(tensordict.batch_size).rand())

    # -- many steps -----------------------------------------------------------------------------------------------

    def rollout(
        self,
        max_steps: int,
        policy: Callable[..., Any] | None = None,
        callback: Callback | None = None,
        *,
        tensordict: TensorDictBase | None = None,
        **options: Any,
    ) -> TensorDictBase:
        """See :meth:`envcli.Env.rollout`; of the batch size of ``tensordict``, and detached: see :meth:`unroll`.

        More or fewer envs than this one has draw from streams of their own, which follow from its first.
        """
        self._require_open()
        lead = self.batch_size if tensordict is None else tensordict.batch_size
        self._tensordicts.params(tensordict, lead)  # refuses what is not taken
        if tensordict is None or lead == self.batch_size:
            return super().rollout(max_steps, policy, callback, tensordict=tensordict, **options)
        with self._resized(lead) as env:
            return env.rollout(max_steps, policy, callback, tensordict=tensordict, **options)

    def _resized(self, batch_size: torch.Size) -> Self:
        task = self._task
        env = type(self)(
            task.dynamics,
            batch_size=batch_size,
            params=task.params,
            max_episode_steps=task.max_episode_steps,
            categorical_action_encoding=not task.one_hot,
            dtype=task.dtype,
            frame_skip=task.frame_skip,
            device=self.device,
        )
        first = int(self._streams.draw(1, torch.float64)[0] * 2**53)
        env.set_seed(range(first, first + env.numel()))
        return env

    def unroll(
        self, steps: int, policy: Callable[..., Any] | None = None, tensordict: TensorDictBase | None = None
    ) -> TensorDictBase:
        """``steps`` steps that keep their graph, to learn by gradients through the world itself.

        Args:
            steps: how many, at least 1. An env that is done begins anew, and there its graph ends.
            policy: as for :meth:`rollout`; None: random actions.
            tensordict: where to begin, of any batch size; None: with a reset.

        Returns:
            ``[*batch, time]``, as of a rollout.
        """
        if steps < 1:
            raise ValueError(f"unroll: steps must be at least 1, found {steps}")
        acts = None if policy is None else on_tensordicts(policy, self)
        return unrolled(self, steps, self.reset() if tensordict is None else tensordict.copy(), acts)

    # -- on rows --------------------------------------------------------------------------------------------------

    def _roles(self) -> Roles:
        return replace(super()._roles(), reset_reads_input=True)

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._rows = TaskRows(self._task, self._streams, buffer, self._where)

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._rows.reset(t, where, self._task.given_state(self._reset_request.options), self._reset_request.given)

    def _step_row(self, t: int) -> None:
        self._rows.step(t)

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self._rows.autoreset_rows(start, stop, onward)

    def _close(self) -> None:
        pass  # there is nothing to let go of


def _kinds() -> dict[str, type[Dynamics]]:
    """Name of an env -> its laws."""
    kinds = (registry.find("dynamics", member) for member in registry.members("dynamics"))
    return {kind.name: kind for kind in kinds}
