"""The message for an unknown key: it names the keys there are, at the deepest level that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from envcli.configuration.composition import compose
from envcli.configuration.meant import bringing
from envcli.errors import nearest
from envcli.override import Override
from envcli.vocabulary import catalog

__all__ = ["unknown_key"]

_MEANT = {"height": "pixel_size", "width": "pixel_size", "image_size": "pixel_size"}  # in other libraries


def unknown_key(key: str, command: str, overrides: Sequence[Override] = ()) -> str:
    """The message for ``transforms.step_counter.max_step``, typed for ``command`` among ``overrides``."""
    if key.startswith("hydra."):
        return f"no key {key!r} in Hydra's own configuration. See envcli {command} --cfg hydra."
    parent, known = _neighbours(key, command, overrides)
    words = bringing(key, command)
    if not known:
        cure = f" Choose one first, such as {words[0] if words else f'{parent}=step_counter'}."
        return f"no key {key!r}: {parent or command} is empty.{cure if parent.endswith('transforms') else ''}"
    if words and parent == key.partition(".")[0]:
        return f"no key {key!r}: only available with {' or '.join(words)}."
    below = key.removeprefix(f"{parent}.")
    name = _first_below(key, parent)
    near = nearest(name, known)
    if name in _MEANT and _MEANT[name] in known:
        return f"no key {key!r}. Did you mean '{parent}.{_MEANT[name]}'?"
    if parent and near.startswith("Did you mean"):
        return f"no key {key!r}. " + re.sub(r"'([^']+)'", rf"'{parent}.\1{below[len(name) :]}'", near)
    if parent == "backend" and "options" in known:
        return f"no key {key!r}. {near} For an option of the simulator, type backend.options.{below}=..."
    return f"no key {key!r}. {near}" + (f" (in {parent})" if parent else "")


def _neighbours(key: str, command: str, overrides: Sequence[Override]) -> tuple[str, list[str]]:
    """The deepest node above ``key`` that exists, and its keys, once the override in question is left out."""
    from omegaconf import DictConfig, OmegaConf

    others = [str(override) for override in overrides if override.key != key and not override.is_sweep]
    try:
        cfg = compose(command, others)
    except Exception:  # a second mistake, reported once this one is corrected
        return _neighbours_in_catalog(key, command)
    for parent in _parents(key):
        node = OmegaConf.select(cfg, parent)
        if isinstance(node, DictConfig):
            return parent, [str(name) for name in node]
    return "", [str(name) for name in cfg]


def _neighbours_in_catalog(key: str, command: str) -> tuple[str, list[str]]:
    """The same, among the keys of all choices."""
    paths = _paths(command)
    for parent in _parents(key):
        if below := {_first_below(path, parent) for path in paths if path.startswith(f"{parent}.")}:
            return parent, sorted(below)
    return "", catalog.group_names(command)


def _parents(key: str) -> Iterator[str]:
    """The nodes above a key, the deepest first.

    >>> list(_parents("transforms.resize.size"))
    ['transforms.resize', 'transforms']
    """
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _first_below(path: str, parent: str) -> str:
    """The name in ``path`` that comes after ``parent``.

    >>> _first_below("transforms.resize.size", "transforms"), _first_below("seed", "")
    ('resize', 'seed')
    """
    return path.removeprefix(f"{parent}.").partition(".")[0]


def _paths(command: str) -> list[str]:
    """The keys that all choices bring, in all groups."""
    return [key.path for one in catalog.groups(command) for key in catalog.node_keys(one)]
