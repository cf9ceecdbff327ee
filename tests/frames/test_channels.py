from __future__ import annotations

import pytest

from envcli.frames.channels import channels_last


@pytest.mark.parametrize("channels", [1, 3, 4, 6, 9, 12])
def test_the_channels_are_what_an_image_has_few_of(channels: int) -> None:
    assert channels_last([40, 30, channels])
    assert channels_last([2, 5, 40, 30, channels])
    assert not channels_last([channels, 40, 30])
    assert not channels_last([2, 5, channels, 40, 30])


def test_where_both_may_be_channels_they_are_first() -> None:
    assert not channels_last([3, 40, 3])
    assert not channels_last([4, 84, 1])
    assert not channels_last([84, 84, 84])
