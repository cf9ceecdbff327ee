"""The front desk of an env: one row of memory between the user's TensorDicts and the env's own hooks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.action_gate import ActionGate
from envcli.buffer import Array, RolloutBuffer
from envcli.env_specs import EnvSpecs, leaf_specs
from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key, nest, under_next
from envcli.mdp import leaf_paths
from envcli.row_env import RowEnv

__all__ = ["Front", "begin_from", "gates", "load_row", "reset_mask"]


class Front:
    """Public ``reset`` and ``step`` of one env, on a buffer of one row. Tensors handed out are fresh memory."""

    def __init__(self, env: RowEnv) -> None:
        self._env = env
        self.buffer = RolloutBuffer.allocate(env._row_layout(), 1, env.batch_size)
        self._gates = gates(env, self.buffer)
        self._reads = [(as_user_key(path), path) for path in env._row_reads()]
        self._root = self._rows(path for path in self.buffer if path in _shown_by_reset(env) - env._row_leaves())
        self._left = [(as_user_key(path), self.buffer[path][0]) for path in env._row_leaves()]
        self._carried = env._row_carries()
        self._masks = env._action_masks()
        self._seen_masks: dict[Key, torch.Tensor] = {}  # action -> the mask that was shown last
        self._next = self._rows(path for path in self.buffer if path[0] == "next")
        self._flags = [self.buffer.array(under_next(path)) for path in leaf_specs(env.full_done_spec)]
        self._root_flags = [self.buffer.array(path) for path in leaf_specs(env.full_done_spec)]

    def reset(self, tensordict: TensorDictBase | None) -> TensorDict:
        """A new TensorDict ``[*batch]`` of observation, state and done family."""
        self._env._attach(self.buffer)
        where = None if tensordict is None else reset_mask(self._env, tensordict)
        if where is not None and tensordict is not None:
            load_row(self.buffer, 0, tensordict, (path for path, _ in self._root))
        for flags in self._root_flags:
            flags[0][... if where is None else where] = False
        self._env._reset_row(0, where)
        self._note_masks(())
        return self._handed_out(self._root)

    def step(self, tensordict: TensorDictBase) -> TensorDict:
        """What the step that ``tensordict`` asks for leads to: a new TensorDict ``[*batch]``, the future ``"next"``."""
        self._env._attach(self.buffer)
        for key, path in self._reads:
            value = tensordict.get(key, None)
            if value is None:
                raise SpecError(
                    f"step: no {key!r} in the TensorDict, which this env's step reads. Start from env.reset()"
                )
            self.buffer[path][0].copy_(value)
        for key, gate in self._gates:
            value = tensordict.get(key, None)
            if value is None:
                raise SpecError(f"step: no {key!r} in the TensorDict. env.rand_action(tensordict) writes a random one")
            gate.write(0, value)
        for flags in self._flags:
            flags.fill(False)
        for path in self._carried:
            given = tensordict.get(as_user_key(under_next(path)), None)
            self.buffer[under_next(path)][0].copy_(self.buffer[path][0] if given is None else given)
        self._env._step_row(0)
        for key, row in self._left:
            tensordict.set(key, row.to(self._env.device or "cpu", copy=True))
        self._note_masks(("next",))
        return self._handed_out(self._next)

    def mask(self, action: Key, tensordict: TensorDictBase | None) -> torch.Tensor | None:
        """``[*batch, n]``: which choices are allowed where ``tensordict`` stands, or the env itself; None: any."""
        path = self._masks.get(action)
        given = None if path is None or tensordict is None else tensordict.get(as_user_key(path), None)
        return self._seen_masks.get(action) if given is None else given

    def _note_masks(self, prefix: Key) -> None:
        for action, path in self._masks.items():
            self._seen_masks[action] = self.buffer[(*prefix, *path)][0].clone()

    def _rows(self, paths: Iterable[Key]) -> list[tuple[Key, torch.Tensor]]:
        return [(path[1:] if path[0] == "next" else path, self.buffer[path][0]) for path in paths]

    def _handed_out(self, rows: list[tuple[Key, torch.Tensor]]) -> TensorDict:
        device = self._env.device
        if device is None or device.type == "cpu":
            values = {path: row.clone() for path, row in rows}
        else:
            values = {path: row.to(device) for path, row in rows}
        return TensorDict(nest(values), batch_size=self._env.batch_size, device=device)


def gates(env: RowEnv, buffer: RolloutBuffer) -> list[tuple[str | tuple[str, ...], ActionGate]]:
    """One gate for each action of ``env``, with the key the user knows it by."""
    leaves = leaf_specs(env.full_action_spec)
    masks = env._action_masks()
    return [(as_user_key(path), ActionGate(path, leaf, buffer, masks.get(path))) for path, leaf in leaves.items()]


def reset_mask(env: EnvSpecs, tensordict: TensorDictBase) -> Array | None:
    """``[*batch]`` bool of the envs that ``"_reset"`` names, None for all of them.

    Raises SpecError if the mask has another shape, or names none.
    """
    masks = [mask for key in env.reset_keys if (mask := tensordict.get(key, None)) is not None]
    if not masks:
        return None
    lead = env.ndim
    where = torch.zeros(env.batch_size, dtype=torch.bool)
    for mask in masks:
        if mask.shape[:lead] != env.batch_size or mask.dtype != torch.bool:
            raise SpecError(
                f"'_reset': expected a bool mask of shape {[*env.batch_size, 1]}, found {mask.dtype} {list(mask.shape)}"
            )
        where |= mask.cpu().reshape(*env.batch_size, -1).any(-1)
    if not where.any():
        raise SpecError("'_reset' names no env. Leave the entry out to reset all of them")
    return None if where.all() else where.numpy()


def load_row(buffer: RolloutBuffer, t: int, tensordict: TensorDictBase, paths: Iterable[Key]) -> None:
    """Row ``t`` of the root becomes what ``tensordict`` holds of ``paths``; what it lacks stays as it is."""
    for path in paths:
        value = tensordict.get(as_user_key(path), None)
        if value is not None:
            buffer[path][t].copy_(value)


def begin_from(env: RowEnv, buffer: RolloutBuffer, tensordict: TensorDictBase, reset: bool) -> None:
    """Rows for what ``tensordict`` holds besides the entries of ``env``: a policy's hidden state, say.

    All rows show the value, until somebody writes another.

    Raises:
        SpecError: ``tensordict`` is of another batch size, or lacks what ``env`` shows although not all is ``reset``.
    """
    if tensordict.batch_size != env.batch_size:
        raise SpecError(
            f"rollout: tensordict has batch_size {list(tensordict.batch_size)}, the env {list(env.batch_size)}"
        )
    shown = _shown_by_reset(env) - env._row_leaves() - set(leaf_specs(env.full_done_spec))
    held = set(leaf_paths(tensordict))
    goes_on = not reset or reset_mask(env, tensordict) is not None
    if goes_on and (missing := shown - held):
        raise SpecError(
            f"rollout: no {', '.join(map(repr, map(as_user_key, sorted(missing))))} in the tensordict to begin from. "
            "Start from env.reset() or env.step_mdp(tensordict)"
        )
    foreign = {*leaf_specs(env.full_reward_spec), *map(as_path, env.reset_keys), *buffer}
    for path in sorted(held - foreign):
        value = tensordict.get(as_user_key(path))
        if path[0] != "next" and isinstance(value, torch.Tensor):
            buffer.add(path, value)[:] = value.detach().cpu()


def _shown_by_reset(env: EnvSpecs) -> set[Key]:
    return {*leaf_specs(env.observation_spec), *leaf_specs(env.state_spec), *leaf_specs(env.full_done_spec)}
