"""Reinforcement-learning environments from one line of YAML, as a command and as a library.

The public names are loaded when they are first used, so that ``import envcli`` costs nothing::

    import envcli

    env = envcli.make_env("env=pendulum", "frame_skip=2")
    data = env.rollout(100)
"""

from __future__ import annotations

import importlib
from typing import Any

from envcli.late_compiler import LateCompiler

__version__ = "0.1.0"

_HOME = {  # public name -> the module of the package it lives in
    "ALEEnv": "backends.ale",
    "Acrobot": "dynamics.acrobot",
    "ActionChunkTransform": "transforms.action_chunk",
    "ActionDiscretizer": "transforms.action_discretizer",
    "ActionError": "errors",
    "ActionMask": "transforms.action_mask",
    "ActionScaling": "transforms.action_scaling",
    "AsyncEnvPool": "batch.async_env_pool",
    "BatchSizeTransform": "transforms.batch_size",
    "BinarizeReward": "transforms.binarize_reward",
    "Binary": "specs",
    "Bounded": "specs",
    "BoundedContinuous": "specs",
    "CartPole": "dynamics.cart_pole",
    "BurnInTransform": "transforms.burn_in",
    "CatFrames": "transforms.cat_frames",
    "CatTensors": "transforms.cat_tensors",
    "Categorical": "specs",
    "CenterCrop": "transforms.center_crop",
    "ClipTransform": "transforms.clip",
    "ClosedError": "errors",
    "Compose": "transforms.compose",
    "Composite": "specs",
    "ConditionalPolicySwitch": "transforms.conditional_policy_switch",
    "ConditionalSkip": "transforms.conditional_skip",
    "ConfigError": "errors",
    "ContractError": "errors",
    "Crop": "transforms.crop",
    "DMControlEnv": "backends.dm_control",
    "DMControlWrapper": "backends.dm_control",
    "DTypeCastTransform": "transforms.dtype_cast",
    "DeviceCastTransform": "transforms.device_cast",
    "DiscreteActionProjection": "transforms.discrete_action_projection",
    "DoubleToFloat": "transforms.double_to_float",
    "Dynamics": "dynamics.dynamics",
    "EndOfLifeTransform": "transforms.end_of_life",
    "Env": "envs.env",
    "EnvBase": "envs.env_base",
    "EnvContract": "testing.contract",
    "EnvCreator": "batch.env_creator",
    "EnvError": "errors",
    "EnvcliError": "errors",
    "ExcludeTransform": "transforms.exclude",
    "ExpandAs": "transforms.expand_as",
    "ExplorationType": "exploration",
    "FiniteTensorDictCheck": "transforms.finite_tensor_dict_check",
    "FlattenAction": "transforms.flatten_action",
    "FlattenObservation": "transforms.flatten_observation",
    "FrameSkipTransform": "transforms.frame_skip",
    "GrayScale": "transforms.gray_scale",
    "GymEnv": "backends.gym",
    "GymWrapper": "backends.gym",
    "InitTracker": "transforms.init_tracker",
    "LineariseRewards": "transforms.linearise_rewards",
    "LockedError": "errors",
    "MOGymEnv": "backends.mo_gym",
    "MOGymWrapper": "backends.mo_gym",
    "MarlGroupMapType": "agent_groups",
    "MemberError": "errors",
    "MissingDependency": "errors",
    "MissingRun": "errors",
    "ModelBasedEnvBase": "envs.model_based_env_base",
    "ModuleTransform": "transforms.module_transform",
    "MountainCarContinuous": "dynamics.mountain_car_continuous",
    "MultiAction": "transforms.multi_action",
    "MultiCategorical": "specs",
    "MultiOneHot": "specs",
    "MultiStepTransform": "transforms.multi_step",
    "MultiThreadedEnv": "backends.multi_threaded",
    "NextObservationDelta": "transforms.next_observation_delta",
    "NoopResetEnv": "transforms.noop_reset_env",
    "ObservationNorm": "transforms.observation_norm",
    "ObservationTransform": "transforms.observation_transform",
    "OneHot": "specs",
    "OpenSpielEnv": "backends.open_spiel",
    "OpenSpielWrapper": "backends.open_spiel",
    "ParallelEnv": "batch.parallel_env",
    "Pendulum": "dynamics.pendulum",
    "PermuteTransform": "transforms.permute",
    "PettingZooEnv": "backends.pettingzoo",
    "PettingZooWrapper": "backends.pettingzoo",
    "PixelRenderTransform": "transforms.pixel_render",
    "ProcessorAsyncEnvPool": "batch.async_env_pool",
    "RandomCropTensorDict": "transforms.random_crop_tensor_dict",
    "RandomPolicy": "envs.random_policy",
    "RandomTruncationTransform": "transforms.random_truncation",
    "RayEnv": "ray.ray_env",
    "RemoveEmptySpecs": "transforms.remove_empty_specs",
    "RenameTransform": "transforms.rename",
    "Resize": "transforms.resize",
    "Reward2GoTransform": "transforms.reward2_go",
    "RewardClipping": "transforms.reward_clipping",
    "RewardScaling": "transforms.reward_scaling",
    "RewardSum": "transforms.reward_sum",
    "RNDTransform": "transforms.rnd",
    "RolloutBuffer": "memory.buffer",
    "RunningMeanStd": "moments.running_mean_std",
    "SerialEnv": "batch.serial_env",
    "SelectTransform": "transforms.select",
    "ShardedRollout": "shards.sharded_rollout",
    "SharedMemory": "memory.shared_memory",
    "SignTransform": "transforms.sign",
    "SpecError": "errors",
    "SpecIndexError": "errors",
    "SqueezeTransform": "transforms.squeeze",
    "Stack": "transforms.stack",
    "StepCounter": "transforms.step_counter",
    "StoreError": "errors",
    "SuccessReward": "transforms.success_reward",
    "TargetReturn": "transforms.target_return",
    "TensorDictPrimer": "transforms.tensordict_primer",
    "TensorSpec": "specs",
    "TerminateTransform": "transforms.terminate",
    "Text": "specs",
    "ThreadingAsyncEnvPool": "batch.async_env_pool",
    "TimeMaxPool": "transforms.time_max_pool",
    "Timer": "transforms.timer",
    "ToTensorImage": "transforms.to_tensor_image",
    "TorchEnv": "backends.torch",
    "TrajCounter": "transforms.traj_counter",
    "Transform": "transforms.transform",
    "TransformError": "errors",
    "TransformedEnv": "chain.transformed_env",
    "UnaryTransform": "transforms.unary",
    "Unbounded": "specs",
    "UnboundedContinuous": "specs",
    "UnboundedDiscrete": "specs",
    "UnknownName": "errors",
    "UnstartedError": "errors",
    "UnsqueezeTransform": "transforms.unsqueeze",
    "VecNorm": "transforms.vec_norm",
    "VecNormV2": "transforms.vec_norm_v2",
    "VideoRecorder": "transforms.video_recorder",
    "VmasEnv": "backends.vmas",
    "VmasWrapper": "backends.vmas",
    "as_dm_env": "adapters.doors",
    "as_gymnasium": "adapters.gymnasium_adapter",
    "as_gymnasium_vector": "adapters.gymnasium_vector_adapter",
    "as_sb3": "adapters.doors",
    "as_torchrl": "adapters.doors",
    "build": "builder",
    "check_env": "testing.contract",
    "check_env_specs": "testing.contract",
    "check_marl_grouping": "agent_groups",
    "default_info_dict_reader": "gym.info_reader",
    "env_creator": "batch.env_creator",
    "exploration_type": "exploration",
    "from_dm_env": "backends.dm_control",
    "from_gymnasium": "backends.gym",
    "from_torchrl": "adapters.doors",
    "gSDENoise": "transforms.gsde_noise",
    "gym_backend": "gym.gym_backend",
    "load_rollout": "shards.loading",
    "make_composite_from_td": "specs.of_tensordict",
    "make_env": "make",
    "next_seed": "seeding",
    "register_gym": "adapters.gymnasium_registry",
    "seed_chain": "seeding",
    "set_exploration_type": "exploration",
    "set_gym_backend": "gym.gym_backend",
    "step_mdp": "mdp",
    "terminated_or_truncated": "rows.done_family",
}

