"""Sweeps under the launchers of Hydra's plugins, each for real but Slurm, which has no cluster here."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from envcli.cli import interrupt, jobs, launched
from envcli.cli.ended import Ended
from envcli.configuration import launchers
from envcli.configuration.composition import register
from envcli.configuration.overrides import check
from envcli.errors import ConfigError, EnvcliError, MissingDependency
from envcli.processes import cores
from envcli.reports.job import Job
from tests.conftest import ROOT, Command

PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}


def is_there(plugin: str) -> bool:
    try:
        return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None
    except ModuleNotFoundError:
        return False


def need(launcher: str, plugin: str) -> Any:
    extra = "ray" if launcher == "ray" else "launchers"
    missing = pytest.mark.skipif(not is_there(plugin), reason=f"{plugin} is not installed: pip install envcli[{extra}]")
    alone = [pytest.mark.xdist_group("ray")] if launcher == "ray" else []  # two clusters at once slow each other down
    return pytest.param(launcher, marks=[missing, pytest.mark.slow, *alone])


REAL = [need(launcher, plugin) for launcher, plugin in PLUGINS.items()]


def states(folder: Path) -> dict[str, str]:
    """Of the jobs of all multiruns below."""
    found = sorted(folder.glob("outputs/*/multirun/*/*/status.json"))
    return {path.parent.name: json.loads(path.read_text())["state"] for path in found}


@pytest.mark.parametrize("launcher", REAL)
def test_a_sweep_ends_as_with_the_basic_launcher(launcher: str, shell: Command, tmp_path: Path) -> None:
    words = ["backend.name=CartPole-v1,Nope-v3", "seed=1", "max_steps=50", "json=true"]
    batch = ["parallel=processes", "parallel.num_envs=2", "parallel.num_workers=1"]
    done = shell("rollout", "-m", f"hydra/launcher={launcher}", *words, *batch)
    assert done.code == 1, done.err
    assert [job["state"] for job in json.loads(done.out)] == ["finished", "failed"]
    said = done.err.strip().splitlines()[-1]
    assert said.startswith("error: 1 of 2 jobs failed. Job 1: env 0 (worker 0) in build: no gymnasium env 'Nope-v3'.")
    assert "Warning" not in done.err
    (report,) = tmp_path.glob("outputs/rollout/multirun/*/report.html")
    assert "Nope-v3" in report.read_text(encoding="utf-8")


MORTAL = """
import os, signal


def make():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("launcher", REAL[:1])
def test_a_job_whose_process_dies_is_named_and_so_are_those_that_never_began(
    launcher: str, shell: Command, tmp_path: Path
) -> None:
    (tmp_path / "mortal_envs.py").write_text(MORTAL)
    words = ["backend=custom", "backend.name=mortal_envs:make", "allow_imports=true", "seed=range(0,6)"]
    done = shell("rollout", "-m", f"hydra/launcher={launcher}", "hydra.launcher.n_jobs=2", *words, "json=true")
    assert done.code == 1, done.err
    found = json.loads(done.out)
    assert [job["overrides"]["seed"] for job in found] == list("012345")
    states = [job["state"] for job in found]
    assert set(states) == {"killed", "not begun"}
    killed = states.count("killed")
    said = done.err.strip().splitlines()[-1]
    assert said.startswith(f"error: {killed} of 6 jobs failed. Job ")
    assert "its process was killed" in said
    assert said.endswith(f"{6 - killed} did not begin.")


def begun(launcher: str, folder: Path, *words: str, **how: Any) -> subprocess.Popen[str]:
    """A sweep of two long jobs in a process of its own, once one of them runs."""
    words = ("-m", f"hydra/launcher={launcher}", "seed=1,2", "max_steps=5_000_000", "recorder=none", *words)
    process = subprocess.Popen(
        [sys.executable, "-m", "envcli", "rollout", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **how,
    )
    until = time.monotonic() + 80
    while not list(folder.glob("outputs/rollout/multirun/*/*/config.yaml")) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)
    return process


