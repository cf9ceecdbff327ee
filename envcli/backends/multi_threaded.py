"""EnvPool's envs by TorchRL's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envcli.backends.envpool import EnvpoolEnv

__all__ = ["MultiThreadedEnv"]


class MultiThreadedEnv(EnvpoolEnv):
    """``num_workers`` envs of one EnvPool task, as TorchRL sets and shows them; see :class:`EnvpoolEnv`.

    Every observation that is not a ``Dict`` is called ``"observation"``, and Atari games are as EnvPool sets them: four
    gray frames ``[4, 84, 84]``, without sticky actions. Rewards and flags are ``[num_workers, 1]``, as those of any
    other env (TorchRL: ``[num_workers]``), and the last observation of an episode is followed by the first of the next
    one. (TorchRL: in rollouts there is a step between them, whose action is ignored.)

    Args:
        num_workers: how many envs.
        env_name: see :class:`EnvpoolEnv`.
        create_env_kwargs: for ``envpool.make_gymnasium``; its ``seed``, a number or one for each env, is that of
            ``set_seed``.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors. (TorchRL's are numbers in
            any case, and its constructor fails on this argument.)
        disable_env_checker: taken for TorchRL's sake; EnvPool has no checker.
        frame_skip, device: see :class:`EnvpoolEnv`.
        allow_done_after_reset: taken for TorchRL's sake; an env is never done after its reset.

    Raises:
        UnknownName, ConfigError, MissingDependency: see :class:`EnvpoolEnv`.
    """

    _like_others: ClassVar[bool] = False

    def __init__(
        self,
        num_workers: int,
        env_name: str,
        *,
        create_env_kwargs: Mapping[str, Any] | None = None,
        categorical_action_encoding: bool = True,
        disable_env_checker: bool | None = None,
        frame_skip: int | None = None,
        device: torch.device | str | None = None,
        allow_done_after_reset: bool = False,
    ) -> None:
        self.num_workers, self.env_name = num_workers, env_name
        self.create_env_kwargs = dict(create_env_kwargs or {})
        options = dict(self.create_env_kwargs)
        seed = options.pop("seed", None)
        super().__init__(
            env_name,
            num_workers,
            frame_skip=frame_skip,
            categorical_action_encoding=categorical_action_encoding,
            device=device,
            **options,
        )
        if seed is not None:
            self.set_seed(seed)
