"""A rollout of any length, in memory of a fixed size: made piece by piece, each from where the last one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.recorders.recorder import Stream

__all__ = ["pieces"]


def pieces(
    env: Env,
    steps: int,
    stream: Stream,
    policy: Callable[..., Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[TensorDictBase]:
    """The steps of one rollout of ``env`` in which done envs are reset, ``[*batch, time]`` at a time.

    Each piece is views of the stream's memory and is kept there before it is given; it is gone when the next is asked
    for. The rows are those of ``env.rollout(steps, policy, break_when_any_done=False)`` to the bit, where the stream's
    pieces are multiples of 4,096 steps: random actions are drawn so many at a time. Smaller ones are too where the env
    has one action entry a step. Whatever ends it early, the steps that were made are kept, and the error goes on.

    Args:
        env: it is reset first.
        steps: how many, each of every env of the batch.
        stream: what gives memory for the pieces, and keeps them. It is not finished here.
        policy: see :meth:`envcli.Env.rollout`. What hidden state it writes is led on.
        progress: called with the number of steps made by now, every quarter of a second or so.

    Raises:
        StoreError: a piece cannot be kept.
    """
    made, last = 0, None

    def tell(rows: int) -> None:
        if progress is not None:
            progress(made + rows)

    while made < steps:
        buffer = stream.buffer(min(stream.shard_steps, steps - made))
        try:
            piece = env.rollout(
                min(buffer.steps, steps - made),
                policy,
                break_when_any_done=False,
                auto_reset=last is None,
                tensordict=last,
                out=buffer,
                progress=tell,
            )
            last = env.step_mdp(piece[..., -1]).clone()  # a view would keep all of the piece in memory
        except BaseException:
            stream.keep(buffer, stopped=True)
            raise
        stream.keep(buffer)
        made += piece.shape[-1]
        yield piece
