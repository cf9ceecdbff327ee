"""RunningNorm: what VecNorm and VecNormV2 have in common."""

from __future__ import annotations

import pickle

import pytest
import torch
from tensordict import TensorDict

from envcli.batch.env_creator import EnvCreator
from envcli.batch.parallel_env import ParallelEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.memory.mapped import mapped
from envcli.specs import Unbounded
from envcli.testing.toys import CountingEnv, DoubleEnv
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.running_norm import RunningNorm
from envcli.transforms.vec_norm import VecNorm
from envcli.transforms.vec_norm_v2 import VecNormV2

Kind = type[VecNorm] | type[VecNormV2]

kinds = pytest.mark.parametrize("kind", [VecNorm, VecNormV2])


@kinds
def test_frozen_and_eval_learn_nothing(kind: Kind) -> None:
    env = TransformedEnv(CountingEnv(99), kind())
    env.rollout(5)
    before = env.transform.loc.clone()
    env.transform.freeze()
    env.rollout(5)
    assert (env.transform.loc == before).all()
    env.transform.unfreeze().eval()
    env.rollout(5)
    assert (env.transform.loc == before).all()
    env.transform.train()
    env.rollout(5)
    assert (env.transform.loc != before).any()


@kinds
def test_of_nothing_values_stay_as_they_are(kind: Kind) -> None:
    env = TransformedEnv(CountingEnv(99, [2]), kind(["observation"]).freeze())
    assert env.rollout(3)["next", "observation"].flatten().tolist() == [1, 2, 3] * 2


@kinds
def test_a_frozen_copy_and_an_observation_norm(kind: Kind) -> None:
    env = TransformedEnv(CountingEnv(99), kind())
    env.rollout(5)
    frozen = env.transform.frozen_copy()
    fixed = env.transform.to_observation_norm()
    assert isinstance(fixed, Compose)
    assert all(isinstance(norm, ObservationNorm) for norm in fixed)
    one, other = TransformedEnv(CountingEnv(99), frozen), TransformedEnv(CountingEnv(99), fixed)
    env.rollout(5)
    torch.testing.assert_close(one.rollout(4)["observation"], other.rollout(4)["observation"])
    single = kind(["x"])
    for value in (1.0, 3.0):
        single(TensorDict({"x": torch.tensor([value])}))
    norm = single.to_observation_norm()
    assert isinstance(norm, ObservationNorm)
    assert norm(TensorDict({"x": torch.tensor([3.0])}))["x"].item() == pytest.approx(1, abs=1e-3)


@kinds
def test_afterwards_the_frozen_one_gives_the_same(kind: Kind) -> None:
    env = TransformedEnv(CountingEnv(99, [2]), kind())
    env.rollout(5)
    env.transform.freeze()
    torch.manual_seed(0)
    there = env.rollout(4)
    torch.manual_seed(0)
    again = env.transform.clone()(CountingEnv(99, [2]).rollout(4))
    for key in ("observation", ("next", "observation"), ("next", "reward")):
        assert torch.equal(again[key], there[key])


class Lock:
    held = taken = 0

    def __enter__(self) -> None:
        self.held += 1
        self.taken += 1

    def __exit__(self, *error: object) -> None:
        self.held -= 1


@kinds
def test_the_lock_is_held_and_let_go_of(kind: Kind) -> None:
    lock = Lock()
    norm: RunningNorm = kind(["x"], lock=lock)  # type: ignore[arg-type]  # all that is needed of one
    norm(TensorDict({"x": torch.zeros(2, 3)}, [2]))
    assert (lock.taken, lock.held) == (1, 0)
    norm._statistics["x"].update = None  # type: ignore[method-assign,assignment]  # fails when it is called
    with pytest.raises(TypeError):
        norm(TensorDict({"x": torch.zeros(2, 3)}, [2]))
    assert (lock.taken, lock.held) == (2, 0)
    assert norm.lock is lock
    assert norm.clone().lock is None


@kinds
def test_in_an_env_the_lock_is_held_for_each_update(kind: Kind) -> None:
    lock = Lock()
    TransformedEnv(CountingEnv(99), kind(["observation"], lock=lock)).rollout(3)  # type: ignore[arg-type]
    assert (lock.taken, lock.held) == (4, 0)


