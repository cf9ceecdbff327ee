"""OpenSpiel as a backend: the contract, OpenSpiel's own states bit for bit, and TorchRL's class of the same name."""

from __future__ import annotations

import importlib.util
import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.agent_groups import MarlGroupMapType
from envcli.backends.open_spiel import OpenSpielEnv, OpenSpielWrapper
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, EnvError, UnknownName
from envcli.make import make_env
from envcli.open_spiel.library import open_spiel_library
from envcli.specs import Bounded, Categorical, OneHot, Text, Unbounded
from envcli.testing import EnvContract
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.test_parallel_env import BatchContract
from tests.conftest import Command

if importlib.util.find_spec("pyspiel") is None:
    pytest.skip("open_spiel is not installed (extra open-spiel)", allow_module_level=True)

pyspiel = open_spiel_library()

TAKEN = "tic_tac_toe"
DEALT = "kuhn_poker"
AT_ONCE = "goofspiel"


def rollout(env: Env, steps: int = 40, seed: int = 0) -> TensorDictBase:
    env.set_seed(seed)
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


class TestTurns(EnvContract):
    def make_env(self) -> Env:
        return OpenSpielEnv(TAKEN)


class TestChance(EnvContract):
    def make_env(self) -> Env:
        return OpenSpielEnv(DEALT, group_map=None, categorical_actions=True, return_state=True, device="cpu")


class TestAtOnce(EnvContract):
    def make_env(self) -> Env:
        return OpenSpielEnv(AT_ONCE, num_cards=4)


class TestChanceThatIsHidden(EnvContract):
    def make_env(self) -> Env:
        return OpenSpielEnv("negotiation", categorical_actions=True)


class TestNothingToSee(EnvContract):
    def make_env(self) -> Env:
        return OpenSpielEnv("coin_game", episode_length=5)


class TestSeveral(BatchContract):
    def make_env(self) -> Env:
        return SerialEnv(3, partial(OpenSpielEnv, DEALT, return_state=True))


class TestTransformed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(OpenSpielEnv("leduc_poker"), StepCounter(max_steps=4))


# -- what there is ----------------------------------------------------------------------------------------------------


def test_entries_are_stacked_by_group() -> None:
    env = OpenSpielEnv(DEALT, return_state=True)
    assert env.group_map == {"agents": ["player_0", "player_1"]}
    assert env.agent_names_to_indices_map == {"player_0": 0, "player_1": 1}
    assert (env.parallel, env.has_observation, env.has_information_state) == (False, True, True)
    shown = env.rand_step(env.reset())
    assert {key: tuple(shown["next"][key].shape) for key in shown["next"].keys(True, True)} == {
        ("agents", "observation"): (2, 7),
        ("agents", "information_state"): (2, 11),
        ("agents", "action_mask"): (2, 2),
        ("agents", "reward"): (2, 1),
        "current_player": (),
        "state": (256,),
        "done": (1,),
        "terminated": (1,),
    }
    assert shown["agents"].batch_size == (2,)
    observation, action = env.full_observation_spec, env.full_action_spec
    assert isinstance(observation["agents", "observation"], Unbounded)
    assert isinstance(observation["agents", "action_mask"], Categorical)
    assert isinstance(observation["state"], Text)
    assert observation["current_player"] == Bounded(-4, 1, (), dtype=torch.int32)
    assert action["agents", "action"] == OneHot(2, [2, 2])
    assert OpenSpielEnv(TAKEN, categorical_actions=True).full_action_spec["agents", "action"] == Categorical(9, [2])


def test_players_are_grouped() -> None:
    each = OpenSpielEnv(DEALT, group_map=MarlGroupMapType.ONE_GROUP_PER_AGENT)
    assert (
        each.group_map
        == {"player_0": ["player_0"], "player_1": ["player_1"]}
        == OpenSpielEnv(DEALT, group_map=None).group_map
    )
    teams = OpenSpielEnv(DEALT, players=3, group_map={"b": ["player_2", "player_0"], "a": ["player_1"]})
    data, together = rollout(teams), rollout(OpenSpielEnv(DEALT, players=3))
    seen = ("next", "agents", "information_state")
    # other actions are drawn, for groups are drawn one after the other; the first deal is the same
    assert torch.equal(data["b", "information_state"][0], together["agents", "information_state"][0, [2, 0]])
    assert together[seen].shape == (40, 3, len(data["a", "information_state"][0, 0]))


