"""Random numbers of one env, which VMAS draws from the global generators."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
import torch

from envcli.vmas.chance import Chance
from envcli.vmas.library import vmas_library

if importlib.util.find_spec("vmas") is None:
    pytest.skip("vmas is not installed (extra vmas)", allow_module_level=True)

HOST = torch.device("cpu")


def draw(chance: Chance) -> tuple[float, float, float]:
    """One number of each generator, as a scenario draws them: within a call of VMAS's."""
    local_seed = vmas_library().simulator.environment.environment.local_seed
    shared = vmas_library().simulator.environment.Environment.vmas_random_state
    with chance.drawn(), local_seed(shared):
        return numbers()


def numbers() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_a_seed_gives_what_the_global_generators_would() -> None:
    chance = Chance(3, HOST)
    found = [draw(chance), draw(chance)]
    with torch.random.fork_rng():
        states = np.random.get_state(), random.getstate()
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        assert found == [numbers(), numbers()]
        np.random.set_state(states[0])
        random.setstate(states[1])
    chance.seed(3)
    assert draw(chance) == found[0]


def test_those_of_two_envs_have_nothing_to_do_with_each_other() -> None:
    one, other = Chance(1, HOST), Chance(2, HOST)
    alone = [draw(one) for _ in range(3)]
    one.seed(1)
    mixed = []
    for _ in range(3):
        mixed.append(draw(one))
        draw(other)
    assert mixed == alone
    assert draw(Chance(None, HOST)) != draw(Chance(None, HOST))


def test_nobody_else_notices() -> None:
    shared = vmas_library().simulator.environment.Environment.vmas_random_state
    lent, states = list(shared), (torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    draw(Chance(1, HOST))
    local_seed = vmas_library().simulator.environment.environment.local_seed
    with pytest.raises(ZeroDivisionError), Chance(1, HOST).drawn(), local_seed(shared):
        raise ZeroDivisionError(numbers())
    assert all(one is other for one, other in zip(shared, lent, strict=True))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
