"""What a key that does not exist may have meant."""

from __future__ import annotations

from collections.abc import Iterable

from envcli.errors import nearest
from envcli.vocabulary import catalog

__all__ = ["bringing", "meant"]


def bringing(key: str, command: str) -> list[str]:
    """What to type for ``key`` to exist: the choices of its group that bring it.

    >>> bringing("policy.path", "rollout"), bringing("transforms.clip.low", "rollout")
    (['policy=module'], ['transforms=clip'])
    """
    for group in catalog.groups(command):
        if key.startswith(f"{group.name}."):
            names = catalog.choices(group.source)
            found = [name for name in names if any(it.path == key for it in catalog.node_keys(group, [name]))]
            return [f"{group.name}={name}" for name in found]
    return []


def meant(key: str, command: str, known: Iterable[str]) -> str:
    """A sentence with the nearest of ``known``, or with the keys of groups that end with ``key``.

    >>> meant("num_envs", "rollout", ["env", "seed"]), meant("sead", "rollout", ["env", "seed"])
    ("Did you mean 'parallel.num_envs'?", "Did you mean 'seed'?")
    >>> meant("gravity", "rollout", ["env", "seed"])
    'For an option of the simulator, type backend.options.gravity=...'
    """
    groups = catalog.groups(command)
    within = sorted({it.path for group in groups for it in catalog.node_keys(group) if it.path.endswith(f".{key}")})
    if 1 <= len(within) <= 3:
        return f"Did you mean {' or '.join(map(repr, within))}?"
    near = nearest(key.split(".")[0], known)
    if near.startswith("Did you mean") or "." in key or "backend" not in [group.name for group in groups]:
        return near
    return f"For an option of the simulator, type backend.options.{key}=..."
