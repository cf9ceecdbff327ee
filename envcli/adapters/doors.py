"""Conversions that need an optional library, which is imported when they are called.

Without that library a call raises `MissingDependency`, which says what to install.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from envcli.adapters.adopted import adopted, owned
from envcli.batch.serial_env import SerialEnv
from envcli.envs.env import Env
from envcli.specs import TensorSpec
from envcli.transforms.transform import Transform

if TYPE_CHECKING:
    from envcli.adapters.dm_env_adapter import DmEnvAdapter
    from envcli.adapters.sb3_adapter import Sb3Adapter
    from envcli.adapters.torchrl_adapter import TorchrlAdapter
    from envcli.adapters.torchrl_transform import TorchrlTransform

__all__ = ["as_dm_env", "as_sb3", "as_torchrl", "from_torchrl"]


def as_dm_env(*env: str | Env) -> DmEnvAdapter:
    """A ``dm_env.Environment`` of the env that these words describe, or of this env.

    See :class:`~envcli.adapters.dm_env_adapter.DmEnvAdapter`.
    """
    from envcli.adapters.dm_env_adapter import DmEnvAdapter

    return owned(DmEnvAdapter, adopted("as_dm_env", env))


def as_sb3(*env: str | Env, observation: str | Sequence[str] | None = None) -> Sb3Adapter:
    """A ``VecEnv`` of Stable-Baselines3, of the batch that these words describe, or of this one; a single env counts.

    See :class:`~envcli.adapters.sb3_adapter.Sb3Adapter`, and :func:`~envcli.as_gymnasium_vector` for ``observation``.
    """
    from envcli.adapters.gymnasium_vector_adapter import as_gymnasium_vector
    from envcli.adapters.sb3_adapter import Sb3Adapter

    ours = adopted("as_sb3", env)
    if not ours.ndim:
        batch = SerialEnv(1, lambda: ours)
        batch.start()  # otherwise, asked for its specs, it would build the env and close it again
        ours = batch
    return Sb3Adapter(as_gymnasium_vector(ours, observation=observation))


@overload
def as_torchrl(spec: TensorSpec, /) -> Any: ...


@overload
def as_torchrl(transform: Transform, /) -> TorchrlTransform: ...


@overload
def as_torchrl(*env: str | Env) -> TorchrlAdapter: ...


def as_torchrl(*env: str | Env | TensorSpec | Transform) -> Any:  # Any: their specs are of a library not always there
    """A TorchRL env of the env, or the batch, that these words describe, or of this one. Of a spec: TorchRL's spec.

    See :class:`~envcli.adapters.torchrl_adapter.TorchrlAdapter`. The spec has the same shape, dtype, device, bounds and
    mask, for modules of TorchRL's that look at the class: ``QValueActor(net, spec=as_torchrl(env.action_spec))``.

    Of a transform: one for TorchRL's replay buffers, ``transform=as_torchrl(MultiStepTransform(3, 0.99))``. See
    :class:`~envcli.adapters.torchrl_transform.TorchrlTransform`.
    """
    from envcli.adapters.torchrl_adapter import TorchrlAdapter
    from envcli.adapters.torchrl_specs import to_torchrl_spec

    if len(env) == 1 and isinstance(env[0], TensorSpec):
        return to_torchrl_spec(env[0])
    if len(env) == 1 and isinstance(env[0], Transform):
        from envcli.adapters.torchrl_transform import TorchrlTransform

        return TorchrlTransform(env[0])
    return owned(TorchrlAdapter, adopted("as_torchrl", env))


def from_torchrl(env: Any) -> Any:  # Any: of a library that is there for some only, and one of two of ours
    """``env``, a ``torchrl.envs.EnvBase``, as one of ours. A spec of ``torchrl.data`` as our spec.

    See :class:`~envcli.adapters.torchrl_wrapper.TorchrlWrapper`. A recurrent module of TorchRL's says what an env must
    show it: ``TensorDictPrimer(from_torchrl(lstm.make_tensordict_primer().primers))``.
    """
    from envcli.adapters.torchrl_specs import from_torchrl_spec, is_torchrl_spec
    from envcli.adapters.torchrl_wrapper import TorchrlWrapper

    if is_torchrl_spec(env):
        return from_torchrl_spec(env)
    return TorchrlWrapper(env)
