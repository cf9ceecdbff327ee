"""What a file with a network from a stranger tries: as a policy, and as a transform."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from envcli import GymEnv, torch_script
from envcli.errors import ConfigError
from envcli.policies.module import ModulePolicy
from envcli.transforms.module_transform import ModuleTransform
from envcli.transforms.rnd import RNDTransform
from tests.conftest import Command

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def helper(x: torch.Tensor) -> torch.Tensor:
    torch.save(x, "owned")
    return x


class Saves(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "owned")
        return x


class Maps(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        file = torch.from_file("owned", shared=True, size=16)
        return x + file.fill_(1).sum()


class Inside(nn.Module):
    """Deep down, in a function, in a branch, in another module."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), Helped())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            x = self.layers(x)
        return x


class Helped(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return helper(x)


class Forks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waiting: torch.jit.Future[torch.Tensor] = torch.jit.fork(helper, x)
        return torch.jit.wait(waiting)


class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

        def hook(module: nn.Module, given: tuple[torch.Tensor]) -> None:
            torch.save(given[0], "owned")

        self.register_forward_pre_hook(hook)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


class Prints(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("\x1b[2J")
        return x


class AtReading(nn.Module):
    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return torch.zeros(1), self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        torch.save(state[0], "owned")
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Trained(nn.Module):
    """What people save: convolutions, norms, recurrence, loops, branches."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 8))
        self.memory = nn.GRU(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(x.reshape(1, 1, 4))
        for _ in range(2):
            x, _ = self.memory(x)
        return torch.softmax(self.head(x), -1).reshape(2)


def scripted(module: nn.Module, path: Path = Path("net.pt")) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module), path)
    return str(path)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", [Saves, Maps, Inside, Forks, Hooked, Prints, AtReading])
def test_torchscript_that_does_more_than_compute_is_not_run(kind: Callable[[], nn.Module]) -> None:
    path = scripted(kind())
    assert not Path("owned").exists()
    for read in (
        lambda: ModulePolicy(path),
        lambda: ModuleTransform(module=path, in_keys=["a"], out_keys=["b"]),
        lambda: RNDTransform(path, torch.nn.Identity()),
    ):
        with pytest.raises(ConfigError, match=r"allow_imports=true"):
            read()
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    "save", [torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(4))], ids=["script", "trace"]
)
def test_a_trained_network_acts(save: Callable[[nn.Module], torch.jit.ScriptModule]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(save(Trained().eval()), "net.pt")
    env = GymEnv("CartPole-v1")
    assert env.rollout(5, ModulePolicy("net.pt").bind(env)).shape == (5,)


def test_what_the_user_trusts_does_what_it_does() -> None:
    torch_script.load(Path(scripted(Saves())), allow_imports=True)(torch.zeros(2))
    assert Path("owned").exists()


def test_an_exported_program_is_not_read(cli: Command) -> None:
    """``torch.export.load`` unpickles."""
    with zipfile.ZipFile("net.pt2", "w") as archive:
        archive.writestr("archive_format", "pt2")
        archive.writestr("data/weights/x.pt", pickle.dumps(Evil()))
    done = cli("rollout", "policy=module", "policy.path=net.pt2", "max_steps=5")
    assert done.code == 2
    assert "which can run any code when read. If you trust it, add allow_imports=true." in done.err
    assert not Path("owned").exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_not_opened(zipped: bool, cli: Command) -> None:
    torch.save({"0.weight": torch.zeros(2, 4), "evil": Evil()}, "net.pt", _use_new_zipfile_serialization=zipped)
    done = cli("rollout", "policy=module", "policy.path=net.pt", "max_steps=5")
    assert done.code == 2
    assert not Path("owned").exists()
