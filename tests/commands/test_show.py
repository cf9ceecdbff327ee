from __future__ import annotations

import json
from pathlib import Path

import pytest

from envcli.commands.rollout import Config
from envcli.folders.folder_lock import FolderLock
from tests.conftest import Command


@pytest.fixture
def run(cli: Command) -> str:
    done = cli("rollout", "env=pendulum", "total_steps=500", "shard_steps=160", "seed=3", r"hydra.run.dir='runs/it\'s'")
    assert (done.code, done.err) == (0, "")
    return "runs/it's"


def test_it_says_what_is_there(cli: Command, run: str, tmp_path: Path) -> None:
    done = cli("show", run)
    assert (done.code, done.err) == (0, "")
    for text in (
        "run       rollout, finished",
        "seed      3",
        "steps     500",
        "episodes  2 and 1 cut off by the end",
        "in 4 shards",
        "env          cartpole  pendulum",
        "next.observation",
    ):
        assert text in done.out, text


def test_a_run_that_kept_no_data_shows_its_result(cli: Command) -> None:
    words = ["env=cartpole", "recorder=none", "max_steps=50", "parallel=serial", "parallel.num_envs=2", "seed=1"]
    ran = cli("rollout", *words, "hydra.run.dir=run")
    done = cli("show", "run")
    assert (done.code, done.err) == (0, "")
    assert "\nsteps     100, of 2 envs together\n" in done.out
    told = [line for line in ran.out.splitlines() if line.startswith(("episodes ", "return ", "length "))]
    assert len(told) == 3
    assert set(told) <= set(done.out.splitlines())


PAID = {"steps": 9, "episodes": 2, "unfinished_episodes": 0, "length_mean": 4, "length_min": 3, "length_max": 5}
UNPAID = {"return_mean": None, "return_min": None, "return_max": None}


