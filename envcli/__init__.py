"""Reinforcement-learning environments from one line of YAML, as a command and as a library.

The public names are loaded when they are first used, so that ``import envcli`` costs nothing::

    import envcli

    env = envcli.make_env("env=pendulum", "frame_skip=2")
    data = env.rollout(100)
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {  # public name -> the module of the package it lives in
    "ActionError": "errors",
    "Binary": "specs",
    "Bounded": "specs",
    "BoundedContinuous": "specs",
    "Categorical": "specs",
    "ClosedError": "errors",
    "Compose": "transforms.compose",
    "Composite": "specs",
    "ConfigError": "errors",
    "DTypeCastTransform": "transforms.dtype_cast",
    "DoubleToFloat": "transforms.double_to_float",
    "Env": "env",
    "EnvBase": "env_base",
    "EnvError": "errors",
    "EnvcliError": "errors",
    "GymEnv": "backends.gym",
    "GymWrapper": "backends.gym",
    "MissingDependency": "errors",
    "MultiCategorical": "specs",
    "MultiOneHot": "specs",
    "OneHot": "specs",
    "RolloutBuffer": "buffer",
    "SpecError": "errors",
    "StepCounter": "transforms.step_counter",
    "StoreError": "errors",
    "TensorSpec": "specs",
    "Transform": "transforms.transform",
    "TransformError": "errors",
    "TransformedEnv": "transformed_env",
    "Unbounded": "specs",
    "UnboundedContinuous": "specs",
    "UnboundedDiscrete": "specs",
    "UnknownName": "errors",
    "build": "builder",
    "check_env": "testing.contract",
    "check_env_specs": "testing.contract",
    "default_info_dict_reader": "info_reader",
    "load_rollout": "memmap",
    "make_env": "make_env",
    "next_seed": "seeding",
    "seed_chain": "seeding",
    "step_mdp": "mdp",
}

__all__ = sorted(_HOME)  # derived, so that it cannot disagree with the table


def __getattr__(name: str) -> Any:  # Any: each name has its own type, in its own module
    """Load a public name from its module (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'envcli' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"envcli.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