@pytest.mark.parametrize("launcher", REAL)
def test_a_ctrl_c_has_the_jobs_save_what_they_made(launcher: str, tmp_path: Path) -> None:
    with begun(launcher, tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    assert "interrupted" in out.splitlines()[-1]
    assert set(states(tmp_path).values()) == {"interrupted"}


def _in_the_background() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        pytest.param("basic", signal.SIGHUP, marks=pytest.mark.slow),
        *(pytest.param(*real.values, signal.SIGTERM, marks=real.marks) for real in REAL),
    ],
)
def test_a_sweep_that_is_ended_takes_its_jobs_along(launcher: str, number: signal.Signals, tmp_path: Path) -> None:
    """As a Ctrl-C, also where a shell has it ignore those; what reads its pipe comes to the end of it."""
    with begun(launcher, tmp_path, preexec_fn=_in_the_background) as process:
        process.send_signal(number)  # to it alone, as ``kill`` does
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, out
    assert out.splitlines()[-1].endswith(f"({number.name})")
    assert "report  outputs/rollout/multirun/" in out
    assert set(states(tmp_path).values()) == {"interrupted"}
    until = time.monotonic() + 30  # Ray's own servers take their time
    while (left := _who_works_in(tmp_path)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


@pytest.mark.parametrize("launcher", REAL[:2])  # Ray's workers are killed with its server, which is killed with us
def test_jobs_are_interrupted_when_the_process_that_launched_them_is_killed(launcher: str, tmp_path: Path) -> None:
    with begun(launcher, tmp_path) as process:
        process.kill()
        until = time.monotonic() + 30
        while (left := _who_works_in(tmp_path)) and time.monotonic() < until:
            time.sleep(0.1)
    assert not left
    assert set(states(tmp_path).values()) == {"interrupted"}


def _who_works_in(folder: Path) -> list[str]:
    """The processes whose working directory it is."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is gone
            if os.readlink(place / "cwd") == str(folder.resolve()):
                found.append((place / "cmdline").read_text(errors="replace"))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on_once_it_is_a_sweep_that_runs(number: signal.Signals, tmp_path: Path) -> None:
    before = signal.signal(number, signal.SIG_DFL)

    def end_a_sweep() -> None:
        with jobs.interruptible([tmp_path]) as also_when_ended:
            assert signal.getsignal(number) == signal.SIG_DFL, "a single run"
            also_when_ended()
            also_when_ended()
            signal.raise_signal(number)

    try:
        with pytest.raises(Ended) as caught:
            end_a_sweep()
        assert (caught.value.code, str(caught.value)) == (128 + number, f"interrupted ({number.name})")
        with pytest.raises(EnvcliError, match="the sweep was interrupted"):
            interrupt.require_not_called_off(tmp_path)
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with jobs.interruptible([tmp_path]) as also_when_ended:
            also_when_ended()
            signal.raise_signal(number)  # under nohup
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_a_library_loses_is_raised_again(number: signal.Signals, tmp_path: Path) -> None:
    before = signal.signal(number, signal.SIG_DFL)

    def sweep() -> None:
        with jobs.interruptible([tmp_path]) as also_when_ended:
            also_when_ended()
            with suppress(BaseException):
                signal.raise_signal(number)
            time.sleep(20)

    try:
        with pytest.raises(Ended) as caught:
            sweep()
        assert caught.value.code == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_later_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(number))
    monkeypatch.setattr(jobs, "_TWICE", 0.05)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with jobs.interruptible([]) as also_when_ended:
            also_when_ended()
            with pytest.raises(KeyboardInterrupt) as _held:  # whoever lets go of it has lost it
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert not killed, "the same signal, by another way"
            time.sleep(0.1)
            signal.raise_signal(signal.SIGTERM)
            assert killed == [signal.SIGTERM]
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_no_job_begins_after_the_sweep_was_called_off(tmp_path: Path) -> None:
    begun = [tmp_path / "0_", tmp_path / "1_"]
    with interrupt.unless_called_off(tmp_path):
        calling = threading.Thread(target=interrupt.call_off, args=(tmp_path,))
        calling.start()
        time.sleep(0.1)
        interrupt.require_not_called_off(tmp_path)  # that waits until the job has a status
        begun[0].mkdir()
    calling.join()
    with pytest.raises(EnvcliError, match="the sweep was interrupted"), interrupt.unless_called_off(tmp_path):
        begun[1].mkdir()
    assert [place.exists() for place in begun] == [True, False]


def test_who_waits_for_jobs_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[bytes] = []
    monkeypatch.setattr(jobs, "_UNSAID", 0.0)
    monkeypatch.setattr(jobs, "_at_work", lambda folders: [] if said else [Job(tmp_path, "running", status={"pid": 0})])
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "write", lambda fd, text: said.append(text))
    jobs._interrupt([tmp_path])
    assert said == [b"waiting up to 30 s while a job saves what was made; Ctrl-C again ends at once\n"]


class Slow:
    """In a finalizer an exception is only printed."""

    def __init__(self, during: Callable[[], object]) -> None:
        self.during = during

    def __del__(self) -> None:
        self.during()


def test_a_ctrl_c_is_not_lost_in_a_finalizer(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook

    def work() -> None:
        with launched.interrupted_once():
            Slow(lambda: signal.raise_signal(signal.SIGINT))
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert before == (signal.getsignal(signal.SIGINT), sys.unraisablehook)
    assert capsys.readouterr().err == ""


def test_a_ctrl_c_during_an_import_of_a_job_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in C may lose it."""
    module = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nfinally:\n    WHOLE = True\nEND = True\n"
    (tmp_path / "long_module.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        with launched.interrupted_once():
            importlib.import_module("long_module")
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert sys.modules.pop("long_module").END


def test_the_script_that_slurm_would_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install envcli[launchers]")
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.core.utils import setup_globals
    from omegaconf import OmegaConf

    setup_globals()
    Plugins.instance()
    words = ["parallel=processes", "parallel.num_envs=8", "parallel.num_workers=4"]
    cfg = composed(["hydra/launcher=submitit_slurm", "hydra.launcher.partition=long", *words])
    OmegaConf.set_readonly(cfg.hydra, False)
    cfg.hydra.sweep.dir, cfg.hydra.job.config_name, cfg.hydra.job.num = str(tmp_path), "rollout", 0
    params = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    monkeypatch.setattr("shutil.which", lambda name, *rest: f"/usr/bin/{name}")
    executor = submitit.SlurmExecutor(folder=params["submitit_folder"])
    given = {k: v for k, v in params.items() if k in executor._equivalence_dict() or k in executor._valid_parameters()}
    translated = executor._convert_parameters({k: v for k, v in given.items() if v is not None})
    executor.update_parameters(**translated)
    script = executor._make_submission_file_text("COMMAND", "uid")
    assert "#SBATCH --cpus-per-task=4\n" in script
    assert "#SBATCH --time=1440\n" in script
    assert "#SBATCH --job-name=envcli-rollout\n" in script
    assert "#SBATCH --partition=long\n" in script
    assert not GlobalHydra.instance().is_initialized()


def test_without_slurm_there_is_another_launcher_to_type(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install envcli[launchers]")
    monkeypatch.setattr("shutil.which", lambda name, *rest: None)
    done = cli("rollout", "-m", "hydra/launcher=submitit_slurm", "seed=1,2")
    assert done.code == 2
    assert "error: hydra/launcher=submitit_slurm: found no srun" in done.err
    assert "To run the jobs here: hydra/launcher=joblib" in done.err


def composed(words: list[str]) -> Any:
    """All of the configuration, Hydra's part of it too."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.types import RunMode

    from envcli.vocabulary import catalog

    register("rollout")
    loader = ConfigLoaderImpl(create_config_search_path(str(catalog.folder())))
    checked = check("rollout", words, multirun=True)
    return loader.load_configuration("rollout", checked, run_mode=RunMode.MULTIRUN, from_shell=False)


def test_a_launcher_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "_is_there", lambda package: False)
    for name, (plugin, extra) in {
        "joblib": ("hydra-joblib-launcher", "launchers"),
        "submitit_slurm": ("hydra-submitit-launcher", "launchers"),
        "ray": ("hydra-ray-launcher", "ray"),
    }.items():
        with pytest.raises(MissingDependency) as caught:
            check("rollout", [f"hydra/launcher={name}"], multirun=True)
        cure = f"needs {plugin}, which is not installed. Type: pip install 'envcli[{extra}]'"
        assert str(caught.value) == f"hydra/launcher={name} {cure}"
    assert check("rollout", ["hydra/launcher=basic"], multirun=True) == ["hydra/launcher=basic"]


def test_a_launcher_without_a_sweep_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hydra/launcher=joblib has no effect on a single run. Add -m."):
        check("rollout", ["hydra/launcher=joblib"], multirun=False)


def test_a_launcher_of_the_users_own_stands_for_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launchers, "_is_there", lambda package: True)
    assert check("rollout", ["hydra/launcher=ray"], multirun=True) == ["hydra/launcher=envcli_ray"]
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / "ray.yaml").write_text("x: 1\n")
    assert check("rollout", ["hydra/launcher=ray"], multirun=True, folders=[tmp_path]) == ["hydra/launcher=ray"]


@pytest.mark.parametrize(
    ("parallel", "task", "expected"),
    [
        ({"type": "none"}, [], 1),
        ({"type": "serial", "num_envs": 64}, [], 1),
        ({"type": "processes", "num_envs": 64, "num_workers": 3}, ["seed=1,2"], 3),
        ({"type": "processes", "num_envs": 1, "num_workers": None}, [], 1),
        ({"type": "processes", "num_envs": None, "num_workers": None}, [], cores()),
        ({"type": "none"}, ["parallel=serial,processes"], cores()),
        ({"type": "processes", "num_workers": 1}, ["parallel.num_workers=1,2"], cores()),
    ],
)
def test_jobs_are_so_many_that_their_workers_have_cores(parallel: Any, task: list[str], expected: int) -> None:
    cfg = {"parallel": parallel, "hydra": {"overrides": {"task": task}}}
    assert launchers.workers(cfg) == expected
    assert launchers.at_once(cfg) == max(cores() // expected, 1)


def test_every_preset_stands_on_the_plugins_own() -> None:
    for path in (ROOT / "conf" / "hydra" / "launcher").glob("*.yaml"):
        name = path.stem.removeprefix("envcli_")
        assert name in launchers._PLUGINS
        if name != "submitit_local":  # its own schema lacks what we need
            assert yaml.safe_load(path.read_text())["defaults"] == [name]


def test_submitit_is_given_all_that_its_plugin_knows() -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install envcli[launchers]")
    from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf

    ours = yaml.safe_load((ROOT / "conf" / "hydra" / "launcher" / "envcli_submitit_local.yaml").read_text())
    theirs = vars(LocalQueueConf())
    assert ours.keys() - theirs.keys() == {"setup"}
    assert {key for key, value in theirs.items() if ours[key] != value} == {"timeout_min", "name"}


def test_a_ctrl_c_that_arrives_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with launched.interrupted_once():
        with pytest.raises(KeyboardInterrupt) as _held:  # whoever lets go of it has lost it
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # while it saves what it made
        monkeypatch.setattr(launched, "_TWICE_IN", 0.0)
        with pytest.raises(KeyboardInterrupt) as _held_too:
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
