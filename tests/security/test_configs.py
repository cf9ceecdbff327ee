"""What a YAML file from a stranger tries, in a folder that the user gives with --config-dir or ENVCLI_CONFIG_PATH."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import envcli
from envcli.cli.completion import candidates
from envcli.configuration import composition
from envcli.errors import ConfigError
from tests.conftest import Command

TOUCH = "{_target_: pathlib.Path.touch, _args_: [{_target_: pathlib.Path, _args_: [owned]}]}"
STEERS = {
    "a callback": f"callbacks: {{evil: {TOUCH}}}",
    "a launcher": "launcher: {_target_: os.getcwd}",
    "a sweeper": "sweeper: {_target_: os.getcwd}",
    "a logger": "job_logging: {handlers: {evil: {(): os.mkdir, path: owned}}, root: {handlers: [evil]}}",
    "a logger of Hydra's": "hydra_logging: {handlers: {evil: {class: logging.FileHandler, filename: owned}}}",
    "an absolute place": "run: {dir: /tmp/elsewhere}",
    "a place above": "run: {dir: ../owned}",
    "a place of sweeps": "sweep: {dir: ../owned, subdir: x}",
    "a subfolder": "output_subdir: ../../owned",
    "another folder to work in": "job: {chdir: true}",
    "an environment variable": "job: {env_set: {LD_PRELOAD: ./evil.so}}",
    "one that is passed on": "job: {env_copy: [HOME]}",
    "talk": "verbose: true",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "theirs" / "experiment").mkdir(parents=True)
    return tmp_path / "theirs"


def preset(folder: Path, text: str, name: str = "evil") -> None:
    (folder / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("what", STEERS)
def test_a_preset_does_not_steer_hydra(what: str, folder: Path) -> None:
    preset(folder, f"hydra:\n  {STEERS[what]}")
    with pytest.raises(ConfigError, match=r"hydra\..*but may only be set on the command line\. .*allow_imports=true"):
        composition.compose("rollout", ["experiment=evil"], [folder])


@pytest.mark.parametrize("what", ["a callback", "a logger of Hydra's", "a place of sweeps"])
def test_nothing_of_it_runs_or_is_written(what: str, cli: Command, folder: Path, tmp_path: Path) -> None:
    preset(folder, f"hydra:\n  {STEERS[what]}")
    before = files(tmp_path.parent)
    flags = ["-m"] if "sweeps" in what else []
    done = cli("rollout", *flags, "--config-dir", str(folder), "experiment=evil", "max_steps=5")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert files(tmp_path.parent) == before


def test_neither_does_a_folder_that_replaces_ours(
    cli: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "hydra" / "job_logging").mkdir(parents=True)
    (folder / "hydra" / "job_logging" / "envcli.yaml").write_text(f"version: 1\nhandlers: {{evil: {TOUCH}}}\n")
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(folder))
    done = cli("rollout", "max_steps=5")
    assert (done.code, files(tmp_path)) == (2, files(tmp_path))
    assert "hydra.job_logging" in done.err
    assert not (tmp_path / "outputs").exists()


def test_a_primary_file_does_not_bring_further_folders(
    cli: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pkg://`` imports what it names, before anything else is read."""
    (folder / "imported.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(folder))
    (folder / "list.yaml").write_text(
        "defaults: [list_schema, command, _self_]\nhydra: {searchpath: ['pkg://imported']}\n"
    )
    done = cli("list")
    assert done.code == 2
    assert "hydra.searchpath" in done.err
    assert "imported" not in sys.modules


@pytest.mark.parametrize(
    "params", ["allow_imports: true", "+allow_imports: true", "hydra.run.dir: /tmp/x", "hydra/launcher: joblib"]
)
def test_a_sweep_of_a_preset_opens_nothing(params: str, folder: Path) -> None:
    preset(folder, f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{{params}, seed: '1,2'}}}}}}")
    with pytest.raises(ConfigError, match=re.escape(f"hydra.sweeper.params: {params.split(':')[0]}")):
        composition.compose("rollout", ["experiment=evil"], [folder])


