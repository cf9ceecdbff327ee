"""What to change first: the largest part of a step for which there is a cure, and what to type for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envcli.bench.report import percent
from envcli.bench.workload import Workload
from envcli.clocks.parts import BACKEND, IDLE, PIXELS, POLICY, POLICY_ROWS, SIMULATOR, STEPS, WAITING
from envcli.profile.breakdown import Breakdown
from envcli.vocabulary.schema import cores, in_one_line

__all__ = ["advice"]

_WORTH = 0.05  # of a step; less is not worth a change
_SLOWEST, _MESSAGES = "waiting for the slowest worker", "messages to the workers"

Cure = Callable[[Workload], str]
"""A sentence that ends with what to type; empty where it does not help this workload."""


def advice(found: Breakdown, work: Workload) -> str:
    """One line. Parts that nobody can change by typing are passed over; if all are, that is said."""
    shares = sorted(_shares(found).items(), key=lambda item: -item[1])
    for part, share in shares:
        if share >= _WORTH and (cure := _cure(part, work)):
            return f"change first: {part}, {percent(share)} of a step. {cure}"
    simulator = sum(share for part, share in shares if part in SIMULATOR.values())
    if simulator >= 0.5:
        return f"nothing to change: the simulator itself is the time, {percent(simulator)} of a step"
    part, share = shares[0]
    return f"nothing to change by typing: the largest part is {part}, {percent(share)} of a step"


def _shares(found: Breakdown) -> dict[str, float]:
    """Of a step; where the main process waits, the parts of the workers stand for that time."""
    shares: dict[str, float] = {}
    for column in found.columns:
        for part, us in column.parts.items():
            if part not in (WAITING, IDLE):
                shares[part] = shares.get(part, 0.0) + us / found.us
    waiting = found.columns[0].parts.get(WAITING, 0.0) / found.us
    for part, name in ((_SLOWEST, "some"), (_MESSAGES, "none")):
        shares[part] = waiting * found.of_waiting.get(name, 0.0)
    return shares


def _cure(part: str, work: Workload) -> str:
    for place in ("transforms", "outer_transforms"):
        for name, node in (work.cfg.get(place) or {}).items():
            if node and part == f"{place}.{name}":
                return _of_transform(part, place, node, work)
    cure = _CURES.get(part)
    return cure(work) if cure else ""


def _more_cores(work: Workload) -> str:
    here = cores()
    if work.kind == "processes":
        if work.workers < min(here, work.envs):
            most = min(here, work.envs)
            which = f"all {here} cores" if most == here else f"{most} cores, one for each env"
            return f"The simulator itself is the time: give it {which}: parallel.num_workers={most}"
        return ""
    if work.kind == "none" and work.envs > 1:
        return _more_of_an_engine(work)
    if here < 2:
        return ""
    envs = f"parallel.num_envs={max(work.envs, 2 * here)}"
    return f"The simulator itself is the time: let it run on all {here} cores: parallel=processes {envs}"


def _more_of_an_engine(work: Workload) -> str:
    """Of one that steps many envs at once."""
    kind, here = work.backend.get("type"), cores()
    if kind in ("torch", "brax"):
        return f"One operation acts on all envs, so let there be more: parallel.num_envs={2 * work.envs}"
    if kind == "gymnasium_vector" and here > 1:
        return f"It uses one core: backend=gymnasium parallel=processes parallel.num_envs={max(work.envs, 2 * here)}"
    if "num_threads" in work.backend and work.workers < min(here, work.envs):
        return f"The simulator itself is the time: give it all {here} cores: backend.num_threads={here}"
    return ""


def _pixels(work: Workload) -> str:
    backend = work.backend
    if backend.get("type") == "ale":
        return _gray_console(work)
    if backend.get("type") != "dm_control":
        return ""
    if backend.get("render_quality") != "fast":
        return "Draw without shadows and smoothed edges: backend.render_quality=fast"
    return _small_camera(work)


def _gray_console(work: Workload) -> str:
    """ALE draws gray as fast as colours, and a third of the bytes are left for all that follows."""
    if work.backend.get("type") != "ale" or work.backend.get("obs_type", "rgb") != "rgb":
        return ""
    gray = _place_of("gray_scale", work)
    if not gray:
        return ""
    return f"Let ALE draw gray frames, by a palette of its own: backend.obs_type=grayscale '~{gray}'"


def _small_camera(work: Workload) -> str:
    """Of frames that are made small afterwards."""
    resize = _place_of("resize", work)
    if work.backend.get("type") != "dm_control" or not resize:
        return ""
    place, _, name = resize.partition(".")
    node = work.cfg[place][name]
    return f"Draw frames of that size at once: 'backend.pixel_size=[{node['h']},{node['w']}]' '~{resize}'"


def _place_of(kind: str, work: Workload) -> str:
    for place in ("transforms", "outer_transforms"):
        for name, node in (work.cfg.get(place) or {}).items():
            if node and node.get("type") == kind:
                return f"{place}.{name}"
    return ""


def _of_transform(path: str, place: str, node: dict[str, Any], work: Workload) -> str:
    kind = node.get("type")
    images = ("gray_scale", "resize", "to_tensor_image")
    if kind in images and (cure := _gray_console(work)):
        return cure
    if kind == "resize" and (cure := _small_camera(work)):
        return cure
    if kind in images and _place_of("to_tensor_image", work) and not _bytes_stay(work):
        name = _place_of("to_tensor_image", work)
        return f"Let frames stay bytes, a quarter of the floats' memory: {name}.from_int=false {name}.dtype=uint8"
    if place == "outer_transforms" and work.kind == "processes":
        return _inside(path, node, work)
    return ""


def _inside(path: str, node: dict[str, Any], work: Workload) -> str:
    """For the first of those that the main process does; the workers' own come before it."""
    name, outer = path.partition(".")[2], [name for name, node in work.cfg["outer_transforms"].items() if node]
    if outer[0] != name or name in (work.cfg.get("transforms") or {}):
        return ""
    return f"Let the workers do it, each for its own envs: '~{path}' '+transforms.{name}={in_one_line(node)}'"


