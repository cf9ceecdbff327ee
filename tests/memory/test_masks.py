import numpy as np
import pytest

from envcli.memory.masks import all_of, any_of

MASKS = [
    np.array(True),
    np.array(False),
    np.zeros((0,), dtype=bool),
    np.array([False, True]),
    np.ones((2, 1), dtype=bool),
    np.zeros((2, 3), dtype=bool),
    np.eye(4, dtype=bool)[:, ::2],
]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: f"{mask.tolist()}")
def test_the_answers_are_those_of_numpy(mask):
    assert any_of(mask) is bool(mask.any())
    assert all_of(mask) is bool(mask.all())
