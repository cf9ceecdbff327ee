"""The functions of a Brax env, compiled for a batch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envcli.errors import ConfigError, MissingDependency, UnknownName

try:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # of libraries that it could use, and does not
        warnings.simplefilter("ignore")
        import brax.envs
        import jax
        from brax.envs.wrappers import training
        from jax import lax
        from jax import numpy as jnp

        from envcli.jitted import jax_world
        from envcli.jitted.jax_world import JaxWorld, Numbers, as_tensor, by_name
except ModuleNotFoundError as missing:
    raise MissingDependency.of(missing, "backend=brax", "brax") from missing

__all__ = ["BraxWorld", "Moment", "misfit", "names", "native"]


class Moment(NamedTuple):
    """The state of all envs at one time: leaves of Brax's own ``State``, and what is observed of it."""

    floats: Numbers  # [envs, size]: all its real numbers, those of each env side by side
    others: tuple[Numbers, ...]  # [envs, ...] each
    observation: Mapping[str, Numbers]  # name -> [envs, *value]
    reward: Numbers  # [envs]
    done: Numbers  # [envs], of float32

    @property
    def terminated(self) -> Numbers:
        """Where an episode is over, ``[envs]`` bool."""
        return self.done.astype(bool)

    @property
    def truncated(self) -> bool:
        """Never: Brax leaves that to its wrappers."""
        return False


class BraxWorld(JaxWorld[Moment]):
    """Resets and steps ``env`` for many envs at once.

    Args:
        env: of Brax, without a wrapper.
        device: where everything is computed.

    Attributes:
        shapes: of what one env shows; by name, a single array being ``"observation"``. The env itself finds its
            ``observation_size`` by a reset that is not compiled: minutes for some.
    """

    def __init__(self, env: Any, device: torch.device | None) -> None:
        def reset(keys: Numbers) -> Moment:
            return self._moment(jax.vmap(env.reset)(keys))

        def step(floats: Numbers, others: Any, action: Numbers) -> Moment:
            return self._moment(jax.vmap(env.step)(self._state(floats, others), action))

        def pull(floats: Numbers, others: Any, action: Numbers, pulls: Any) -> Any:
            def felt(floats: Numbers, action: Numbers) -> Any:
                made = step(floats, others, action)
                return made.floats, made.reward, *made.observation.values()

            return jax.vjp(felt, floats, action)[1](pulls)

        super().__init__(reset, lambda moment, action: step(moment.floats, moment.others, action), device)
        self._take_apart(jax.eval_shape(env.reset, jax.ShapeDtypeStruct((2,), np.uint32)))
        self._pull = jax.jit(pull)

    # -- what happens ---------------------------------------------------------------------------------------------

    def felt(self, moment: Moment, floats: Tensor, action: Tensor) -> tuple[Moment, Tensor, Tensor, dict[str, Tensor]]:
        """A step with a graph, from ``floats``, which are those of ``moment``, and ``action``.

        Returns what follows, its floats, ``[envs, size]``, the reward, ``[envs]``, and the observation.
        """
        made: list[Moment] = []
        floats, reward, *shown = _Felt.apply(self, moment, made, floats, action)  # type: ignore[no-untyped-call]
        return made[0], floats, reward, dict(zip(made[0].observation, shown, strict=True))

    # -- a state in pieces ----------------------------------------------------------------------------------------

    def _take_apart(self, one: Any) -> None:
        """``one``: a state of a single env, or what tells its shapes."""
        leaves, self._structure = jax.tree.flatten(one)
        self._shapes = [leaf.shape for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        self._real = [jnp.issubdtype(dtype, jnp.floating) for dtype in self._dtypes]
        self.shapes = {name: leaf.shape for name, leaf in by_name(one.obs).items()}

    def _moment(self, state: Any) -> Moment:
        leaves = list(zip(jax.tree.leaves(state), self._real, strict=True))
        floats = [leaf.reshape(len(leaf), -1) for leaf, real in leaves if real]
        others = tuple(lax.convert_element_type(leaf, leaf.dtype) for leaf, real in leaves if not real)
        return Moment(jnp.concatenate(floats, -1), others, by_name(state.obs), state.reward, state.done)

    def _state(self, floats: Numbers, others: Sequence[Numbers]) -> Any:
        left, at, leaves = iter(others), 0, []
        for shape, dtype, real in zip(self._shapes, self._dtypes, self._real, strict=True):
            size = int(np.prod(shape)) if real else 0
            leaf = floats[:, at : at + size].reshape(-1, *shape) if real else next(left)
            leaves.append(leaf.astype(dtype))
            at += size
        return jax.tree.unflatten(self._structure, leaves)


class _Felt(torch.autograd.Function):
    """A step that gradients go back through. It is made once more for that: nothing but where it began is kept."""

    @staticmethod
    def forward(ctx: Any, world: BraxWorld, before: Moment, made: list[Moment], floats: Tensor, action: Tensor) -> Any:
        ctx.world, ctx.others = world, before.others
        ctx.save_for_backward(floats, action)
        nobody = np.zeros(len(floats), dtype=bool)
        moment = world.step(before._replace(floats=_to_jax(floats)), _to_jax(action), nobody, before)
        made.append(moment)
        return tuple(map(as_tensor, (moment.floats, moment.reward, *moment.observation.values())))

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> Any:
        floats, action = map(_to_jax, ctx.saved_tensors)
        found = ctx.world._pull(floats, ctx.others, action, tuple(map(_to_jax, pulls)))
        return None, None, None, *map(as_tensor, found)


def names() -> list[str]:
    """The envs that Brax knows, sorted."""
    return sorted(brax.envs._envs)


def misfit(env: object) -> str:
    """Why ``env`` cannot be stepped here: see :func:`envcli.jitted.jax_world.misfit`."""
    unfit = (
        training.AutoResetWrapper,
        training.DomainRandomizationVmapWrapper,
        training.EpisodeWrapper,  # whose limit looks like an end
        training.EvalWrapper,
        training.VmapWrapper,
    )
    return jax_world.misfit(env, "Brax", brax.envs.Env, unfit, "env")


def native(name: str, options: Mapping[str, Any]) -> Any:
    """Brax's env of that name. Raises UnknownName, or ConfigError where it does not take ``options``."""
    if name not in names():
        raise UnknownName("Brax env", name, names())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Brax's own physics are not maintained any more
            return brax.envs.get_environment(name, **options)
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise ConfigError(f"{name} cannot be made with {', '.join(options)}: {error}") from error


def _to_jax(tensor: Tensor) -> Numbers:
    return jnp.from_dlpack(tensor.detach().contiguous())
