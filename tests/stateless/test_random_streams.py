from __future__ import annotations

import pytest
import torch

from envcli.stateless.random_streams import RandomStreams

_GOLDEN, _LAST = 0x9E3779B97F4A7C15, 2**64 - 1


def mixed(bits: int) -> int:
    """SplitMix64's finalizer, in Python's own integers."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _LAST
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _LAST
    return bits ^ bits >> 31


def seeded(*seeds: int) -> RandomStreams:
    streams = RandomStreams(len(seeds))
    streams.seed(seeds)
    return streams


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 24), (torch.float64, 53)])
def test_numbers_are_those_of_splitmix64(dtype: torch.dtype, digits: int) -> None:
    assert mixed(1234567 + _GOLDEN & _LAST) == 6457827717110365317  # the first that its authors print for this seed
    for seed in (0, 3, 2**63, 2**64 + 3):
        first = mixed(seed * _GOLDEN & _LAST)
        expected = [(mixed(first + i * _GOLDEN & _LAST) >> 64 - digits) / 2**digits for i in range(1, 13)]
        streams = seeded(seed)
        assert torch.cat([streams.draw(2, dtype)[0] for _ in range(6)]).tolist() == expected


def test_a_stream_depends_on_its_seed_alone() -> None:
    many, one = seeded(5, 6, 7), seeded(6)
    for _ in range(10):
        many.draw(3, torch.float32, torch.tensor([0, 2]))
    drawn = [many.draw(3, torch.float32, torch.tensor([1]))[0] for _ in range(10)]
    assert torch.equal(torch.stack(drawn), torch.stack([one.draw(3, torch.float32)[0] for _ in range(10)]))


def test_a_stream_goes_on_where_it_was_whatever_is_drawn() -> None:
    streams, others = seeded(5, 6), seeded(5, 6)
    one = [streams.draw(1, torch.float32) for _ in range(5)]
    pair = streams.draw(2, torch.float32, torch.tensor([0]))
    plain = [others.draw(1, torch.float32) for _ in range(7)]
    assert torch.equal(torch.cat(one), torch.cat(plain[:5]))
    assert torch.equal(pair[0], torch.cat([plain[5][0], plain[6][0]]))
    streams.to(torch.device("cpu"))
    assert torch.equal(streams.draw(1, torch.float32, torch.tensor([1]))[0], plain[5][1])


def test_numbers_are_spread_evenly() -> None:
    streams = RandomStreams(4096)
    streams.seed(range(4096))
    drawn = torch.cat([streams.draw(4, torch.float32) for _ in range(10)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = torch.histc(drawn, 16, 0, 1)
    assert ((counts - counts.mean()).abs() < 5 * counts.mean().sqrt()).all()
    assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.02


def test_nobody_repeats_what_has_no_seed() -> None:
    one, other = RandomStreams(2), RandomStreams(2)
    assert not torch.equal(one.draw(4, torch.float64), other.draw(4, torch.float64))
