"""Stages: what each transform of a chain makes of the one before it."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.stages import Stages
from envcli.errors import TransformError
from envcli.keys import Key
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.row_env import RowEnv
from envcli.specs import Binary, Categorical, Composite
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.action_mask import ActionMask
from envcli.transforms.double_to_float import DoubleToFloat
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


class Shift(Transform):
    """Adds one to each of its entries."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs + 1


class Halves(Transform):
    """Shows the first half of an entry."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs[..., :0]


def outer(stages: Stages, steps: int = 3) -> RolloutBuffer:
    last = stages.specs[-1]
    return RolloutBuffer.allocate(last._row_layout(), steps, last.batch_size)


def address(buffer: RolloutBuffer, path: Key) -> int:
    return buffer[path].data_ptr()


def test_each_stage_shows_what_the_transforms_up_to_it_make() -> None:
    stages = Stages(CountingEnv(), [StepCounter(3), ExcludeTransform("start")])
    shown = [set(specs.observation_keys) for specs in stages.specs]
    assert shown == [{"observation", "start"}, {"observation", "start", "step_count"}, {"observation", "step_count"}]


def test_without_transforms_the_base_env_is_all_there_is() -> None:
    env = CountingEnv()
    stages = Stages(env, [])
    assert stages.specs == [env]
    assert (stages.private_reads, stages.private_flags) == ([], [])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("start",), ("begun", "at")),  # renamed
        (("action",), ("action",)),  # touched by nobody
        (("observation",), None),  # rewritten
        (("next", "reward"), None),  # left out
    ],
)
def test_an_entry_of_the_base_env_has_the_users_memory_or_is_private(path: Key, name: Key | None) -> None:
    chain = [RenameTransform(["start"], [("begun", "at")]), Shift(["observation"]), ExcludeTransform("reward")]
    stages = Stages(CountingEnv(), chain)
    assert stages.outside(0, path) == name
    user = outer(stages)
    inner = stages.buffers(user)[0]
    if name is None:
        assert inner[path].stride(0) == 0, "one row stands for every time"
    else:
        assert address(inner, path) == address(user, name)


def test_names_that_are_exchanged_cost_no_memory() -> None:
    stages = Stages(CountingEnv(), [RenameTransform(["observation", "start"], ["start", "observation"])])
    user = outer(stages)
    inner = stages.buffers(user)[0]
    for path, name in ((("observation",), ("start",)), (("next", "start"), ("next", "observation"))):
        assert stages.outside(0, path) == name
        assert address(inner, path) == address(user, name)


class Announced(Transform):
    """Announces another dtype, and names no key."""

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        observation_spec["observation"] = Binary(shape=observation_spec["observation"].shape, dtype=torch.bool)
        return observation_spec


def test_an_entry_of_another_spec_is_memory_of_its_own() -> None:
    stages = Stages(CountingEnv(), [Announced()])
    inner, user = stages.buffers(outer(stages))
    for path in (("observation",), ("next", "observation")):
        assert stages.outside(0, path) is None
        assert (inner[path].dtype, user[path].dtype) == (torch.float32, torch.bool)
    assert address(inner, ("start",)) == address(user, ("start",))


def test_stages_that_leave_an_entry_alone_share_its_memory() -> None:
    stages = Stages(StatelessEnv(), [RewardSum(), Shift(["position"]), StepCounter()])
    base, summed, shifted, user = stages.buffers(outer(stages))
    assert address(base, ("position",)) == address(summed, ("position",))
    assert address(shifted, ("position",)) == address(user, ("position",))
    assert address(summed, ("position",)) != address(shifted, ("position",))


def test_what_a_step_reads_and_nobody_outside_keeps_is_named_once() -> None:
    assert Stages(StatelessEnv(), [StepCounter(), Shift(["position"])]).private_reads == [(0, ("position",))]
    assert Stages(StatelessEnv(), [StepCounter()]).private_reads == []


def test_flags_that_nobody_outside_clears_are_named() -> None:
    stages = Stages(CountingEnv(), [ExcludeTransform("truncated")])
    assert stages.private_flags == [(0, ("truncated",))]


def test_a_state_that_is_kept_inside_cannot_be_told_from_outside() -> None:
    assert ("position",) in Stages(StatelessEnv(), [Shift(["position"])]).roles.hidden_states
    assert Stages(StatelessEnv(), [Shift(["position"], ["above"])]).roles.hidden_states == set()


@pytest.mark.parametrize(
    ("env", "transform", "said"),
    [
        (CountingEnv(), Shift(["count"]), r"Shift: in_keys \['count'\] do not exist. The env has: .*observation"),
        (CountingEnv(), Shift(["pixels"]), r"Shift: in_keys \['pixels'\].* For pixels, type: from_pixels=true"),
        (StatelessEnv(), Shift(["observation", "reward"]), r"For what it shows: in_keys=\[position,reward\]$"),
        (
            NestedEnv(),
            Shift(["agent.observation"]),
            r"agent.observation is written \[agent, observation\], in Python \('agent', 'observation'\)",
        ),
        (
            CountingEnv(),
            Transform(in_keys_inv=["torque"]),
            r"Transform: in_keys_inv \['torque'\] do not exist. The env has: action",
        ),
        (
            StatelessEnv(),
            Halves(["position"]),
            r"Halves: shows 'position' as torch.float32 \[0\], but the next step reads it as torch.float32 \[1\]. "
            "Show it under another name: out_keys",
        ),
    ],
)
def test_a_transform_that_does_not_fit_is_told_where_and_what_to_do(
    env: RowEnv, transform: Transform, said: str
) -> None:
    with pytest.raises(TransformError, match=said):
        Stages(env, [transform])


def test_what_breaks_on_the_specs_is_told_with_what_the_env_shows() -> None:
    class Broken(Shift):
        def transform_observation_spec(self, observation_spec: Composite) -> Composite:
            raise ValueError("no such dimension")

    with pytest.raises(
        TransformError, match=r"Broken.* does not fit an env that shows \{'observation': \[1\].*no such"
    ):
        Stages(CountingEnv(), [Broken(["observation"])])


def test_a_mask_that_is_dropped_later_is_refused() -> None:
    class Masked(CountingEnv):
        def _make_specs(self) -> None:
            super()._make_specs()
            self.action_spec = Categorical(3)
            self.observation_spec.set("action_mask", Binary(3, dtype=torch.bool))

    assert Stages(Masked(), [ActionMask()]).roles.masks == {("action",): ("action_mask",)}
    with pytest.raises(TransformError, match=r"rewrites or drops 'action_mask'.* Put ActionMask after it"):
        Stages(Masked(), [ActionMask(), ExcludeTransform("action_mask")])


def test_of_several_the_one_that_does_not_fit_is_named() -> None:
    with pytest.raises(TransformError, match=r"^Shift: in_keys \['start'\]"):
        Stages(CountingEnv(), [DoubleToFloat(), ExcludeTransform("start"), Shift(["start"])])