# -- OpenSpiel's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "game", [TAKEN, DEALT, "connect_four", "backgammon", "hex(board_size=4)", AT_ONCE, "2048", "oware"]
)
def test_values_are_those_of_openspiels_states(game: str) -> None:
    env = OpenSpielEnv(game, categorical_actions=True, return_state=True, state_length=20_000)
    data = rollout(env, 60, seed=3)
    native = pyspiel.load_game(game)
    kind, players = native.get_type(), range(native.num_players())
    text = env.observation_spec["state"].to_numpy
    for t in range(60):
        for row in (data[t], data[t]["next"]):
            state = native.deserialize_state(text(row["state"]))
            assert not state.is_chance_node()
            assert row["current_player"] == state.current_player()
            assert row["done"].item() == state.is_terminal()
            for p in players:
                seen = row["agents"][p]
                if kind.provides_observation_tensor:
                    np.testing.assert_array_equal(seen["observation"].flatten(), state.observation_tensor(p))
                if kind.provides_information_state_tensor:
                    np.testing.assert_array_equal(
                        seen["information_state"].flatten(), state.information_state_tensor(p)
                    )
                legal = [] if state.is_terminal() else state.legal_actions(p)
                mask = seen["action_mask"]
                assert mask.nonzero().flatten().tolist() == (legal or list(range(len(mask))))
        before = native.deserialize_state(text(data[t]["state"]))
        after = native.deserialize_state(text(data[t]["next", "state"]))
        acted = data[t]["agents", "action"].tolist()
        if before.is_simultaneous_node():
            before.apply_actions([a if before.legal_actions(p) else 0 for p, a in enumerate(acted)])
        else:
            before.apply_action(acted[before.current_player()])
        assert after.history()[: len(before.history())] == before.history()
        earned = data[t]["next", "agents", "reward"].flatten().tolist()
        np.testing.assert_allclose(earned, np.subtract(after.returns(), _returns(native, text(data[t]["state"]))))


def _returns(game: Any, text: str) -> Any:
    return game.deserialize_state(text).returns()


def test_rewards_add_up_to_the_returns() -> None:
    """Where ``state.rewards()`` says it twice, since chance moves after the player."""
    env = OpenSpielEnv("2048")
    data = rollout(env, 100)
    assert not data["next", "done"].any()
    assert data["next", "agents", "reward"].sum().item() == env.returns()[0] > 0


# -- chance -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", [DEALT, "backgammon", "negotiation", "tarok", "deep_sea"])
def test_the_same_seed_gives_the_same_bits(game: str) -> None:
    one, other, third = (OpenSpielEnv(game) for _ in range(3))
    data = rollout(one, seed=5)
    assert (data == rollout(other, seed=5)).all()
    assert (data == rollout(one, seed=5)).all()
    if game != "deep_sea":  # whose chances may all be one
        assert not (data == rollout(third, seed=6)).all()


def test_chance_leaves_the_global_generators_alone() -> None:
    np.random.seed(0)
    random.seed(0)
    before = np.random.get_state()[1].copy(), random.getstate()
    rollout(OpenSpielEnv("backgammon"))
    assert (np.random.get_state()[1] == before[0]).all()
    assert random.getstate() == before[1]


def test_chance_is_as_the_game_says() -> None:
    env = OpenSpielEnv(DEALT, return_state=True)
    env.set_seed(0)
    text = env.observation_spec["state"].to_numpy
    dealt = [text(env.reset()["state"]) for _ in range(3000)]
    assert {deal: dealt.count(deal) for deal in sorted(set(dealt))} == pytest.approx(
        {f"{a}\n{b}\n": 500 for a in range(3) for b in range(3) if a != b}, abs=80
    )


