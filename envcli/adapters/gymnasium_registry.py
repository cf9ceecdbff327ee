"""Envs of ours among those that ``gymnasium.make`` knows by an id."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import gymnasium
from gymnasium.vector import AutoresetMode

from envcli.adapters.adopted import adopted, owned
from envcli.adapters.gymnasium_adapter import GymnasiumAdapter
from envcli.adapters.gymnasium_tensor_adapter import GymnasiumTensorAdapter
from envcli.adapters.gymnasium_vector_adapter import GymnasiumVectorAdapter
from envcli.batch.parallel_env import ParallelEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.override import parsed

__all__ = ["made", "made_vector", "register_gym"]

Keys = Sequence[str] | None
A = TypeVar("A", GymnasiumAdapter, GymnasiumVectorAdapter)


def register_gym(
    id: str,
    *env: str | Callable[..., Env],
    observation: str | Sequence[str] | None = None,
    info_keys: Keys = None,
    transform: Any = None,  # Any: whatever a TransformedEnv takes
    to_numpy: bool = True,
    reward_threshold: float | None = None,
    nondeterministic: bool = False,
    max_episode_steps: int | None = None,
    order_enforce: bool = True,
    disable_env_checker: bool = False,
    **options: Any,
) -> None:
    """Let ``gymnasium.make(id)`` give the env that these words describe, or that a function or class of ours makes.

    So a trainer that is only told an id takes any env: with this in ``my_envs.py``,

    >>> register_gym("Gray/Pong-v0", "env=pong", "transforms=atari")

    it is ``--env-id my_envs:Gray/Pong-v0``. ``gymnasium.make_vec(id, num_envs=8)`` is a batch in processes, unless the
    words name another ``parallel``; it goes on after the end of an episode as gymnasium's own do (``NEXT_STEP``), or as
    ``autoreset_mode`` says. An id that is known already is registered anew, with a warning of gymnasium's.

    What is given here may be given to ``gymnasium.make`` instead, or be changed there: ``words=[...]``,
    ``transform=...``, ``to_numpy=...``, an option.

    Args:
        id: ``"name-v0"``, or ``"namespace/name-v0"``.
        env: words, as :func:`~envcli.make_env` takes them; or what makes a single env of ours, such as
            ``DMControlEnv``. It is called when the env is made, and may then fail, with ``options``.
        observation, info_keys: see :class:`~envcli.adapters.gymnasium_spaces.GymnasiumSpaces`.
        transform: for a :class:`~envcli.TransformedEnv` around the env. Each env has its own copy.
        to_numpy: False: values are tensors, which gymnasium's own wrappers and checks do not know.
        reward_threshold, nondeterministic, max_episode_steps, order_enforce, disable_env_checker: gymnasium's. A batch
            takes no ``max_episode_steps``.

    Raises:
        ConfigError: neither words nor one function; or options for words.
        gymnasium.error.Error: the id is malformed.
    """
    makers = [one for one in env if not isinstance(one, str)]
    if not env or (makers and (len(env) > 1 or isinstance(makers[0], Env) or not callable(makers[0]))):
        found = "nothing" if not env else ", ".join(map(repr, env))
        raise ConfigError(f"register_gym: found {found}, expected words such as 'env=cartpole', or what makes an env")
    if options and not makers:
        raise ConfigError(f"register_gym: found {', '.join(options)}. Of an env of words, say it in words: 'key=value'")
    source: dict[str, Any] = {"maker": makers[0]} if makers else {"words": list(env)}
    shown = {"observation": observation, "info_keys": info_keys, "transform": transform}
    given = {name: value for name, value in shown.items() if value is not None} | options
    gymnasium.register(
        id,
        entry_point=f"{__name__}:made",
        vector_entry_point=f"{__name__}:made_vector" if to_numpy else None,
        reward_threshold=reward_threshold,
        nondeterministic=nondeterministic,
        max_episode_steps=max_episode_steps,
        order_enforce=order_enforce,
        disable_env_checker=disable_env_checker or not to_numpy,
        kwargs=source | given | ({} if to_numpy else {"to_numpy": False}),
    )


def made(
    words: Sequence[str] = (),
    maker: Callable[..., Env] | None = None,
    observation: str | Sequence[str] | None = None,
    info_keys: Keys = None,
    transform: Any = None,
    to_numpy: bool = True,
    render_mode: str | None = None,
    **options: Any,
) -> GymnasiumAdapter:
    """For ``gymnasium.make``: the env of these words, or of this function, as a ``gymnasium.Env``."""
    kind = GymnasiumAdapter if to_numpy else GymnasiumTensorAdapter

    def make(words: Sequence[str], options: Mapping[str, Any]) -> GymnasiumAdapter:
        return owned(kind, _built(words, maker, transform, options), observation, info_keys)

    return _drawing(make, words, maker, options, render_mode)


def made_vector(
    num_envs: int,
    words: Sequence[str] = (),
    maker: Callable[..., Env] | None = None,
    observation: str | Sequence[str] | None = None,
    info_keys: Keys = None,
    transform: Any = None,
    to_numpy: bool = True,
    render_mode: str | None = None,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    max_episode_steps: int | None = None,
    **options: Any,
) -> GymnasiumVectorAdapter:
    """For ``gymnasium.make_vec``: ``num_envs`` of them."""
    if max_episode_steps is not None:
        raise ConfigError(
            f"make_vec: max_episode_steps={max_episode_steps} is for single envs. For shorter episodes, have "
            "StepCounter(max_steps=...) among the transforms"
        )
    if not to_numpy:
        raise ConfigError("make_vec: to_numpy=False is for single envs; a batch gives arrays")

    def make(words: Sequence[str], options: Mapping[str, Any]) -> GymnasiumVectorAdapter:
        if maker is not None:
            batch: Env = ParallelEnv(num_envs, functools.partial(_built, words, maker, transform, options))
        else:
            named = any(override.key == "parallel" for override in parsed(words))
            processes = () if named else ("parallel=processes",)
            batch = _built([*words, *processes, f"parallel.num_envs={num_envs}"], None, transform, options)
        return owned(GymnasiumVectorAdapter, batch, observation, autoreset_mode, info_keys)

    return _drawing(make, words, maker, options, render_mode)


def _built(words: Sequence[str], maker: Callable[..., Env] | None, transform: Any, options: Mapping[str, Any]) -> Env:
    if maker is not None:
        env = maker(**options)
    elif options:
        raise ConfigError(f"gymnasium.make: found {', '.join(options)}. Of an env of words, say it in words=[...]")
    else:
        env = adopted("gymnasium.make", tuple(words))
    return env if transform is None else TransformedEnv(env, copy.deepcopy(transform))


def _drawing(
    make: Callable[[Sequence[str], Mapping[str, Any]], A],
    words: Sequence[str],
    maker: Any,
    options: Mapping[str, Any],
    render_mode: str | None,
) -> A:
    """What ``make`` gives; if it does not draw as ``render_mode`` wants, with that option of gymnasium's own envs.

    Stable-Baselines3 asks every env for frames, whether it needs them or not: one that has none is made all the same.
    """
    if render_mode not in (None, "rgb_array"):
        raise ConfigError(f"render_mode: found {render_mode!r}, expected 'rgb_array', or None")
    adapter = make(words, options)
    if render_mode in (None, adapter.render_mode):
        return adapter
    try:
        if maker is None:
            drawing = make([*words, f"++backend.options.render_mode={render_mode}"], options)
        else:
            drawing = make(words, {**options, "render_mode": render_mode})
    except Exception as error:  # whatever an env that knows no such option has against it
        gymnasium.logger.warn(f"render_mode: no frames will be drawn: {error}")
        return adapter
    adapter.close()
    return drawing
