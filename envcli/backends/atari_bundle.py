"""DeepMind's preprocessing of Atari, for engines that do it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["AtariBundle", "taken_noops"]

Nodes = Mapping[str, Any]  # Any: what a YAML holds

_PIXELS = {"in_keys": ["pixels"], "out_keys": None}
_FREE: dict[str, set[str]] = {"noop_reset_env": {"noops"}, "resize": {"w", "h", "interpolation"}, "cat_frames": {"N"}}
_FIXED: dict[str, dict[str, Any]] = {  # type -> the only values that an engine knows
    "noop_reset_env": {"random": True},
    "gray_scale": _PIXELS,
    "resize": _PIXELS,
    "to_tensor_image": {**_PIXELS, "from_int": False, "dtype": "uint8", "unsqueeze": False, "shape_tolerant": False},
    "cat_frames": {
        **_PIXELS,
        **dict.fromkeys(("reset_key", "done_key", "mask_key")),
        **{"dim": -3, "padding": "same", "padding_value": 0, "as_inverse": False, "future": False},
    },
    "reward_clipping": {"clamp_min": -1.0, "clamp_max": 1.0, "in_keys": None, "out_keys": None},
}
_ALWAYS = ("gray_scale", "resize", "to_tensor_image", "cat_frames")


@dataclass(frozen=True)
class AtariBundle:
    """What ``transforms=atari`` asks for: gray frames of ``size``, height and width, the last ``stack`` of them as one.

    ``clipped``: rewards are kept within -1 and 1. The no-ops of a game's beginning are :func:`taken_noops`.
    """

    size: tuple[int, int]
    stack: int
    clipped: bool

    @classmethod
    def split(cls, transforms: Nodes) -> tuple[Self, Nodes] | None:
        """The bundle that ``transforms`` begin with, and the rest of them; None if they do not, or ask for more.

        Clipped rewards may be missing. How frames are made smaller is the engine's.
        """
        left = [(name, node) for name, node in transforms.items() if node]
        found: dict[str, Any] = {}
        for kind in (*_ALWAYS, "reward_clipping"):
            if left and left[0][1]["type"] == kind:
                found[kind] = left.pop(0)[1]
            elif kind in _ALWAYS:
                return None
        if not all(_plain(node) for node in found.values()):
            return None
        size = int(found["resize"]["h"]), int(found["resize"]["w"])
        return cls(size, int(found["cat_frames"]["N"]), "reward_clipping" in found), dict(left)


def taken_noops(transforms: Nodes) -> tuple[int, Nodes]:
    """The most no-ops that a ``noop_reset_env`` among ``transforms`` asks for, and the others; 0: there is none.

    The transform itself steps single envs only, so an engine does this whatever else it leaves to transforms.
    """
    found = [name for name, node in transforms.items() if node and node["type"] == "noop_reset_env" and _plain(node)]
    noops = max((int(transforms[name].get("noops", 30)) for name in found), default=0)
    return noops, {name: node for name, node in transforms.items() if name not in found}


def _plain(node: Nodes) -> bool:
    kind = node["type"]
    fixed, free = _FIXED[kind], {"type", *_FREE.get(kind, ())}
    return all(name in free or (name in fixed and fixed[name] == value) for name, value in node.items())
