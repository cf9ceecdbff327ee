"""What is answered before Hydra or torch is imported, and how each mistake reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import envcli
from envcli import commands
from envcli.__main__ import run
from envcli.cli import arguments, main
from envcli.errors import ConfigError
from tests.conftest import ROOT, Command

TRANSFORMS = len([*(ROOT / "conf" / "transforms").glob("*.yaml")])

LIGHT = """
import sys
from envcli.cli import main
try:
    main({words!r})
finally:
    heavy = {{"torch", "tensordict", "numpy", "gymnasium", "hydra", "omegaconf", "rich"}} & set(sys.modules)
    print("HEAVY", sorted(heavy - {allowed!r}))
"""


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([], set()),
        (["--help"], set()),
        (["--version"], set()),
        (["rollout", "--help"], set()),
        (["rolout"], set()),
        (["rollout", "env=pendulm"], set()),
        (["rollout", "paralel=4"], set()),
        (["completion", "bash"], set()),
        (["rollout", "--cfg", "job"], {"hydra", "omegaconf", "rich"}),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_needs_no_env_imports_nothing_heavy(words: list[str], allowed: set[str]) -> None:
    code = LIGHT.format(words=words, allowed=allowed)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_command_module_imports_nothing_heavy() -> None:
    code = """
import importlib, sys
from envcli import commands
from envcli.__main__ import run
for command in commands.names():
    importlib.import_module(f"envcli.commands.{command}")
    heavy = {"torch", "hydra", "gymnasium", "rich"} & set(sys.modules)
    assert not heavy, f"{command} imports {heavy}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_game_of_gymnasiums_leaves_nothing_to_say_at_exit(shell: Command) -> None:
    pytest.importorskip("ale_py", reason="ale-py is not installed (extra atari)")
    done = shell("spec", "backend.name=ALE/Pong-v5")
    assert (done.code, done.err) == (0, "")


