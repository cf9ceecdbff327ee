from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn

from envcli import (
    Acrobot,
    CartPole,
    Dynamics,
    MountainCarContinuous,
    Pendulum,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    build,
    load_rollout,
)
from envcli.backends.torch import TorchEnv
from envcli.errors import ActionError, ConfigError, SpecError, UnknownName
from envcli.testing.contract import EnvContract
from tests.conftest import Command

NAMES = ["Acrobot-v1", "CartPole-v1", "MountainCarContinuous-v0", "Pendulum-v1"]


def pendulum(*batch: int, **options: Any) -> TorchEnv:
    env = TorchEnv(Pendulum(), batch_size=batch, **options)
    env.set_seed(0)
    return env


def cart_pole(*batch: int, **options: Any) -> TorchEnv:
    env = TorchEnv(CartPole(), batch_size=batch, **options)
    env.set_seed(0)
    return env


class TestAcrobot(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv.from_name("Acrobot-v1")


class TestCartPole(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv.from_name("CartPole-v1")


class TestMountainCarContinuous(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv.from_name("MountainCarContinuous-v0")


class TestPendulum(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv.from_name("Pendulum-v1", device="cpu")


class TestManyCartPoles(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv.from_name("CartPole-v1", num_envs=8, max_episode_steps=7, frame_skip=2)


class TestParameters(EnvContract):
    def make_env(self) -> TorchEnv:
        return TorchEnv(Pendulum(), batch_size=[2, 3], params=["g", "l"], dtype="float64")


class TestTransformed(EnvContract):
    def make_env(self) -> TransformedEnv:
        return TransformedEnv(TorchEnv(CartPole(), batch_size=[3], params=["length"]), StepCounter(max_steps=4))


# -- as gymnasium -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_is_that_of_gymnasium(name: str) -> None:
    foreign = gymnasium.make(name)
    foreign.reset(seed=0)
    with TorchEnv.from_name(name, dtype="float64", categorical_action_encoding=True) as env:
        moment = env.reset(state=foreign.unwrapped.state)  # type: ignore[attr-defined]
        torch.manual_seed(0)
        for _ in range(1000):
            stepped = env.rand_step(moment)
            action = stepped["action"].numpy() if stepped["action"].ndim else int(stepped["action"])
            observation, reward, terminated, truncated, _ = foreign.step(action)
            np.testing.assert_allclose(stepped["next", "observation"], observation, atol=1e-4)
            assert stepped["next", "reward"].item() == pytest.approx(float(reward), abs=1e-3)
            flags = [stepped["next", flag].item() for flag in ("terminated", "truncated")]
            assert flags == [terminated, truncated]
            if terminated or truncated:
                break
            moment = env.step_mdp(stepped)
        assert terminated or truncated


def test_states_have_their_dtype_whatever_that_of_a_parameter() -> None:
    length = torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True)
    env = TorchEnv(CartPole(length=length), batch_size=[3])
    moment = env.rand_step(env.reset())["next"]
    assert moment["state"].dtype == torch.float32
    moment["state"].sum().backward()
    assert length.grad is not None
    assert (length.grad != 0).all()


def test_the_time_limit_is_of_the_env_or_of_the_user() -> None:
    for limit, length in ((None, 200), (7, 7)):
        data = pendulum(max_episode_steps=limit).rollout(300)
        assert data.shape == (length,)
        assert data["next", "truncated"][-1]
        assert not data["next", "terminated"].any()
    assert pendulum(max_episode_steps=0).rollout(300).shape == (300,)


def test_actions_are_repeated_and_rewards_summed() -> None:
    once, thrice = pendulum(3), pendulum(3, frame_skip=3)
    moment, total = once.reset(), torch.zeros(3, 1)
    action = once.rand_action()["action"]
    leap = thrice.step(moment.copy().set("action", action))
    for _ in range(3):
        stepped = once.step(moment.set("action", action))
        total += stepped["next", "reward"]
        moment = once.step_mdp(stepped)
    assert torch.equal(leap["next", "state"], moment["state"])
    assert torch.allclose(leap["next", "reward"], total)
    assert (leap["next", "elapsed_steps"] == 3).all()


def test_what_ends_an_episode_ends_the_repetition() -> None:
    env = cart_pole(2, frame_skip=5)
    moment = env.reset(state=torch.tensor([[2.39, 1, 0, 0], [0.0, 0, 0, 0]]))
    stepped = env.step(moment.set("action", torch.tensor([[0, 1], [0, 1]])))
    assert stepped["next", "elapsed_steps"].flatten().tolist() == [1, 5]
    assert stepped["next", "reward"].flatten().tolist() == [1, 5]
    assert stepped["next", "terminated"].flatten().tolist() == [True, False]


# -- nothing is kept --------------------------------------------------------------------------------------------------


def test_the_state_comes_in_and_goes_out() -> None:
    env = pendulum(2)
    assert list(env.state_spec.keys()) == ["state", "elapsed_steps"]
    with pytest.raises(SpecError, match=r"no 'state' in the TensorDict.*env.reset"):
        env.step(env.rand_action())
    with pytest.raises(SpecError, match=r"no 'action' .*env.rand_action"):
        env.step(env.reset())


def test_one_can_go_back_and_on_in_several_ways() -> None:
    env = pendulum()
    moment = env.reset()
    left, right = (env.step(moment.copy().set("action", torch.tensor([torque])))["next"] for torque in (-2.0, 2.0))
    assert left["state"][1] < right["state"][1]
    env.rollout(5)
    again = env.step(moment.copy().set("action", torch.tensor([-2.0])))["next"]
    assert (again == left).all()


def test_every_batch_size_is_taken() -> None:
    env = pendulum()
    start = env.reset()
    many = env.rand_action(start.expand(2, 5).clone())
    stepped = env.step(many)["next"]
    assert stepped.shape == (2, 5)
    one = env.step(start.copy().set("action", many["action"][1, 2]))["next"]
    assert (one == stepped[1, 2]).all()
    data = env.rollout(7, auto_reset=False, tensordict=start.expand(4).clone())
    assert data.shape == (4, 7)
    assert (data["state"][:, 0] == start["state"]).all()
    assert len(data["state"][:, 6].unique(dim=0)) == 4
    assert env.reset(TensorDict({}, batch_size=[3]))["state"].unique(dim=0).shape == (3, 2)
    assert pendulum(3).step(pendulum(3).rand_action(env.reset()))["next"].shape == ()


@pytest.mark.parametrize("batch", [(), (4,)])
def test_one_branches_within_transforms_whatever_the_batch_size(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(cart_pole(*batch), StepCounter())
    start = env.reset().reshape(-1)[0]
    data = env.rollout(5, auto_reset=False, tensordict=start.expand(100).clone())
    assert data["action"].shape == (100, 5, 2)
    assert data["step_count"][0].flatten().tolist() == [0, 1, 2, 3, 4]
    assert env.rand_step(start.expand(3, 2).clone())["next", "step_count"].shape == (3, 2, 1)
    assert env.rand_action()["action"].shape == (*batch, 2)


def test_a_step_can_be_mapped() -> None:
    env = cart_pole()
    many = env.rand_action(env.reset().expand(6).clone())
    mapped = torch.vmap(env.step)(many.clone())
    assert torch.allclose(mapped["next", "state"], env.step(many)["next", "state"])


def test_gradients_of_a_step_can_be_mapped() -> None:
    env = pendulum()
    start = env.reset(state=[2.0, 0.3])

    def reward(action: torch.Tensor) -> torch.Tensor:
        earned: torch.Tensor = env.step(start.clone().set("action", action))["next", "reward"].sum()
        return earned

    actions = torch.linspace(-1, 1, 1000).unsqueeze(-1)
    by_hand = -0.002 * actions  # the reward of a step is 0.001 * action ** 2 less
    assert torch.allclose(torch.vmap(torch.func.grad(reward))(actions), by_hand, atol=1e-6)
    assert torch.allclose(torch.vmap(torch.func.jacrev(reward))(actions), by_hand, atol=1e-6)


def test_a_step_can_be_compiled() -> None:
    env = pendulum(3)
    given = env.rand_action(env.reset())
    compiled = torch.compile(env.dynamics.step, backend="eager", fullgraph=True)
    assert torch.equal(compiled(given["state"], given["action"])[0], env.step(given)["next", "state"])


def test_a_reset_begins_where_it_is_told() -> None:
    env = pendulum(2)
    assert env.reset(state=[3.0, 0.5])["state"].tolist() == [[3.0, 0.5]] * 2
    given = torch.rand(4, 2)
    assert torch.equal(env.reset(TensorDict({}, batch_size=[4]), state=given)["state"], given)
    with pytest.raises(SpecError, match=r"state: expected the shape \[\*batch, 2\], found \[3\]"):
        env.reset(state=torch.zeros(3))
    with pytest.raises(UnknownName, match=r"no option of reset 'stat'\. Did you mean 'state'\?"):
        env.reset(stat=given)


def test_a_wrong_mask_is_refused() -> None:
    env = pendulum(2)
    with pytest.raises(SpecError, match="bool mask of shape"):
        env.reset(env.reset().set("_reset", torch.ones(2, 1)))
    td = env.reset()
    before = td["state"].clone()
    assert torch.equal(env.reset(td.set("_reset", torch.zeros(2, 1, dtype=torch.bool)))["state"], before)
    other = env.reset(TensorDict(batch_size=[5]))
    assert env.reset(other.set("_reset", torch.zeros(5, 1, dtype=torch.bool))).batch_size == (5,)
    with pytest.raises(SpecError, match="no 'observation' in the TensorDict, for the envs"):
        env.reset(TensorDict({"_reset": torch.tensor([True, False])}, batch_size=[2]))


def test_actions_outside_are_refused_whatever_the_batch_size() -> None:
    env = pendulum()
    with pytest.raises(ActionError, match="within"):
        env.step(env.reset().expand(3).clone().set("action", torch.full((3, 1), 2.5)))


# -- gradients --------------------------------------------------------------------------------------------------------


def test_rewards_have_gradients_through_steps() -> None:
    env = pendulum(2)
    moment = env.reset()
    state, torque = moment["state"].clone().requires_grad_(), torch.zeros(2, 1, requires_grad=True)
    stepped = env.step(moment.set("state", state).set("action", torque))
    later = env.step(env.step_mdp(stepped).set("action", torque))
    later["next", "reward"].sum().backward()
    assert (torque.grad != 0).all()
    assert (state.grad[:, 0] != 0).all()


def test_parameters_come_in_and_have_gradients() -> None:
    env = pendulum(2, params=["g", "l"])
    shown = env.reset()
    assert shown["params", "g"].tolist() == [10, 10]
    gravity = torch.tensor([3.7, 9.8], requires_grad=True)
    moment = env.reset(TensorDict({"params": {"g": gravity}}, batch_size=[2]), state=[0.5, 0.0])
    assert moment["params", "l"].tolist() == [1, 1]
    stepped = env.step(moment.set("action", torch.zeros(2, 1)))
    assert stepped["next", "state"][0, 1] < stepped["next", "state"][1, 1]
    stepped["next", "state"].sum().backward()
    assert (gravity.grad > 0).all()


def test_parameters_last_through_a_rollout_and_its_resets() -> None:
    env = pendulum(2, params=["g"], max_episode_steps=3)
    given = TensorDict({"params": {"g": torch.tensor([0.0, 9.8])}}, batch_size=[2])
    data = env.rollout(8, tensordict=env.reset(given), auto_reset=False, break_when_any_done=False)
    assert (data["params", "g"] == torch.tensor([[0.0], [9.8]])).all()
    still = env.rollout(8, lambda td: td.set("action", torch.zeros(2, 1)), tensordict=given, break_when_any_done=False)
    speeds, later = still["state"][0, :, 1], still["next", "state"][0, :, 1]
    assert torch.equal(speeds, later)  # nothing pulls where there is no gravity
    assert not torch.equal(still["state"][1, :, 1], still["next", "state"][1, :, 1])


def test_a_parameter_that_bounds_a_spec_may_differ_from_env_to_env() -> None:
    torque, speed = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([[1.5], [4.0]])
    with TorchEnv(Pendulum(max_torque=torque, max_speed=speed), batch_size=[2, 2]) as env:
        assert env.action_spec.high.squeeze(-1).tolist() == [[1, 2], [1, 2]]
        assert env.observation_spec["observation"].high[..., 2].tolist() == [[1.5, 1.5], [4, 4]]
        data = env.rollout(50)
        for t, moment in enumerate(data.unbind(-1)):
            assert env.action_spec.is_in(moment["action"]), t
            assert env.observation_spec["observation"].is_in(moment["observation"]), t
        assert data["action"][:, 1].max() > 1
        with pytest.raises(ActionError):
            env.step(env.reset().set("action", torch.full((2, 2, 1), 1.5)))
        kept = env.unroll(2, lambda td: td.set("action", env.action_spec.high.clone()))
        kept["next", "reward"].sum().backward()
        assert torque.grad is not None


@pytest.mark.parametrize("kind", [Acrobot, CartPole, MountainCarContinuous, Pendulum])
def test_a_batch_of_other_worlds_is_as_many_single_envs(kind: type[Dynamics]) -> None:
    for name, value in vars(kind()).items():
        if isinstance(value, bool):
            continue
        values = [value, value + 0.01]
        runs = []
        for parameter, batch in ((torch.tensor(values), [2]), *((torch.tensor(number), []) for number in values)):
            with TorchEnv(kind(**{name: parameter}), batch_size=batch, frame_skip=2) as env:
                env.set_seed(3, static_seed=True)
                runs.append((env, env.rollout(3, lambda td: td.set("action", env.action_spec.zero()))))
        (many, together), *alone = runs
        for i, (one, data) in enumerate(alone):
            for key in ("state", "observation"):
                torch.testing.assert_close(together["next", key][i], data["next", key], msg=name)
            for family in ("action", "observation"):
                assert many._spec(family)[i] == one._spec(family), name
        alike = name not in ("dt", "tau")
        assert (many.step_seconds == alone[0][0].step_seconds) is alike


def test_a_parameter_of_other_envs_is_named() -> None:
    torque = torch.tensor([1.0, 2.0])
    expected = (
        r"max_torque of Pendulum-v1: found a tensor \[2\], expected one .* batch_size \[3\]\. Give batch_size=\[2\]"
    )
    with pytest.raises(ConfigError, match=expected):
        TorchEnv(Pendulum(max_torque=torque), batch_size=[3])
    env = TorchEnv(Pendulum(max_torque=torque), batch_size=[2])
    many = env.reset()[0].expand(3).clone()
    for use in (env.rand_step, lambda td: env.rollout(2, tensordict=td, auto_reset=False)):
        with pytest.raises(ConfigError, match=expected):
            use(many.clone())


@pytest.mark.parametrize("shape", [[3], [2, 1], [2, 4]])
def test_parameters_of_another_shape_are_named(shape: list[int]) -> None:
    env = pendulum(2, params=["g"])
    for batch in ([], [2]) if shape[0] == 2 else ([],):
        given = TensorDict({"params": {"g": torch.ones(shape)}}, batch_size=batch)
        with pytest.raises(SpecError, match=rf"params: 'g' is \[.*\], expected one number, .* batch size \{batch}"):
            env.reset(given)
        with pytest.raises(SpecError, match="params: 'g' is"):
            env.rollout(2, tensordict=given)


def test_parameters_that_are_not_taken_are_named() -> None:
    given = TensorDict({"params": {"g": torch.ones(2)}}, batch_size=[2])
    env = pendulum(2)
    for use in (env.reset, lambda td: env.rollout(2, tensordict=td)):
        with pytest.raises(SpecError, match=r"found 'g'\. Build it with params=\['g'\]"):
            use(given.clone())
    lacking = pendulum(2, params=["g"])
    with pytest.raises(SpecError, match=r"no \('params', 'g'\)"):
        lacking.step(lacking.rand_action(env.reset()))


def test_a_policy_learns_through_the_world() -> None:
    torch.manual_seed(0)
    env = pendulum(16)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Tanh())
    policy = TensorDictModule(net, in_keys=["observation"], out_keys=["action"])
    start, optimizer = env.reset(), torch.optim.Adam(net.parameters(), 0.01)
    returns = []
    for _ in range(12):
        data = env.unroll(15, policy, start)
        assert data.shape == (16, 15)
        assert data.names == [None, "time"]
        loss = -data["next", "reward"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        returns.append(-loss.item())
    assert returns[-1] > returns[0]
    assert not env.rollout(3, policy)["next", "reward"].requires_grad


def test_a_policy_of_an_unrolled_env_may_return_nothing() -> None:
    env = pendulum(2)

    def policy(td: TensorDict) -> None:
        td["action"] = torch.ones(2, 1)

    assert (env.unroll(3, policy)["action"] == 1).all()


def test_a_network_unrolls_an_env_as_it_leads_a_rollout() -> None:
    network, env = nn.Linear(3, 1), pendulum(4)
    start = env.reset()
    data = env.unroll(5, network, start)
    led = env.rollout(5, network, auto_reset=False, tensordict=start)
    torch.testing.assert_close(data["next", "state"].detach(), led["next", "state"])
    data["next", "reward"].sum().backward()
    assert network.weight.grad is not None
    with pytest.raises(TypeError, match="policy: expected a callable that takes a TensorDict, found a int"):
        env.unroll(5, 3)  # type: ignore[arg-type]


def test_an_unrolled_env_begins_anew_where_it_was_done() -> None:
    env = pendulum(2, max_episode_steps=3)
    assert env.unroll(7)["elapsed_steps"][0].flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(ValueError, match="at least 1, found 0"):
        env.unroll(0)


# -- seeds ------------------------------------------------------------------------------------------------------------


def acts(td: Any) -> Any:
    """Depends on nothing but the moment: pushes where the pole leans."""
    right = (td["observation"][..., 2] > 0.01).long()
    return td.set("action", torch.stack([1 - right, right], -1))


def test_a_batch_is_as_many_single_envs_to_the_bit() -> None:
    runs: list[Callable[[], Any]] = [
        lambda: cart_pole(5),
        lambda: SerialEnv(5, lambda: TorchEnv(CartPole())),
        lambda: TransformedEnv(cart_pole(5)),
    ]
    found = []
    for make in runs:
        with make() as env:
            assert env.set_seed(7) is not None
            found.append(env.rollout(300, acts, break_when_any_done=False))
    assert found[0]["next", "done"].sum() > 5
    for other in found[1:]:
        assert (found[0] == other).all()


def test_rows_led_at_once_are_rows_one_by_one() -> None:
    led, single = cart_pole(2, 3), cart_pole(2, 3)
    data = led.rollout(150, break_when_any_done=False)
    actions = iter(data["action"].unbind(-2))
    moment = single.reset()
    for t in range(150):
        stepped = single.step(moment.set("action", next(actions)))
        for key in ("state", "observation", "elapsed_steps", "done"):
            assert torch.equal(stepped["next", key], data["next", key][:, :, t]), (key, t)
            assert torch.equal(stepped[key], data[key][:, :, t]), (key, t)
        moment = single.maybe_reset(single.step_mdp(stepped))
    assert data["next", "done"].any()


def test_seeds_are_one_for_each() -> None:
    env, alone = pendulum(3), pendulum()
    assert env.set_seed(10) == 3288080526
    first = env.reset()["state"]
    alone.set_seed(2460402094)
    assert torch.equal(alone.reset()["state"], first[2])
    assert env.set_seed([10, 3316746426, 2460402094]) is None
    assert torch.equal(env.reset()["state"], first)
    assert env.set_seed(4, static_seed=True) == 4
    assert len(env.reset()["state"].unique(dim=0)) == 1
    with pytest.raises(ConfigError, match="found 2 seeds for 3 envs"):
        env.set_seed([1, 2])
    env.set_seed(None)
    assert len(env.reset()["state"].unique(dim=0)) == 3


def test_a_copy_goes_on_by_itself() -> None:
    env = cart_pole(4)
    env.rollout(20, break_when_any_done=False)
    other = copy.deepcopy(env)
    assert torch.equal(env.reset()["state"], other.reset()["state"])


def test_others_of_the_batch_stay_where_they_are() -> None:
    env = cart_pole(4)
    moment = env.step_mdp(env.rand_step(env.reset()))
    before = moment.clone()
    mask = torch.tensor([[True], [False], [True], [False]])
    env.reset(moment.set("_reset", mask))
    for key in ("observation", "state", "elapsed_steps"):
        assert torch.equal(moment[key][1::2], before[key][1::2])
        assert not torch.equal(moment[key][::2], before[key][::2])


# -- from YAML --------------------------------------------------------------------------------------------------------


def test_there_are_four() -> None:
    assert TorchEnv.available_names() == NAMES


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"name": "Pendulum"}, "no env of backend=torch 'Pendulum'. Did you mean 'Pendulum-v1'?"),
        ({"name": "Pendulum-v1", "options": {"grav": 3}}, "no parameter of Pendulum-v1 'grav'. There are: dt, g, l"),
        ({"name": "Pendulum-v1", "options": {"g": "abc"}}, "options.g: found 'abc', expected a number"),
        ({"name": "Pendulum-v1", "params": ["h"]}, "no parameter of Pendulum-v1 'h'"),
        ({"name": "Pendulum-v1", "dtype": "float16"}, "dtype: expected one of float32, float64, found 'float16'"),
        ({"name": "Pendulum-v1", "max_episode_steps": -1}, "max_episode_steps: found -1"),
    ],
)
def test_a_mistake_is_named(node: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build({"backend": {"type": "torch", **node}})
    assert text in str(caught.value)


def test_frames_are_refused_with_a_cure() -> None:
    with pytest.raises(ConfigError, match=r"renders no frames\. The same env does with backend=gymnasium"):
        build({"backend": {"type": "torch", "name": "Pendulum-v1"}, "from_pixels": True})


def test_the_command_line_rolls_out_a_batch(cli: Command) -> None:
    done = cli(
        "rollout", "env=pendulum", "backend=torch", "parallel.num_envs=16", "max_steps=20", "seed=1", "json=true"
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["envs"], found["steps"], found["step_seconds"]) == (16, 320, 0.05)
    assert load_rollout(found["folder"])["next", "observation"].shape == (16, 20, 3)


def test_the_command_line_shows_a_state_spec(cli: Command) -> None:
    found = json.loads(cli("spec", "env=pendulum", "backend=torch", "backend.params=[g]", "json=true").out)
    assert list(found["specs"]["state"]) == ["state", "elapsed_steps", "params"]
    assert found["specs"]["observation"]["observation"]["shape"] == [3]


def test_the_command_line_checks_a_batch(cli: Command) -> None:
    done = cli("check", "env=cartpole", "backend=torch", "parallel.num_envs=8", "json=true")
    assert done.code == 0, done.err
    assert all(finding["passed"] for finding in json.loads(done.out))


def test_the_command_line_lists_them(cli: Command) -> None:
    found = json.loads(cli("list", "query=acrobot", "json=true").out)
    assert {"backend": "torch", "name": "Acrobot-v1", "preset": None, "facts": None, "to_install": None} in found
