"""Search for the numbers of envs and processes with the most steps per second."""

from __future__ import annotations

import time

from envcli.bench import machine
from envcli.commands.bench import work
from envcli.commands.bench.config import Config
from envcli.errors import ConfigError
from envcli.folders.json_file import write_json
from envcli.folders.run_folder import RunFolder
from envcli.terminal.answer import answer, say_kept_in
from envcli.terminal.status_line import status_line
from envcli.tuning import tune_report
from envcli.tuning.search import search
from envcli.tuning.setting import Setting
from envcli.tuning.trials import Trials
from envcli.vocabulary.catalog import choice_of

__all__ = ["tune"]

_BUDGET = 60.0  # seconds of a search


def tune(cfg: Config, folder: RunFolder) -> float:
    """Search, write, report. Returns the env steps per second of the best setting.

    Raises:
        ConfigError: the backend steps the whole batch in one call, so there is nothing to search.
    """
    wanted = work.workload(cfg)
    if wanted.steps_at_once:
        backend = choice_of("backend", str(wanted.backend.get("type")))
        raise ConfigError(
            f"tune: backend={backend} steps the whole batch in one call, without processes. "
            "Leave tune out, and sweep over the number of envs: -m parallel.num_envs=8,16,32"
        )
    began, budget = time.monotonic(), _BUDGET if cfg.budget is None else cfg.budget
    logs, about = folder.path / "logs", machine.describe()
    logs.mkdir()
    with status_line() as say, Trials(cfg.subject, wanted, logs, cfg.threads, cfg.timeout) as trials:
        found = search(Setting.of(wanted), about["cores"], trials, budget, say, began)
    result = {**work.described(cfg, folder), "machine": about, "tune": tune_report.as_data(found, wanted)}
    write_json(folder.path / "bench.json", result)
    best = found.finalist(found.best).speed
    folder.write_metrics({"name": cfg.env_name, "steps_per_second": best.median, "best": result["tune"]["best"]})
    if drawing := tune_report.curve(cfg.env_name, found):
        (folder.path / "tune.svg").write_text(drawing, encoding="utf-8")
    if not folder.part_of_sweep:
        title, below = f"{cfg.env_name}: settings", machine.caption(about)
        answer(result, lambda: tune_report.table(title, found, wanted, below), cfg.json)
        say_kept_in(folder.path, cfg.json)
    return best.median
