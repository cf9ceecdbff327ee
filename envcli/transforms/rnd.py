"""Pays for what was not seen before: random network distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli import torch_script
from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.moments.running_mean_std import RunningMeanStd
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.transform import Transform

__all__ = ["RNDTransform"]


class RNDTransform(Transform):
    """A bonus for new observations: how badly a network predicts what another one, random and fixed, makes of them.

    Burda et al., "Exploration by random network distillation" (2018), https://arxiv.org/abs/1810.12894: the observation
    that a step leads to is normalised by what was seen so far and cut to ``obs_clip``; the bonus is the mean of
    ``(predictor(x) - target(x)) ** 2``, divided by its own standard deviation so far. Training the predictor is up to
    you; here it has no graph. The statistics learn in ``train()`` alone.

    The bonus is a reward of its own, ``[*batch, 1]`` float32, beside the env's: add the two as you see fit.

    >>> import torch
    >>> from envcli import GymEnv, RNDTransform, TransformedEnv
    >>> target, predictor = torch.nn.Linear(4, 8), torch.nn.Linear(4, 8)
    >>> with TransformedEnv(GymEnv("CartPole-v1"), RNDTransform(target, predictor)) as env:
    ...     env.rollout(3)["next", "intrinsic_reward"].shape
    torch.Size([3, 1])

    TorchRL 0.14 keeps one mean for each column of an image, in place of each pixel.

    Args:
        target_network, predictor_network: from ``[*batch, *value]`` float32 to ``[*batch, features]``; or paths of such
            networks, saved by ``torch.jit.save``. The target is frozen.
        in_keys: the observation; None: ``["observation"]``.
        out_keys: what the bonus is called; None: ``["intrinsic_reward"]``.
        normalize_obs: normalise observations.
        normalize_reward: divide by the standard deviation of the bonus.
        obs_clip, reward_clip: normalised values are cut to so much above and below 0.
        allow_imports: saved networks are trusted, and may do more than compute.

    Raises:
        ConfigError: not one key each; a file that holds no network.
        TransformError: in an env: there is no such observation, or a network does not take it.
    """

    def __init__(
        self,
        target_network: torch.nn.Module | str | Path,
        predictor_network: torch.nn.Module | str | Path,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        normalize_obs: bool = True,
        normalize_reward: bool = True,
        obs_clip: float = 5.0,
        reward_clip: float = 5.0,
        *,
        allow_imports: bool = False,
    ) -> None:
        super().__init__(
            ["observation"] if in_keys is None else in_keys, ["intrinsic_reward"] if out_keys is None else out_keys
        )
        if len(self.in_keys) != 1 or len(self.out_keys) != 1:
            raise ConfigError(f"RNDTransform: expected one key each, found {self.in_keys} and {self.out_keys}")
        self.target_network = _network("target_network", target_network, allow_imports)
        for parameter in self.target_network.parameters():
            parameter.requires_grad_(False)
        self.predictor_network = _network("predictor_network", predictor_network, allow_imports)
        self.normalize_obs, self.normalize_reward = normalize_obs, normalize_reward
        self.obs_clip, self.reward_clip = obs_clip, reward_clip
        self._obs_rms: RunningMeanStd | None = None
        self._reward_rms = RunningMeanStd() if normalize_reward else None

    @property
    def obs_rms(self) -> RunningMeanStd | None:
        """The statistics of observations; None: there are none, or none yet."""
        return self._obs_rms

    @property
    def reward_rms(self) -> RunningMeanStd | None:
        """The statistics of the bonus before it is divided; None: there are none."""
        return self._reward_rms

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """With the bonus, under ``"next"`` if there is one: of each step of a rollout, say."""
        following = tensordict.get("next", None)
        self._call(tensordict if following is None else following)
        return tensordict

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        shown = next_tensordict.get(self.in_keys[0])
        return next_tensordict.set(self.out_keys[0], self._bonus(shown, shown.shape[next_tensordict.ndim :]))

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return tensordict_reset

    @torch.no_grad()
    def _bonus(self, shown: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """``[*batch, 1]`` of ``shown``, ``[*batch, *shape]``."""
        shown = shown.float()
        self._require_rms(shape, shown.device)
        if self._obs_rms is not None:
            if self.training:
                self._obs_rms.update(shown)
            shown = self._obs_rms.normalize(shown).clamp(-self.obs_clip, self.obs_clip)
        bonus = self._surprise(shown)
        if self._reward_rms is not None:
            if self.training:
                self._reward_rms.update(bonus)
            bonus = (bonus / self._reward_rms.std).clamp(-self.reward_clip, self.reward_clip)
        return bonus

    def _require_rms(self, shape: torch.Size, device: torch.device | None) -> None:
        """Make the statistics of observations ``[*shape]``, unless they are there."""
        if self.normalize_obs and self._obs_rms is None:
            self._obs_rms = RunningMeanStd(shape).to(device)

    def _surprise(self, shown: torch.Tensor) -> torch.Tensor:
        wrong: torch.Tensor = self.predictor_network(shown) - self.target_network(shown)
        return wrong.square().mean(-1, keepdim=True)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        """Try the networks on zeros of what is there, and make room for its statistics."""
        leaf: TensorSpec | None = before._spec("observation").leaves().get(as_path(self.in_keys[0]))
        if leaf is None:  # which is said by whoever looks for the keys
            return
        try:
            with torch.no_grad():
                self._surprise(leaf.zero().float())
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TransformError(f"RNDTransform: the networks do not take {list(leaf.shape)}: {reason}") from error
        self._require_rms(leaf.shape[len(before.batch_size) :], leaf.device)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """With the bonus."""
        shape = torch.Size([*reward_spec.shape, 1])
        reward_spec[self.out_keys[0]] = Unbounded(shape, device=reward_spec.device, dtype=torch.float32)
        return reward_spec

    # -- state ----------------------------------------------------------------------------------------------------

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if (mean := state_dict.get(f"{prefix}_obs_rms.mean")) is not None:
            self._require_rms(mean.shape, mean.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"in_keys={self.in_keys}, out_keys={self.out_keys}"


def _network(name: str, given: torch.nn.Module | str | Path, allow_imports: bool) -> torch.nn.Module:
    if isinstance(given, torch.nn.Module):
        return given
    network: torch.nn.Module = torch_script.load_named(name, given, allow_imports)
    return network
