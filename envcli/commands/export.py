"""Write a saved rollout for other tools.

npz, hdf5 and parquet are one file in the run folder, minari is a data set in a folder of such. Memory stays the same,
however long the rollout. The extra 'data' brings what the formats but npz need.

  envcli export outputs/rollout/CartPole-v1/2025-01-31_...
  envcli export outputs/rollout/CartPole-v1/2025-01-31_... format=parquet
  envcli export outputs/rollout/CartPole-v1/2025-... format=hdf5 to=cart.h5
  envcli export outputs/rollout/CartPole-v1/2025-... format=minari to=sets
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import envcli
from envcli.errors import ConfigError, StoreError
from envcli.folders.json_file import read_json
from envcli.folders.saved_config import saved_config
from envcli.terminal.answer import answer, near
from envcli.terminal.summary import summary
from envcli.terminal.termination import cleared
from envcli.vocabulary import registry
from envcli.vocabulary.catalog import existing_folder
from envcli.vocabulary.schema import MISSING, ONE_ENV, Answer, key

if TYPE_CHECKING:
    from envcli.specs import Composite

__all__ = ["POSITIONAL", "Config", "run"]

POSITIONAL = "folder"


@dataclass
class Config(Answer):
    """What ``envcli export`` reads."""

    folder: str = key(MISSING, "the run folder; the key may be left out")
    format: str = key("npz", "npz, hdf5, parquet or minari")
    to: str | None = key(
        None, "the file to write; of minari, the folder of all data sets; null: in the run folder", typed=True
    )
    overwrite: bool = key(False, "replace what is there", typed=True)
    verify: bool = key(False, "hold the rollout against its checksums first")
    allow_imports: bool = key(
        False, "for minari: build the run's env even if its configuration imports code", typed=True
    )


def run(cfg: Config) -> None:
    """Read, write, report. Nothing is left of an export that fails, or is ended by Ctrl-C, SIGTERM or SIGHUP."""
    from envcli.shards.loading import load_rollout, read_manifest, rollout_folder
    from envcli.shards.sharded_rollout import ShardedRollout

    existing_folder(cfg.folder, "folder")
    folder, began = Path(cfg.folder), time.perf_counter()
    load_rollout(folder, cfg.verify)  # whole, and unchanged where that is asked for
    place = rollout_folder(folder)
    data = ShardedRollout(place, read_manifest(place))
    if not data.numel():
        raise StoreError(f"{place}: no step is whole, there is nothing to export")
    saved = _saved_config(folder)
    about, specs = _about(folder, saved), _specs(saved, cfg.allow_imports)
    export = registry.construct("exports", {"type": cfg.format}, "format", about=about, specs=specs)
    path = export.place(folder, None if cfg.to is None else Path(cfg.to).expanduser())
    if cfg.to is None and not path.parent.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{path.parent}: is a link that leads out of the run folder. Say where to write: to=...")
    if path.exists() and not cfg.overwrite:
        raise ConfigError(f"to: {path} is there already. To replace it, add overwrite=true.")
    _write(export, data, path)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    found = {"written": str(path), "format": cfg.format, "steps": data.numel(), "bytes": size}
    found |= {"seconds": time.perf_counter() - began, "read": export.cure(path)}
    answer(found, lambda: summary(_lines(found)), cfg.json)


def _write(export: Any, data: Any, path: Path) -> None:  # Any: an Export and a ShardedRollout, which are imported late
    part = path.with_name(f".{path.name}.part")
    made = [folder for folder in path.parents if not folder.exists()]

    def clear() -> None:
        _remove(part)
        with contextlib.suppress(OSError):  # the first that holds something ends it
            for folder in made:
                folder.rmdir()

    try:
        with cleared(clear):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove(part)  # of an export that was killed
            export.write(data, part)
            if path.is_dir() or part.is_dir():
                _remove(path)
            os.replace(part, path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _saved_config(folder: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    saved = OmegaConf.to_container(saved_config(folder), resolve=False)
    return {str(name): value for name, value in saved.items()} if isinstance(saved, dict) else {}


def _about(folder: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    env = "-".join(saved.get("env_list") or ()) or (saved.get("backend") or {}).get("name") or folder.name
    policy = (saved.get("policy") or {}).get("type", "unknown")
    version = manifest.get("versions", {}).get("envcli", envcli.__version__)
    return {"env": env, "policy": policy, "seed": manifest.get("seed"), "envcli": version}


def _specs(read: Mapping[str, Any], allow_imports: bool) -> Callable[[], dict[str, Composite]]:
    def build() -> dict[str, Composite]:
        from envcli.builder import build_one
        from envcli.envs.closing import closing

        if not read:
            raise ConfigError("folder: found no config.yaml, which says what env it was")
        if read.get("allow_imports") and not allow_imports:
            raise ConfigError("folder: its config.yaml imports code. If you trust it, add allow_imports=true.")
        from omegaconf import OmegaConf

        saved: Any = OmegaConf.to_container(OmegaConf.create(dict(read)), resolve=True)
        one = next(iter((saved.get("envs") or {}).values()), saved)  # of an env_list, the first stands for all
        parts = {name: one[name] for name in ONE_ENV if name in one}
        outer = {"outer_transforms": saved.get("outer_transforms"), "allow_imports": allow_imports}
        with closing(build_one({**parts, **outer})) as env:
            specs = {"observation": env.observation_spec, "action": env.full_action_spec}
            return {name: spec[(0,) * env.ndim] if env.ndim else spec for name, spec in specs.items()}

    return build


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "steps", f"{found['steps']:,}"
    yield "written", f"{near(Path(found['written']))}, {found['bytes']:,} bytes in {found['seconds']:.2g} s"
    yield "to read", found["read"]