def test_processes_play_the_same_games() -> None:
    with ParallelEnv(3, partial(OpenSpielEnv, DEALT)) as env:
        data = rollout(env, 12)
    assert (data == rollout(SerialEnv(3, partial(OpenSpielEnv, DEALT)), 12)).all()


# -- actions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("categorical", [False, True])
def test_an_illegal_action_is_refused_before_anything_moves(categorical: bool) -> None:
    env = OpenSpielEnv(TAKEN, categorical_actions=categorical)
    spec = env.full_action_spec["agents", "action"]
    td = env.step_mdp(env.step(env.reset().set(("agents", "action"), spec.encode(np.array([4, 0])))))
    assert td["current_player"] == 1
    with pytest.raises(ActionError, match="action"):
        env.step(td.clone().set(("agents", "action"), spec.encode(np.array([0, 4]))))
    after = env.step(td.set(("agents", "action"), spec.encode(np.array([4, 0]))))  # that of player_0 is not looked at
    assert after["next", "current_player"] == 0
    assert env.history() == [4, 0]


def test_after_the_end_nothing_moves_and_nobody_is_paid() -> None:
    env = OpenSpielEnv(TAKEN, categorical_actions=True)
    td = env.reset()
    for action in (0, 3, 1, 4, 2):
        td = env.step(td.set(("agents", "action"), torch.tensor([action, action])))
        last, td = td["next"], env.step_mdp(td)
    assert last["agents", "reward"].flatten().tolist() == [1, -1]
    assert last["terminated"].item()
    assert last["current_player"] == -4
    assert last["agents", "action_mask"].all()
    again = env.step(td.set(("agents", "action"), torch.tensor([0, 0])))["next"]
    assert again["agents", "reward"].flatten().tolist() == [0, 0]
    assert again["done"].item()
    assert torch.equal(again["agents", "observation"], last["agents", "observation"])


# -- states -----------------------------------------------------------------------------------------------------------


def test_a_reset_goes_on_from_a_given_state() -> None:
    env = OpenSpielEnv("backgammon", return_state=True)
    data = rollout(env, 7)
    kept = data[-1]["next"]
    rollout(env, 5, seed=1)
    del kept["agents", "reward"]
    assert (env.reset(kept.clone()) == kept).all()
    assert env.serialize() == env.observation_spec["state"].to_numpy(kept["state"])
    onward = env.rollout(3, tensordict=kept)
    assert torch.equal(onward[0]["state"], kept["state"])


def test_a_state_that_is_over_and_a_marked_reset_begin_anew() -> None:
    env = OpenSpielEnv(TAKEN, return_state=True)
    data = rollout(env, 12)
    over = data[data["next", "done"].flatten()][0]["next"]
    new = env.reset()["state"]
    assert torch.equal(env.reset(over.clone())["state"], new)
    assert not env.reset(over.clone())["done"].any()
    midway = env.step_mdp(env.rand_step(env.reset()))
    assert torch.equal(env.reset(midway.clone())["state"], midway["state"])
    assert torch.equal(env.reset(midway.clone().set("_reset", torch.ones(1, dtype=torch.bool)))["state"], new)
    assert OpenSpielEnv(TAKEN).reset(midway)["current_player"] == 0  # nobody has asked it for states


def test_states_go_through_batches_and_transforms() -> None:
    env = TransformedEnv(SerialEnv(2, partial(OpenSpielEnv, DEALT, return_state=True)), StepCounter())
    td = env.step_mdp(env.rand_step(env.reset()))
    kept = td["state"].clone()
    assert torch.equal(env.reset(TensorDict({"state": kept}, [2]))["state"], kept)


