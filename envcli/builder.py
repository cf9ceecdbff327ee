"""From a configuration to an env: native, then transforms, then the seed. Pure: nothing global, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from envcli import registry
from envcli.env import Env
from envcli.errors import ConfigError
from envcli.schema import check_finite

__all__ = ["build"]


def build(cfg: Mapping[str, Any]) -> Env:
    """The env that a resolved configuration describes.

    ``cfg`` has the keys of `envcli.schema.EnvConfig`, as plain dicts or an OmegaConf node; all but ``backend`` may be
    left out. Every call makes a new env. With a ``seed`` the env is seeded with it; without, it seeds itself.

    Raises `ConfigError` that names the config path of what cannot be built.
    """
    plain = as_plain(cfg)
    check_finite(plain)
    parallel = plain.get("parallel") or {"type": "none"}
    if parallel.get("type") != "none":
        raise ConfigError(
            f"parallel.type: found {parallel.get('type')!r}, expected none; more than one env comes later."
        )
    env = _native(plain)
    try:
        env = _transformed(env, plain)
        if plain.get("seed") is not None:
            env.set_seed(plain["seed"])
    except BaseException:
        env.close()  # whoever starts it closes it; the caller never got to see it
        raise
    return env


def as_plain(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """``cfg`` as plain, resolved dicts: no interpolation survives in what workers are given."""
    if type(cfg).__module__.startswith("omegaconf"):
        from omegaconf import OmegaConf

        cfg = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]  # a mapping gives a dict
    return dict(cfg)


def _native(cfg: Mapping[str, Any]) -> Env:
    node = cfg.get("backend") or {}
    imports = bool(cfg.get("allow_imports"))
    backend = registry.find("backends", registry.type_of(node, "backend"), "backend.type", imports)
    given = {name: cfg[name] for name in ("frame_skip", "from_pixels", "pixels_only") if name in cfg}
    given["device"] = _device((cfg.get("device") or {}).get("name"))
    node = {name: value for name, value in node.items() if name != "type"}
    env: Env = registry.call(backend.from_name, node, "backend", **given)
    return env


def _device(name: str | None) -> torch.device | None:
    """The device of that name, or a `ConfigError` where this machine has none."""
    if name is None:
        return None
    try:
        torch.empty(0, device=name)  # a name may be well formed and still stand for nothing here
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(f"device.name: found {name!r}, which cannot be used here: {reason}") from error
    device = torch.device(name)
    if device.type == "meta":
        raise ConfigError("device.name: found 'meta', whose tensors hold no values")
    return device


def _transformed(env: Env, cfg: Mapping[str, Any]) -> Env:
    nodes = {name: node for name, node in (cfg.get("transforms") or {}).items() if node is not None}
    if not nodes:
        return env
    from envcli.transformed_env import TransformedEnv
    from envcli.transforms.compose import Compose

    imports = bool(cfg.get("allow_imports"))
    chain = [registry.construct("transforms", node, f"transforms.{name}", imports) for name, node in nodes.items()]
    return TransformedEnv(env, Compose(*chain))
