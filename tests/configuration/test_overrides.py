"""What becomes of the words before Hydra gets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from envcli.configuration.overrides import check
from envcli.configuration.reading import read
from envcli.errors import ConfigError
from envcli.folders.json_file import write_json


def checked(*words: str) -> list[str]:
    return check("rollout", words, multirun=False)


def test_added_choices_join_those_that_are_chosen() -> None:
    assert checked("transforms=[sign]", "+transforms=[clip]") == ["transforms=[sign,clip]"]
    assert checked("+transforms=[clip]") == ["+transforms=[clip]"], "beside a default they are Hydra's to add"


@pytest.mark.parametrize("words", [["transforms=[sign,clip,sign]"], ["transforms=[sign]", "+transforms=[sign]"]])
def test_a_choice_that_is_listed_twice_is_refused(words: list[str]) -> None:
    """Both would be the same node, and it would be applied once."""
    with pytest.raises(ConfigError, match=r"transforms: sign is listed twice, .* '\+transforms.sign_2={type: sign}'"):
        checked(*words)


@pytest.mark.parametrize("word", ["~transforms", "transforms=[]", "~outer_transforms"])
def test_who_wants_none_is_told_how(word: str) -> None:
    with pytest.raises(ConfigError, match=r"For none: (outer_)?transforms=none"):
        checked(word)


def test_an_empty_variable_of_the_shell_is_noticed() -> None:
    with pytest.raises(ConfigError, match=r"^replay: found nothing after the equals sign.* type: \"replay=''\"$"):
        check("rollout", ["replay="], multirun=False)
    assert check("rollout", ["replay=''"], multirun=False) == ["replay=''"]


def test_a_comma_in_a_path_divides_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c,d").mkdir()
    with pytest.raises(ConfigError, match=r"^replay: the comma in c,d divides values\. Type: \"replay='c,d'\"$"):
        checked("replay=c,d")
    with pytest.raises(ConfigError, match=r"^replay: found several values, c,e\. Add -m"):
        checked("replay=c,e")


def test_two_plus_signs_are_left_for_hydra_to_refuse() -> None:
    assert checked("transforms=[sign]", "++transforms=[clip]") == ["transforms=[sign]", "++transforms=[clip]"]


def test_a_list_of_envs_may_be_typed_with_plus_signs() -> None:
    words = ["parallel=serial", "++env_list=[cartpole,pendulum]"]
    assert list(read("rollout", words).envs) == ["cartpole", "pendulum"]


def test_a_file_may_take_the_place_of_one_that_the_replayed_run_was_given(tmp_path: Path) -> None:
    run = tmp_path / "it's"
    run.mkdir()
    write_json(run / "manifest.json", {"files": {"policy.path": {"sha256": "0" * 64, "path": None}}})
    replay = "replay='" + str(run).replace("'", "\\'") + "'"
    assert checked(replay, "policy.path=b.pt") == [replay, "++policy.path=b.pt"]
    with pytest.raises(ConfigError, match="replay runs exactly what was saved, so it takes no 'seed=3'"):
        checked(replay, "seed=3")
