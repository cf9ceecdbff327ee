"""What the tutorial on envs shows of gymnasium's part, as numbers: shapes, keys, dtypes, the seed."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import SpecError
from envcli.mdp import step_mdp
from envcli.seeding import seed_chain
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter

FLAGS = {"done", "terminated", "truncated"}


@pytest.fixture
def env() -> GymEnv:
    torch.manual_seed(0)
    made = GymEnv("Pendulum-v1")
    made.set_seed(0)
    return made


def looks(td: TensorDictBase) -> dict[str, tuple[list[int], torch.dtype]]:
    return {".".join([k] if isinstance(k, str) else k): (list(td[k].shape), td[k].dtype) for k in td.keys(True, True)}


RESET = {"observation": ([3], torch.float32), **{flag: ([1], torch.bool) for flag in FLAGS}}
STEP = {
    **RESET,
    "action": ([1], torch.float32),
    "next.reward": ([1], torch.float32),
    **{f"next.{name}": look for name, look in RESET.items()},
}


def test_the_list_of_envs_is_no_call() -> None:
    assert "Pendulum-v1" in list(GymEnv.available_envs)


def test_specs_are_as_printed(env: GymEnv) -> None:
    high = torch.tensor([1.0, 1.0, 8.0])
    assert env.observation_spec == Composite(observation=Bounded(-high, high, shape=[3], dtype=torch.float32))
    assert env.action_spec == Bounded(-2, 2, shape=[1], dtype=torch.float32)
    assert env.reward_spec == Unbounded([1])
    flag = Categorical(2, shape=[1], dtype=torch.bool)
    assert env.done_spec == Composite(done=flag, terminated=flag, truncated=flag)
    assert str(env.done_spec).startswith("Composite(\n    done: Categorical(\n        shape=torch.Size([1]),")
    assert env.state_spec.is_empty()


def test_specs_have_tools(env: GymEnv) -> None:
    action = torch.ones(1) * 3
    assert bool(env.action_spec.is_in(action)) is False
    assert env.action_spec.project(action).tolist() == [2]
    assert env.action_spec.is_in(env.action_spec.rand())


def test_reset_step_and_the_shortcut(env: GymEnv) -> None:
    td = env.reset()
    assert looks(td) == RESET
    assert td.batch_size == ()
    td.set("action", env.action_spec.rand())
    assert env.step(td) is td
    assert looks(td) == STEP
    assert looks(env.rand_step()) == {name: look for name, look in STEP.items() if "next" in name or name == "action"}


def test_step_mdp_keeps_what_has_no_time(env: GymEnv) -> None:
    td = env.rand_step(env.reset())
    td.set("some other key", torch.randn(1))
    following = step_mdp(td)
    assert looks(following) == {**RESET, "some other key": ([1], torch.float32)}
    assert torch.equal(following["observation"], td["next", "observation"])


def test_reset_takes_a_tensordict(env: GymEnv) -> None:
    td = TensorDict({}, [])
    assert env.reset(td) is td
    assert looks(td) == RESET


def test_a_rollout_with_a_policy_that_has_a_default(env: GymEnv) -> None:
    def policy(tensordict: TensorDictBase, env: GymEnv = env) -> TensorDictBase:
        tensordict.set("action", env.action_spec.rand())
        return tensordict

    data = env.rollout(max_steps=20, policy=policy)
    assert data.batch_size == (20,)
    assert looks(data) == {name: ([20, *shape], dtype) for name, (shape, dtype) in STEP.items()}
    assert (data["observation"][1:] == data["next", "observation"][:-1]).all()


def test_frame_skip() -> None:
    with GymEnv("Pendulum-v1", frame_skip=4) as env:
        assert looks(env.reset()) == RESET
        assert len(env.rollout(1000)) == 50, "200 steps of the simulator, four at a time"


def test_transforms_are_a_chain_that_can_be_asked_for_its_parents(env: GymEnv) -> None:
    transformed = TransformedEnv(env)
    transformed.append_transform(StepCounter(max_steps=3))
    transformed.append_transform(StepCounter(step_count_key="again"))
    assert set(transformed.reset().keys()) == {*RESET, "step_count", "again"}
    parent = transformed.transform[1].parent
    assert set(parent.reset().keys()) == {*RESET, "step_count"}
    assert isinstance(transformed.transform[0].parent.transform, Compose)
    assert len(transformed.transform[0].parent.transform) == 0
    assert "step_count" not in transformed.base_env.observation_spec


def test_the_seed_of_three_envs() -> None:
    assert seed_chain(10, 3)[-1] == 3288080526
    seed: int | None = 10
    for _ in range(3):
        with GymEnv("Pendulum-v1") as env:
            seed = env.set_seed(seed)
    assert seed == 3288080526


def test_attributes_go_through_the_wrapper(env: GymEnv) -> None:
    env._env.foo = "bar"
    env._env.get_something = lambda r: r + 1
    assert env.foo == "bar"
    assert env.get_something(0) == 1


def test_a_step_without_an_action_says_what_to_type(env: GymEnv) -> None:
    with pytest.raises(SpecError, match="rand_action"):
        env.step(env.reset())
