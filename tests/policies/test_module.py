from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from envcli.backends.gym import GymEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, UnknownName
from envcli.policies.module import ModulePolicy
from envcli.transforms.step_counter import StepCounter


@pytest.fixture
def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def save(network: nn.Module, kind: str, folder: Path) -> str:
    path = folder / f"network.{'pt2' if kind == 'export' else 'pt'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how torch feels about its own formats is not what is tested here
        if kind == "state dict":
            torch.save(network.state_dict(), path)
        elif kind == "torchscript":
            torch.jit.save(torch.jit.script(network), path)
        else:
            torch.export.save(torch.export.export(network, (torch.zeros(4),)), path)
    return str(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["state dict", "torchscript", "export"])
def test_acts_as_the_network_says(network: nn.Sequential, kind: str, tmp_path: Path) -> None:
    env = GymEnv("CartPole-v1")
    policy = ModulePolicy(save(network, kind, tmp_path), allow_imports=kind == "export")
    rollout = env.rollout(50, policy.bind(env))
    scores = network(rollout["observation"])
    assert (rollout["action"].argmax(-1) == scores.argmax(-1)).all()
    assert (rollout["action"].sum(-1) == 1).all()


def test_numbers_are_clamped_to_their_bounds(tmp_path: Path) -> None:
    network = nn.Linear(3, 1)
    nn.init.constant_(network.weight, 0.0)
    nn.init.constant_(network.bias, 7.0)
    env = GymEnv("Pendulum-v1")
    assert (env.rollout(5, ModulePolicy(save(network, "state dict", tmp_path)).bind(env))["action"] == 2).all()


def test_more_than_ten_layers_stay_in_order(tmp_path: Path) -> None:
    widths = [4, *range(5, 16), 2]
    network = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(widths)))
    env = GymEnv("CartPole-v1")
    env.rollout(
        5, ModulePolicy(save(network, "state dict", tmp_path)).bind(env)
    )  # a wrong order could not be multiplied
    with pytest.raises(UnknownName, match="tanh"):
        ModulePolicy(save(network, "state dict", tmp_path), activation="tahn")


def test_a_file_that_could_run_code_is_not_read(network: nn.Sequential, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "pickled.pt")
    with pytest.raises(ConfigError, match="can run any code"):
        ModulePolicy(str(tmp_path / "pickled.pt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"step": 1, "model": {}}, r"found a dict of step, model\. Save the network alone: torch\.save"),
        ({"conv.weight": torch.zeros(3, 3, 3, 3)}, "Linear layers only"),
        ({}, "Linear layers only"),
    ],
)
def test_what_is_no_stack_of_linear_layers_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ConfigError, match=message):
        ModulePolicy(str(tmp_path / "odd.pt"))


def test_no_file_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"no file {tmp_path}/missing\.pt"):
        ModulePolicy("missing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ConfigError, match="is not a file of"):
        ModulePolicy(str(tmp_path / "text.pt"))


def test_what_does_not_fit_the_env_is_said_before_the_first_step(network: nn.Sequential, tmp_path: Path) -> None:
    path = save(network, "state dict", tmp_path)
    with pytest.raises(ConfigError, match=r"Given observation \[3\], it has to give \[1\]"):
        ModulePolicy(path).bind(GymEnv("Pendulum-v1"))
    with pytest.raises(UnknownName, match="observation"):
        ModulePolicy(path, in_keys=["observations"]).bind(GymEnv("CartPole-v1"))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["state dict", "torchscript", "export"])
def test_it_is_given_as_many_observations_as_it_takes(network: nn.Sequential, kind: str, tmp_path: Path) -> None:
    env = TransformedEnv(GymEnv("CartPole-v1"), StepCounter())
    policy = ModulePolicy(save(network, kind, tmp_path), allow_imports=kind == "export")
    rollout = env.rollout(20, policy.bind(env))
    assert (rollout["action"].argmax(-1) == network(rollout["observation"]).argmax(-1)).all()


def test_several_networks_in_one_file_are_named(tmp_path: Path) -> None:
    both = nn.ModuleDict({"actor": nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), "critic": nn.Linear(4, 1)})
    with pytest.raises(ConfigError, match="found those of actor, critic, which do not follow each other"):
        ModulePolicy(save(both, "state dict", tmp_path))


def test_what_it_was_not_given_is_told_too(tmp_path: Path) -> None:
    env = TransformedEnv(GymEnv("Pendulum-v1"), StepCounter())
    with pytest.raises(ConfigError, match=r"The env shows step_count too: policy.in_keys=\[\.\.\.\] selects"):
        ModulePolicy(save(nn.Linear(4, 1), "state dict", tmp_path)).bind(env)


class Chooses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.layer(observation).argmax(-1)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_number_of_an_action_where_one_hots_are_taken(tmp_path: Path) -> None:
    policy = ModulePolicy(save(Chooses(), "torchscript", tmp_path))
    for make in (lambda: GymEnv("CartPole-v1"), lambda: SerialEnv(2, lambda: GymEnv("CartPole-v1"))):
        with make() as env, pytest.raises(ConfigError, match=r"Add backend\.categorical_action_encoding=true$"):
            policy.bind(env)
    env = GymEnv("CartPole-v1", categorical_action_encoding=True)
    assert len(env.rollout(5, policy.bind(env)))
