"""The configuration and the builder, for other people's programs."""

from __future__ import annotations

from envcli.builder import build
from envcli.configuration.reading import read
from envcli.envs.env import Env
from envcli.errors import ConfigError

__all__ = ["make_env"]


def make_env(*overrides: str, config: str = "rollout") -> Env:
    """The env that ``envcli <config> <overrides>`` would run.

    Works from any directory, and inside an application that itself runs under Hydra. ``config`` is a command that
    builds an env. Raises `ConfigError` for what the command line refuses too.

    >>> env = make_env("env=pendulum", "frame_skip=2")
    >>> env.action_spec.shape
    torch.Size([1])
    >>> env.close()
    """
    for word in overrides:
        if not isinstance(word, str):
            raise ConfigError(f"make_env: found a {type(word).__name__}, expected words such as 'env=cartpole'")
    return build(vars(read(config, overrides)))
