"""What is still to come of each episode's rewards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import NestedKey, as_keys, as_path, as_user_key, under_next
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.transform import Transform
from envcli.transforms.windows import time_axis

__all__ = ["Reward2GoTransform"]


class Reward2GoTransform(Transform):
    """The rewards from each step of a finished rollout to the end of its episode, discounted, by ``inv(rollout)``:
    ``G[t] = r[t] + gamma * G[t + 1]``, where ``G[t + 1]`` counts as 0 after a ``done`` and after the last step.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> done = torch.tensor([False, False, True, False]).view(1, 4, 1)
    >>> td = TensorDict({"next": {"done": done, "reward": torch.ones(1, 4, 1)}}, [1, 4])
    >>> Reward2GoTransform(gamma=0.5, out_keys=["reward_to_go"]).inv(td)["reward_to_go"].flatten()
    tensor([1.7500, 1.5000, 1.0000, 1.0000])

    ``inv`` writes into a shallow copy, and leaves what it is given as it is; ``forward`` changes nothing. In an env it
    cannot be: what is to come is not known there.

    Args:
        gamma: the discount.
        in_keys: which rewards; None: ``("next", "reward")``.
        out_keys: the names of the sums; None: the rewards' own, whose place they take.
        done_key: the flag under ``"next"`` that ends an episode.

    Raises:
        TransformError: in an env; from ``inv``: there is no time, no such flag, no reward, or no ``done`` at all in one
            of the rows of a batch. (The sum would then stop wherever the rollout did.)
    """

    gamma: torch.Tensor

    def __init__(
        self,
        gamma: float | torch.Tensor = 1.0,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        done_key: NestedKey = "done",
    ) -> None:
        keys = [("next", "reward")] if in_keys is None else as_keys(in_keys)
        super().__init__(keys, [], keys, out_keys)
        self.done_key: NestedKey = done_key
        self.register_buffer("gamma", torch.as_tensor(gamma))

    def _inspect(self, before: EnvSpecs) -> None:
        raise TransformError(
            "Reward2GoTransform: future rewards are not known inside an env. Apply it to a rollout: "
            "Reward2GoTransform(...).inv(env.rollout(...))"
        )

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` as it is."""
        return tensordict

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        time = time_axis(tensordict, type(self).__name__)
        flag = as_user_key(under_next(as_path(self.done_key)))
        done = tensordict.get(flag, None)
        if done is None:
            raise TransformError(f"Reward2GoTransform: no {flag!r}, which marks where episodes end")
        if not done.any(time).all():
            raise TransformError(
                "Reward2GoTransform: expected an end in each row of the batch, found a row where no episode ends. Make "
                "a longer rollout, with break_when_any_done=False"
            )
        rewards = {key: tensordict.get(key, None) for key in self.in_keys_inv}
        if all(reward is None for reward in rewards.values()):
            raise TransformError(f"Reward2GoTransform: none of in_keys {self.in_keys_inv} exists")
        for (key, reward), out_key in zip(rewards.items(), self.out_keys_inv, strict=True):
            if reward is not None:
                tensordict.set(out_key, self._to_go(reward, done, time, key))
        return tensordict

    def _to_go(self, reward: torch.Tensor, done: torch.Tensor, time: int, key: NestedKey) -> torch.Tensor:
        ended = done.reshape(*done.shape, *[1] * (reward.ndim - done.ndim))
        try:
            ended = ended.expand(reward.shape).movedim(time, 0)
        except RuntimeError:
            raise TransformError(
                f"Reward2GoTransform: {key!r} is {list(reward.shape)}, expected the shape of its flag "
                f"{self.done_key!r}, {list(done.shape)}. Name another in done_key"
            ) from None
        sums: list[torch.Tensor] = []
        for reward_now, ended_now in zip(reward.movedim(time, 0).flip(0), ended.flip(0), strict=True):
            to_come = torch.where(ended_now, 0, sums[-1]) if sums else torch.zeros_like(reward_now)
            sums.append(reward_now + self.gamma * to_come)
        return torch.stack(sums[::-1], time)

    def extra_repr(self) -> str:
        """Discount and keys, for ``repr``."""
        return f"gamma={self.gamma.item()}, in_keys={self.in_keys_inv}, out_keys={self.out_keys_inv}"
