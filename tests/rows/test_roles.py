from __future__ import annotations

from envcli.rows.roles import Roles


def test_a_stage_knows_roles_by_their_new_names_and_those_of_its_transform() -> None:
    before = Roles(
        recurrent={("hidden",), ("other",)}, reset_markers={("is_init",)}, cumulative_rewards={("reward_sum",)}
    )
    added = Roles(recurrent={("state",)}, cumulative_rewards={("lives",)})
    found = before.behind({("hidden",): ("net", "hidden"), ("reward_sum",): ("return",)}, added)
    assert found.recurrent == {("net", "hidden"), ("other",), ("state",)}
    assert found.reset_markers == {("is_init",)}
    assert found.cumulative_rewards == {("return",), ("lives",)}


def test_it_is_told_nothing_of_what_the_whole_chain_answers_for() -> None:
    before = Roles(reads={("a",)}, writes_back={("b",)}, hidden_states={("c",)}, masks={("action",): ("mask",)})
    assert before.behind({}, before) == Roles()


def test_reading_more_changes_nothing_else() -> None:
    roles = Roles(reads={("a",)}, reset_markers={("is_init",)})
    assert roles.reading({("a",), ("b",)}) == Roles(reads={("a",), ("b",)}, reset_markers={("is_init",)})
    assert roles.reads == {("a",)}
