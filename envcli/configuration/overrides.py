"""Checks overrides before Hydra sees them, for the mistakes whose explanation Hydra makes long, or wrong.

Hydra advises to add ``+`` before an unknown key, and then accepts the misspelt key silently; here the nearest known
name is given instead. What is more than a plain word, a list or a comma list is left to Hydra's own grammar.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from envcli import commands
from envcli.configuration import launchers
from envcli.errors import ConfigError, nearest
from envcli.folders.given_file import recorded_files
from envcli.typed_word import quoted
from envcli.vocabulary import catalog

__all__ = ["as_typed", "check", "is_sweep", "key_of", "known_to", "named", "require_preset", "resumed_place"]

_OVERRIDE = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[^=]*)(?P<equals>=)?(?P<value>.*)", re.DOTALL)
_WORD = re.compile(r"[\w./:+-]+")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_SWEEP = re.compile(r"(range|choice|glob|interval|shuffle|sort|tag)\(")


class Checker:
    """What one command knows: its groups and keys."""

    def __init__(self, command: str, multirun: bool, folders: Iterable[Path]) -> None:
        self.command = command
        self.multirun = multirun
        self.folders = list(folders)
        self.groups = {group.name: group for group in catalog.groups(command)}
        self.keys = [item.name for item in fields(commands.find(command).Config)]

    def check(self, override: str) -> str:
        """The override as Hydra is to get it, or a `ConfigError`."""
        match = _OVERRIDE.fullmatch(override)
        assert match is not None  # every part is optional
        sign, key, value = match["sign"] or "", match["key"].strip(), match["value"]
        head = key.split(".")[0]
        if not match["equals"] and sign != "~":
            raise ConfigError(self.no_override(override))
        if key == "hydra/launcher":
            return f"{sign}{key}={launchers.preset(value, self.folders)}"
        if head == "hydra" or key.startswith("hydra/") or "@" in key:
            return override
        if key in self.groups:
            self.check_choice(self.groups[key], sign, value)
            return sign + self.groups[key].override + (match["equals"] or "") + value
        if key == "env_list":
            self.check_env_list(value)
        elif head not in self.keys:
            raise ConfigError(self.unknown(key, head))
        elif not self.multirun and is_sweep(value):
            raise ConfigError(f"{key}: found several values, {value}. Add -m to run a job for each.")
        if re.search(r"\.options(\.|$)", key) and not sign:  # an open node: its keys are the simulator's, in no YAML
            return "++" + override
        return override

    def check_choice(self, group: catalog.Group, sign: str, value: str) -> None:
        """Refuse a choice that no file stands for."""
        known = catalog.choices(group.source, self.folders)
        if sign == "~" and not value:
            return
        bracketed = value.startswith("[") and value.endswith("]")
        if bracketed and not group.many:
            first = value[1:-1].split(",")[0] or "..."
            cure = f". To run them side by side: 'env_list={value}'" if group.name == "env" else ""
            raise ConfigError(f"{group.name}: found {value}, expected one choice: {group.name}={first}{cure}")
        several = not bracketed and "," in value
        if several and not self.multirun and not _SWEEP.match(value):
            cure = f" To apply them all: '{group.name}=[{value}]'." if group.many else ""
            raise ConfigError(f"{group.name}: found several choices, {value}. Add -m to run a job for each.{cure}")
        for name in (value[1:-1] if bracketed else value).split(","):
            name = name.strip()
            if name in known or (name == "null" and group.default == "null"):
                continue
            if name and not _WORD.fullmatch(name):
                return  # quotes, glob(...), choice(...): Hydra reads them
            raise ConfigError(self.no_choice(group, name, known))

    def check_env_list(self, value: str) -> None:
        """Refuse what is no list of presets."""
        if value == "null" or self.multirun:  # in a multirun each job checks its own
            return
        if not (value.startswith("[") and value.endswith("]")):
            raise ConfigError(f"env_list: found {value or 'nothing'}, expected a list: 'env_list=[{value or '...'}]'")
        for name in words_in(value):
            require_preset(name, self.folders)

    def no_choice(self, group: catalog.Group, name: str, known: Iterable[str]) -> str:
        """The message for ``parallel=4`` and ``env=pendulm``."""
        if not name or re.fullmatch(r"[\d.]+|true|false|null", name, re.IGNORECASE):
            keys = {key.path for key in catalog.node_keys(group)}
            cure = f" Or set one of its keys: {min(keys)}=..." if keys and not group.many else ""
            if group.name == "parallel":
                cure = f" For the number of envs: parallel=processes parallel.num_envs={name or '...'}"
            found = f"found {name}" if name else "found nothing"
            return f"{group.name} is a group: {found}, expected one of {', '.join(known)}.{cure}"
        cure = ""
        if group.name == "env":
            cure = f" Any env that a backend knows works without a preset: backend.name={name} (see envcli list)."
        elif group.name == "device":
            cure = f" Any other device: device.name={name}."
        return f"{group.name}: no choice {name!r}. {nearest(name, known)}{cure}"

    def unknown(self, key: str, head: str) -> str:
        """The message for a key, or a group, that this command does not have."""
        if head in self.groups and "." in key:  # a preset sets keys elsewhere and has none of its own
            return f"{head} is a preset and has no keys; found {key}. The env itself is under backend: backend.name=..."
        known = [*self.keys, *self.groups]
        others = [name for name in commands.names() if name != self.command and (head in known_to(name))]
        cure = f" It is a key of envcli {', '.join(others)}." if others else ""
        return f"no key {key!r} in {self.command}. {nearest(head, known)}{cure} See envcli {self.command} --help."

    def no_override(self, word: str) -> str:
        """The message for a word without ``=``."""
        for group in self.groups.values():
            if word in catalog.choices(group.source, self.folders):
                return f"found {word!r}, expected key=value. Did you mean '{group.name}={word}'?"
        if "rollout" in self.keys and Path(word).is_dir():
            return f"found {word!r}, expected key=value. Did you mean 'rollout={word}'?"
        if word in self.keys:
            return f"{word}: found no value, expected {word}=value."
        return f"found {word!r}, expected key=value. See envcli {self.command} --help."


def check(command: str, overrides: Iterable[str], multirun: bool, folders: Iterable[Path] = ()) -> list[str]:
    """The overrides as Hydra is to get them. Raises `ConfigError` at the first that cannot be meant.

    >>> check("rollout", ["env=blackjak"], multirun=False)
    Traceback (most recent call last):
    envcli.errors.ConfigError: env: no choice 'blackjak'. Did you mean 'blackjack'? ...
    """
    overrides = named(command, overrides)
    checker = Checker(command, multirun, folders)
    several = {name for name, group in checker.groups.items() if group.many}
    _refuse_launcher_alone(overrides, multirun)
    checked = [checker.check(override) for override in _joined(overrides, several)]
    given = _files_of_the_earlier(overrides)
    checked = [f"++{word}" if word.split("=")[0] in given else word for word in checked]
    _refuse_with_replay(overrides, given)
    _refuse_beside_rollout(command, overrides)
    _refuse_two_lengths(overrides)
    return [*map(_legible, checked), *_first_env(overrides)]


def _joined(words: Sequence[str], groups: Collection[str]) -> list[str]:
    """``+transforms=b`` beside ``transforms=a``, which Hydra drops without a word, is ``transforms=[a,b]``.

    >>> _joined(["transforms=atari,[]", "seed=1", "+transforms=[sign,clip]"], ["transforms"])
    ['transforms=[atari,sign,clip],[sign,clip]', 'seed=1']
    """
    chosen = {word.partition("=")[0] for word in words} & set(groups)
    added = [word for word in words if word[:1] == "+" and key_of(word) in chosen]
    found = [word for word in words if word not in added]
    for word in added:
        key, _, value = word[1:].partition("=")
        place = next(i for i, other in enumerate(found) if other.startswith(f"{key}="))
        choices = re.findall(r"\[[^]]*\]|[^,\[\]]+", found[place].partition("=")[2])  # one, or several of a sweep
        if any("(" in choice for choice in choices):
            raise ConfigError(f"{word} cannot be added to {found[place]}. Write it into each choice.")
        lists = (",".join(filter(None, (choice.strip("[]"), value.strip("[]")))) for choice in choices)
        found[place] = f"{key}=" + ",".join(f"[{names}]" for names in lists)
    return found


def _legible(word: str) -> str:
    """``word`` with quotes around what is not ASCII, which Hydra reads nowhere else.

    >>> [_legible(word) for word in ("replay=josé/a b", "a=[ü, b],'ö'", "a={b: ü}", "a=b", "a=it's ü")]
    ["replay='josé/a b'", "a=['ü', b],'ö'", "a={b: 'ü'}", 'a=b', "a=it's ü"]
    """
    key, equals, value = word.partition("=")
    if value.isascii() or "${" in value or re.search(r"['\"\\]", _QUOTED.sub("", value)):
        return word
    between = r"[^\[\]{}(),:\s][^\[\]{}(),:]*" if value.startswith("{") else r"[^\[\]{}(),\s][^\[\]{}(),]*"

    def quoted(match: re.Match[str]) -> str:
        text = match[0].rstrip()
        return match[0] if text[0] in "'\"" or text.isascii() else f"'{text}'{match[0][len(text) :]}"

    return key + equals + re.sub(rf"{_QUOTED.pattern}|{between}", quoted, value)


def named(command: str, words: Iterable[str]) -> list[str]:
    """``words`` with the first that is no override made one, where the command has a key that goes without its name.

    >>> named("show", ["outputs/it's", "json=true"])
    ["folder='outputs/it\\\\'s'", 'json=true']
    """
    words, place = list(words), getattr(commands.find(command), "POSITIONAL", None)
    keys = known_to(command) if place else set()
    for i, word in enumerate(words if place else ()):
        head = key_of(word).split(".")[0]
        if "=" not in word or (head not in keys and head != "hydra" and Path(word).exists()):
            words[i] = f"{place}={quoted(word)}"
            break
    return words


def as_typed(overrides: Iterable[str]) -> list[str]:
    """What :func:`check` was given, from what it gave.

    >>> as_typed(["env_list=[pong,qbert]", "transforms@outer_transforms=[sign]", "env=pong"])
    ['env_list=[pong,qbert]', 'outer_transforms=[sign]']
    """
    plain = [re.sub(r"^([+~]*)[\w/]+@(\w+)", r"\1\2", override) for override in overrides]
    several = any(key_of(override) == "env_list" for override in plain)
    return [override for override in plain if not (several and key_of(override) == "env")]


def require_preset(name: str, folders: Iterable[Path] = ()) -> None:
    """Refuse a name in ``env_list`` that no choice of ``env`` has."""
    known = catalog.choices("env", list(folders))
    if name not in known:
        raise ConfigError(f"env_list: no env {name!r}. {nearest(name, known)} The names are those of env=...")


def words_in(value: str) -> list[str]:
    """The words of a plain list; none if it holds more than words, which is Hydra's to read.

    >>> words_in("[pong, qbert]"), words_in("['a b']")
    (['pong', 'qbert'], [])
    """
    words = [word.strip() for word in value[1:-1].split(",")]
    return words if all(map(_WORD.fullmatch, words)) else []


def is_sweep(value: str) -> bool:
    """Whether Hydra would run a job for each of several values.

    >>> is_sweep("1,2"), is_sweep("range(0,3)"), is_sweep("[[1,2],3]"), is_sweep("'a,b'")
    (True, True, False, False)
    """
    if _SWEEP.match(value):
        return True
    plain, found = re.sub(r"'[^']*'|\"[^\"]*\"", "", value), 1
    while found:  # from the innermost brackets outwards
        plain, found = re.subn(r"\[[^][]*\]|\{[^}{]*\}|\([^)(]*\)", "", plain)
    return "," in plain


def known_to(command: str) -> set[str]:
    """The keys and the groups of a command."""
    module = commands.find(command)
    config = getattr(module, "Config", None)
    return {item.name for item in fields(config)} | set(catalog.group_names(command)) if config else set()


def key_of(override: str) -> str:
    """The key, or the group, that an override is about.

    >>> key_of("~transforms.resize"), key_of("+parallel.num_envs=2")
    ('transforms.resize', 'parallel.num_envs')
    """
    return re.split(r"[=@]", override.lstrip("+~"))[0]


def _first_env(overrides: Iterable[str]) -> list[str]:
    """With ``env_list``, what else is typed must fit the first of them, as it would beside ``env=``."""
    values = {key_of(override): override.partition("=")[2] for override in overrides}
    if "env_list" not in values or values["env_list"] == "null":
        return []
    if "env" in values:
        raise ConfigError(f"env={values['env']} and env_list={values['env_list']} cannot be combined. Leave one out.")
    return [f"env={name}" for name in words_in(values["env_list"])[:1]]


def _refuse_launcher_alone(overrides: Iterable[str], multirun: bool) -> None:
    for override in overrides:
        if override.startswith("hydra/launcher=") and not multirun:  # Hydra would ignore it without a word
            raise ConfigError(f"{override} has no effect on a single run. Add -m.")


def _files_of_the_earlier(overrides: Iterable[str]) -> Collection[str]:
    """The keys by which the run to be replayed or resumed was given files: another may be typed in their place."""
    values = {key_of(override): override.partition("=")[2] for override in overrides}
    folder = values.get("replay", values.get("resume", "null")).strip("'\"")
    return recorded_files(Path(folder)) if Path(folder).is_dir() else ()


def _refuse_with_replay(overrides: Iterable[str], given: Collection[str]) -> None:
    names = [key_of(override) for override in overrides]
    for word, does in (("replay", "runs exactly what was saved"), ("resume", "continues exactly what was started")):
        if word not in names:
            continue
        for name, override in zip(names, overrides, strict=True):
            placed = word == "replay" and (name == "overwrite" or name.startswith("hydra"))
            if name not in (word, "json", "allow_imports", *given) and not placed:
                raise ConfigError(f"{word} {does}, so it takes no {override!r}. Leave one of them out.")


def _refuse_beside_rollout(command: str, overrides: Iterable[str]) -> None:
    """Where a command takes a recorded rollout instead of an env, what is typed of that env cannot count."""
    beside = getattr(commands.find(command), "BESIDE_ROLLOUT", None)
    typed = {override: key_of(override).split(".")[0].split("/")[0] for override in overrides}
    given = next((word for word, name in typed.items() if name == "rollout"), "rollout=null")
    if beside is None or given.partition("=")[2] == "null":
        return
    for word, name in typed.items():
        if name not in ("rollout", "hydra", *beside):
            raise ConfigError(f"rollout films a recorded run, so it takes no {word!r}. Leave one of them out.")


def _refuse_two_lengths(overrides: Iterable[str]) -> None:
    """A default or a preset's ``max_steps`` gives way to ``total_steps``; one that is typed is meant."""
    typed = {key_of(override): override for override in overrides}
    if "max_steps" in typed and typed.get("total_steps", "total_steps=null").partition("=")[2] != "null":
        raise ConfigError(
            f"{typed['max_steps']} has no effect beside {typed['total_steps']}, which replaces it. Leave it out; "
            "or leave out total_steps to get a rollout in one piece."
        )


def resumed_place(overrides: Iterable[str], multirun: bool) -> list[str]:
    """With ``resume=<folder>``, the override that has Hydra work in that folder; else none.

    >>> resumed_place(["resume=."], multirun=False)
    ["hydra.run.dir='.'"]
    """
    values = {key_of(override): override.partition("=")[2] for override in overrides}
    folder = _text(values.get("resume", "null"))
    if folder == "null":
        return []
    if multirun:
        raise ConfigError("resume: continues a single run, but -m starts several. Leave one of them out.")
    if Path(folder).is_file():
        raise ConfigError(f"resume: found the file {folder}, expected its run folder: resume={Path(folder).parent}")
    if not Path(folder).is_dir():
        raise ConfigError(f"resume: no folder {folder}")
    return [f"hydra.run.dir={quoted(folder)}"]


def _text(value: str) -> str:
    """What Hydra makes of a value that may be in quotes."""
    if value[:1] not in {"'", '"'}:
        return value
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        return str(OverridesParser.create().parse_override(f"key={value}").value())
    except OverrideParseException:  # Hydra says what is wrong with it
        return value.strip("'\"")
