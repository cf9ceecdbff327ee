"""Our envs as TorchRL's, theirs as ours, and the specs between."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it says of its own parts while it is imported
    pytest.importorskip("torchrl")
    import torchrl.envs as theirs
    from torchrl.envs.utils import check_env_specs

pytestmark = pytest.mark.filterwarnings("ignore")  # of theirs: this is their code

import envcli  # noqa: E402
from envcli import ConfigError, DoubleToFloat, StepCounter, TransformedEnv  # noqa: E402
from envcli.adapters.torchrl_specs import from_torchrl_spec, to_torchrl_spec  # noqa: E402
from envcli.specs import (  # noqa: E402
    Binary,
    Bounded,
    Categorical,
    Composite,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    Unbounded,
)
from envcli.testing.contract import EnvContract  # noqa: E402
from envcli.testing.toys import CountingEnv, StatelessEnv  # noqa: E402

MASK = torch.tensor([True, False, True])


@pytest.mark.parametrize(
    "spec",
    [
        Bounded(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 2.0])),
        Bounded(0, 255, shape=[2, 3], dtype=torch.uint8),
        Unbounded([2, 3]),
        Unbounded(1, dtype=torch.int64),
        Binary(4),
        Binary(shape=[2, 4], dtype=torch.bool),
        OneHot(3, dtype=torch.int64),
        OneHot(3, shape=[2, 3], mask=MASK),
        Categorical(5),
        Categorical(3, shape=[2], mask=MASK),
        Categorical(2, shape=[1], dtype=torch.bool),
        MultiOneHot([2, 3]),
        MultiCategorical([2, 3]),
        MultiCategorical([2, 3], shape=[4, 2]),
        Composite(a=Composite(b=Unbounded([3, 1]), shape=[3]), c=OneHot(2, shape=[3, 2]), shape=[3]),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_a_spec_comes_back_from_torchrls(spec: Any) -> None:
    there = to_torchrl_spec(spec)
    assert type(there).__name__.startswith(type(spec).__name__)
    assert (there.shape, there.device) == (spec.shape, spec.device)
    assert isinstance(spec, Composite) or there.dtype == spec.dtype
    back = from_torchrl_spec(there)
    assert back == spec
    if getattr(spec, "mask", None) is not None:
        assert torch.equal(back.mask, spec.mask)  # type: ignore[attr-defined]
    assert spec.is_in(there.rand())
    assert there.is_in(spec.rand())


def test_a_spec_of_no_tensors_is_named() -> None:
    from torchrl.data import Composite as TheirComposite
    from torchrl.data import NonTensor

    with pytest.raises(ConfigError, match=r"words\.text: NonTensor"):
        from_torchrl_spec(TheirComposite(words=TheirComposite(text=NonTensor(shape=()))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: envcli.make_env("env=pendulum"),
        lambda: envcli.make_env("env=cartpole", "transforms=[step_counter,reward_sum]"),
        lambda: envcli.make_env("env=cartpole", "parallel=serial", "parallel.num_envs=3", "device=cpu"),
        lambda: TransformedEnv(CountingEnv(batch_size=(2,)), DoubleToFloat()),
        StatelessEnv,
    ],
)
def test_torchrls_own_checks_pass(make: Any) -> None:
    env = envcli.as_torchrl(make())
    check_env_specs(env, seed=0, break_when_any_done="both")
    env.close()


def test_it_is_our_env_bit_for_bit() -> None:
    def make() -> Any:
        return TransformedEnv(envcli.GymEnv("CartPole-v1"), StepCounter())

    with envcli.SerialEnv(2, make) as ours:
        env = envcli.as_torchrl(envcli.SerialEnv(2, make))
        env.set_seed(5)
        theirs_data = env.rollout(50, break_when_any_done=False)
        ours.set_seed(5)
        actions = iter(theirs_data["action"].unbind(1))
        data = ours.rollout(50, lambda td: td.set("action", next(actions)), break_when_any_done=False)
        for key in ("observation", "step_count", ("next", "observation"), ("next", "reward"), ("next", "done")):
            assert torch.equal(data[key], theirs_data[key]), key
        env.close()
        assert env.base_env.is_closed


class TestWayIn(EnvContract):
    """TorchRL's env keeps our promises."""

    def make_env(self) -> Any:
        return envcli.from_torchrl(theirs.TransformedEnv(theirs.GymEnv("CartPole-v1"), theirs.StepCounter(9)))

    def test_of_many_envs_some_begin_anew(self) -> None:
        """By itself, in a rollout."""
        batch = envcli.from_torchrl(theirs.SerialEnv(2, lambda: theirs.GymEnv("CartPole-v1")))
        with batch as env, torch.random.fork_rng():
            torch.manual_seed(0)
            data = env.rollout(60, break_when_any_done=False)
            assert data.shape == (2, 60)
            assert data["next", "done"].sum() > 2
            assert not data["done"].any()

    def test_only_torchrls_envs(self) -> None:
        """Says which class it was."""
        with pytest.raises(ConfigError, match=r"expected a torchrl\.envs\.EnvBase, found envcli"):
            envcli.from_torchrl(CountingEnv())

    def test_seeding_leaves_the_global_generator_alone(self) -> None:
        """What their set_seed does to it is put back."""
        with self.make_env() as env:
            before = torch.random.get_rng_state()
            env.set_seed(3)
            assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.slow
