from __future__ import annotations

import torch
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule

from envcli import ExplorationType, GymEnv, exploration_type, set_exploration_type


def test_it_is_the_switch_that_policies_of_tensordict_listen_to() -> None:
    def parameters(observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full_like(observation[..., :1], 0.25), torch.ones_like(observation[..., :1])

    policy = ProbabilisticTensorDictSequential(
        TensorDictModule(parameters, in_keys=["observation"], out_keys=["loc", "scale"]),
        ProbabilisticTensorDictModule(["loc", "scale"], ["action"], distribution_class=torch.distributions.Normal),
    )
    env = GymEnv("MountainCarContinuous-v0")
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        assert exploration_type() == ExplorationType.DETERMINISTIC
        assert env.rollout(3, policy)["action"].flatten().tolist() == [0.25] * 3
