"""Explains what Hydra or OmegaConf refused, in one line, without the advice to add a plus sign."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from envcli.configuration.composition import compose
from envcli.configuration.overrides import as_typed
from envcli.errors import nearest
from envcli.override import Override, parsed
from envcli.vocabulary import catalog

__all__ = ["explain", "kinds", "unknown"]

_NO_OVERRIDE = re.compile(r"Could not override '(?P<key>[^']+)'")
_BELOW_ITSELF = re.compile(r"Could not override '[\w/]+@(?P<group>\w+)\.")
_NO_DELETE = re.compile(r"Could not delete from config\. '?(?P<key>[^' ]+)'?")
_NO_APPEND = re.compile(r"Could not append to config\. An item is already at '(?P<key>[^']+)'")
_NO_SECOND = re.compile(
    r"(?P<group>[\w/]+)\S* appears more than once in the final defaults list|Multiple values for (?P<other>[\w/]+)"
    r"|force-add of config groups is not supported: '\+\+(?P<forced>[\w/]+)"
)
_NO_CHOICE = re.compile(
    r"Could not find '(?P<group>[\w/]+)/(?P<name>[^/']+)'\s*Available options in .*(?P<known>(\n\t[\w.-]+)*)"
)
_NOT_IN_SCHEMA = re.compile(r"Key '(?P<key>[^']+)' not in '\w+'")
_IN_FILE = re.compile(r"In '(?P<file>[^']+)':")
_VALUE = re.compile(
    r"Value '(?P<value>.*?)'(?: of type '\w+')? (?:could not be converted to|is not a valid) (?P<kind>\w+)"
)
_NOT_OPTIONAL = re.compile(r"field '[^']+' is not Optional")
_NO_LIST = re.compile(r"is not a ListConfig|with ListConfig")
_NO_SWEEP = re.compile(r"BasicSweeper does not support sweep type : (?P<kind>\w+)_SWEEP")
_NO_VARIABLE = re.compile(r"Environment variable '(?P<name>[^']*)' not found")
_OF_OURS = re.compile(r"^(?:StoreError|ConfigError) raised while resolving interpolation: (?P<said>.*)")
_ENUM = re.compile(r"Invalid value '(?P<value>.*?)', expected one of (?P<known>\[.*\])")

_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "bool": "true or false"}


def kinds() -> tuple[type[Exception], ...]:
    """What Hydra, OmegaConf and the YAML parser raise for a mistake in what was typed."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    return HydraException, OmegaConfBaseException, YAMLError


def explain(error: BaseException, command: str = "", overrides: Iterable[str] = ()) -> str:
    """One sentence or two: where, what was found, what was expected, what to type."""
    text = str(error)
    key = _full_key(error)
    if match := _BELOW_ITSELF.search(text):
        chosen = {override.key: override.text for override in parsed(overrides)}
        preset = chosen.get(match["group"], "...")
        return f"{match['group']}/{preset}.yaml: its first line must be: # @package _global_"
    if match := _NO_VARIABLE.search(text):
        name = match["name"]
        return f"{key}: the environment variable {name} is not set. Set it, or give a default: ${{oc.env:{name},...}}"
    if match := _NO_SWEEP.search(text):
        kind = match["kind"].lower()
        swept = (override for override in parsed(overrides) if override.text.startswith(f"{kind}("))
        word = next(swept, f"{kind}(...)")
        return f"{word}: {kind}(...) needs a sweeper that searches. Type the values to run: 0,0.5,1 or range(0,1,0.25)"
    if match := _OF_OURS.search(text):
        return match["said"]
    if match := _NO_OVERRIDE.search(text):
        return unknown(match["key"], command, overrides)
    if match := _NO_DELETE.search(text):
        return unknown(match["key"], command, overrides)
    if match := _NO_APPEND.search(text):
        return _there_already(match["key"])
    if (match := _NO_SECOND.search(text)) and (group := _added(match[match.lastgroup or 0], overrides)):
        return _there_already(group)
    if match := _NO_CHOICE.search(text):
        return _no_choice(match["group"], match["name"], match["known"].split())
    if match := _search(_NOT_IN_SCHEMA, error):
        file = _IN_FILE.search(text)
        if file and file["file"].startswith(f"{match['key']}/"):  # without it, a preset writes below its own name
            return f"{file['file']}.yaml: its first line must be: # @package _global_"
        return (f"{file['file']}.yaml: " if file else "") + unknown(match["key"], command, ())
    if mark := getattr(error, "problem_mark", None):  # the YAML parser's
        return f"{mark.name}, line {mark.line + 1}: {getattr(error, 'problem', 'not YAML')}."
    if match := _search(_VALUE, error):
        return f"{key}: found {match['value']!r}, expected {_KINDS.get(match['kind'], match['kind'])}."
    if key and _search(_NOT_OPTIONAL, error):
        return f"{key}: found null, expected a value."
    if key and _search(_NO_LIST, error):
        return _no_list(key, overrides)
    if match := _search(_ENUM, error):
        return f"{key}: found {match['value']!r}, expected one of {match['known']}."
    if type(error).__name__ == "OverrideParseException":
        return _unreadable(str(getattr(error, "override", text)))
    first = " ".join(text.split("\n")[0].split())
    return f"{key}: {first}" if key and key not in first else first