def test_a_preset_does_not_say_what_was_typed(folder: Path) -> None:
    """A sweep makes its jobs of what Hydra notes there."""
    preset(folder, "hydra: {overrides: {task: [allow_imports=true], hydra: ['hydra.run.dir=/tmp/owned']}}")
    with pytest.raises(ConfigError, match=r"hydra\.overrides"):
        composition.compose("rollout", ["experiment=evil"], [folder])


def test_a_preset_may_sweep(cli: Command, folder: Path) -> None:
    preset(folder, "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\nmax_steps: 5")
    done = cli("rollout", "--config-dir", str(folder), "experiment=evil")
    assert (done.code, done.out.count("finished")) == (0, 2)


def test_what_is_typed_is_the_users_own(cli: Command, folder: Path, tmp_path: Path) -> None:
    preset(folder, "max_steps: 5")
    place = tmp_path / "anywhere" / "at all"
    words = ["--config-dir", str(folder), "experiment=evil", f"hydra.run.dir='{place}'"]
    assert cli("rollout", *words, "hydra.job_logging.root.level=ERROR").code == 0
    assert (place / "config.yaml").is_file()


def test_the_door_opens_hydra_too(cli: Command, folder: Path, tmp_path: Path) -> None:
    preset(folder, "hydra: {run: {dir: elsewhere}}\nmax_steps: 5")
    done = cli("rollout", "--config-dir", str(folder), "experiment=evil", "allow_imports=true")
    assert done.code == 0
    assert "allow_imports: a configuration file says hydra.run.dir" in done.err
    assert (tmp_path / "elsewhere" / "config.yaml").is_file()


# -- what opens doors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["allow_imports: true", "overwrite: true", "replay: other", "resume: other"])
def test_a_preset_opens_no_door(key: str, folder: Path) -> None:
    preset(folder, key)
    with pytest.raises(ConfigError, match=f"{key.split(':')[0]}: .* type it: {key.replace(': ', '=')}"):
        composition.compose("rollout", ["experiment=evil"], [folder])


def test_a_class_is_not_let_in_by_who_names_it(cli: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "evil_module.py").write_text("open('owned', 'w')\nclass Evil:\n    pass\n")
    preset(folder, "policy: {type: 'evil_module:Evil'}\nallow_imports: true")
    done = cli("rollout", "--config-dir", str(folder), "experiment=evil", "max_steps=5")
    assert done.code == 2
    assert "type it: allow_imports=true" in done.err
    assert [path.name for path in tmp_path.iterdir() if path.name in ("owned", "outputs")] == []


def test_an_export_goes_where_the_user_says(cli: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(folder))
    (folder / "export.yaml").write_text("defaults: [export_schema, command, _self_]\nto: ../owned\n")
    done = cli("export", "anything")
    assert done.code == 2
    assert "to: " in done.err


@pytest.mark.parametrize(
    "words", ["rollout", "rollout backend=gymnasium_vector", "bench subject=native", "bench subject=gymnasium_vector"]
)
def test_an_id_that_imports_is_not_made(words: str, cli: Command, tmp_path: Path) -> None:
    (tmp_path / "evil_id.py").write_text("open('owned', 'w')\n")
    done = cli(*words.split(), "backend.name=evil_id:Env-v0")
    assert done.code in (1, 2)
    assert "'evil_id:Env-v0' would import external code. If you trust it, add allow_imports=true." in done.err
    assert not (tmp_path / "owned").exists()


def test_the_door_says_what_it_let_in(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "own_id.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Own-v0', 'gymnasium.envs.classic_control.cartpole:CartPoleEnv', max_episode_steps=7)\n"
    )
    done = cli("rollout", "backend.name=own_id:Own-v0", "max_steps=5", "allow_imports=true")
    assert done.code == 0
    assert f"imported own_id from {tmp_path / 'own_id.py'}" in done.err