_OF_LIBRARIES = {  # the same of modules that need a large library, which may not be there: ``import *`` leaves them out
    "BraxEnv": "backends.brax",
    "BraxWrapper": "backends.brax",
    "GymnaxEnv": "backends.gymnax",
    "JumanjiEnv": "backends.jumanji",
    "JumanjiWrapper": "backends.jumanji",
    "MujocoPlaygroundEnv": "backends.mujoco_playground",
    "MujocoPlaygroundWrapper": "backends.mujoco_playground",
}

__all__ = sorted(_HOME)  # derived, so that it cannot disagree with the table


def __getattr__(name: str) -> Any:  # Any: each name has its own type, in its own module
    """Load a public name from its module (PEP 562)."""
    homes = {**_HOME, **_OF_LIBRARIES}
    if name not in homes:
        near = importlib.import_module("envcli.errors").nearest(name, homes)
        cure = f". {near}" if near.startswith("Did you mean") else ""
        raise AttributeError(f"module 'envcli' has no attribute {name!r}{cure}")
    try:
        value = getattr(importlib.import_module(f"envcli.{homes[name]}"), name)
    except ImportError as error:
        missing: Any = importlib.import_module("envcli.errors").MissingDependency
        if name not in _OF_LIBRARIES or not isinstance(error, missing):
            raise
        return error.stand_in(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *_OF_LIBRARIES, "__version__"]


LateCompiler.install()
