"""Ids of envs that somebody registers: what is said where one cannot be made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.errors import ConfigError, EnvError, MissingDependency, SpecError, UnknownName
from envcli.gym import ids
from envcli.testing.gym_toys import CountingGym

MOVED = {"Moved": {"how": "moved"}}


class Broken(CountingGym):
    """Cannot be made, or answers as gymnasium's envs did of old."""

    def __init__(self, how: str = "", gravity: float = 1.0) -> None:
        super().__init__()
        self.how = how
        if how == "moved":
            raise ImportError("It moved.")
        if how == "no library":
            import no_such_library  # noqa: F401
        if how == "no licence":
            raise RuntimeError("no licence")
        if how == "no word":
            raise AssertionError
        if gravity < 0:
            raise ValueError("gravity is negative")

    def reset(self, **options: Any) -> Any:
        found = super().reset(**options)
        return found[0] if self.how == "old" else found

    def step(self, action: Any) -> Any:
        observation, reward, *_ = super().step(action)
        return observation, reward, False, {}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for name, kwargs in {
        "Good": {},
        "NoLicence": {"how": "no licence"},
        "Mute": {"how": "no word"},
        "Old": {"how": "old"},
        "Bare": {"how": "no library"},
        **MOVED,
    }.items():
        gymnasium.register(f"{name}-v0", f"{__name__}:Broken", kwargs=kwargs)
    yield
    for name in ("Good", "NoLicence", "Mute", "Old", "Bare", *MOVED):
        del gymnasium.registry[f"{name}-v0"]


def test_a_misspelt_id_is_looked_for_in_its_own_module() -> None:
    with pytest.raises(UnknownName, match=rf"Did you mean '{__name__}:Good-v0'"):
        GymEnv(f"{__name__}:Godo-v0")


def test_a_module_that_registers_nothing_says_what_to_do() -> None:
    said = r"^no gymnasium env .* There are none\. Importing colorsys registers no ids.*=my_envs:A/B-v0\. "
    with pytest.raises(UnknownName, match=f"{said}.*backend=custom"):
        GymEnv("colorsys:A/B-v0")


def test_a_constructor_that_raises_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^Moved-v0 cannot be made: It moved\.$"):
        GymEnv("Moved-v0")
    with pytest.raises(MissingDependency, match=r"^Bare-v0 needs no_such_library, .* pip install no_such_library$"):
        GymEnv("Bare-v0")
    with pytest.raises(
        EnvError, match=r"^NoLicence-v0 cannot be made: RuntimeError: no licence in \S*test_ids.py, line \d+$"
    ):
        GymEnv("NoLicence-v0")
    said = r"^Mute-v0 cannot be made: AssertionError: raise AssertionError in \S*test_ids.py, line \d+$"
    with pytest.raises(EnvError, match=said):
        GymEnv("Mute-v0")
    with pytest.raises(ConfigError, match=r"^Good-v0 cannot be made: ValueError: gravity is negative in "):
        GymEnv("Good-v0", gravity=-1.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Ant-v3", r"^Ant-v3 cannot be made: The mujoco v2 and v3 .*gymnasium-robotics\)\.$"),
        ("Pusher-v4", r"^Pusher-v4 cannot be made: `Pusher-v4` is only supported on `mujoco<3`[^.]*\.[^.]*\.$"),
    ],
)
def test_an_env_that_an_installation_would_not_bring_says_why(name: str, said: str) -> None:
    pytest.importorskip("mujoco", minversion="3", reason="mujoco is not installed (extra mujoco)")
    with pytest.raises(ConfigError, match=said):
        GymEnv(name)


def test_what_brings_jax_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)  # not to be found
    for module in [module for module in sys.modules if module.startswith("gymnasium.envs.phys2d")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ConfigError, match=r"that is not installed: .* Type: pip install 'gymnasium\[jax\]'"):
        GymEnv("phys2d/CartPole-v1")


def test_models_of_gymnasiums_own_load_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed (extra mujoco)")
    monkeypatch.chdir(tmp_path)
    before = mujoco.get_mju_user_warning()
    GymEnv("HalfCheetah-v5").close()
    assert mujoco.get_mju_user_warning() is before
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_gymnasium_refuses_is_told_as_such() -> None:
    told = r"^Good-v0 step: (gymnasium rejects|expected \(observation, reward).*Fix the simulator"  # 1.4 and before
    with pytest.raises(SpecError, match=told):
        GymEnv("Good-v0").rollout(3)
    with pytest.raises(SpecError, match=r"^Old-v0 reset: expected \(observation, info\), found a ndarray"):
        GymEnv("Old-v0").reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_env_that_takes_no_seed_is_not_said_to_answer_wrongly() -> None:
    class Seedless(CountingGym):
        def reset(self) -> Any:  # type: ignore[override]
            return super().reset()

    gymnasium.register("Seedless-v0", Seedless)
    try:
        env = GymEnv("Seedless-v0")
        env.set_seed(3)
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            env.reset()
    finally:
        del gymnasium.registry["Seedless-v0"]


def test_an_env_that_draws_nothing_is_named() -> None:
    class Blind(CountingGym):
        def render(self) -> Any:
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"^Blind renders no frames, for from_pixels=true or for a film$"):
        GymWrapper(Blind(), from_pixels=True)


def test_an_id_of_ones_own_is_named_with_its_module() -> None:
    with pytest.raises(
        UnknownName, match=r"`envcli list` shows all\. .*fresh processes: .*my_envs:qx/Maze-v0, from YAML"
    ):
        GymEnv("qx/Maze-v0")
    with pytest.raises(UnknownName) as typo:
        GymEnv("CartPol-v1")
    assert "my_envs" not in str(typo.value)


@pytest.mark.parametrize(("name", "asked"), [("Foreign-v0", [False]), ("CartPole-v1", []), ("Hopper-v5", [True])])
def test_drawing_is_made_ready_for_whatever_may_be_mujoco(
    monkeypatch: pytest.MonkeyPatch, name: str, asked: list[bool]
) -> None:
    """Envs of other packages do not say whether they draw with it: gymnasium-robotics', Meta-World's."""
    pytest.importorskip("mujoco", reason="mujoco is not installed (extra mujoco)")
    heard: list[bool] = []
    monkeypatch.setattr(ids.gl, "prepare_mujoco", lambda pixels: heard.append(pixels))
    monkeypatch.setitem(gymnasium.registry, "Foreign-v0", EnvSpec("Foreign-v0", "somebody.envs:Arm"))
    ids._prepare_drawing(name)
    assert heard == asked
