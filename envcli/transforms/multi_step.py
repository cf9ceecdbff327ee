"""What several steps in a row add up to, as one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_keys, as_path, as_user_key, under_next
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.transform import Transform
from envcli.transforms.windows import done_of, time_axis

__all__ = ["MultiStepTransform"]


class MultiStepTransform(Transform):
    """Transitions of ``n_steps`` steps instead of one, from successive pieces ``[*batch, time]`` of one rollout.

    ``inv(piece)`` gives, as a new TensorDict, a transition for each step whose next ``n_steps`` are known. The last
    ``n_steps`` steps of a piece wait for the next one, so the pieces must follow each other; what is too short gives
    none, ``[*batch, 0]`` (TorchRL: None). ``forward`` changes nothing, and in an env it cannot be: what is to come is
    not known there.

    With ``k`` steps up to the ``n_steps``-th, or to the end of the episode, of a transition at ``t``:

    * ``("next", "reward")``: ``r[t] + gamma * r[t + 1] + ... + gamma**(k - 1) * r[t + k - 1]``; what it was is in
      ``("next", "original_reward")``, or ``"original_..."`` beside any other reward;
    * everything else under ``"next"`` is that of step ``t + k - 1``, the flags too, so that nobody takes a future for
      granted beyond an end. (TorchRL leaves the flags where they are.)
    * ``"steps_to_next_obs"``: ``k``, int64 ``[*batch, time, 1]``; ``"gamma"``: ``gamma**k``; ``"nonterminal"``: did no
      episode end by step ``t`` itself? (TorchRL's are ``[*batch, time]``, which a product with rewards would spread out
      wrongly, and its last one says whether ``k`` is more than 1.)

    >>> import torch
    >>> from tensordict import TensorDict
    >>> done = torch.tensor([False, False, True, False, False]).view(5, 1)
    >>> rollout = TensorDict({"next": {"done": done, "reward": torch.ones(5, 1)}}, [5])
    >>> found = MultiStepTransform(n_steps=2, gamma=0.5).inv(rollout)
    >>> found["next", "reward"].flatten(), found["steps_to_next_obs"].flatten()
    (tensor([1.5000, 1.5000, 1.0000]), tensor([2, 2, 1]))

    Args:
        n_steps: how many, at least 1; it may be set anew at any time.
        gamma: the discount.
        reward_keys: rewards under ``"next"``; None: ``"reward"``.
        done_key, done_keys: flags under ``"next"``, any of which ends an episode; None: ``"done"``.
        mask_key: where this entry is false, the steps are padding: a transition ends before them.

    Raises:
        ConfigError: ``n_steps`` is less than 1, or there are both ``done_key`` and ``done_keys``.
        TransformError: in an env; from ``inv``: there is no time, or no such reward.
    """

    def __init__(
        self,
        n_steps: int,
        gamma: float,
        *,
        reward_keys: Sequence[NestedKey] | None = None,
        done_key: NestedKey | None = None,
        done_keys: Sequence[NestedKey] | None = None,
        mask_key: NestedKey | None = None,
    ) -> None:
        super().__init__()
        if n_steps < 1:
            raise ConfigError(f"n_steps: expected at least 1, found {n_steps}")
        if done_key is not None and done_keys is not None:
            raise ConfigError("done_key, done_keys: give one of them")
        self.n_steps, self.gamma = n_steps, gamma
        self.reward_keys = as_keys("reward" if reward_keys is None else reward_keys)
        self.done_keys = as_keys(done_keys or done_key or "done")
        self.mask_key = mask_key
        self._waiting: TensorDictBase | None = None  # the steps whose future is not known yet

    def _inspect(self, before: EnvSpecs) -> None:
        raise TransformError(
            "MultiStepTransform: the steps to come are not known inside an env. Apply it to a rollout: "
            "MultiStepTransform(...).inv(env.rollout(...))"
        )

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` as it is."""
        return tensordict

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        time = time_axis(tensordict, type(self).__name__)
        known: Any = tensordict if self._waiting is None else torch.cat([self._waiting, tensordict], time)
        steps = max(known.shape[time] - self.n_steps, 0)
        self._waiting = known[_part(time, steps, None)].clone()
        return self._transitions(known, time, steps)

    def _transitions(self, known: Any, time: int, steps: int) -> TensorDictBase:  # Any: for torch.cat, a Tensor
        """Those of the first ``steps`` steps."""
        shape = torch.Size([*known.shape[:time], steps, *known.shape[time + 1 :]])
        rewards = {key: self._reward(known, key) for key in self.reward_keys}
        nothing = {key: torch.zeros_like(reward[_part(time, 0, steps)]) for key, reward in rewards.items()}
        sums = {key: zeros * self.gamma for key, zeros in nothing.items()}  # fractions, also of whole rewards
        ends, real = self._flags(known, time)
        counts = torch.zeros(shape, dtype=torch.int64, device=known.device)
        goes_on = torch.ones(shape, dtype=torch.bool, device=known.device)
        for later in range(self.n_steps):
            here = _part(time, later, later + steps)
            goes_on = goes_on & real[here]
            counts += goes_on
            for key, reward in rewards.items():
                sums[key] += torch.where(_wide(goes_on, reward), self.gamma**later * reward[here], 0)
            goes_on = goes_on & ~ends[here]
        found: TensorDictBase = known[_part(time, 0, steps)].exclude("next")
        found.set("next", _at(known.get("next"), self._last(counts, time), time))
        for key, reward in rewards.items():
            path = under_next(as_path(key))
            found.set(as_user_key((*path[:-1], f"original_{path[-1]}")), reward[_part(time, 0, steps)].clone())
            found.set(as_user_key(path), sums[key])
        found.set("steps_to_next_obs", counts.unsqueeze(-1))
        found.set("gamma", self.gamma ** counts.unsqueeze(-1))
        found.set("nonterminal", ~ends[_part(time, 0, steps)].unsqueeze(-1))
        return found

    def _reward(self, known: TensorDictBase, key: NestedKey) -> torch.Tensor:
        path = as_user_key(under_next(as_path(key)))
        reward: torch.Tensor | None = known.get(path, None)
        if reward is None:
            raise TransformError(f"MultiStepTransform: no {path!r} in the rollout. Name the rewards in reward_keys")
        return reward

    def _flags(self, known: TensorDictBase, time: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``[*batch]`` bool: does an episode end there, and is it a step at all?"""
        shape = [*known.shape[:time], *known.shape[time + 1 :], known.shape[time]]
        ends = torch.stack([done_of(known, key, time) for key in self.done_keys]).any(0).reshape(shape)
        mask = None if self.mask_key is None else known.get(self.mask_key, None)
        real = torch.ones_like(ends) if mask is None else mask.reshape(*known.shape, -1).all(-1).movedim(time, -1)
        return ends.movedim(-1, time), real.movedim(-1, time)

    def _last(self, counts: torch.Tensor, time: int) -> torch.Tensor:
        """The step that each transition ends with; of padding, the step itself."""
        own = torch.arange(counts.shape[time], device=counts.device)
        own = own.reshape(-1, *[1] * (counts.ndim - time - 1))
        return own + (counts - 1).clamp(min=0)

    def extra_repr(self) -> str:
        """Steps and discount, for ``repr``."""
        return f"n_steps={self.n_steps}, gamma={self.gamma}"


def _part(time: int, start: int, stop: int | None) -> tuple[Any, ...]:  # Any: an index
    """The index of some steps."""
    return (slice(None),) * time + (slice(start, stop),)


def _wide(flags: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return flags.reshape(*flags.shape, *[1] * (value.ndim - flags.ndim))


def _at(following: TensorDictBase, steps: torch.Tensor, time: int) -> TensorDictBase:
    """What ``following`` is at ``steps``, ``[*batch]``, of its dimension ``time``."""

    def chosen(value: torch.Tensor) -> torch.Tensor:
        return value.take_along_dim(_wide(steps, value), time)

    found = following.apply(chosen, batch_size=steps.shape)
    assert found is not None
    return found
