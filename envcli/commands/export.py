"""Export a saved rollout for other tools.

npz, hdf5 and parquet write one file into the run folder; minari writes a dataset into a folder of datasets. Memory use
does not grow with the rollout. All formats but npz need the extra 'data': pip install 'envcli[data]'

  envcli export outputs/rollout/CartPole-v1/2025-01-31_...
  envcli export outputs/rollout/CartPole-v1/2025-01-31_... format=parquet
  envcli export outputs/rollout/CartPole-v1/2025-... format=hdf5 to=cart.h5
  envcli export outputs/rollout/CartPole-v1/2025-... format=minari to=sets
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import envcli
from envcli.errors import ConfigError, StoreError
from envcli.folders.json_file import read_json
from envcli.folders.part_folder import PartFolder
from envcli.folders.run_status import run_state
from envcli.folders.saved_config import saved_config
from envcli.terminal.answer import answer, relative_path
from envcli.terminal.summary import summary
from envcli.terminal.termination import cleared
from envcli.typed_word import shell_word
from envcli.vocabulary import registry
from envcli.vocabulary.catalog import existing_folder
from envcli.vocabulary.schema import MISSING, ONE_ENV, Answer, key

if TYPE_CHECKING:
    from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["POSITIONAL", "Config", "run"]

POSITIONAL = "folder"

_CUT_SHORT = ("running", "interrupted", "killed", "failed")  # of a run's states


@dataclass
class Config(Answer):
    """What ``envcli export`` reads."""

    folder: str = key(MISSING, "the run folder; 'folder=' may be left out")
    format: str = key("npz", "file format: npz, hdf5, parquet or minari")
    to: str | None = key(
        None,
        "the file to write, or its folder; for minari the folder of all datasets; null: the run folder",
        typed=True,
    )
    overwrite: bool = key(False, "replace an earlier export", typed=True)
    verify: bool = key(False, "verify the rollout's checksums first")
    allow_imports: bool = key(
        False, "for minari: build the run's env even if its configuration imports code", typed=True
    )


def run(cfg: Config) -> None:
    """Read, write, report. An export that fails, or that Ctrl-C, SIGTERM or SIGHUP ends, leaves nothing behind."""
    from envcli.shards.loading import load_rollout, read_manifest, rollout_folder
    from envcli.shards.sharded_rollout import ShardedRollout

    existing_folder(cfg.folder, "folder")
    folder, began = Path(cfg.folder), time.perf_counter()
    load_rollout(folder, cfg.verify)  # complete and, if asked, verified
    place = rollout_folder(folder)
    data = ShardedRollout(place, read_manifest(place))
    if not data.numel():
        raise StoreError(f"{place}: no step is complete, so there is nothing to export")
    saved = _saved_config(folder)
    made = _made(folder, data)
    about, specs = {**_about(folder, saved), **made}, _specs(saved, cfg.allow_imports)
    export = registry.construct("exports", {"type": cfg.format}, "format", about=about, specs=specs)
    to = None if cfg.to is None else _of_user(cfg.to)
    path = export.place(folder, to, inside=str(cfg.to).endswith("/"))
    if path.suffix not in ("", export.suffix):
        _require_no_other(path, cfg.format)
    if to is None and not path.parent.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{path.parent}: is a link that points outside the run folder. Choose where to write: to=...")
    if to is not None and path.resolve().is_relative_to(place.resolve()):
        raise ConfigError(f"to: {path} is inside the rollout itself, {place}. Choose another place")

    def check() -> None:
        if not os.path.lexists(path):
            return
        if said := export.refusal(path) or _part_of_run(path, folder, export.suffix):
            raise ConfigError(f"to: {path} {said}. Choose another place")
        if not cfg.overwrite:
            raise ConfigError(f"to: {path} already exists. To replace it, add overwrite=true.")

    _write(export, data, path, check)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    found = {"written": str(path), "format": cfg.format, "steps": data.numel(), "bytes": size}
    found |= made
    found |= {"seconds": time.perf_counter() - began, "read": export.cure(path)}
    answer(found, lambda: summary(_lines(found, shell_word(cfg.folder))), cfg.json)


def _of_user(to: str) -> Path:
    try:
        return Path(to).expanduser()
    except RuntimeError:
        raise ConfigError(f"to: found {to}, but no user has that name. For a folder, type: to=./{to}") from None


def _require_no_other(path: Path, wanted: str) -> None:
    """Raise `ConfigError` if ``path`` is named like a file of another format than the one ``wanted``."""
    for name in registry.members("exports"):
        if registry.find("exports", name).suffix == path.suffix:
            raise ConfigError(f"to: found {path}, but format={wanted}. Type: format={name}")


def _part_of_run(path: Path, folder: Path, suffix: str) -> str:
    """Why the existing file ``path`` is not an earlier export; empty if it may be one."""
    own = bool(suffix) and path.suffix != suffix and path.resolve().is_relative_to(folder.resolve())
    return "is part of the run" if own else ""


def _write(export: Any, data: Any, path: Path, check: Callable[[], None]) -> None:
    """Write an Export from a ShardedRollout, types that are imported late. ``check`` raises if ``path`` must stay."""
    part = PartFolder(path)
    try:
        check()
        with cleared(part.clear):
            part.begin()
            export.write(data, part.new)
            check()  # something may be there by now
            part.take_place()
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None


def _saved_config(folder: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    saved = OmegaConf.to_container(saved_config(folder), resolve=False)
    return {str(name): value for name, value in saved.items()} if isinstance(saved, dict) else {}


def _made(folder: Path, data: ShardedRollout) -> dict[str, Any]:
    """Whether the rollout is complete, and the number of steps that were planned."""
    state = run_state(folder, read_json(folder / "status.json"))
    ended = data.finished and state not in _CUT_SHORT
    return {"complete": ended, "planned": data.manifest.planned * math.prod(data.manifest.batch_size)}


def _about(folder: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    env = "-".join(saved.get("env_list") or ()) or (saved.get("backend") or {}).get("name") or folder.name
    policy = (saved.get("policy") or {}).get("type", "unknown")
    version = manifest.get("versions", {}).get("envcli", envcli.__version__)
    return {"env": env, "policy": policy, "seed": manifest.get("seed"), "envcli": version}


def _specs(read: Mapping[str, Any], allow_imports: bool) -> Callable[[], dict[str, Any]]:
    """What builds an env like the run's, and says of one: its specs, and where its choices start if not at 0."""

    def build() -> dict[str, Any]:
        from gymnasium import Space
        from gymnasium.envs.registration import EnvSpec

        from envcli.batch.gathered import of_first
        from envcli.builder import build_one
        from envcli.envs.closing import closing
        from envcli.gym.spaces import starts_of

        if not read:
            raise ConfigError("folder: found no config.yaml, which names the env")
        if read.get("allow_imports") and not allow_imports:
            raise ConfigError("folder: its config.yaml imports external code. If you trust it, add allow_imports=true.")
        from omegaconf import OmegaConf

        saved: Any = OmegaConf.to_container(OmegaConf.create(dict(read)), resolve=True)
        one = next(iter((saved.get("envs") or {}).values()), saved)  # the first of an env_list stands for all
        parts = {name: one[name] for name in ONE_ENV if name in one}
        outer = {"outer_transforms": saved.get("outer_transforms"), "allow_imports": allow_imports}
        with closing(build_one({**parts, **outer})) as env:
            shown = {"observation": env.observation_spec, "action": env.full_action_spec}
            specs: dict[str, Any] = {n: spec[(0,) * env.ndim] if env.ndim else spec for n, spec in shown.items()}
            spaces = {n: of_first(env, f"single_{n}_space") or of_first(env, f"{n}_space") for n in specs}
            starts = [starts_of(spaces[n], spec) for n, spec in specs.items() if isinstance(spaces[n], Space)]
            as_it_is = not any(one.get(name) for name in ("transforms", "frame_skip", "from_pixels"))
            made = of_first(env, "spec") if as_it_is and not saved.get("outer_transforms") else None
            known = {}
            if isinstance(made, EnvSpec):
                with suppress(ValueError, TypeError):  # it was registered with a function, which JSON cannot hold
                    known["env_spec"] = made.to_json()
            return {**specs, **known, "starts": {path: first for part in starts for path, first in part.items()}}

    return build


def _lines(found: dict[str, Any], folder: str) -> Iterator[tuple[str, str]]:
    yield "steps", f"{found['steps']:,}"
    if not found["complete"]:
        yield "unfinished", f"of {found['planned']:,}, see: envcli show {folder}"
    yield "written", f"{relative_path(Path(found['written']))}, {found['bytes']:,} bytes in {found['seconds']:.2g} s"
    yield "to read", found["read"]
