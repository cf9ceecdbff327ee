from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli import episode_tally
from envcli.episode_tally import EpisodeTally
from envcli.episodes import Episodes


@pytest.mark.parametrize("cuts", [[], [1], [10, 11, 50], list(range(1, 100))])
def test_pieces_give_the_numbers_of_the_whole(cuts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_tally, "_WINDOW", 7)
    generator = torch.Generator().manual_seed(1)
    done = torch.rand(3, 100, 1, generator=generator) < 0.2
    done[1, 60:] = False
    reward = torch.randint(-3, 9, (3, 100, 1), generator=generator).float()
    whole = TensorDict({"next": {"done": done, "reward": reward}}, batch_size=[3, 100])
    tally = EpisodeTally()
    for start, stop in zip([0, *cuts], [*cuts, 100], strict=True):
        tally.add(whole[:, start:stop])
    expected = {k: v for k, v in Episodes.of(whole).metrics().items() if not k.endswith("_quantiles")}
    assert tally.metrics() == expected, "all but what needs every episode"


def test_nothing_is_nothing() -> None:
    assert EpisodeTally().metrics()["episodes"] == 0
    assert EpisodeTally().metrics()["return_mean"] is None
