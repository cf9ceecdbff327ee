"""Explains what Hydra or OmegaConf refused, in one line, without the advice to add a plus sign.

Most of what they know is only in the text of their messages, so each kind of refusal is recognised by a pattern. A new
kind is one line in ``_KINDS`` and one function, which may answer None to leave it to the kinds below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from envcli.configuration.overrides import as_typed
from envcli.configuration.refusal import Refusal
from envcli.configuration.unknown_key import unknown_key
from envcli.errors import nearest
from envcli.override import Override, parsed
from envcli.vocabulary.catalog import group_names

__all__ = ["explain", "kinds"]

_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "bool": "true or false"}


def kinds() -> tuple[type[Exception], ...]:
    """What Hydra, OmegaConf and the YAML parser raise for a mistake in what was typed."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    return HydraException, OmegaConfBaseException, YAMLError


def explain(error: BaseException, command: str = "", words: Iterable[str] = ()) -> str:
    """One or two sentences: where, what was found, what was expected, what to type.

    ``words`` are the overrides that ``command`` was given.
    """
    refusal = Refusal(error, command, parsed(words))
    for pattern, answer in _KINDS:
        if (match := refusal.search(pattern)) and (said := answer(match, refusal)):
            return said
    if mark := getattr(error, "problem_mark", None):  # the YAML parser's
        return f"{mark.name}, line {mark.line + 1}: {getattr(error, 'problem', 'not YAML')}."
    if type(error).__name__ == "OverrideParseException":
        return _unreadable(str(getattr(error, "override", error)))
    key, first = refusal.key, refusal.first_line
    return f"{key}: {first}" if key and key not in first else first


def _below_itself(match: re.Match[str], refusal: Refusal) -> str:
    preset = refusal.typed(match["group"])
    return _no_package(f"{match['group']}/{preset.text if preset else '...'}")


def _no_variable(match: re.Match[str], refusal: Refusal) -> str:
    name = match["name"]
    cure = f"Set it, or give a default: ${{oc.env:{name},...}}"
    return f"{refusal.key}: the environment variable {name} is not set. {cure}"


def _no_sweep(match: re.Match[str], refusal: Refusal) -> str:
    call = f"{match['kind'].lower()}("
    word = next((str(one) for one in refusal.overrides if one.text.startswith(call)), f"{call}...)")
    return f"{word}: {call}...) needs a sweeper that searches. Type the values to run: 0,0.5,1 or range(0,1,0.25)"


def _of_ours(match: re.Match[str], refusal: Refusal) -> str:
    return match["said"]


def _no_key(match: re.Match[str], refusal: Refusal) -> str:
    return unknown_key(match["key"], refusal.command, refusal.overrides)


def _there_already(match: re.Match[str], refusal: Refusal) -> str:
    return _no_plus(match["key"])


def _no_second(match: re.Match[str], refusal: Refusal) -> str | None:
    """The answer for a group that was typed with a plus sign; None if a file is at fault."""
    group = match["group"]
    added = [one.key for one in parsed(as_typed(map(str, refusal.overrides))) if one.sign.startswith("+")]
    return next((_no_plus(key) for key in added if key in (group, group.removeprefix("hydra/"))), None)


def _no_choice(match: re.Match[str], refusal: Refusal) -> str:
    group, name, known, cure = match["group"], match["name"], match["known"].split(), ""
    if group in ("hydra/launcher", "hydra/sweeper"):
        known = list({choice.removeprefix("envcli_") for choice in known})
        package = f"hydra-{name.replace('_', '-')}-{group.removeprefix('hydra/')}"
        cure = f" Others come in separate packages, such as {package}."
    return f"{group}: no choice {name!r}. {nearest(name, known)}{cure}"


def _not_in_schema(match: re.Match[str], refusal: Refusal) -> str:
    file = refusal.search(r"In '(?P<file>[^']+)':")
    if file and file["file"].startswith(f"{match['key']}/"):  # without that line, a preset sets keys below its own name
        return _no_package(file["file"])
    return (f"{file['file']}.yaml: " if file else "") + unknown_key(match["key"], refusal.command)


def _wrong_type(match: re.Match[str], refusal: Refusal) -> str:
    return f"{refusal.key}: found {match['value']!r}, expected {_TYPES.get(match['kind'], match['kind'])}."


def _not_optional(match: re.Match[str], refusal: Refusal) -> str | None:
    return f"{refusal.key}: found null, expected a value." if refusal.key else None


def _no_list(match: re.Match[str], refusal: Refusal) -> str | None:
    key = refusal.key
    typed = refusal.typed(key)
    found = typed.text if typed else ""
    cure = "..." if found.startswith("{") else found or "..."
    return f"{key}: {f'found {found}, ' if found else ''}expected a list: {key}=[{cure}]" if key else None


