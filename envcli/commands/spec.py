"""Show an env's specs: what goes in, and what comes out.

Prints the specs as a tree, both before and after any transforms. In a batch, shapes begin with the number of envs. In
JSON, null means no bound.

  envcli spec env=pendulum
  envcli spec env=pendulum parallel=serial parallel.num_envs=3
  envcli spec env=cartpole transforms=step_counter json=true
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envcli.terminal.answer import answer
from envcli.vocabulary.catalog import choice_of
from envcli.vocabulary.schema import EnvConfig

if TYPE_CHECKING:
    from rich.tree import Tree

    from envcli.envs.env import Env

__all__ = ["Config", "run"]

_WHERE = {"processes": ", in worker processes", "ray": ", in Ray actors", "serial": ", one after the other"}
_KINDS = ("observation", "action", "state", "reward", "done")


@dataclass
class Config(EnvConfig):
    """What ``envcli spec`` reads."""


def run(cfg: Config) -> None:
    """Print the specs as a tree; if transforms change them, those of the bare env come first."""
    from envcli.builder import build
    from envcli.envs.closing import closing

    with closing(build(_unseeded(cfg))) as env:
        data: dict[str, Any] = {
            "name": cfg.env_name,
            "backend": choice_of("backend", str(cfg.backend.get("type"))),
            "batch_size": list(env.batch_size),
            "parallel": cfg.parallel,
            "transforms": _types(cfg.transforms),
            "outer_transforms": _types(cfg.outer_transforms),
            "specs": _specs(env),
        }
    if data["transforms"] or data["outer_transforms"]:
        with closing(build(_bare(cfg))) as env:
            data["specs_before_transforms"] = _specs(env)
    answer(data, lambda: _tree(data), cfg.json)


def _types(nodes: dict[str, Any]) -> dict[str, str]:
    return {name: node["type"] for name, node in nodes.items() if node}


def _unseeded(cfg: Config) -> dict[str, Any]:
    """The configuration without a seed, which some envs do not take; a batch keeps it, as it starts all envs."""
    return {**vars(cfg), "seed": cfg.seed if cfg.parallel.get("type", "none") != "none" else None}


def _bare(cfg: Config) -> dict[str, Any]:
    """The configuration without transforms, and without a seed, so that a batch builds only one env."""
    envs = {name: {**node, "transforms": {}} for name, node in cfg.envs.items()}
    return {**vars(cfg), "transforms": {}, "outer_transforms": {}, "envs": envs, "seed": None}


def _specs(env: Env) -> dict[str, Any]:  # Any: a leaf, or a dict of them, as deep as the spec
    full = {kind: getattr(env, f"full_{kind}_spec") for kind in _KINDS}
    one = (0,) * env.ndim
    return {kind: _described(spec, one) for kind, spec in full.items() if spec is not None and len(list(spec.keys()))}


def _described(spec: Any, one: tuple[int, ...]) -> dict[str, Any]:  # Any: a Composite or a leaf
    if hasattr(spec, "keys"):
        return {str(name): _described(spec[name], one) for name in spec.keys()}  # noqa: SIM118 - a spec is no dict
    dtype = str(spec.dtype).removeprefix("torch.")
    kind = type(spec).__name__.removesuffix("Continuous").removesuffix("Discrete")  # the dtype implies it
    leaf = {"type": kind, "shape": list(spec.shape), "dtype": dtype, "device": str(spec.device)}
    return {**leaf, **_limits(spec, one)}


def _limits(spec: Any, one: tuple[int, ...]) -> dict[str, Any]:  # Any: each kind of spec has limits of its own
    """The bounds of a leaf, as short as possible: two numbers, a list of at most 16, or the widest range.

    In a batch, those of the env ``one``, as all envs are alike.
    """
    if (n := getattr(spec, "n", None)) is not None:
        return {"n": int(n)}
    if (counts := getattr(spec, "nvec", None)) is not None:
        return {"nvec": counts.tolist() if hasattr(counts, "tolist") else list(counts)}
    if hasattr(spec, "low"):
        return {"low": _edge(spec.low[one], "min"), "high": _edge(spec.high[one], "max")}
    return {}


def _edge(values: Any, side: str) -> Any:  # Any: a tensor in, a number or nested lists out
    if values.numel() == 0:
        return []
    if bool((values == values.flatten()[0]).all()):
        return values.flatten()[0].item()
    return values.tolist() if values.numel() <= 16 else getattr(values, side)().item()


def _tree(data: dict[str, Any]) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    where = _WHERE.get(data["parallel"].get("type", "none"), "")
    several = f" x {data['batch_size'][0]}{where}" if data["batch_size"] else ""
    tree = Tree(Text.assemble((data["name"], "bold"), f" (backend={data['backend']}){several}"))
    if before := data.get("specs_before_transforms"):
        _grow(tree.add("before transforms"), before)
        names = ", ".join([*data["transforms"], *data["outer_transforms"]])
        tree = _grow(tree.add(f"after {names}"), data["specs"], tree)
    else:
        _grow(tree, data["specs"])
    return tree


def _grow(tree: Tree, specs: dict[str, Any], root: Tree | None = None) -> Tree:
    """Add ``specs`` below ``tree``, with names aligned within a branch. Returns ``root``, or ``tree``."""
    from rich.text import Text

    width = max((len(name) for name, node in specs.items() if "dtype" in node), default=0)
    for name, node in specs.items():
        if "dtype" in node and not isinstance(node["dtype"], dict):
            tree.add(Text.assemble((name.ljust(width), "cyan"), "  ", _leaf(node)))
        else:
            _grow(tree.add(Text(name, "bold")), node)
    return root or tree


def _leaf(node: dict[str, Any]) -> str:
    shape = "x".join(map(str, node["shape"])) or "scalar"
    limits = ""
    if node["type"] == "Text" or (node["dtype"] == "bool" and node["type"] == "Categorical"):
        pass  # any bytes, and true or false: it goes without saying
    elif "n" in node:
        limits = f"  one of {node['n']}"
    elif "nvec" in node:
        limits = f"  of {node['nvec']}"
    elif "low" in node:
        limits = f"  {_short(node['low'])} to {_short(node['high'])}"
    device = "" if node["device"] in ("cpu", "None") else f"  on {node['device']}"
    return f"{node['type']}  {node['dtype']}  [{shape}]{limits}{device}"


def _short(value: Any) -> str:  # Any: a number or nested lists of them
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.4g}" if isinstance(value, float) or abs(value) >= 1e12 else str(value)