def test_a_wrong_state_is_explained() -> None:
    env = OpenSpielEnv(TAKEN, return_state=True)
    wrong = TensorDict({"state": env.observation_spec["state"].encode("zzz")})
    with pytest.raises(ConfigError, match="reset: 'state' is no state of tic_tac_toe: ValueError"):
        env.reset(wrong)
    with pytest.raises(EnvError, match=r"state: expected at most 4 bytes.*state_length"):
        OpenSpielEnv(TAKEN, return_state=True, state_length=4).rollout(9)


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(OpenSpielEnv, DEALT, frame_skip=2), "frame_skip: players of a game take turns"),
        (partial(OpenSpielEnv, DEALT, from_pixels=True), "from_pixels: OpenSpiel draws no frames"),
        (partial(OpenSpielEnv, DEALT, batch_size=[2]), "batch_size"),
        (partial(OpenSpielEnv, DEALT, group_map="by_colour"), "group_map: found 'by_colour'"),
        (partial(OpenSpielEnv, DEALT, group_map={"state": ["player_0"]}), "player_1"),
        (partial(OpenSpielWrapper, "chess"), r"expected a pyspiel\.State, found builtins\.str"),
        (partial(OpenSpielEnv, DEALT, return_state=True, state_length=0), "state_length"),
        (lambda: OpenSpielEnv(DEALT).reset(speed=3), "OpenSpiel takes no options, found speed"),
        (lambda: OpenSpielWrapper(pyspiel.load_game("mfg_garnet").new_initial_state()), "is a mean-field game"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# -- the other doors --------------------------------------------------------------------------------------------------


def test_wrapper_is_the_game_of_a_state() -> None:
    state = pyspiel.load_game("hex(board_size=3)").new_initial_state()
    state.apply_action(0)
    env = OpenSpielWrapper(state)
    assert (rollout(env) == rollout(OpenSpielEnv("hex", parameters={"board_size": 3}))).all()
    assert repr(env).startswith("OpenSpielWrapper(env=hex(board_size=3)")
    assert OpenSpielEnv("hex", board_size=3).game_string == "hex"


def test_episodes_count_beside_transforms() -> None:
    reward = ("agents", "reward")
    env = TransformedEnv(OpenSpielEnv(TAKEN), Compose(StepCounter(), RewardSum([reward], [("agents", "sum")])))
    data = rollout(env)
    over = data["next", "done"].flatten()
    assert torch.equal(data["next", "agents", "sum"][over], data["next", "agents", "reward"][over])
    assert set(data["next", "step_count"][over].flatten().tolist()) <= {5, 6, 7, 8, 9}


def test_from_yaml(cli: Command) -> None:
    env = make_env("env=kuhn_poker", "backend.options.players=3", "backend.group_map=one_group_per_agent")
    assert list(env.group_map) == ["player_0", "player_1", "player_2"]
    done = cli("rollout", "env=tic_tac_toe", "max_steps=20", "seed=1", "backend.categorical_actions=true")
    assert done.code == 0, done.err
    done = cli("list", "open_spiel")
    assert "2 to 10 players, chance" in done.out
    assert "needs options: game" in done.out
    assert "mfg_" not in done.out
    with pytest.raises(UnknownName, match=r"no game of OpenSpiel 'chess2'\. Did you mean 'chess'"):
        make_env("backend=open_spiel", "backend.name=chess2")


# -- TorchRL ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # TorchRL's own
@pytest.mark.parametrize("game", [TAKEN, "connect_four", "breakthrough", "dark_hex", "matrix_pd"])
@pytest.mark.parametrize("categorical", [False, True])
def test_values_are_those_of_torchrl(game: str, categorical: bool) -> None:
    theirs = pytest.importorskip("torchrl.envs", reason="torchrl is not installed (extra peers)")
    ours, peer = (kind(game, categorical_actions=categorical) for kind in (OpenSpielEnv, theirs.OpenSpielEnv))
    assert ours.group_map == peer.group_map
    one, other = ours.reset(), peer.reset()
    for _ in range(30):
        require_all_of(other, one)
        if one["done"].any():
            break
        action = ours.rand_action(one)["agents", "action"]
        other["agents", "action"] = action.to(peer.full_action_spec["agents", "action"].dtype)
        stepped, their_step = ours.step(one), peer.step(other)
        require_all_of(their_step["next"], stepped["next"])
        one, other = ours.step_mdp(stepped), peer.step_mdp(their_step)


def require_all_of(theirs: TensorDictBase, ours: TensorDictBase) -> None:
    for key in theirs.keys(True, True):
        if key in ours.keys(True, True):
            assert torch.equal(ours[key], theirs[key]), key
        else:
            assert key == ("agents", "action")
