"""An override, ``key=value``: one word that changes the configuration, in its parts.

The parts are found by their marks alone, because importing Hydra's parser takes 0.3 s and typing mistakes are answered
without it. What a value means is still Hydra's to say: :attr:`Override.unquoted` asks its parser.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Override", "parsed"]

_PARTS = re.compile(
    r"(?P<sign>\+\+|\+|~|)(?P<key>[^=@]*)(@(?P<package>[^=]*))?(=(?P<value>.*))?",
    re.DOTALL,
)
_HOME = re.compile(r"^(['\"]?)~(?=/)")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_SWEEP = re.compile(r"(range|choice|glob|interval|shuffle|sort|tag)\(")


@dataclass(frozen=True)
class Override:
    """One override in its parts; ``str`` puts them together again.

    Attributes:
        sign: ``"+"`` adds, ``"++"`` adds or changes, ``"~"`` removes, ``""`` changes.
        key: a key such as ``seed`` or ``backend.name``, or a group such as ``env``.
        package: the place that a group is put instead of its own, after ``@``; None without.
        value: the text after the first ``=``; None without.
    """

    sign: str
    key: str
    package: str | None = None
    value: str | None = None

    @classmethod
    def parse(cls, word: str) -> Override:
        """The parts of ``word``; any word has some. ``~/`` is the home folder, which no shell puts after an ``=``.

        >>> Override.parse("+transforms@outer_transforms=[sign]")
        Override(sign='+', key='transforms', package='outer_transforms', value='[sign]')
        >>> Override.parse("~transforms.resize")
        Override(sign='~', key='transforms.resize', package=None, value=None)
        """
        match = _PARTS.fullmatch(word)
        assert match is not None  # every part is optional
        value = match["value"] and _HOME.sub(lambda at: at[1] + os.path.expanduser("~"), match["value"])
        return cls(match["sign"], match["key"].strip(), match["package"], value)

    def __str__(self) -> str:
        package = "" if self.package is None else f"@{self.package}"
        value = "" if self.value is None else f"={self.value}"
        return f"{self.sign}{self.key}{package}{value}"

    @property
    def head(self) -> str:
        """The first name of the key: ``backend`` of ``backend.name``."""
        return self.key.partition(".")[0]

    @property
    def removes(self) -> bool:
        """Whether it takes something out of the configuration."""
        return self.sign == "~"

    @property
    def text(self) -> str:
        """The value as it was typed, empty if there is none."""
        return self.value or ""

    @property
    def is_about_hydra(self) -> bool:
        """Whether it is about Hydra's own part of the configuration.

        >>> [one.is_about_hydra for one in parsed(["hydra.run.dir=a", "~hydra/launcher", "hydrant=1"])]
        [True, True, False]
        """
        return re.split("[./]", self.key)[0] == "hydra"

    @property
    def is_sweep(self) -> bool:
        """Whether Hydra would run a job for each of several values.

        >>> [one.is_sweep for one in parsed(["a=1,2", "a=range(0,3)", "a=[[1,2],3]", "a='a,b'"])]
        [True, True, False, False]
        """
        if self.is_function:
            return True
        plain, found = _QUOTED.sub("", self.text), 1
        while found:  # from the innermost brackets outwards
            plain, found = re.subn(r"\[[^][]*\]|\{[^}{]*\}|\([^)(]*\)", "", plain)
        return "," in plain

    @property
    def is_function(self) -> bool:
        """Whether the values of a sweep are given by one of Hydra's functions, such as ``range(0,3)``."""
        return _SWEEP.match(self.text) is not None

    @property
    def unquoted(self) -> str:
        """The value without the quotes and the escapes in which Hydra takes it.

        >>> Override.parse("replay='it\\\\'s'").unquoted, Override.parse("replay=outputs/1").unquoted
        ("it's", 'outputs/1')
        """
        text = self.text.strip()
        if text[:1] not in {"'", '"'}:
            return text
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from hydra.errors import HydraException

        try:
            return str(OverridesParser.create().parse_override(f"key={text}").value())
        except HydraException:  # Hydra says what is wrong with it
            return text.strip("'\"")

    @property
    def readable(self) -> Override:
        """The same with quotes around what is not ASCII, which Hydra reads nowhere else.

        >>> [str(one.readable) for one in parsed(["replay=josé/a b", "a=[ü, b],'ö'", "a={b: ü}", "a=b", "a=it's ü"])]
        ["replay='josé/a b'", "a=['ü', b],'ö'", "a={b: 'ü'}", 'a=b', "a=it's ü"]
        """
        text = self.text
        if text.isascii() or "${" in text or re.search(r"['\"\\]", _QUOTED.sub("", text)):
            return self
        between = r"[^\[\]{}(),:\s][^\[\]{}(),:]*" if text.startswith("{") else r"[^\[\]{}(),\s][^\[\]{}(),]*"

        def quoted(match: re.Match[str]) -> str:
            part = match[0].rstrip()
            return match[0] if part[0] in "'\"" or part.isascii() else f"'{part}'{match[0][len(part) :]}"

        return replace(self, value=re.sub(rf"{_QUOTED.pattern}|{between}", quoted, text))


def parsed(words: Iterable[str]) -> list[Override]:
    """Each of ``words`` in its parts.

    >>> [override.key for override in parsed(["seed=1", "+parallel.num_envs=2"])]
    ['seed', 'parallel.num_envs']
    """
    return [Override.parse(word) for word in words]
