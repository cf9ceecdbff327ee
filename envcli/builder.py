"""From a configuration to an env, or a batch of them. Pure: nothing global, nothing printed.

Native, then transforms, then the batch, then outer transforms, then the seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.env_creator import EnvCreator
from envcli.batch.gathered import of_first
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, SpecError, TransformError, UnknownName
from envcli.ray.ray_env import RayEnv
from envcli.rows.env_shape import found_here
from envcli.transforms.compose import Compose
from envcli.transforms.transform import Transform
from envcli.vocabulary import catalog, registry, signature
from envcli.vocabulary.imported import imported, say_imported_elsewhere
from envcli.vocabulary.schema import ONE_ENV, check_finite, settled_parallel

__all__ = ["build", "build_one", "frames_per_step", "step_seconds"]

_BATCHES: dict[str, type[BatchedEnv]] = {"processes": ParallelEnv, "ray": RayEnv, "serial": SerialEnv}


def build(cfg: Mapping[str, Any]) -> Env:
    """The env that a resolved configuration describes, or the batch.

    ``cfg`` has the keys of `envcli.vocabulary.schema.EnvConfig`, as plain dicts or an OmegaConf node; all but
    ``backend`` may be left out. Every call makes a new env. With a ``seed`` the env is seeded with it; without, it
    seeds itself. A batch is started when it is seeded or has outer transforms, which need to know what they are given;
    else when it is used.

    Raises `ConfigError` that names the config path of what cannot be built.
    """
    plain = as_plain(cfg)
    check_finite(plain)
    parallel = settled_parallel(plain.get("parallel") or {}, plain.get("env_list"))
    device = _device((plain.get("device") or {}).get("name"))
    single = parallel.get("type", "none") == "none"
    env = build_one(plain, device) if single else _batch(plain, parallel, device)
    try:
        if not single:
            env = _transformed(env, plain, "outer_transforms")
        if plain.get("seed") is not None:
            env.set_seed(plain["seed"])
    except BaseException as error:
        env.close()  # whoever starts it closes it; the caller never got to see it
        if isinstance(error, SpecError) and plain.get("env_list"):
            raise ConfigError(f"env_list=[{','.join(plain['env_list'])}]: {error}") from error
        raise
    return env


def build_one(cfg: Mapping[str, Any], device: torch.device | None = None) -> Env:
    """One native env, its transforms and its outer ones, from a plain configuration: what a worker of a batch calls.

    Of a backend that is many envs by nature, ``parallel.num_envs`` of them.
    """
    node, transforms = _backend(cfg).absorb(cfg["backend"], cfg.get("transforms") or {})
    cfg = {**cfg, "backend": node, "transforms": transforms}
    env = _native(cfg, device)
    try:
        return _transformed(env, cfg, "transforms", "outer_transforms")
    except BaseException:
        env.close()
        raise


def step_seconds(env: Env) -> float | None:
    """How long a step of ``env`` takes in the simulator's own time, in seconds; of a batch, the first env's."""
    seconds: float | None = of_first(env, "step_seconds")  # an env of somebody's own need not know
    return seconds


def frames_per_step(env: Env) -> int | None:
    """How many frames of its simulator a step of ``env`` takes, if it knows; of a batch, the first env's."""
    frames: int | None = of_first(env, "frames_per_step")  # see step_seconds
    return frames


def as_plain(cfg: Any) -> Any:  # Any: a tree of whatever a configuration holds
    """``cfg`` as plain, resolved dicts: no interpolation survives in what workers are given."""
    if type(cfg).__module__.startswith("omegaconf"):
        from omegaconf import OmegaConf

        return OmegaConf.to_container(cfg, resolve=True)
    if isinstance(cfg, Mapping):
        return {name: as_plain(node) for name, node in cfg.items()}
    return [as_plain(node) for node in cfg] if isinstance(cfg, list) else cfg


def _batch(cfg: Mapping[str, Any], parallel: Mapping[str, Any], device: torch.device | None) -> Env:
    """The workers build on the host; the batch hands out on ``device``."""
    kind = parallel["type"]
    if not isinstance(kind, str) or kind not in _BATCHES:
        raise UnknownName("batch", kind, ["none", *_BATCHES], "(parallel.type)")
    parts = _parts(cfg)
    for part in parts:
        if _backend(part).batched:
            raise ConfigError(
                f"parallel={kind}: {_typed(part)} steps the whole batch in one call. "
                f"Type: parallel=none parallel.num_envs={parallel['num_envs']}"
            )
    if kind != "serial" and cfg.get("allow_imports"):
        say_imported_elsewhere(name for part in parts for name in _own_names(part))
    make: Callable[..., Env] = build_one
    nodes = [node for part in parts for node in (part.get("transforms") or {}).values()]
    if any(node.get("shared") for node in nodes if isinstance(node, Mapping)):
        make = EnvCreator(build_one, {"cfg": parts[0]})
    each = [{"cfg": parts[i % len(parts)]} for i in range(parallel["num_envs"])]
    node = {name: value for name, value in parallel.items() if name != "type"}
    given = {"create_env_fn": make, "create_env_kwargs": each, "device": device}
    try:
        batch: Env = signature.call(_BATCHES[kind], node, "parallel", **given)
    except ConfigError as error:
        where = "" if str(error).startswith("parallel") else "parallel."
        raise ConfigError(f"{where}{error}") from error
    return batch