@pytest.mark.parametrize(
    ("metrics", "rows"),
    [
        ({"steps": "many", "episodes": 3}, []),
        ({"steps": 10**400}, []),
        ({"steps": 9, "episodes": 3}, ["steps    9"]),
        ({**PAID, **UNPAID}, ["steps     9", "episodes  2", "length    mean 4, from 3 to 5 steps"]),
        ({**PAID, **UNPAID, "group_returns": {"a": {"mean": 1, "min": 0, "max": 2}, "b": 3}, "envs": [2]}, None),
        (
            {**dict.fromkeys([*PAID, *UNPAID]), "steps": 9},
            ["steps     9", "episodes  -, as no flag at the root marks their end"],
        ),
    ],
)
def test_metrics_may_hold_anything(metrics: object, rows: list[str] | None, cli: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text('{"state": "finished"}')
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    done = cli("show", "run")
    assert (done.code, done.err) == (0, "")
    paid = ["steps     9", "episodes  2", "return    a mean 1, from 0 to 2", "length    mean 4, from 3 to 5 steps"]
    assert done.out.splitlines()[3:] == (paid if rows is None else rows)


@pytest.mark.parametrize(
    ("state", "error", "said"), [(2, None, "2"), (["a"], 3, "['a']: 3"), ("failed", {"b": 1}, "failed: {'b': 1}")]
)
def test_a_status_may_hold_anything(state: object, error: object, said: str, cli: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text(json.dumps({"state": state, "error": error}))
    done = cli("show", "run")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].endswith(f", {said}")


def test_without_a_folder_the_last_run_is_offered(cli: Command, tmp_path: Path) -> None:
    assert cli("show").err == "error: folder: required but not given. Type: envcli show FOLDER\n"
    runs = ["rollout/CartPole-v1/2026-01-02", "rollout/Pong/2026-01-03", "render/Pong/2026-01-04"]
    for run in runs:
        (tmp_path / "outputs" / run / "rollout").mkdir(parents=True)
        (tmp_path / "outputs" / run / "status.json").write_text("{}")
    assert cli("show").err.endswith("Type: envcli show outputs/render/Pong/2026-01-04\n")
    assert cli("export").err.endswith("Type: envcli export outputs/rollout/Pong/2026-01-03\n")


def test_json_and_checksums(cli: Command, run: str, tmp_path: Path) -> None:
    told = json.loads(cli("show", run, "json=true", "verify=true").out)
    assert told["data"]["verified"]
    assert told["data"]["shards"] == 4
    assert told["data"]["episodes"]["episodes"] == 2
    assert told["changes"]["total_steps"] == {"default": None, "value": 500}
    assert told["changes"]["env"] == {"default": "cartpole", "value": "pendulum"}
    assert [*told["changes"]] == ["env", "total_steps", "shard_steps"]
    assert sum(entry["bytes"] for entry in told["data"]["entries"]) == told["data"]["bytes"]
    broken = tmp_path / run / "rollout" / "000001" / "action.memmap"
    content = bytearray(broken.read_bytes())
    content[0] ^= 1
    broken.write_bytes(content)
    assert cli("show", run).code == 0
    done = cli("show", run, "verify=true")
    assert done.code == 1
    assert "000001/action.memmap: is damaged, found checksum" in done.err
    assert done.err.count("\n") == 1


def test_a_run_that_nobody_writes_any_more_was_killed(cli: Command, run: str, tmp_path: Path) -> None:
    status = tmp_path / run / "status.json"
    status.write_text(status.read_text().replace("finished", "running"))
    assert "rollout, killed" in cli("show", run).out
    lock = FolderLock(tmp_path / run)
    assert "rollout, running" in cli("show", run).out
    lock.release()


def test_what_is_no_run_is_said(cli: Command, run: str, tmp_path: Path) -> None:
    assert cli("rollout", "env=cartpole", "max_steps=3", "hydra.run.dir=runs/a_later_one").code == 0
    done = cli("show", ".")
    assert done.code == 2
    assert "no run here. There are 2 below it, the last runs/a_later_one" in done.err
    (tmp_path / "empty").mkdir()
    assert "Expected a run folder such as" in cli("show", "empty").err


@pytest.mark.parametrize("command", ["show", "export"])
def test_a_folder_that_is_not_there_is_a_mistake_in_the_words(command: str, cli: Command) -> None:
    done = cli(command, "nowhere")
    assert (done.code, done.out, done.err) == (2, "", "error: folder: no folder nowhere\n")


def test_the_defaults_are_those_that_hydra_composes() -> None:
    from omegaconf import OmegaConf

    from envcli.configuration.composition import compose
    from envcli.vocabulary.changes import changes

    composed = OmegaConf.to_container(compose("rollout"), resolve=False)
    assert isinstance(composed, dict)
    assert changes("rollout", Config, {str(name): value for name, value in composed.items()}) == {}


def test_an_export_of_it(cli: Command, run: str, tmp_path: Path) -> None:
    done = cli("export", run)
    assert (done.code, done.err) == (0, "")
    assert "rollout.npz" in done.out
    refused = cli("export", run)
    assert (refused.code, "To replace it, add overwrite=true" in refused.err) == (2, True)
    assert json.loads(cli("export", run, "overwrite=true", "json=true").out)["steps"] == 500
    other = cli("export", run, "to=elsewhere/data.npz")
    assert (other.code, (tmp_path / "elsewhere" / "data.npz").is_file()) == (0, True)
    assert "Did you mean 'parquet'?" in cli("export", run, "format=parket").err
    assert not list((tmp_path / run).glob(".*"))


def test_minari_asks_the_run_s_env_for_its_specs(cli: Command, run: str) -> None:
    for name in ("minari", "h5py"):
        pytest.importorskip(name)
    done = cli("export", run, "format=minari")
    assert (done.code, done.err) == (0, "")
    assert "minari show envcli/pendulum-v1/random-v0" in done.out


@pytest.mark.parametrize(
    "words", [("parallel=serial", "outer_transforms=[step_counter]"), ("backend=gymnasium_vector",)]
)
def test_a_batch_is_many_episodes_to_minari(
    words: tuple[str, ...], cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minari = pytest.importorskip("minari")
    assert cli("rollout", *words, "parallel.num_envs=2", "max_steps=60", "seed=1", "hydra.run.dir=run").code == 0
    done = cli("export", "run", "format=minari", "json=true")
    assert (done.code, done.err) == (0, "")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "run" / "minari"))
    read = minari.load_dataset("envcli/cartpole-v1/random-v0")
    assert (read.total_steps, read.action_space.n) == (120, 2)
    shown = read.observation_space
    assert (shown["observation"] if "outer_transforms=[step_counter]" in words else shown).shape == (4,)


@pytest.mark.parametrize("command", ["completion", "export", "nothing", ["rollout"], None])
def test_a_manifest_that_names_no_command_that_keeps_runs_tells_no_changes(
    command: object, cli: Command, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text('{"state": "finished"}')
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({"command": command}))
    (tmp_path / "run" / "config.yaml").write_text("backend: {type: ale, name: Pong}\n")
    done = cli("show", "run", "json=true")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["changes"] == {}
