"""Makes envs that share what is to be shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.memory.mapped import mapped, open_mapped
from envcli.memory.shared_lock import SharedLock
from envcli.transforms.running_norm import RunningNorm
from envcli.transforms.transform import Transform

__all__ = ["EnvCreator", "env_creator"]


class EnvCreator:
    """Calls ``create_env_fn``, and gives every env it makes, in whatever process, the same running statistics.

    One env is built at once, and closed again: what its ``VecNorm`` s and ``VecNormV2`` s keep moves to shared memory,
    and is what ``state_dict()`` shows. Every update is made under a lock that is let go of when its holder dies. What
    counts: each reset and each step of each env; three envs that make five steps each count 3 * (1 + 5) = 18. In which
    order several workers update is not determined, and so neither are the last bits of what they show.

    Args:
        create_env_fn: makes an env, alike each time.
        create_env_kwargs: arguments for it, by name.
        share_memory: False: share nothing.
        kwargs: more of them; ``create_env_kwargs`` go before.

    >>> from envcli import EnvCreator, GymEnv, SerialEnv, TransformedEnv, VecNorm
    >>> make = EnvCreator(lambda: TransformedEnv(GymEnv("CartPole-v1"), VecNorm(decay=1.0)))
    >>> with SerialEnv(3, make) as env:
    ...     steps = env.rollout(5)
    >>> make.state_dict()["_extra_state"]["td"]["observation_count"]
    tensor([18.], dtype=torch.float64)
    """

    def __init__(
        self,
        create_env_fn: Callable[..., Env],
        create_env_kwargs: Mapping[str, Any] | None = None,
        share_memory: bool = True,
        **kwargs: Any,
    ) -> None:
        self.create_env_fn = create_env_fn
        self.create_env_kwargs = {**kwargs, **(create_env_kwargs or {})}
        self._lock = SharedLock()
        self._first = self.create_env_fn(**self.create_env_kwargs)
        norms = list(_norms(self._first)) if share_memory else []
        self._shared = [norm.shared_statistics() for norm in norms]
        for norm in norms:
            norm.lock = self._lock
        self._first.close()

    def __call__(self, **kwargs: Any) -> Env:
        """A new env; ``kwargs`` go before ``create_env_kwargs``.

        Raises:
            EnvError: it is not like the first one.
        """
        env = self.create_env_fn(**{**self.create_env_kwargs, **kwargs})
        norms = list(_norms(env)) if self._shared else []
        if len(norms) != len(self._shared):
            env.close()
            raise EnvError(f"EnvCreator: found {len(norms)} VecNorms, expected {len(self._shared)} as in the first env")
        for norm, sums in zip(norms, self._shared, strict=True):
            norm.adopt(sums)
            norm.lock = self._lock
        return env

    def state_dict(self) -> dict[str, Any]:
        """That of the envs: the shared tensors themselves, which may be changed in place."""
        return self._first.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """From :meth:`state_dict`; all envs see it at once."""
        self._first.load_state_dict(state_dict, strict=strict)

    def make_variant(self, **kwargs: Any) -> EnvCreator:
        """Another one of the same function, with ``kwargs`` before those of this one; it shares nothing with it."""
        return EnvCreator(self.create_env_fn, {**self.create_env_kwargs, **kwargs}, bool(self._shared))

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: where the sums are, not what they are; and nothing of the first env."""
        shared = [{name: mapped(tensor) for name, tensor in sums.items()} for sums in self._shared]
        return {
            "create_env_fn": self.create_env_fn,
            "create_env_kwargs": self.create_env_kwargs,
            "_lock": self._lock,
            "_shared": shared,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shared = [{name: open_mapped(source) for name, source in sums.items()} for sums in state["_shared"]]


def env_creator(fun: Callable[..., Env]) -> EnvCreator:
    """``EnvCreator(fun)``; also to be written above a function that makes an env, with ``@env_creator``."""
    return EnvCreator(fun)


def _norms(env: Env) -> Iterator[RunningNorm]:
    transforms: list[Transform] = env._chain() if isinstance(env, TransformedEnv) else []
    yield from (transform for transform in transforms if isinstance(transform, RunningNorm))
