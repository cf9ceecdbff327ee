"""The entries of one row, from the specs of each family."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.rows.row_layout import group_parts, leaf_layout, row_layout
from envcli.specs import Composite, Unbounded

NOTHING = Composite()


def specs(**families: Composite) -> dict[str, Composite]:
    return {family: families.get(family, NOTHING) for family in ("observation", "action", "reward", "done", "state")}


def test_the_root_comes_first_and_then_next() -> None:
    seen, deed, pay = Composite(seen=Unbounded(3)), Composite(deed=Unbounded(2)), Composite(pay=Unbounded(1))
    layout = row_layout(specs(observation=seen, action=deed, reward=pay), "Mine")
    assert list(layout) == [("seen",), ("deed",), ("next", "seen"), ("next", "pay")]
    assert layout["next", "seen"] == (torch.Size([3]), torch.float32) == leaf_layout(seen)["seen",]


@pytest.mark.parametrize("name", ["same", "next"])
def test_an_entry_belongs_to_one_family(name: str) -> None:
    with pytest.raises(SpecError, match=f"Mine: '{name}' is the name of .* cannot be that of the (action|observation)"):
        row_layout(specs(observation=Composite({name: Unbounded(1)}), action=Composite({name: Unbounded(1)})), "Mine")


def test_a_group_counts_what_all_its_leaves_begin_with() -> None:
    agents = Composite(agents=Composite(seen=Unbounded((2, 3, 4)), shape=(2, 3)), shape=(2,))
    pay = Composite(agents=Composite(pay=Unbounded((2, 3, 1)), shape=(2,)), shape=(2,))
    assert group_parts(specs(observation=agents, reward=pay), 1) == {("agents",): torch.Size([3])}
    assert group_parts(specs(observation=Composite(seen=Unbounded(3))), 0) == {}
