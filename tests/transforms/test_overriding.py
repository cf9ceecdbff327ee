"""Overriding: a subclass of any transform may write any method anew, and it is heard at every reset and step."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing.toys import CountingEnv, DoubleEnv
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.binarize_reward import BinarizeReward
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.cat_tensors import CatTensors
from envcli.transforms.center_crop import CenterCrop
from envcli.transforms.clip import ClipTransform
from envcli.transforms.compose import Compose
from envcli.transforms.crop import Crop
from envcli.transforms.double_to_float import DoubleToFloat
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.finite_tensor_dict_check import FiniteTensorDictCheck
from envcli.transforms.flatten_action import FlattenAction
from envcli.transforms.flatten_observation import FlattenObservation
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.image import ImageSequence
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.overriding import is_written_for
from envcli.transforms.permute import PermuteTransform
from envcli.transforms.remove_empty_specs import RemoveEmptySpecs
from envcli.transforms.rename import RenameTransform
from envcli.transforms.resize import Resize
from envcli.transforms.reward_clipping import RewardClipping
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.select import SelectTransform
from envcli.transforms.sign import SignTransform
from envcli.transforms.squeeze import SqueezeTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.target_return import TargetReturn
from envcli.transforms.tensordict_primer import TensorDictPrimer
from envcli.transforms.time_max_pool import TimeMaxPool
from envcli.transforms.timer import Timer
from envcli.transforms.to_tensor_image import ToTensorImage
from envcli.transforms.transform import Transform
from envcli.transforms.unsqueeze import UnsqueezeTransform
from envcli.transforms.vec_norm import VecNorm
from envcli.transforms.vec_norm_v2 import VecNormV2
from tests.transforms.image_toy import FramesEnv

Make = Callable[[type[Any]], Transform]  # Any: the class under test, or a subclass


def subclass(kind: type[Transform], **methods: Any) -> type[Transform]:
    return type(f"Own{kind.__name__}", (kind,), methods)


def more(kind: type[Transform], name: str) -> type[Transform]:
    """``kind`` with 10 more for every value."""

    def method(self: Any, value: torch.Tensor) -> torch.Tensor:
        return getattr(super(own, self), name)(value) + 10  # type: ignore[no-any-return]

    own = subclass(kind, **{name: method})
    return own


# -- values -------------------------------------------------------------------------------------------------------

VALUES: list[tuple[type[Transform], Make]] = [
    (ObservationNorm, lambda kind: kind(0.0, 2.0)),
    (ObservationNorm, lambda kind: kind(1.0, 2.0, standard_normal=True)),
    (RewardScaling, lambda kind: kind(0.0, 2.0)),
    (RewardClipping, lambda kind: kind(-0.5, 0.5)),
    (ClipTransform, lambda kind: kind(["observation", "reward"], low=0.0, high=2.0)),
    (SignTransform, lambda kind: kind(["observation", "reward"])),
    (BinarizeReward, lambda kind: kind()),
    (DTypeCastTransform, lambda kind: kind("float64", "float32")),
    (DoubleToFloat, lambda kind: kind()),
    (UnsqueezeTransform, lambda kind: kind(-1, in_keys=["observation"])),
    (SqueezeTransform, lambda kind: kind(-1, in_keys=["observation"])),
]


@pytest.mark.parametrize(("kind", "make"), VALUES, ids=[kind.__name__ for kind, _ in VALUES])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_another_apply_transform_counts_at_every_step(kind: type[Transform], make: Make, batch: Sequence[int]) -> None:
    def rollout(kind: type[Transform]) -> TensorDictBase:
        env = TransformedEnv(DoubleEnv(3, batch), make(kind))
        env.set_seed(0)
        torch.manual_seed(0)
        return env.rollout(5, break_when_any_done=False)

    usual, changed = rollout(kind), rollout(more(kind, "_apply_transform"))
    assert not (changed == usual).all()
    for key in usual.keys(True, True):
        touched = key[-1] in make(kind).in_keys if isinstance(key, tuple) else key in make(kind).in_keys
        touched |= (
            kind in (DTypeCastTransform, DoubleToFloat) and str(key).count("observation") + str(key).count("reward") > 0
        )
        expected = usual[key] + 10 if touched else usual[key]
        assert torch.equal(changed[key], expected.to(changed[key].dtype)), key


@pytest.mark.parametrize("where", ["rollout", "steps"])
def test_a_subclass_may_keep_what_it_is_given(where: str) -> None:
    class Differences(ObservationNorm):
        last: torch.Tensor | None = None

        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            before, self.last = self.last, obs
            return obs if before is None else obs - before

    env = TransformedEnv(CountingEnv(9), Compose(Differences(0.0, 1.0)))
    env.transform[0].last = None  # type: ignore[index]  # a Compose; working out the specs applied it too
    if where == "rollout":
        data = env.rollout(3)
    else:
        td = env.reset()
        rows = []
        for _ in range(3):
            td = env.rand_step(td)
            rows.append(td)
            td = env.step_mdp(td)
        data = torch.stack(rows)
    assert data["next", "observation"].flatten().tolist() == [1, 1, 1]


def test_another_inverse_counts() -> None:
    half = lambda self, state: state / 2  # noqa: E731  # a method
    for kind, options in (
        (ActionScaling, {}),
        (DTypeCastTransform, {"dtype_in": "float32", "dtype_out": "float64"}),
        (ObservationNorm, {"loc": 0.0, "scale": 1.0, "in_keys_inv": ["action"]}),
        (ClipTransform, {"in_keys_inv": ["action"], "low": -1.0, "high": 1.0}),
    ):
        env = TransformedEnv(CountingEnv(), subclass(kind, _inv_apply_transform=half)(**options))
        data = env.rollout(3)
        assert torch.allclose(data["next", "reward"].double(), data["action"].double() / 2), kind


def test_another_inverse_of_a_flat_action_counts() -> None:
    class Half(FlattenAction):
        def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
            return super()._inv_apply_transform(state) / 2

    env = TransformedEnv(CountingEnv(), Compose(UnsqueezeTransform(-1, in_keys_inv=["action"]), Half()))
    data = env.rollout(3)
    assert torch.equal(data["next", "reward"], data["action"] / 2)


def test_another_apply_transform_does_not_change_the_way_back() -> None:
    env = TransformedEnv(
        CountingEnv(), more(ClipTransform, "_apply_transform")(["observation"], in_keys_inv=["action"], low=-1, high=1)
    )
    data = env.rollout(3)
    assert torch.equal(data["next", "reward"], data["action"].clamp(-1, 1))
    assert data["observation"].flatten().tolist() == [10, 11, 11]


def test_a_subclass_may_write_the_fast_rules_too() -> None:
    class Tenfold(RewardScaling):
        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            return obs * 10

        def _number_rule(self) -> Any:
            return lambda number: number * 10

    assert is_written_for(Tenfold, "_number_rule", "_apply_transform")
    assert not is_written_for(Tenfold, "_array_rule", "_apply_transform")
    data = TransformedEnv(CountingEnv(), Tenfold(0.0, 1.0)).rollout(3)
    assert torch.equal(data["next", "reward"], data["action"] * 10)


def test_no_transform_of_ours_loses_a_shortcut() -> None:
    shortcuts = ("_keeps_values", "_array_rule", "_number_rule", "_on_bytes", "_of_frame", "_channels_alike")
    found, seen = [Transform], set[type[Transform]]()
    while found:
        kind = found.pop()
        found += [below for below in kind.__subclasses__() if below.__module__.startswith("envcli.transforms")]
        seen.add(kind)
    assert len(seen) > 40
    for kind in seen - {Transform}:
        for name in (*shortcuts, "_leaf_after"):
            if hasattr(kind, name):
                assert is_written_for(kind, name, "_apply_transform"), (kind, name)


# -- specs --------------------------------------------------------------------------------------------------------

PIXELS = {"pixels": Bounded(0, 255, (12, 12, 3), dtype=torch.uint8)}
IMAGE = {"pixels": Bounded(0, 1, (3, 12, 12))}
NUMBERS = {"numbers": Bounded(-1, 1, (3,))}

BOUNDED: list[tuple[type[Transform], dict[str, Any], dict[str, Bounded]]] = [
    (ToTensorImage, {}, PIXELS),
    (GrayScale, {}, IMAGE),
    (Resize, {"w": 6}, IMAGE),
    (CenterCrop, {"w": 6}, IMAGE),
    (Crop, {"w": 6}, IMAGE),
    (FlattenObservation, {"first_dim": -1, "last_dim": -1, "in_keys": ["numbers"]}, NUMBERS),
    (UnsqueezeTransform, {"dim": -1, "in_keys": ["numbers"]}, NUMBERS),
    (PermuteTransform, {"dims": [-1], "in_keys": ["numbers"]}, NUMBERS),
    (DTypeCastTransform, {"dtype_in": "float32", "dtype_out": "float64", "in_keys": ["numbers"]}, NUMBERS),
    (BinarizeReward, {"in_keys": ["numbers"]}, NUMBERS),
    (SignTransform, {"in_keys": ["numbers"]}, NUMBERS),
    (ObservationNorm, {"loc": 0.0, "scale": 2.0, "in_keys": ["numbers"]}, NUMBERS),
]


@pytest.mark.parametrize(("kind", "options", "leaves"), BOUNDED, ids=[kind.__name__ for kind, _, _ in BOUNDED])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_spec_is_that_of_what_was_written_anew(
    kind: type[Transform], options: dict[str, Any], leaves: dict[str, Bounded], batch: Sequence[int]
) -> None:
    def folded(self: Any, obs: torch.Tensor) -> torch.Tensor:
        return 3 - (super(type(self), self)._apply_transform(obs) - 0.25).abs()  # type: ignore[misc,no-any-return]

    transform = subclass(kind, _apply_transform=folded)(**options)
    (key, leaf), lead = next(iter(leaves.items())), torch.Size(batch)
    before = Composite({key: leaf.expand(*lead, *leaf.shape)}, shape=lead)
    before = Composite(
        full_observation_spec=before,
        full_reward_spec=Composite(shape=lead),
        full_done_spec=Composite(shape=lead),
        shape=lead,
    )
    after = transform.transform_output_spec(before.clone())["full_observation_spec"]
    for _ in range(3):
        value = before["full_observation_spec"].rand()
        assert after.is_in(transform(value.clone())), after


def test_numbers_that_are_not_known_yet_are_not_asked_for() -> None:
    own = more(ObservationNorm, "_apply_transform")(in_keys=["observation"])
    env = TransformedEnv(CountingEnv(9), own)
    own.init_stats(5)  # type: ignore[operator]
    assert env.observation_spec["observation"] == Unbounded(1)


# -- images -------------------------------------------------------------------------------------------------------

IMAGES: list[list[Callable[[], Transform]]] = [
    [ToTensorImage, GrayScale, lambda: Resize(6)],
    [GrayScale, lambda: Resize(6), lambda: ToTensorImage(from_int=False, dtype="uint8")],
    [lambda: CenterCrop(6), ToTensorImage, GrayScale],
]


@pytest.mark.parametrize("makers", IMAGES)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_another_change_of_images_counts(makers: list[Callable[[], Transform]], which: int) -> None:
    def dark(self: Any, obs: torch.Tensor) -> torch.Tensor:
        return super(type(self), self)._apply_transform(obs) // 2  # type: ignore[misc,no-any-return]

    def chain() -> Compose:
        steps = [make() for make in makers]
        steps[which].__class__ = subclass(type(steps[which]), _apply_transform=dark)
        return Compose(*steps)

    data = TransformedEnv(FramesEnv(9), chain()).rollout(4)
    frames = FramesEnv(9).rollout(4).select("pixels", ("next", "pixels"))
    outside = frames["next"].clone()
    for transform in chain():
        outside = transform._call(outside)
    assert torch.allclose(data["next", "pixels"].float(), outside["pixels"].float(), atol=1e-5)
    assert torch.equal(data["pixels"][1:], data["next", "pixels"][:-1])


def test_who_is_run_in_one_pass() -> None:
    class Other(GrayScale):
        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            return obs

    class Spoken(GrayScale):
        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict

    class Rows(GrayScale):
        def _step_row(self, t: int) -> None:
            super()._step_row(t)

    assert isinstance(ToTensorImage()._fused(GrayScale()), ImageSequence)
    for kind in (Other, Spoken, Rows):
        assert ToTensorImage()._fused(kind()) is None
        assert kind()._fused(Resize(6)) is None


# -- TensorDicts --------------------------------------------------------------------------------------------------


def _call(self: Any, next_tensordict: TensorDictBase) -> TensorDictBase:
    return super(type(self), self)._call(next_tensordict)  # type: ignore[misc,no-any-return]


def _step(self: Any, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
    return super(type(self), self)._step(tensordict, next_tensordict)  # type: ignore[misc,no-any-return]


def _reset(self: Any, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
    return super(type(self), self)._reset(tensordict, tensordict_reset)  # type: ignore[misc,no-any-return]


def _inv_call(self: Any, tensordict: TensorDictBase) -> TensorDictBase:
    return super(type(self), self)._inv_call(tensordict)  # type: ignore[misc,no-any-return]


HOOKS = {"_call": _call, "_step": _step, "_reset": _reset, "_inv_call": _inv_call}

SPOKEN: list[tuple[type[Transform], Make]] = [
    *VALUES[:-2],
    (StepCounter, lambda kind: kind(2)),
    (StepCounter, lambda kind: kind(step_count_key="n")),
    (RewardSum, lambda kind: kind()),
    (RewardSum, lambda kind: kind(reward_spec=True)),
    (TargetReturn, lambda kind: kind(5.0)),
    (InitTracker, lambda kind: kind()),
    (TensorDictPrimer, lambda kind: kind({"hidden": {"shape": [2], "dtype": "float32"}}, default_value=3.0)),
    (CatTensors, lambda kind: kind(["observation", "start"], "both")),
    (CatTensors, lambda kind: kind(["observation", "start"], "both", del_keys=False)),
    (RenameTransform, lambda kind: kind(["observation"], ["seen"], ["action"], ["deed"])),
    (RenameTransform, lambda kind: kind(["observation"], ["seen"], create_copy=True)),
    (ExcludeTransform, lambda kind: kind("start")),
    (SelectTransform, lambda kind: kind("observation")),
    (FiniteTensorDictCheck, lambda kind: kind()),
    (RemoveEmptySpecs, lambda kind: kind()),
    (VecNorm, lambda kind: kind(["observation", "reward"])),
    (VecNormV2, lambda kind: kind(["observation", "reward"])),
    (VecNormV2, lambda kind: kind(["observation", "reward"], reduce_batch_dims=True)),
    (ActionScaling, lambda kind: kind()),
]


@pytest.mark.parametrize(("kind", "make"), SPOKEN, ids=[kind.__name__ for kind, _ in SPOKEN])
@pytest.mark.parametrize("hooks", [["_call"], ["_step"], ["_reset"], ["_inv_call"], list(HOOKS)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_super_does_the_same(kind: type[Transform], make: Make, hooks: list[str], batch: Sequence[int]) -> None:
    def rollout(kind: type[Transform]) -> TensorDictBase:
        limits = [3, 4] if batch else 3  # so that one env of the batch is reset by itself
        double = kind in (DTypeCastTransform, DoubleToFloat)
        base: Env = DoubleEnv(limits, batch) if double else CountingEnv(limits, batch)
        env = TransformedEnv(base, make(kind))
        env.set_seed(0)
        torch.manual_seed(0)
        return env.rollout(7, break_when_any_done=False)

    usual = rollout(kind)
    spoken = rollout(subclass(kind, **{name: HOOKS[name] for name in hooks}))
    assert set(spoken.keys(True, True)) == set(usual.keys(True, True))
    for key in usual.keys(True, True):
        assert torch.allclose(spoken[key].double(), usual[key].double(), atol=1e-6), key


def test_what_only_rows_can_do_says_so() -> None:
    makers: list[tuple[Callable[[type[Any]], Transform], type[Transform], str]] = [
        (lambda kind: kind(2, -1, ["observation"]), CatFrames, "_step"),
        (lambda kind: kind(2, -1, ["observation"]), CatFrames, "_reset"),
        (lambda kind: kind(2, -1, ["observation"]), CatFrames, "_call"),
        (lambda kind: kind(["observation"], T=2), TimeMaxPool, "_step"),
        (lambda kind: kind(2), FrameSkipTransform, "_step"),
        (lambda kind: kind(2), FrameSkipTransform, "_call"),
        (lambda kind: kind(2), NoopResetEnv, "_reset"),
        (lambda kind: kind(), Timer, "_inv_call"),
    ]
    for make, kind, hook in makers:
        env = TransformedEnv(CountingEnv(), make(subclass(kind, **{hook: HOOKS[hook]})))
        row = {"_reset": "_reset_row", "_inv_call": "_inv_row"}.get(hook, "_step_row")
        with pytest.raises(TransformError, match=f"{kind.__name__} works on the steps of an env only.*override {row}"):
            env.rollout(2)


def test_other_hooks_of_these_work() -> None:
    """What a subclass does not write anew goes on in rows."""
    resets: list[int] = []

    def counted(self: Any, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        resets.append(1)
        return _reset(self, tensordict, tensordict_reset)

    env = TransformedEnv(CountingEnv(9), subclass(FrameSkipTransform, _reset=counted)(2))
    assert env.rollout(3)["next", "observation"].flatten().tolist() == [2, 4, 6]
    assert resets == [1]
    env = TransformedEnv(CountingEnv(9), subclass(NoopResetEnv, _step=_step)(2, random=False))
    assert env.rollout(2)["observation"].flatten().tolist() == [2, 3]


def test_a_target_may_follow_another_rule() -> None:
    class Halving(TargetReturn):
        def _apply_transform(self, reward: torch.Tensor, target_return: torch.Tensor) -> torch.Tensor:
            return torch.div(target_return, 2)

    data = TransformedEnv(CountingEnv(), Halving(8.0)).rollout(3)
    assert data["next", "target_return"].flatten().tolist() == [4, 2, 1]


# -- later --------------------------------------------------------------------------------------------------------


def test_a_method_that_a_class_gets_later_counts() -> None:
    own = subclass(RewardScaling)

    def reward() -> torch.Tensor:
        return TransformedEnv(CountingEnv(), own(0.0, 2.0)).rollout(1, ones)["next", "reward"]

    def ones(tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set("action", torch.ones(1))

    assert reward() == 2
    own._apply_transform = lambda self, obs: obs * 50  # type: ignore[method-assign]
    assert reward() == 50
    own._step = lambda self, tensordict, next_tensordict: next_tensordict  # type: ignore[method-assign]
    assert reward() == 1
    del own._step, own._apply_transform
    assert reward() == 2


def test_a_class_can_be_let_go_of() -> None:
    own = more(RewardScaling, "_apply_transform")
    TransformedEnv(CountingEnv(), own(0.0, 2.0)).rollout(1)
    gone = weakref.ref(own)
    del own
    gc.collect()
    assert gone() is None