def test_a_collector_and_the_ppo_loss_take_it() -> None:
    from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.modules import OneHotCategorical, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

    env = envcli.as_torchrl("env=cartpole", "parallel=processes", "parallel.num_envs=2", "parallel.num_workers=1")
    torch.manual_seed(0)
    net = TensorDictModule(torch.nn.Linear(4, 2), ["observation"], ["logits"])
    head = ProbabilisticTensorDictModule(
        ["logits"], ["action"], distribution_class=OneHotCategorical, return_log_prob=True
    )
    actor, critic = ProbabilisticTensorDictSequential(net, head), ValueOperator(torch.nn.Linear(4, 1))
    loss = ClipPPOLoss(actor, critic)
    collector = Collector(env, actor, frames_per_batch=128, total_frames=256)
    collected = 0
    for data in collector:
        collected += data.numel()
        assert data.shape == (2, 64)
        GAE(gamma=0.99, lmbda=0.95, value_network=critic)(data)
        values = loss(data.reshape(-1))
        total = sum(value for key, value in values.items() if key.startswith("loss_"))
        total.backward()
        assert net.module.weight.grad.abs().sum() > 0
    collector.shutdown()
    assert collected == 256


# -- specs for modules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("categorical", [False, True])
def test_a_q_value_actor_of_torchrls_acts_in_an_env_of_ours(categorical: bool) -> None:
    from torchrl.modules import QValueActor

    env = envcli.GymEnv("CartPole-v1", categorical_action_encoding=categorical)
    for spec in (env.action_spec, env.full_action_spec):
        actor = QValueActor(torch.nn.Linear(4, 2), in_keys=["observation"], spec=envcli.as_torchrl(spec))
        assert env.rollout(3, actor)["action"].shape == (3, *env.action_spec.shape)


def test_hidden_states_of_torchrls_are_primed_in_a_batch_of_ours() -> None:
    from torchrl.modules import LSTMModule

    lstm = LSTMModule(input_size=4, hidden_size=8, in_key="observation", out_key="features")
    primers = envcli.from_torchrl(lstm.make_tensordict_primer().primers)
    env = envcli.SerialEnv(2, lambda: envcli.GymEnv("CartPole-v1"))
    env = env.append_transform(envcli.Compose(envcli.InitTracker(), envcli.TensorDictPrimer(primers)))
    shown = env.rollout(3, lambda td: lstm(td).update(env.rand_action(td)))
    assert shown["recurrent_state_h"].shape == (2, 3, 1, 8)
    assert torch.equal(shown["recurrent_state_h"][:, 1:], shown["next", "recurrent_state_h"][:, :-1])
    assert shown["next", "recurrent_state_h"].any()


def test_a_function_is_applied_through_both_doors() -> None:
    seen: list[Any] = []
    ours = TransformedEnv(CountingEnv(), StepCounter())
    there = theirs.TransformedEnv(envcli.as_torchrl(ours), theirs.RewardSum())
    assert there.apply(seen.append) is there
    assert {id(ours), id(ours.transform), id(there.base_env), id(there)} <= {id(module) for module in seen}
    seen.clear()
    back = envcli.from_torchrl(there)
    assert back.apply(seen.append) is back
    assert {id(ours.transform), id(there.transform), id(back)} <= {id(module) for module in seen}
    assert there.transform in list(back.modules())