def unknown(key: str, command: str, overrides: Iterable[str]) -> str:
    """``transforms.step_counter.max_step`` is not there: say what is, at the deepest level that exists."""
    if key.startswith("hydra."):
        return f"no key {key!r} in Hydra's own configuration. See envcli {command} --cfg hydra."
    parent, known = _neighbours(key, command, overrides)
    below = key[len(parent) + 1 :] if parent else key
    name = below.split(".")[0]
    if parent == "parallel" and any(node.path == key for node in _keys_of("parallel", command)):
        return f"no key {key!r}: only available with worker processes. Add parallel=processes."
    if not known:
        cure = f" Choose one first, such as {parent}=[step_counter]." if parent.endswith("transforms") else ""
        return f"no key {key!r}: {parent or command} is empty.{cure}"
    near = nearest(name, known)
    if parent and near.startswith("Did you mean"):
        return f"no key {key!r}. " + re.sub(r"'([^']+)'", rf"'{parent}.\1'", near)
    return f"no key {key!r}. {near}" + (f" (in {parent})" if parent else "")


def _there_already(key: str) -> str:
    return f"{key} already exists. To change it, type {key}=... without the plus sign."


def _added(group: str, overrides: Iterable[str]) -> str:
    """``group`` as it was typed with a plus sign; empty if it was not, and a file is at fault."""
    added = (override.key for override in parsed(as_typed(overrides)) if override.sign.startswith("+"))
    return next((key for key in added if key in (group, group.removeprefix("hydra/"))), "")


def _unreadable(word: str) -> str:
    """A word that Hydra's grammar does not take: quoted for the shell and for it, if that is all that it needs."""
    override = Override.parse(word)
    plain = re.fullmatch(r"[\w./@-]+", f"{override.key}@{override.package}", re.ASCII)
    if override.value is not None and plain and not re.search(r"[][(){}'\"\\`$!]", override.value):
        quoted = replace(override, value=f"'{override.value}'")
        return f'cannot read {word!r}. Type it with nested quotes: "{quoted}"'
    return f"cannot read {word!r}. Put it in single quotes if it contains brackets, spaces or commas."


def _keys_of(group: str, command: str) -> Iterable[catalog.NodeKey]:
    """The keys of all choices of a group."""
    return (key for found in catalog.groups(command) if found.name == group for key in catalog.node_keys(found))


def _no_choice(group: str, name: str, known: list[str]) -> str:
    cure = ""
    if group in ("hydra/launcher", "hydra/sweeper"):
        known = list({choice.removeprefix("envcli_") for choice in known})
        cure = (
            f" Others come in separate packages, such as hydra-{name.replace('_', '-')}-{group.removeprefix('hydra/')}."
        )
    return f"{group}: no choice {name!r}. {nearest(name, known)}{cure}"


def _no_list(key: str, overrides: Iterable[str]) -> str:
    found = next((override.text for override in parsed(overrides) if override.key == key), "")
    cure = "..." if found.startswith("{") else found or "..."
    return f"{key}: {f'found {found}, ' if found else ''}expected a list: {key}=[{cure}]"


def _neighbours(key: str, command: str, overrides: Iterable[str]) -> tuple[str, list[str]]:
    """The deepest node above ``key`` that exists, and its keys, once the override in question is left out."""
    from omegaconf import DictConfig, OmegaConf

    others = [override for override in parsed(overrides) if override.key != key and not override.is_sweep]
    try:
        cfg = compose(command, map(str, others))
    except Exception:  # a second mistake beside this one: its own message comes when this one is mended
        return _by_catalog(key, command)
    parent = key
    while "." in parent:
        parent = parent.rpartition(".")[0]
        node = OmegaConf.select(cfg, parent)
        if isinstance(node, DictConfig):
            return parent, [str(name) for name in node]
    return "", [str(name) for name in cfg]


def _by_catalog(key: str, command: str) -> tuple[str, list[str]]:
    """The same, among the keys of all choices."""
    parent, paths = key, [node.path for group in catalog.groups(command) for node in catalog.node_keys(group)]
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if below := {path[len(parent) + 1 :].split(".")[0] for path in paths if path.startswith(f"{parent}.")}:
            return parent, sorted(below)
    return "", catalog.group_names(command)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _full_key(error: BaseException) -> str:
    """The key as OmegaConf gives it: on the exception, or, once Hydra has wrapped it, only in the text."""
    for e in _chain(error):
        if key := getattr(e, "full_key", None):
            return str(key)
        if match := re.search(r"full_key: (\S+)", str(e)):
            return match[1]
    return ""


def _search(pattern: re.Pattern[str], error: BaseException) -> re.Match[str] | None:
    return next((match for e in _chain(error) if (match := pattern.search(str(e)))), None)