def _parts(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each env of a batch is built from, in turn."""
    nodes = [cfg["envs"][name] for name in cfg["env_list"]] if cfg.get("env_list") else [cfg]
    return [
        {**{name: node[name] for name in ONE_ENV if name in node}, "allow_imports": bool(cfg.get("allow_imports"))}
        for node in nodes
    ]


def _own_names(part: Mapping[str, Any]) -> Iterator[str]:
    """Where ``module:Name`` may stand in what an env is built from."""
    yield str(part["backend"].get("name"))
    for node in (part.get("transforms") or {}).values():
        yield from (str((node or {}).get(key)) for key in ("type", "stop", "fn", "inv_fn"))


def _typed(cfg: Mapping[str, Any]) -> str:
    """The word that chooses the backend of ``cfg``."""
    return f"backend={catalog.choice_of('backend', cfg['backend']['type'])}"


def _native(cfg: Mapping[str, Any], device: torch.device | None) -> Env:
    backend, num_envs = _backend(cfg), (cfg.get("parallel") or {}).get("num_envs")
    given = {name: cfg[name] for name in ("frame_skip", "from_pixels", "pixels_only") if name in cfg}
    given["device"] = device
    if backend.batched:
        given["num_envs"] = num_envs
    elif num_envs is not None:
        raise ConfigError(
            f"parallel.num_envs: found {num_envs}, but {_typed(cfg)} runs a single env. "
            "For several, add parallel=processes or parallel=serial."
        )
    node = {name: value for name, value in cfg["backend"].items() if name != "type"}
    if not isinstance(node.get("name", ""), str):
        raise ConfigError(f"backend.name: found {node['name']!r}, expected the name of an env. envcli list shows them.")
    if ":" in node.get("name", ""):  # gymnasium imports what stands before it
        imported(node["name"], "backend.name", bool(cfg.get("allow_imports")))
    try:
        env: Env = signature.call(backend.from_name, node, "backend", **given)
    except UnknownName as error:
        if error.name == node.get("name") and (preset := _preset(error.name)):
            raise error.adding(f"Or, as a preset: env={preset}.") from error
        module, _, wanted = error.name.partition(":")
        if error.name == node.get("name") and hasattr(sys.modules.get(module), wanted):
            raise error.adding("For an env of your own, add backend=custom.") from error
        raise
    return env


def _preset(name: str) -> str | None:
    """The preset that ``name`` may mean, whose file or whose env is called so. No other backend is imported for it."""
    known = catalog.presets().items()
    return next((preset for (_, env), preset in known if name.lower() in (preset, env.lower())), None)


def _backend(cfg: Mapping[str, Any]) -> type[Any]:  # Any: a Backend, of which a YAML chooses
    kind = registry.type_of(cfg.get("backend") or {}, "backend")
    found = registry.find("backends", kind, "backend.type", bool(cfg.get("allow_imports")))
    if not (hasattr(found, "from_name") and hasattr(found, "absorb")):
        raise ConfigError(
            f"backend.type: {kind} is not a Backend. For an env, type: backend=custom backend.name={kind}"
        )
    return found


def _device(name: object) -> torch.device | None:
    """The device of that name, or a `ConfigError` where this machine has none."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise ConfigError(f"device.name: found {name!r}, expected a name, such as cpu or cuda:0")
    device = found_here(name, f"device.name: found {name!r}")
    if device.type == "meta":
        raise ConfigError("device.name: found 'meta', whose tensors hold no values")
    return device


def _transformed(env: Env, cfg: Mapping[str, Any], *places: str) -> Env:
    """``env`` with the transforms that ``cfg`` has in these places."""
    imports = bool(cfg.get("allow_imports"))
    chain: list[Transform] = [
        registry.construct("transforms", node, f"{place}.{name}", imports)
        for place in places
        for name, node in (cfg.get(place) or {}).items()
        if node is not None
    ]
    if not chain:
        return env
    if isinstance(env, BatchedEnv):
        env.start()  # or an env would be built here to see what it shows, and closed again
    try:
        return TransformedEnv(env, Compose(*chain))
    except TransformError as error:  # one of them cannot stand where it was typed
        raise ConfigError(f"{' and '.join(place for place in places if cfg.get(place))}: {error}") from error
