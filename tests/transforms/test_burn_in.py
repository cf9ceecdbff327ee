"""BurnInTransform: hidden states from the first steps."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.testing.toys import CountingEnv
from envcli.transforms.burn_in import BurnInTransform


def summing(x: str = "x", hidden: str = "hidden") -> TensorDictModule:
    """Its hidden state is the sum of all that it has seen, and of where it began."""
    return TensorDictModule(
        lambda value, begun: begun.select(-2, 0).unsqueeze(-2) + value.cumsum(-2), [x, hidden], [("next", hidden)]
    )


def data(*lead: int, steps: int = 6) -> TensorDict:
    x = torch.ones(*lead, steps, 1)
    return TensorDict({"x": x, "hidden": 10 * x}, batch_size=[*lead, steps])


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_the_rest_begins_with_what_the_modules_have_made_of_the_first_steps(lead: tuple[int, ...]) -> None:
    whole = data(*lead)
    rest = BurnInTransform(summing(), 4)(whole)
    assert rest.batch_size == (*lead, 2)
    assert rest["hidden"].flatten(0, -2).tolist() == [[14], [10]] * torch.Size(lead).numel()
    assert "next" not in rest
    assert torch.equal(whole["hidden"], data(*lead)["hidden"]), "what it is given stays as it is"
    assert "next" not in whole


def test_states_that_nobody_recorded_are_zeros_after_the_first() -> None:
    begun = TensorDictModule(lambda x: torch.zeros_like(x), ["x"], ["hidden"])
    given = data(2).exclude("hidden")
    assert BurnInTransform([begun, summing()], 3)(given)["hidden"].squeeze(-1).tolist() == [[3, 0, 0]] * 2


def test_several_modules_and_keys() -> None:
    given = data(2).set("other", torch.zeros(2, 6, 1))
    both = BurnInTransform([summing(), summing("hidden", "other")], 2)
    assert both.out_keys == ["hidden", "other"]
    assert both(given)["other"][:, 0].tolist() == [[20], [20]]
    one = BurnInTransform([summing(), summing("hidden", "other")], 2, out_keys=[("next", "hidden")])
    assert one.out_keys == ["hidden"]
    assert one(given)["other"].any().item() is False


def test_no_graph_is_kept_and_parameters_stay_their_owners() -> None:
    network = torch.nn.Linear(1, 1)
    module = TensorDictModule(lambda x: network(x), ["x"], [("next", "hidden")])
    transform = BurnInTransform(module, 1)
    assert not transform(data(2))["hidden"].requires_grad
    owner = TensorDictModule(network, ["x"], [("next", "hidden")])
    assert not list(BurnInTransform(owner, 1).parameters())
    wanted = network(torch.ones(1)).item()
    assert BurnInTransform(owner, 1)(data(2))["hidden"][0, 0].item() == pytest.approx(wanted)


def test_none_changes_nothing() -> None:
    whole = data(2)
    assert BurnInTransform(summing(), 0)(whole) is whole


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="burn_in: expected at least 0 steps, found -1"):
        BurnInTransform(summing(), -1)
    with pytest.raises(ConfigError, match="modules: expected TensorDictModules, found a Linear"):
        BurnInTransform([torch.nn.Linear(1, 1)], 1)
    with pytest.raises(TransformError, match=r"more than burn_in=6 steps, found \[2, 6\]"):
        BurnInTransform(summing(), 6)(data(2))
    with pytest.raises(TransformError, match=r"wrote no \('next', 'state'\) for 'state'"):
        BurnInTransform(summing(), 2, out_keys=["state"])(data(2))
    with pytest.raises(TransformError, match="an env shows one step at a time"):
        TransformedEnv(CountingEnv(), BurnInTransform(summing(), 2))
