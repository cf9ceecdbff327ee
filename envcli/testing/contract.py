"""The contract that every env keeps: checked on any env, and inherited by every env's test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.errors import ClosedError, ContractError
from envcli.testing.promises import PROMISES, Promise, rollouts_begin_there
from envcli.testing.trials import learnt, started

__all__ = ["EnvContract", "Finding", "check_env", "check_env_specs"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    ``message`` says what the env promises where it ``passed``, and what was seen instead where it did not; ``error`` is
    what was raised then, with whatever was noted on its way. ``unseen`` says why a part of what ``passed`` was not
    seen, such as what follows the end of an episode where none ended; None if all was.
    """

    name: str
    passed: bool
    message: str
    error: Exception | None = None
    unseen: str | None = None


def check_env(env: Env) -> list[Finding]:
    """Try every promise that an env makes. The env is reset, stepped and seeded, and left open.

    Nothing is raised: what goes wrong in a check, whatever it is, is its finding. Random actions come from torch's
    global generator, whose state is put back at the end.
    """
    with _undone(env):
        return [_tried(env, name, promise) for name, promise in PROMISES.items()]


def check_env_specs(
    env: Env,
    return_contiguous: bool | None = None,
    check_dtype: bool = True,
    seed: int | None = None,
    tensordict: TensorDictBase | None = None,
    break_when_any_done: bool | str | None = None,
) -> None:
    """:func:`check_env` by TorchRL's name, for use in a test of one's own.

    It is stricter than TorchRL's, which compares the keys, shapes and dtypes of one rollout of three steps with the
    specs. Here an env must also refuse actions outside its spec, before anything moves; repeat itself for a seed, and
    give back the seed that follows; leave alone what it has handed out and what it is given; reset those alone that
    ``"_reset"`` names; and make in ``rollout`` what ``reset`` and ``step`` make. See :mod:`envcli.testing.promises`.

    Args:
        env: it is reset, stepped and seeded, and left open.
        seed: of the env and of random actions; None: whatever torch's global generator draws.
        tensordict: where a rollout begins, without a reset, that is tried besides. It is not changed.
        return_contiguous, check_dtype, break_when_any_done: taken for TorchRL's sake, and without a meaning: rollouts
            are contiguous, dtypes are always compared, and rollouts that stop at ``done`` and that go on are both made.

    Raises:
        ContractError: a promise is broken. It is an AssertionError too, and names all that are.
    """
    promises = dict(PROMISES)
    if tensordict is not None:
        promises["rollouts begin there"] = partial(rollouts_begin_there, tensordict=tensordict)
    with _undone(env):
        if seed is not None:
            torch.manual_seed(seed)
            env.set_seed(seed)
        findings = [_tried(env, name, promise) for name, promise in promises.items()]
    broken = [finding for finding in findings if not finding.passed]
    if broken:
        found = [f"{finding.name}: {finding.message}" for finding in broken]
        listed = f" {found[0]}" if len(found) == 1 else "".join(f"\n- {line}" for line in found)
        raise ContractError(
            f"{type(env).__name__} breaks {len(broken)} of {len(promises)} promises:{listed}"
        ) from broken[0].error


@contextmanager
def _undone(env: Env) -> Iterator[None]:
    """Torch's global generators, of the host and of the env's device, and what the env has learnt, as they were."""
    device, known = env.device, learnt(env)
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        yield
    if known and not env.is_closed:
        env.load_state_dict(known)


def _tried(env: Env, name: str, promise: Promise) -> Finding:
    try:
        unseen = promise(env)
    except Exception as error:  # whatever a foreign simulator raises is what we came to find
        kind = "" if isinstance(error, ContractError) else f"{type(error).__name__}: "
        return Finding(name, False, f"{kind}{error}", error)
    return Finding(name, True, promise.__doc__ or "", unseen=unseen)


class EnvContract:
    """A mix-in for the test of an env: write ``make_env``, and inherit what every env must do.

    A test framework that collects ``test_*`` methods finds them here; nothing of it is imported.
    """

    def make_env(self) -> Env:
        """A new env, which the test closes."""
        raise NotImplementedError(f"{type(self).__name__} must say which env it tests: def make_env(self) -> Env")

    def test_keeps_every_promise(self) -> None:
        """See :mod:`envcli.testing.promises`."""
        with self.make_env() as env:
            check_env_specs(env)

    def test_close_is_safe_twice(self) -> None:
        """And says so where it is asked to."""
        env = self.make_env()
        env.reset()
        env.close()
        env.close()
        assert env.is_closed
        _assert_closed(lambda: env.close(raise_if_closed=True))

    def test_use_after_close_is_refused(self) -> None:
        """With a ClosedError, whatever is asked for."""
        env = self.make_env()
        action = env.rand_action(env.reset())
        env.close()
        for use in (
            env.reset,
            lambda: env.step(action),
            env.rand_step,
            lambda: env.rollout(2),
            lambda: env.set_seed(0),
        ):
            _assert_closed(use)

    def test_with_closes(self) -> None:
        """Also when something is raised inside."""
        with self.make_env() as env:
            assert not env.is_closed
        assert env.is_closed

    def test_two_envs_share_nothing(self) -> None:
        """Stepping one does not move the other."""
        with self.make_env() as one, self.make_env() as other, torch.random.fork_rng():
            runs, known = [], learnt(one)
            for disturbed in (False, True):
                torch.manual_seed(0)
                state, action = started(one, known, seed=1), one.rand_action()
                if disturbed:
                    other.set_seed(2)
                    other.rollout(3)
                runs.append(one.step(state.update(action)))
            assert (runs[0] == runs[1]).all()

    def test_repr_says_what_it_is(self) -> None:
        """By the name of its class and its shape."""
        with self.make_env() as env:
            assert repr(env).startswith(type(env).__name__)


def _assert_closed(use: object) -> None:
    assert callable(use)
    try:
        use()
    except ClosedError:
        return
    raise AssertionError("expected a ClosedError")