def test_a_run_imports_numpy_before_torch_does(tmp_path: Path) -> None:
    """Torch's own import of it is in C++, which swallows a Ctrl-C and goes on with half of numpy."""
    code = """
import sys
class Watch:
    def find_spec(self, name, *where):
        if name == "numpy":
            print("torch" in sys.modules, file=sys.stderr)
sys.meta_path.insert(0, Watch())
from envcli.cli import main
main(["rollout", "max_steps=1"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "False\n"


def test_importing_envcli_imports_nothing() -> None:
    code = "import sys, envcli; sys.exit(bool({'torch', 'hydra', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names_are_listed_sorted_and_load() -> None:
    assert envcli.__all__ == sorted(envcli.__all__)
    rooms = {path.stem for path in Path(envcli.__file__).parent.iterdir()}
    assert not rooms & set(envcli.__all__), "importing that room would hide the name behind a module"
    for name in dir(envcli):
        assert getattr(envcli, name) is not None
    assert {"make_env", "BraxEnv"} <= set(dir(envcli))
    with pytest.raises(AttributeError, match=r"no attribute 'nope'"):
        envcli.nope  # noqa: B018 - the access is what is tested


def test_the_main_help_names_every_command(cli: Command) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        done = cli(*words)
        assert done.code == 0
        for command in commands.names():
            assert f"  {command} " in done.out
            assert commands.summary(command).split()[0] in done.out


@pytest.mark.parametrize("command", commands.names())
def test_every_command_has_help_that_fits_a_terminal(
    command: str, cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli(command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"envcli {command}: {commands.summary(command)}")
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_help_of_rollout_names_groups_choices_and_keys(cli: Command) -> None:
    out = cli("rollout", "--help").out
    for text in (
        "env=cartpole",
        " pendulum,",
        "transforms=[none]",
        " step_counter,",
        "max_steps=1000",
        "frame_skip=null",
    ):
        assert text in out
    assert "--multirun" in out
    assert "backend.name=CartPole-v1" in out
    assert "transforms.step_counter" not in out, "nobody has chosen it"


def test_help_is_about_what_is_typed_in_front_of_it(cli: Command) -> None:
    out = cli("rollout", "experiment=ppo_atari", "outer_transforms=[sign]", "backend.mode=2", "--help").out
    for text in (
        "max_steps=128",
        "backend.name=Breakout",
        "backend.mode=2",
        "parallel.num_envs=8",
        "transforms.to_tensor_image.dtype=uint8",
        "outer_transforms.sign.in_keys=[reward]",
    ):
        assert f"  {text}" in out, text
    assert "backend.options" not in out, "gymnasium's"
    assert out.index("transforms.gray_scale.") < out.index("transforms.cat_frames."), "in the order of the chain"
    done = cli("rollout", "env=pendulm", "--help")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean 'pendulum'" in done.err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("rolout", "no command 'rolout'. Did you mean 'rollout'?"),
        ("-m rollout", "expected a command first"),
        ("env=pendulum", "expected a command first"),
        ("rollout env=pendulm", "env: no choice 'pendulm'. Did you mean 'pendulum'"),
        ("rollout env=", "env is a group: found nothing, expected one of acrobot"),
        ("rollout env=[pendulum]", "expected one choice: env=pendulum. To run them side by side: 'env_list="),
        ("rollout env=pendulum,cartpole", "Add -m to run a job for each"),
        ("rollout transforms=step_counter,none", "'transforms=[step_counter,none]'"),
        ("rollout transforms=[step_countr]", "transforms: no choice 'step_countr'. Did you mean 'step_counter' or"),
        ("rollout backend=gymnasum", "backend: no choice 'gymnasum'. Did you mean 'gymnasium' or 'mo_gymnasium' or"),
        (
            "rollout transforms=grey",
            f"transforms: no choice 'grey'. There are {TRANSFORMS}. They are in envcli rollout --help.",
        ),
        ("rollout experiment=nope", "experiment: no choice 'nope'."),
        (
            "rollout parallel=4",
            "expected one of none, processes, ray, serial. For the number of envs: parallel=proc",
        ),
        ("rollout parallel=proceses", "parallel: no choice 'proceses'. Did you mean 'processes'?"),
        ("rollout parallel.num_envs=0", "parallel.num_envs: found 0, expected a whole number"),
        ("rollout parallel.num_workers=4", "only available with parallel=processes"),
        ("rollout parallel=serial parallel.start_method=fork", "only available with parallel=processes"),
        ("rollout parallel=serial parallel.num_envs=0", "parallel.num_envs: found 0, expected a whole number"),
        ("rollout parallel=processes parallel.num_workers=0", "parallel.num_workers: found 0"),
        ("rollout outer_transforms=[nope]", "outer_transforms: no choice 'nope'. Did you mean 'none'?"),
        ("rollout outer_transforms=sign,none", "'outer_transforms=[sign,none]'"),
        ("rollout outer_transforms.sign.in_keys=[a]", "outer_transforms is empty. Choose one first"),
        ("rollout transforms=[vec_norm] transforms.vec_norm.in_keys=[[a,b],c] nothing=1", "no key 'nothing'"),
        ("rollout seed=18446744073709551616", "expected a whole number below 2**64"),
        (
            "rollout backend.options.checks=off",
            "backend.options.checks: is not one of the options. Type backend.checks=",
        ),
        ("rollout env_list=[]", "env_list: found [], expected env names"),
        ("rollout env_list=pong", "env_list: found pong, expected a list: 'env_list=[pong]'"),
        ("rollout env_list=[pong,qbrt]", "env_list: no env 'qbrt'. Did you mean 'qbert'?"),
        ("rollout env_list=[pong,qbert]", "Add parallel=processes or parallel=serial."),
        ("rollout env=pong env_list=[pong]", "env=pong and env_list=[pong] cannot be combined."),
        ("rollout env_list=[pong,qbert] parallel=serial parallel.num_envs=3", "found 3, expected a multiple of 2"),
        ("rollout env_list=[pong,taxi] parallel=serial backend.lives=true", "taxi: no key 'backend.lives': only"),
        ("rollout device=cuda:1", "Any other device: device.name=cuda:1."),
        ("rollout paralel=4", "no key 'paralel' in rollout. Did you mean 'parallel'?"),
        ("rollout +paralel=4", "no key 'paralel' in rollout. Did you mean 'parallel'?"),
        ("rollout bakend.name=x", "Did you mean 'backend'?"),
        ("rollout env.name=x", "env is a preset and has no keys"),
        ("spec recorder=none", "It is a key of envcli rollout."),
        ("rollout pendulum", "Did you mean 'env=pendulum'?"),
        ("rollout seed", "seed: found no value, expected seed=value, without spaces."),
        ("rollout env = pendulum", "env: found no value, expected env=value, without spaces."),
        ("rollout num_envs=8", "no key 'num_envs' in rollout. Did you mean 'parallel.num_envs'?"),
        ("rollout gravity=3", "For an option of the simulator, type backend.options.gravity=..."),
        ("rollout policy=net.pt", "A network in a file: policy=module policy.path=net.pt"),
        ("rollout seed=1,2", "seed: found several values, 1,2. Add -m"),
        ("rollout seed=range(0,3)", "Add -m"),
        ("rollout --config-dir=", "--config-dir: found nothing, expected a value, FOLDER."),
        ("rollout --cfg=jobs", "--cfg: found 'jobs', expected job or hydra or all."),
        ("rollout -m=3", "-m takes no value."),
        ("rollout --multirn", "no flag '--multirn'. Did you mean '--multirun'?"),
        ("rollout --config-name x", "--config-name: not supported here."),
        ("rollout --experimental-rerun x.pickle", "not supported here"),
        ("rollout --cfg jub", "--cfg: found 'jub', expected job or hydra or all."),
        ("rollout hydra/launcher=loblib", "has no effect on a single run. Add -m."),
        ("rollout replay=x seed=3", "it takes no 'seed=3'"),
        (
            "rollout total_steps=100 max_steps=10",
            "max_steps=10 has no effect beside total_steps=100, which replaces it. Leave it out;",
        ),
        ("rollout -m total_steps=100,200 max_steps=10", "max_steps=10 has no effect beside total_steps=100,200"),
        ("completion bsh", "Did you mean 'bash'"),
        ("completion", "completion: found 0 words"),
        # from here on Hydra is the one who refuses
        ("rollout seed=abc", "seed: found 'abc', expected a whole number."),
        ("rollout --cfg job -p bakend", "--package: no key 'bakend'. Did you mean 'backend'?"),
        ("rollout --cfg job --package=backend.nmae", "no key 'backend.nmae'. Did you mean 'backend.name'?"),
        ("rollout --cfg job -p seed", "--package: seed is a single value, expected a section with keys"),
        ("rollout -m seed=range(2,2)", "seed=range(2,2): contains no values, so there is no job to run."),
        ("rollout -m env=glob(nope*)", "env=glob(nope*): contains no values, so there is no job to run."),
        ("rollout max_steps=1.5", "max_steps: found '1.5', expected a whole number."),
        ("rollout json=maybe", "json: found 'maybe', expected true or false."),
        ("rollout max_steps=null", "max_steps: found null, expected a value."),
        ("rollout backend.nmae=x", "no key 'backend.nmae'. Did you mean 'backend.name'?"),
        (
            "rollout transforms=[step_counter] transforms.step_counter.max_step=4",
            "Did you mean 'transforms.step_counter.max_steps'?",
        ),
        ("rollout transforms.resize.w=3", "transforms is empty. Choose one first"),
        ("rollout ~transforms.resize", "transforms is empty"),
        ("rollout +max_steps=4", "max_steps already exists"),
        ("rollout hydra.foo=3", "no key 'hydra.foo' in Hydra's own configuration."),
        ("rollout transforms=[step_counter", "cannot read 'transforms=[step_counter'"),
        ("rollout seed=-1", "seed: found -1, expected a whole number of at least 0."),
        ("rollout max_steps=0", "max_steps: found 0"),
        ("rollout frame_skip=0", "frame_skip: found 0"),
        ("rollout backend.name=null +backend.options.x=nan", "backend.options.x: found nan, expected a finite number"),
        (
            "rollout transforms=[resize] from_pixels=true transforms.resize.w=-3",
            "transforms.resize: Resize: expected w to be a whole number of at least 1, found -3",
        ),
        ("rollout +backend.options.x=inf", "backend.options.x: found inf"),
        ("rollout replay=nowhere", "replay: found no nowhere/config.yaml"),
        ("rollout backend.name=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("rollout --config-dir nowhere", "--config-dir: no folder nowhere"),
        ("rollout backend.name=???", "backend.name: required but not given."),
        ("rollout transforms=[stack]", "transforms.stack.in_keys: required but not given. Add transforms.stack.in_ke"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(line: str, text: str, cli: Command, tmp_path: Path) -> None:
    done = cli(*line.split(" "))
    assert done.code == 2
    assert text in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert " +" not in done.err, "never advise the plus sign"
    assert list(tmp_path.iterdir()) == []  # nothing ran, nothing is kept


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("rollout -m hydra/launcher=loblib seed=1,2", "hydra/launcher: no choice 'loblib'. Did you mean 'joblib'?"),
        ("rollout -m seed=a,b", "seed: found 'a', expected a whole number."),
        ("rollout -m env=pendulum,cartpole transforms.a=1,2", "no key 'transforms.a': transforms is empty."),
    ],
)
def test_a_mistake_in_a_multirun_ends_it_before_the_first_job(
    line: str, text: str, cli: Command, tmp_path: Path
) -> None:
    done = cli(*line.split(" "))
    assert (done.code, done.out) == (2, "")
    assert text in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not list(tmp_path.rglob("status.json"))


def test_flags_may_stand_anywhere() -> None:
    for line in ("env=a -m seed=1", "-m env=a seed=1", "env=a seed=1 -m"):
        assert arguments.parse(line.split()) == arguments.Arguments(["env=a", "seed=1"], ["-m"])
    assert arguments.parse(["--cfg", "job", "a=1"]) == arguments.Arguments(["a=1"], ["--cfg", "job"])
    assert arguments.parse(["--cfg=job", "a=1"]) == arguments.Arguments(["a=1"], ["--cfg=job"])
    assert arguments.parse(["--info", "a=1"]) == arguments.Arguments(["a=1"], ["--info"])
    assert arguments.parse(["--info", "defaults", "a=1"]).flags == ["--info", "defaults"]
    with pytest.raises(ConfigError, match=r"--cfg: found nothing, expected job"):
        arguments.parse(["--cfg"])


def test_cfg_and_info_pass_through(cli: Command) -> None:
    done = cli("rollout", "env=pendulum", "--cfg", "job", "-p", "backend", "transforms=[step_counter]")
    assert done.code == 0
    assert "name: Pendulum-v1" in done.out
    assert "backend/gymnasium" in cli("rollout", "--info", "defaults").out
    resolved = cli("rollout", "--cfg", "all", "--resolve").out
    assert "outputs/rollout/CartPole-v1/" in resolved
    assert "json: true" in cli("rollout", "--cfg", "job", "json=true").out


def test_transforms_are_a_dict_of_named_nodes(cli: Command) -> None:
    def shown(*words: str) -> str:
        return cli("rollout", *words, "--cfg", "job", "-p", "transforms").out

    both = shown("transforms=[double_to_float,step_counter]", "transforms.step_counter.max_steps=5")
    assert both.index("double_to_float:") < both.index("step_counter:")
    assert "max_steps: 5" in both
    assert "step_counter" in shown("+transforms=step_counter")
    assert "step_counter" not in shown("transforms=[double_to_float,step_counter]", "~transforms.step_counter")
    assert "other:" in shown("+transforms.other={type: step_counter}")


def test_options_of_the_simulator_need_no_plus(cli: Command) -> None:
    assert "gravity: 3" in cli("rollout", "backend.options.gravity=3", "--cfg", "job").out
    assert "gravity: 3" in cli("rollout", "backend.options={gravity: 3}", "--cfg", "job").out


def test_an_env_of_ones_own_needs_no_preset(cli: Command) -> None:
    out = cli("rollout", "backend=gymnasium", "backend.name=MountainCar-v0", "--cfg", "job").out
    assert "name: MountainCar-v0" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_step: 20", "experiment/mine.yaml: no key 'max_step'. Did you mean 'max_steps'"),
        ("max_steps: [", "mine.yaml, line 4: expected the node content"),
        ("max_steps: many", "max_steps: found 'many', expected a whole number."),
    ],
)
def test_a_mistake_in_a_file_names_the_file_or_the_key(text: str, message: str, cli: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"# @package _global_\n# Mine\n{text}\n")
    done = cli("rollout", "experiment=mine", "--config-dir", "mine")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


def test_a_preset_without_its_package_is_told_to_have_it(cli: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "env"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# Mine\nbackend:\n  name: Pendulum-v1\n")
    done = cli("rollout", "env=mine", "--config-dir", "mine")
    assert (done.code, done.err) == (2, "error: env/mine.yaml: its first line must be: # @package _global_\n")
    (folder / "other.yaml").write_text("# Mine\ndefaults:\n  - override /backend: gymnasium\n")
    done = cli("rollout", "env=other", "--config-dir", "mine")
    assert (done.code, done.err) == (2, "error: env/other.yaml: its first line must be: # @package _global_\n")


def test_configs_of_ones_own(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine" / "env"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\n# Mine\nbackend:\n  name: Mine-v0\n")
    assert cli("rollout", "env=mine").code == 2
    assert "name: Mine-v0" in cli("rollout", "env=mine", "--config-dir", "mine", "--cfg", "job").out
    assert "backend.name=Mine-v0" in cli("rollout", "--config-dir", "mine", "env=mine", "--help").out
    assert cli("rollout", "--config-dir", "no", "--help").err == "error: --config-dir: no folder no\n"
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(folder.parent))
    assert "mine" in cli("rollout", "--help").out
    assert "name: Mine-v0" in cli("rollout", "env=mine", "--cfg", "job").out


def test_a_key_typed_as_a_flag_is_told_how_keys_are_written(cli: Command) -> None:
    for words, said in (
        (["--seed", "3"], "no flag '--seed'. Keys are written without dashes: seed=3"),
        (["--max-steps=5"], "no flag '--max-steps'. Keys are written without dashes: max_steps=5"),
        (["--backend.name", "env=pong"], "no flag '--backend.name'. Keys are written without dashes: backend.name=..."),
        (["--env", "pong"], "no flag '--env'. Keys are written without dashes: env=pong"),
    ):
        done = cli("rollout", *words)
        assert (done.code, done.err) == (2, f"error: {said}\n")


@pytest.mark.parametrize("word", ["replay", "resume"])
def test_a_file_in_the_place_of_a_run_is_told_from_its_folder(word: str, cli: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    done = cli("rollout", f"{word}=run/config.yaml")
    said = f"{word}: found the file run/config.yaml, expected its run folder: {word}=run"
    assert (done.code, done.err) == (2, f"error: {said}\n")


def test_names_of_any_letters_can_be_typed(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=5", "seed=1", "hydra.run.dir=zürich/läufe").code == 0
    done = cli("rollout", "-m", "replay=zürich/läufe,zürich/nichts", "json=true")
    good, bad = json.loads(done.out)
    assert (good["state"], good["overrides"]) == ("finished", {"replay": "zürich/läufe", "json": "true"})
    assert bad["error"].startswith("replay: found no zürich/nichts/config.yaml")


def test_a_current_folder_that_was_removed_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("os.getcwd", gone)
    assert main(["list"]) == 1
    assert capfd.readouterr().err == "error: the current folder was removed. Go to another: cd\n"


def test_a_ctrl_c_that_comes_before_anything_is_imported_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(name: str, *args: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("builtins.__import__", stop)
        code = run()
    assert (code, capfd.readouterr().err) == (130, "interrupted\n")
