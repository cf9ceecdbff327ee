"""Environment variables in a configuration, ``${oc.env:NAME}``: their values may be secret and are not recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from envcli.errors import ConfigError
from envcli.keys import Key

__all__ = ["asks", "hidden", "register", "require_no_name", "unresolved", "written"]

_SHORTEST = 4  # characters; a shorter value would be found in every message

_given: dict[str, str] = {}  # value -> ${oc.env:NAME}, for all that were resolved in this process
_asked = [0]


def register() -> None:
    """Make OmegaConf's resolver ``oc.env`` remember the values that it returns."""
    OmegaConf.register_new_resolver("oc.env", _variable, replace=True)


def _variable(name: str, *default: Any) -> str | None:  # Any: what OmegaConf hands on
    value = oc.env(name, *default)
    _asked[0] += 1
    if value is not None:
        _given[value] = f"${{oc.env:{name}}}"
    return value


def asks(resolve: Callable[[], object]) -> bool:
    """Whether ``resolve`` reads an environment variable."""
    before = _asked[0]
    resolve()
    return _asked[0] != before


def unresolved(cfg: DictConfig) -> dict[Key, str]:
    """Key -> unresolved text, for each value of ``cfg`` that depends on an environment variable, even indirectly."""
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
    """``config`` as it is recorded: with ``texts`` instead of the values.

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
    """``text`` with ``${oc.env:NAME}`` instead of the values of environment variables."""
    for value in sorted(_given, key=len, reverse=True):  # one may be the beginning of another
        if len(value) >= _SHORTEST:
            text = text.replace(value, _given[value])
    return text


def require_no_name(texts: Mapping[Key, str]) -> None:
    """Raise `ConfigError` if the name of the run is one of ``texts``, because that name is written everywhere."""
    for key in (("backend", "name"), ("env_list",)):
        if found := next((text for path, text in texts.items() if path[: len(key)] == key), None):
            raise ConfigError(
                f"{'.'.join(key)}: found {found}. It names the run, and the values of environment variables are not "
                f"recorded. Type it instead: {'.'.join(key)}=..."
            )
