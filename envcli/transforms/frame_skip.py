"""Repeats each action."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import under_next
from envcli.memory.buffer import Array
from envcli.memory.masks import all_of, any_of
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.inner_env import InnerEnv, put_back
from envcli.transforms.transform import Transform

__all__ = ["FrameSkipTransform"]


class FrameSkipTransform(Transform):
    """Each step is ``frame_skip`` steps of what stands before it, with the same action; their rewards are summed
    (those that are sums of the episode already, as ``RewardSum``'s, are the last one's).

    The transforms before this one run in every such step, those after it in the last only: ``TimeMaxPool(T=2)``
    before it shows the larger of the last two frames. An episode that ends on the way ends the repetition. In a batch
    the other envs go on; those that are done are stepped along, and keep what they showed at their end. (TorchRL goes
    on past the end, and takes each of the steps from where the first began: an env whose state is in the TensorDict
    makes one.)

    The ``frame_skip`` of an env does the same at less cost; 4 there and 4 here are 16. The env's ``step_seconds`` and
    ``frames_per_step`` say so.

    Args:
        frame_skip: how many steps; 1 changes nothing.

    Raises:
        ConfigError: ``frame_skip`` is less than 1.
        TransformError: called on a TensorDict: it makes steps, and a rollout is over.
    """

    _inner_env: InnerEnv
    _rewards: list[Array]

    def __init__(self, frame_skip: int = 1) -> None:
        super().__init__()
        if not isinstance(frame_skip, int) or frame_skip < 1:
            raise ConfigError(f"frame_skip: expected a whole number of at least 1, found {frame_skip!r}")
        self.frame_skip = frame_skip

    @property
    def _steps_per_step(self) -> int:
        return self.frame_skip

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` if ``frame_skip`` is 1; otherwise there is nothing that could be made of it."""
        if self.frame_skip != 1:
            raise TransformError(
                "FrameSkipTransform repeats steps of an env, but those of a TensorDict are already done. Call the "
                "other transforms of the chain"
            )
        return tensordict

    def _inspect(self, before: EnvSpecs) -> None:
        for leaf in before.full_reward_spec.leaves().values():
            self._require_numbers(leaf)

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env = inner
        rewards = inner.specs.full_reward_spec.leaves().keys() - inner.specs._roles().cumulative_rewards
        self._rewards = [inner.rows.array(under_next(path)) for path in rewards]

    def _step_row(self, t: int) -> None:
        if self.frame_skip == 1:
            return
        inner = self._inner_env
        root = inner.saved_reads(t)
        totals = [reward[t : t + 1].copy() for reward in self._rewards]
        for _ in range(self.frame_skip - 1):
            done = inner.done(t)
            if all_of(done):
                break
            on = ~done[None]
            ended = inner.saved_next(t) if any_of(done) else None
            inner.step_on(t)
            if ended is not None:
                put_back(ended, done)
            for total, reward in zip(totals, self._rewards, strict=True):
                total[on] += reward[t : t + 1][on]
        for total, reward in zip(totals, self._rewards, strict=True):
            reward[t] = total[0]
        put_back(root)

    def extra_repr(self) -> str:
        """How often."""
        return f"frame_skip={self.frame_skip}"
