"""The parts of an override are those that Hydra's own parser finds."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType

from envcli.override import Override, parsed

WORDS = [
    "seed=1",
    "backend.name=ALE/Pong-v5",
    "env=",
    "env=pendulum,cartpole",
    "+transforms=[sign,clip]",
    "++backend.options.render_mode=human",
    "transforms@outer_transforms=[sign]",
    "~transforms.resize",
    "~transforms@outer_transforms",
    "hydra/launcher=joblib",
    "hydra.run.dir='a=b, c@d'",
    "variant={max_steps: 10, transforms: [a,b]}",
    "seed=range(0,3)",
    "seed=choice(1,2)",
    "env=glob(p*)",
    "seed=[1,2],[3]",
    "a='b,c',d",
    'a="b,c"',
    "a='it\\'s, so'",
    "a= b c",
]

SIGNS = {OverrideType.CHANGE: "", OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++", OverrideType.DEL: "~"}


@pytest.mark.parametrize("word", WORDS)
def test_hydra_finds_the_same_parts(word: str) -> None:
    ours, theirs = Override.parse(word), OverridesParser.create().parse_override(word)
    assert (ours.sign, ours.key, ours.package) == (SIGNS[theirs.type], theirs.key_or_group, theirs.package)
    assert ours.is_sweep == theirs.is_sweep_override()
    if isinstance(theirs.value(), str):
        assert ours.unquoted == theirs.value()


@pytest.mark.parametrize(
    "word", [*WORDS, "", "=", "@", "a@=b", "~", "+", "a b", "--seed", "~a=b@c", "line\nbreak=a\nb"]
)
def test_the_parts_make_the_word_again(word: str) -> None:
    assert str(Override.parse(word)) == word


def test_spaces_around_a_key_are_no_part_of_it() -> None:
    assert Override.parse("seed =3") == Override.parse("seed=3")


def test_quotes_that_do_not_end_are_for_hydra_to_explain() -> None:
    assert Override.parse("replay='a").unquoted == "a"


def test_the_home_folder_may_be_typed_as_in_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    words = ["replay=~/a", "hydra.run.dir='~/a b'", 'to="~/a"', "a=~", "a=b/~/c", "~seed"]
    found = ["replay=/home/me/a", "hydra.run.dir='/home/me/a b'", 'to="/home/me/a"', *words[3:]]
    assert [str(override) for override in parsed(words)] == found