def _no_settings(match: re.Match[str], refusal: Refusal) -> str:
    """The answer for a preset that says ``device: cuda``, as one types it, where settings are expected."""
    key, found = refusal.key, {"str": "a word", "list": "a list", "ListConfig": "a list"}.get(match["found"], "a value")
    group = key if key in group_names(refusal.command) else "GROUP"
    line = f"- override /{group}: {'[...]' if found == 'a list' else '...'}"
    return (
        f"{match['file']}.yaml: {f'{key}: ' if key else ''}found {found}, expected settings. To choose a preset, write "
        f"in the defaults list: {line}"
    )


def _unfinished(match: re.Match[str], refusal: Refusal) -> str | None:
    if not refusal.key:
        return None
    return f"{refusal.key}: cannot read the interpolation ({match[0]}). It is ${{key}}; for the characters type \\${{"


def _no_word(match: re.Match[str], refusal: Refusal) -> str:
    return f"a key in a YAML file is of type {match['kind']}, expected a word. Put it in quotes."


def _no_defaults(match: re.Match[str], refusal: Refusal) -> str:
    return f"{match['file']}.yaml: defaults: found a {match['found']}, expected a list: - override /backend: gymnasium"


def _no_member(match: re.Match[str], refusal: Refusal) -> str:
    return f"{refusal.key}: found {match['value']!r}, expected one of {match['known']}."


# Pattern of the message, and answer. The first that matches and has an answer wins.
_KINDS: tuple[tuple[str, Callable[[re.Match[str], Refusal], str | None]], ...] = (
    (r"Could not override '[\w/]+@(?P<group>\w+)\.", _below_itself),
    (r"Environment variable '(?P<name>[^']*)' not found", _no_variable),
    (r"BasicSweeper does not support sweep type : (?P<kind>\w+)_SWEEP", _no_sweep),
    (r"^(?:StoreError|ConfigError) raised while resolving interpolation: (?P<said>.*)", _of_ours),
    (r"Could not override '(?P<key>[^']+)'", _no_key),
    (r"Could not delete from config\. '?(?P<key>[^' ]+)'?", _no_key),
    (r"Could not append to config\. An item is already at '(?P<key>[^']+)'", _there_already),
    (r"(?P<group>[\w/]+)\S* appears more than once in the final defaults list", _no_second),
    (r"Multiple values for (?P<group>[\w/]+)", _no_second),
    (r"force-add of config groups is not supported: '\+\+(?P<group>[\w/]+)", _no_second),
    (
        r"Could not find '(?P<group>[\w/]+)/(?P<name>[^/']+)'\s*Available.*(?P<known>(\n\t[\w.-]+)*)",
        _no_choice,
    ),
    (r"Key '(?P<key>[^']+)' not in '\w+'", _not_in_schema),
    (r"Value '(?P<value>.*?)'(?: of type '\w+')? could not be converted to (?P<kind>\w+)", _wrong_type),
    (r"Value '(?P<value>.*?)'(?: of type '\w+')? is not a valid (?P<kind>\w+)", _wrong_type),
    (r"In '(?P<file>[^']+)':.*\n\s*Cannot assign (?P<found>\w+) to Dict", _no_settings),
    (r"In '(?P<file>[^']+)':.*\n\s*Cannot merge DictConfig with (?P<found>ListConfig)", _no_settings),
    (r"(?:no viable alternative|mismatched input|missing \S+|extraneous input) (?:at|input|expecting) .*", _unfinished),
    (r"Incompatible key type '(?P<kind>\w+)'", _no_word),
    (r"Invalid defaults list in '(?P<file>[^']+)', defaults must be a list \(got (?P<found>\w+)\)", _no_defaults),
    (r"field '[^']+' is not Optional", _not_optional),
    (r"is not a ListConfig|with ListConfig", _no_list),
    (r"Invalid value '(?P<value>.*?)', expected one of (?P<known>\[.*\])", _no_member),
)


def _no_package(file: str) -> str:
    return f"{file}.yaml: its first line must be: # @package _global_"


def _no_plus(key: str) -> str:
    return f"{key} already exists. To change it, type {key}=... without the plus sign."


def _unreadable(word: str) -> str:
    """The message for a word that Hydra's grammar refuses, with quotes around the value if that is all it needs."""
    override = Override.parse(word)
    if word.endswith(","):
        return f"cannot read {word!r}. Leave out the comma at its end: {word.rstrip(',')}"
    plain = re.fullmatch(r"[\w./@-]+", f"{override.key}@{override.package}", re.ASCII)
    if override.value is not None and plain and not re.search(r"[][(){}'\"\\`$!]", override.value):
        quoted = replace(override, value=f"'{override.value}'")
        return f'cannot read {word!r}. Type it with nested quotes: "{quoted}"'
    return f"cannot read {word!r}. Put it in single quotes if it contains brackets, spaces or commas."
