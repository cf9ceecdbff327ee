"""Text: texts as bytes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import Bounded, BoundedDiscrete, Text


def test_what_it_is() -> None:
    spec = Text(8)
    assert (spec.shape, spec.dtype, spec.domain, spec.length) == ((8,), torch.uint8, "discrete", 8)
    assert Text(shape=(2, 8)) == Text(8, (2, 8)) == spec.expand(2, 8)
    assert isinstance(spec, Bounded)
    assert "Text(" in repr(spec)
    assert spec.in_words() == "uint8 [8], text in UTF-8"


@pytest.mark.parametrize(("length", "shape"), [(None, None), (None, ()), (3, (2,))])
def test_it_must_have_a_length(length: int | None, shape: tuple[int, ...] | None) -> None:
    with pytest.raises(SpecError, match="needs a length"):
        Text(length, shape)


@pytest.mark.parametrize("text", ["", "go left", "gehe über", "\N{PILE OF POO}!"])
def test_there_and_back(text: str) -> None:
    spec = Text(10)
    encoded = spec.encode(text)
    assert spec.is_in(encoded)
    assert bytes(encoded.tolist()) == text.encode().ljust(10, b"\0")
    assert spec.to_numpy(encoded) == text


def test_batches() -> None:
    spec = Text(4, (2, 4))
    encoded = spec.encode(["a", "bcde"])
    assert encoded.tolist() == [[97, 0, 0, 0], [98, 99, 100, 101]]
    assert spec.to_numpy(encoded).tolist() == ["a", "bcde"]
    assert spec.to_numpy(torch.stack([encoded, encoded])).tolist() == [["a", "bcde"], ["a", "bcde"]]
    assert torch.equal(spec.encode(np.array(["a", "bcde"], object)), encoded)
    assert torch.equal(spec.encode(encoded), encoded)
    with pytest.raises(SpecError):
        spec.encode("a")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SpecError, match="expected at most 4 bytes of text, found 5: 'gehen'"):
        Text(4).encode("gehen")
    with pytest.raises(SpecError, match=r"found 60: 'xxxxx.*\.\.\.'"):
        Text(4).encode("x" * 60)
    with pytest.raises(SpecError, match="shape"):
        Text(4).to_numpy(torch.zeros(3, dtype=torch.uint8))


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Text(2).to_numpy(torch.tensor([0xFF, 65], dtype=torch.uint8)) == "\N{REPLACEMENT CHARACTER}A"


def test_draws_can_be_read() -> None:
    torch.manual_seed(0)
    spec = Text(3, (2, 3))
    draws = spec.rand((200,))
    assert draws.shape == (200, 2, 3)
    texts = spec.to_numpy(draws)
    assert texts.shape == (200, 2)
    assert {len(text) for text in texts.ravel()} == {0, 1, 2, 3}
    assert all(text.isprintable() for text in texts.ravel())


def test_moves_keep_it_where_the_length_stays() -> None:
    spec = Text(4, (3, 4))
    for same in (
        spec[0],
        spec.expand(2, 3, 4),
        spec.unsqueeze(0),
        spec.to("cpu"),
        spec.clone(),
        torch.stack([spec] * 2),
    ):
        assert type(same) is Text
        assert same.length == 4
    assert pickle.loads(pickle.dumps(spec)) == spec
    for other in (spec[:, :2], spec.to(torch.int64), spec.flatten(0, 1)):
        assert type(other) is BoundedDiscrete
    assert type(spec.to(torch.float32)).__name__ == "BoundedContinuous"