@kinds
def test_copies_and_pickles_have_statistics_of_their_own(kind: Kind) -> None:
    env = TransformedEnv(CountingEnv(99), kind())
    env.rollout(3)
    before = env.transform.loc.clone()
    for other in (env.transform.clone(), pickle.loads(pickle.dumps(env.transform.clone()))):
        assert (other.loc == env.transform.loc).all()
        for tensor in other._tensors().values():
            tensor.fill_(0)
    assert (env.transform.loc == before).all()


@kinds
def test_specs_and_dtypes(kind: Kind) -> None:
    env = TransformedEnv(DoubleEnv(), kind())
    assert env.observation_spec["observation"] == Unbounded([1], dtype=torch.float64)
    assert env.rollout(2)["next", "reward"].dtype == torch.float64
    assert env.transform.loc["observation"].dtype == torch.float64
    norm = kind(["n"])
    assert norm(TensorDict({"n": torch.tensor([3, 4])}))["n"].dtype == torch.float32
    assert norm.scale["n"].dtype == torch.float32


@kinds
def test_numbers_that_numpy_does_not_know_are_refused(kind: Kind) -> None:
    cast = DTypeCastTransform("float32", "bfloat16", ["observation"])
    with pytest.raises(TransformError, match="cannot compute with bfloat16"):
        TransformedEnv(CountingEnv(), Compose(cast, kind(["observation"])))


@kinds
def test_a_state_of_another_shape_changes_nothing(kind: Kind) -> None:
    norm, other = kind(["a", "b"]), kind(["a", "b"])
    norm(TensorDict({"a": torch.ones(2), "b": torch.ones(3)}))
    other(TensorDict({"a": torch.zeros(2), "b": torch.zeros(4)}))
    with pytest.raises(TransformError, match=r"is \[3\] here, but \[4\] in the loaded state"):
        norm.load_state_dict(other.state_dict())
    assert norm.loc["a"].tolist() == [1, 1]
    late = kind(["b"])
    late.load_state_dict(other.state_dict())
    with pytest.raises(TransformError, match=r"is \[3\] here, but \[4\] in the loaded state"):
        late(TensorDict({"b": torch.ones(3)}))


@kinds
def test_a_state_that_was_loaded_is_apart_from_its_source(kind: Kind) -> None:
    source = kind(["a"])
    source(TensorDict({"a": torch.ones(2)}))
    early, late = kind(["a"]), kind(["a"])
    early(TensorDict({"a": torch.zeros(2)}))
    for other in (early, late):
        other.load_state_dict(source.state_dict())
    for tensor in source._tensors().values():
        tensor.fill_(9)
    for other in (early, late):
        assert other.freeze()(TensorDict({"a": torch.ones(2)}))["a"].tolist() == [0, 0]


@kinds
def test_workers_keep_one_set_of_statistics(kind: Kind) -> None:
    make = EnvCreator(lambda: TransformedEnv(CountingEnv(99), kind(["observation"], decay=1.0)))
    with ParallelEnv(3, make, num_workers=3) as env:
        env.rollout(5)
    kept = make._first.transform  # type: ignore[attr-defined]  # an env with transforms
    assert kept._statistics["observation"].tensors["count"].item() == 3 * (1 + 5)
    assert kept.loc["observation"].item() == 2.5
    assert all(mapped(tensor) is not None for tensor in kept._tensors().values())


@kinds
def test_a_single_value_is_refused(kind: Kind) -> None:
    with pytest.raises(TransformError, match=f"{kind.__name__} works on TensorDicts and in an env"):
        kind()._apply_transform(torch.zeros(1))


@kinds
def test_what_cannot_be(kind: Kind) -> None:
    name = kind.__name__
    for bad in ({"decay": 0}, {"decay": 1.5}, {"eps": 0}):
        with pytest.raises(ConfigError, match=f"{name}: expected 0 < decay <= 1 and eps > 0, found decay="):
            kind(**bad)  # type: ignore[arg-type]  # numbers, all of them
    with pytest.raises(TransformError, match="must have the same length"):
        kind(["a"], ["b", "c"])
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), kind(["pixels"]))