def _bytes_stay(work: Workload) -> bool:
    nodes = [node for node in work.transforms if node.get("type") == "to_tensor_image"]
    return all(node.get("dtype") == "uint8" for node in nodes)


def _more_envs_a_call(work: Workload) -> str:
    if work.kind == "none" and work.envs == 1:
        return "One call of it can act for many envs: parallel=serial parallel.num_envs=8"
    return f"One call of it acts for all envs, so let there be more: parallel.num_envs={2 * work.envs}"


def _more_envs_a_worker(work: Workload) -> str:
    cure = f"Let each worker have more envs, so that there are fewer messages: parallel.num_envs={2 * work.envs}"
    if work.workers < 2 or work.cfg["parallel"].get("local_worker"):
        return cure
    return f"{cure}. Or let the main process be one of the workers: parallel.local_worker=true"


def _even_shares(work: Workload) -> str:
    over = work.envs % work.workers
    envs = work.envs + work.workers - over if over else 2 * work.envs
    why = "Shares are uneven" if over else "With more envs in each share they take more alike"
    return f"{why}: parallel.num_envs={envs}"


def _fewer_checks(work: Workload) -> str:
    return "Check less often: backend.checks=first" if work.backend.get("checks") == "full" else ""


_CURES: dict[str, Cure] = {
    STEPS: _more_cores,
    PIXELS: _pixels,
    POLICY: _more_envs_a_call,
    POLICY_ROWS: _more_envs_a_call,
    BACKEND: _fewer_checks,
    _MESSAGES: _more_envs_a_worker,
    _SLOWEST: _even_shares,
}
