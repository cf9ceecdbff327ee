"""The configuration and the builder, for other people's programs."""

from __future__ import annotations

from dataclasses import fields

from envcli.builder import build
from envcli.configuration.reading import read
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.override import parsed
from envcli.vocabulary.schema import WHOLE_ENV

__all__ = ["make_env"]

_READ = {*WHOLE_ENV, "allow_imports", "replay"}
_EPISODES = "transforms=[step_counter] transforms.step_counter.max_steps"


def make_env(*overrides: str, config: str = "rollout") -> Env:
    """The env that ``envcli <config> <overrides>`` would run.

    Works from any directory, and inside an application that itself runs under Hydra. ``config`` is a command that
    builds an env. Raises `ConfigError` for what the command line refuses too, and for words about a run
    (``max_steps=100``, ``policy=zero``), which would change nothing.

    >>> env = make_env("env=pendulum", "frame_skip=2")
    >>> env.action_spec.shape
    torch.Size([1])
    >>> env.close()
    """
    for word in overrides:
        if not isinstance(word, str):
            raise ConfigError(f"make_env: found a {type(word).__name__}, expected words such as 'env=cartpole'")
    made = read(config, overrides)
    of_a_run = {field.name for field in fields(made)} - _READ
    for override in parsed(overrides):
        if override.head in of_a_run:
            shorter = f", or for shorter episodes: {_EPISODES}={override.text}"
            cure = shorter if override.key == "max_steps" else ""
            raise ConfigError(f"make_env: {override} sets up a run, not the env. Leave it out{cure}")
    return build(vars(made))
