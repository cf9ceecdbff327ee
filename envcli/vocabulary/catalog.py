"""What can be typed: groups, their choices and keys, with the comments that explain them.

Read from the text of ``conf/``, whose files are short and plain, because help and completion must answer faster than a
YAML parser or Hydra can be imported. Only Hydra decides what a configuration means.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from envcli.errors import ConfigError, StoreError
from envcli.installed import extensions

__all__ = [
    "Group",
    "NodeKey",
    "choice_of",
    "choices",
    "existing_folder",
    "extra_folders",
    "files",
    "folder",
    "group_names",
    "groups",
    "node_keys",
    "places",
    "presets",
    "values_in",
]

_DEFAULT = re.compile(r"  - (?P<source>[\w/]+)(?:@(?P<place>\w+))?: (?P<default>[^#]*?)(?:\s+# (?P<help>.*))?$")
_KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: (?P<value>[^#]*?))?(?:\s+# (?P<help>.*))?$")


@dataclass(frozen=True)
class Group:
    """A choice between files: ``env=pendulum``. ``source`` is the folder they are in; two groups may share one."""

    name: str
    default: str
    help: str
    source: str

    @property
    def many(self) -> bool:
        """Whether several can be chosen: ``transforms=[a,b]``."""
        return self.default.startswith("[")

    @property
    def package(self) -> str | None:
        """The key under which its choices are put, if it is not ``source``: ``outer_transforms``, for example."""
        return None if self.name == self.source else self.name


@dataclass(frozen=True)
class NodeKey:
    """A key that a chosen file brings: ``transforms.step_counter.max_steps``."""

    path: str
    default: str
    help: str


def folder() -> Path:
    """The folder with the YAML files: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent.parent
    for place in (package / "conf", package.parent / "conf"):
        if (place / "rollout.yaml").is_file():
            return place
    raise StoreError(f"{package / 'conf'}: the configuration files are missing. Install envcli again.")


def extra_folders() -> list[Path]:
    """The user's folders, from ``ENVCLI_CONFIG_PATH=a:b``; their files replace ours."""
    places = os.environ.get("ENVCLI_CONFIG_PATH", "").split(os.pathsep)
    return [existing_folder(place, "ENVCLI_CONFIG_PATH") for place in places if place]


def existing_folder(place: str, where: str) -> Path:
    """``place`` as an absolute path. Raises `ConfigError` if there is no such folder, which Hydra would ignore."""
    path = Path(place).absolute()
    if not path.is_dir():
        raise ConfigError(f"{where}: no folder {place}")
    return path


def groups(command: str) -> list[Group]:
    """The groups that a command's primary YAML names, in its order."""
    text = (folder() / f"{command}.yaml").read_text(encoding="utf-8")
    found = (_DEFAULT.match(line) for line in text.splitlines())
    return [Group(m["place"] or m["source"], m["default"], m["help"] or "", m["source"]) for m in found if m]


def group_names(command: str) -> list[str]:
    """The names of :func:`groups`."""
    return [group.name for group in groups(command)]


def choices(source: str, extra: Sequence[Path] = ()) -> dict[str, str]:
    """Choice -> its one line, sorted, for a folder of choices; those of the user and of packages are included."""
    found: dict[str, str] = {}
    for place in (*extra, *places()):
        for path in (place / source).glob("*.yaml"):
            found.setdefault(path.stem, _first_comment(path))
    return dict(sorted(found.items()))


def places() -> list[Path]:
    """The folders with choices, the first wins: the user's, ours, and those of installed packages."""
    return [*extra_folders(), folder(), *extensions.folders()]


def files(source: str) -> Iterator[Path]:
    """The files of a folder of choices: ours, and those of installed packages."""
    for place in (folder(), *extensions.folders()):
        yield from sorted((place / source).glob("*.yaml"))


def choice_of(source: str, kind: str) -> str:
    """What is typed for ``type: kind`` in a folder of choices, or ``kind`` itself.

    >>> choice_of("backend", "gym"), choice_of("policy", "my_nets:Actor")
    ('gymnasium', 'my_nets:Actor')
    """
    for path in files(source):
        if re.search(rf"^type: {re.escape(kind)}$", path.read_text(encoding="utf-8"), re.MULTILINE):
            return path.stem
    return kind


def presets() -> dict[tuple[str, str], str]:
    """(choice of ``backend``, name of an env) -> the choice of ``env`` that stands for both."""
    found: dict[tuple[str, str], str] = {}
    for path in files("env"):
        text = path.read_text(encoding="utf-8")
        backend = re.search(r"override /backend: (\S+)", text)
        name = re.search(r"^  name: (\S+)", text, re.MULTILINE)
        if backend and name:
            found.setdefault((backend[1], name[1]), path.stem)
    return found


def node_keys(group: Group, names: Sequence[str] | None = None) -> Iterator[NodeKey]:
    """The keys in the files of a group, each once, without ``type``, which is the choice itself.

    With ``names``, only those of these choices, in their order.
    """
    seen, found = set(), list(files(group.source))
    if names is not None:
        found = [path for name in names for path in found if path.stem == name]
    for path in found:
        for key in _own_keys(path, group.name):
            if key.path not in seen:
                seen.add(key.path)
                yield key


def values_in(text: str, group: str = "") -> dict[str, str]:
    """Key -> value in the YAML of a preset or a bundle, with the keys put under ``group`` if one is given."""
    return {key.path: key.default for key in _keys(text, group)}


def _own_keys(path: Path, group: str) -> Iterator[NodeKey]:
    text = path.read_text(encoding="utf-8")
    if "@package _global_" not in text and "\ndefaults:" not in text:  # else its keys are explained elsewhere
        yield from _keys(text, group)


def _keys(text: str, group: str) -> Iterator[NodeKey]:
    above: list[str] = []
    for line in text.splitlines():
        match = _KEY.match(line)
        if not match or match["name"] == "type":
            continue
        above[len(match["indent"]) // 2 :] = [match["name"]]
        if match["value"]:
            yield NodeKey(".".join([group, *above] if group else above), match["value"], match["help"] or "")


def _first_comment(path: Path) -> str:
    with (
        contextlib.suppress(OSError),
        path.open(encoding="utf-8", errors="replace") as lines,
    ):  # reported once chosen
        for line in lines:
            if line.startswith("# ") and "@package" not in line:
                return line[2:].strip()
    return ""