def test_the_door_says_what_it_let_into_workers(cli: Command, tmp_path: Path, fork_server: None) -> None:
    (tmp_path / "own_env.py").write_text("from envcli.testing.toys import CountingEnv as Env\n")
    words = ["backend=custom", "backend.name=own_env:Env", "allow_imports=true", "max_steps=5", "hydra.run.dir=run"]
    done = cli("rollout", *words, "parallel=processes", "parallel.num_envs=2", "parallel.num_workers=2")
    assert done.code == 0
    said = f"allow_imports: each worker imports own_env from {tmp_path / 'own_env.py'}"
    assert done.err.splitlines() == [said]
    again = cli("rollout", "replay=run", "allow_imports=true")
    assert again.err.splitlines() == [said]


@pytest.mark.parametrize("name", ["../../../owned", "/tmp/owned", "a/../../../../owned", "..", ".", "a\0b", "-"])
def test_a_name_is_that_of_one_folder(name: str) -> None:
    for config in ({"env_list": [name]}, {"env_list": [name] * 5}, {"backend": {"name": name}}):
        found = composition.task_name(config)
        assert found not in ("", ".", "..")
        assert not {"/", "\0"}.intersection(found)


def test_a_name_leads_nowhere_else(cli: Command, folder: Path, tmp_path: Path) -> None:
    preset(folder, "env_list: [../../../../owned]\nparallel: {type: serial, num_envs: 1}")
    before = {path.name for path in tmp_path.parent.iterdir()}
    assert cli("rollout", "--config-dir", str(folder), "experiment=evil", "max_steps=5").code == 2
    assert {path.name for path in tmp_path.parent.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} <= {"theirs", "outputs"}


def test_python_refuses_the_same() -> None:
    with pytest.raises(ConfigError, match="allow_imports=true"):
        envcli.make_env("backend.name=evil_id:Env-v0")
    with pytest.raises(ConfigError, match="would import external code"):
        envcli.make_env("backend.type=os:PathLike")


@pytest.mark.parametrize(
    "entry",
    [
        "evil: {words: [allow_imports=true], against: {native: 1}}",
        "evil: {words: [+hydra.run.dir=/tmp/owned], against: {native: 1}}",
        "evil: {words: ['--config-dir=/tmp'], against: {native: 1}}",
        "'../../owned': {words: [env=cartpole], against: {native: 1}}",
    ],
)
def test_a_suite_types_nothing_for_the_user(entry: str, cli: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "suite").mkdir()
    (folder / "suite" / "evil.yaml").write_text(f"# @package _global_\nsuite:\n  {entry}\n")
    done = cli("bench", "--config-dir", str(folder), "suite=evil", "hydra.run.dir=run")
    assert done.code == 2
    assert "which a file must not set" in done.err
    assert not (tmp_path / "owned").exists()


def test_a_variant_brings_no_further_folders(cli: Command, folder: Path) -> None:
    preset(folder, "variant: {hydra.searchpath: ['pkg://antigravity']}")
    done = cli("bench", "--config-dir", str(folder), "experiment=evil")
    assert done.code == 2
    assert "expected keys and groups of bench" in done.err
    assert "antigravity" not in sys.modules


def test_no_name_is_put_on_the_line_that_the_shell_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fine", "$(touch owned)", "a;touch owned", "`touch owned`"):
        (tmp_path / "outputs" / "rollout" / "x" / name).mkdir(parents=True)
        (tmp_path / "outputs" / "rollout" / "x" / name / "status.json").touch()
    assert candidates(["show", "outputs"]) == ["outputs/rollout/x/fine"]
    assert candidates(["report", "outputs/rollout/x/"]) == ["outputs/rollout/x/fine/"]
