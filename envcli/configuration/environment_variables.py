"""Environment variables in a configuration, ``${oc.env:NAME}``: they may hold a secret, which is not written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from envcli.errors import ConfigError
from envcli.keys import Key

__all__ = ["asks", "hidden", "register", "require_no_name", "unresolved", "written"]

_SHORTEST = 4  # a shorter text says nothing, and is in every message

_given: dict[str, str] = {}  # value -> ${oc.env:NAME}, of all that was ever asked for in this process
_asked = [0]


def register() -> None:
    """Have OmegaConf's own resolver ``oc.env`` note what it gives."""
    OmegaConf.register_new_resolver("oc.env", _variable, replace=True)


def _variable(name: str, *default: Any) -> str | None:  # Any: what OmegaConf hands on
    value = oc.env(name, *default)
    _asked[0] += 1
    if value is not None:
        _given[value] = f"${{oc.env:{name}}}"
    return value


def asks(resolve: Callable[[], object]) -> bool:
    """Is an environment variable part of what ``resolve`` gives?"""
    before = _asked[0]
    resolve()
    return _asked[0] != before


def unresolved(cfg: DictConfig) -> dict[Key, str]:
    """Key -> text of each value of ``cfg`` that an environment variable is part of, be it by way of another key."""
    return dict(_texts(cfg, OmegaConf.to_container(cfg, resolve=False), ()))


def _texts(cfg: Any, raw: Any, path: Key) -> Iterator[tuple[Key, str]]:  # Any: a node, and the same as YAML holds it
    pairs = raw.items() if isinstance(raw, Mapping) else enumerate(raw) if isinstance(raw, list) else ()
    for name, value in pairs:
        place = (*path, str(name))
        if isinstance(value, str) and OmegaConf.is_interpolation(cfg, name):
            if asks(partial(_resolved, cfg, name)):
                yield place, value
        elif isinstance(value, Mapping | list):
            yield from _texts(cfg[name], value, place)


def _resolved(cfg: Any, name: Any) -> Any:
    value = cfg[name]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def written(config: Mapping[str, Any], texts: Mapping[Key, str]) -> dict[str, Any]:
    """``config`` as it is kept: with ``texts`` in place of the values.

    >>> written({"policy": {"path": "/home/me/net.pt"}}, {("policy", "path"): "${oc.env:HOME}/net.pt"})
    {'policy': {'path': '${oc.env:HOME}/net.pt'}}
    """

    def kept(node: Any, path: Key) -> Any:
        if path in texts:
            return texts[path]
        if isinstance(node, Mapping):
            return {name: kept(value, (*path, str(name))) for name, value in node.items()}
        return [kept(value, (*path, str(i))) for i, value in enumerate(node)] if isinstance(node, list) else node

    found: dict[str, Any] = kept(config, ())
    return found


def hidden(text: str) -> str:
    """``text`` with the names of environment variables in place of what they hold."""
    for value in sorted(_given, key=len, reverse=True):  # of two, one may begin with the other
        if len(value) >= _SHORTEST:
            text = text.replace(value, _given[value])
    return text


def require_no_name(texts: Mapping[Key, str]) -> None:
    """Raise ConfigError where what a run is called is one of ``texts``: that is written everywhere."""
    for key in (("backend", "name"), ("env_list",)):
        if found := next((text for path, text in texts.items() if path[: len(key)] == key), None):
            raise ConfigError(
                f"{'.'.join(key)}: found {found}. It names the run, and the values of environment variables are not "
                f"recorded. Type it instead: {'.'.join(key)}=..."
            )
