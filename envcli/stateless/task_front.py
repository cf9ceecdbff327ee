"""A task on TensorDicts."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_batchedtensor, is_functorch_wrapped_tensor

from envcli.errors import SpecError
from envcli.keys import DONE_FAMILY, as_user_key
from envcli.mdp import leaf_paths, renewed
from envcli.rows.action_gate import as_member
from envcli.specs import TensorSpec
from envcli.stateless.random_streams import RandomStreams
from envcli.stateless.task import Task, Values

__all__ = ["TaskFront"]


class TaskFront:
    """Resets and steps of ``task`` as they are: nothing is copied or detached, and every size is taken.

    Args:
        task: what a step is.
        streams: of random numbers, one for each env of ``batch_size``.
        batch_size: whose envs have a stream of their own.
        device: where everything is; None: on the host, and the TensorDicts' ``device`` is None.
    """

    def __init__(self, task: Task, streams: RandomStreams, batch_size: torch.Size, device: torch.device | None) -> None:
        self._task, self._streams, self._batch, self._device = task, streams, batch_size, device
        self._actions = {batch_size: self._action_spec(batch_size)}

    def reset(self, tensordict: TensorDictBase | None, state: Tensor | None) -> TensorDictBase:
        """See :meth:`envcli.backends.torch.TorchEnv.reset`."""
        lead = self._batch if tensordict is None else tensordict.batch_size
        if state is not None and tensordict is None and state.ndim > 1:
            lead = state.shape[:-1]
        params = self.params(tensordict, lead)
        where = None if tensordict is None else _mask(tensordict)
        if state is None:
            state = self._drawn(lead, where)
        state = state.to(self._device, self._task.dtype).expand(*lead, -1).clone()
        flag = torch.zeros_like(state[..., :1], dtype=torch.bool)
        values = self._task.begin(state) | {name: flag.clone() for name in DONE_FAMILY}
        begun = self._tensordict(values, lead)
        if params:
            begun.set("params", self._tensordict(params, lead))
        if tensordict is None:
            return begun
        if where is not None:
            _require_all(begun, tensordict)
            begun = renewed(tensordict, begun, where)
            del tensordict["_reset"]
        return tensordict.update(begun)

    def step(self, tensordict: TensorDictBase) -> TensorDict:
        """What the step that ``tensordict`` asks for leads to."""
        state, elapsed = _entry(tensordict, "state"), _entry(tensordict, "elapsed_steps")
        action = _entry(tensordict, "action", "env.rand_action(tensordict) writes a random one")
        lead = tensordict.batch_size
        if not (torch.compiler.is_compiling() or _is_batched(action)):  # else nobody can look at its values
            action = as_member(("action",), self.actions(lead), action)
        params = self.params(tensordict, lead, required=True)
        return self._tensordict(self._task.advance(state, elapsed, self._task.taken(action), params), lead)

    def actions(self, lead: torch.Size) -> TensorSpec:
        """The spec of the actions of as many envs."""
        if lead not in self._actions:
            self._actions = {self._batch: self._actions[self._batch], lead: self._action_spec(lead)}
        return self._actions[lead]

    def params(self, tensordict: TensorDictBase | None, lead: torch.Size, required: bool = False) -> Values:
        """Name -> ``[*lead]``: what ``tensordict`` says, or, unless that is ``required``, what the dynamics say.

        Raises SpecError where one is there that the env does not take, or not there.
        """
        names = self._task.params
        given: Any = {} if tensordict is None else tensordict.get("params", {})  # Any: a TensorDict, or nothing
        if unknown := sorted(set(given.keys()) - set(names)):
            raise SpecError(
                f"params: this env takes {', '.join(names) or 'none'} from the TensorDict, found {unknown[0]!r}. "
                f"Build it with params={[*names, *unknown]}"
            )
        if required and (missing := [name for name in names if name not in given.keys()]):  # noqa: SIM118
            raise SpecError(f"step: no ('params', {missing[0]!r}) in the TensorDict. Start from env.reset()")
        values = {name: self._task.parameter(name, given.get(name, None), lead) for name in names}
        return {name: value.to(self._device, self._task.dtype) for name, value in values.items()}

    def _action_spec(self, lead: torch.Size) -> TensorSpec:
        spec = self._task.action_spec(lead)
        return spec if self._device is None else spec.to(self._device)

    def _drawn(self, lead: torch.Size, where: Tensor | None) -> Tensor:
        """States to begin with, ``[*lead, size]``: of the envs ``where``, zeros elsewhere; None: of all.

        Where there are not as many envs as streams, they all draw from the first.
        """
        dynamics, dtype = self._task.dynamics, self._task.dtype
        which = None if where is None else where.reshape(-1).nonzero().squeeze(-1)
        count = lead.numel() if which is None else len(which)
        if not count:
            numbers = torch.zeros(0, dynamics.draws, dtype=dtype, device=self._device)
        elif lead == self._batch:
            numbers = self._streams.draw(dynamics.draws, dtype, which)
        else:
            first = torch.zeros(1, dtype=torch.int64, device=self._device)
            numbers = torch.cat([self._streams.draw(dynamics.draws, dtype, first) for _ in range(count)])
        states = dynamics.start(numbers.reshape(count, dynamics.draws))
        if which is not None:
            states = states.new_zeros(lead.numel(), states.shape[-1]).index_put((which,), states)
        return states.reshape(*lead, states.shape[-1])

    def _tensordict(self, values: Values, lead: torch.Size) -> TensorDict:
        if values.get("observation") is values.get("state", ()):  # whoever changes one of them keeps the other
            values["observation"] = values["observation"].clone()
        return TensorDict(dict(values), batch_size=lead, device=self._device)


def _entry(tensordict: TensorDictBase, name: str, cure: str = "Start from env.reset()") -> Tensor:
    value: Tensor | None = tensordict.get(name, None)
    if value is None:
        raise SpecError(f"step: no {name!r} in the TensorDict, which this env's step reads. {cure}")
    return value


def _is_batched(value: Tensor) -> bool:
    """Does ``torch.vmap`` map over it, perhaps around ``torch.func.grad`` or another transform of torch?"""
    while is_functorch_wrapped_tensor(value):
        if is_batchedtensor(value):
            return True
        value = get_unwrapped(value)
    return False


def _mask(tensordict: TensorDictBase) -> Tensor | None:
    """``[*batch]`` bool of the envs that ``"_reset"`` names; None: all."""
    mask: Tensor | None = tensordict.get("_reset", None)
    lead = tensordict.batch_size
    if mask is None:
        return None
    if mask.dtype != torch.bool or mask.shape not in (lead, (*lead, 1)):
        raise SpecError(f"'_reset': expected a bool mask of shape {[*lead, 1]}, found {mask.dtype} {list(mask.shape)}")
    return mask.reshape(lead)


def _require_all(begun: TensorDict, tensordict: TensorDictBase) -> None:
    for key in map(as_user_key, leaf_paths(begun)):
        if tensordict.get(key, None) is None:
            raise SpecError(f"reset: no {key!r} in the TensorDict, for the envs that '_reset' leaves out")
