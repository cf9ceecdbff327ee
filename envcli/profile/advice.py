"""What to change first: the largest part of a step for which there is a cure, and what to type for it.

Clocks measure the parts of a step, so advice that removes a part is certain. They do not measure other numbers of envs
and processes; there, the advice is to measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envcli.bench.report import percent
from envcli.bench.workload import Workload
from envcli.clocks.parts import BACKEND, IDLE, PIXELS, POLICY, POLICY_ROWS, SIMULATOR, STEPS, WAITING
from envcli.processes import cores
from envcli.profile.breakdown import Breakdown
from envcli.vocabulary.schema import in_one_line

__all__ = ["advice"]

_WORTH = 0.05  # share of a step; less is not worth a change
_SLOWEST, _MESSAGES = "waiting for the slowest worker", "messages to the workers"

Cure = Callable[[Workload], str]
"""A sentence that ends with what to type; empty if it does not help this workload."""


def advice(found: Breakdown, work: Workload) -> str:
    """One line of advice, on the largest part that an override can change; if there is none, it says so."""
    shares = sorted(_shares(found).items(), key=lambda item: -item[1])
    for part, share in shares:
        if share >= _WORTH and (cure := _cure(part, work)):
            return f"change first: {part}, {percent(share)} of a step. {cure}"
    simulator = sum(share for part, share in shares if part in SIMULATOR.values())
    more = ". To try other numbers of envs and workers, add tune=true" if _can_be_tuned(work) else ""
    if simulator >= 0.5:
        return f"nothing to change in a step: the simulator itself is the time, {percent(simulator)} of it{more}"
    part, share = shares[0]
    return f"nothing to change in a step by typing: the largest part is {part}, {percent(share)} of it{more}"


def _shares(found: Breakdown) -> dict[str, float]:
    """Part -> share of a step; the parts of the workers stand for the time in which the main process waits."""
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


def _can_be_tuned(work: Workload) -> bool:
    """Whether ``tune=true`` can search here: not for different envs in one batch, nor for an engine of many envs."""
    return not work.cfg.get("envs") and not work.steps_at_once


def _measure(why: str, variant: str, work: Workload) -> str:
    """The advice to measure, by a search or, where that is not possible, with the keys in ``variant``."""
    what = "tune=true" if _can_be_tuned(work) else f"'variant={{{variant}}}'"
    return f"{why}. Whether that pays, measure: {what}"


def _more_cores(work: Workload) -> str:
    here = cores()
    if work.kind == "processes":
        most = min(here, work.envs)
        if work.workers >= most:
            return ""
        why = f"The simulator itself is the time, and could have {most} workers on {here} cores"
        return _measure(why, f"parallel.num_workers: {most}", work)
    if work.steps_at_once:
        return _more_of_an_engine(work)
    if here < 2:
        return ""
    why = f"The simulator itself is the time, and could run on {here} cores"
    return _measure(why, f"parallel: processes, parallel.num_envs: {work.envs}", work)


def _more_of_an_engine(work: Workload) -> str:
    """The cure for an engine that steps many envs at once."""
    kind, here = work.backend.get("type"), cores()
    if kind in ("torch", "brax", "gymnax", "jumanji", "mujoco_playground", "vmas"):
        return _measure(
            "One operation acts on all envs, and there could be more", f"parallel.num_envs: {2 * work.envs}", work
        )
    if kind == "gymnasium_vector" and here > 1:
        envs = f"parallel.num_envs: {max(work.envs, 2 * here)}"
        variant = f"backend: gymnasium, parallel: processes, {envs}"
        return _measure(f"It uses one core, and could run as processes on {here}", variant, work)
    if "num_threads" in work.backend and work.workers < min(here, work.envs):
        why = f"The simulator itself is the time, and could run on all {here} cores"
        return _measure(why, f"backend.num_threads: {here}", work)
    return ""


def _pixels(work: Workload) -> str:
    backend = work.backend
    if backend.get("type") == "ale":
        return _gray_console(work)
    if backend.get("type") != "dm_control":
        return ""
    if backend.get("render_quality") != "fast":
        return "Render without shadows and antialiasing: backend.render_quality=fast"
    return _small_camera(work)


def _gray_console(work: Workload) -> str:
    """ALE draws gray as fast as colours, and everything after it has a third of the bytes."""
    if work.backend.get("type") != "ale" or work.backend.get("obs_type", "rgb") != "rgb":
        return ""
    gray = _place_of("gray_scale", work)
    if not gray:
        return ""
    return f"Let ALE draw grayscale frames, with its own palette: backend.obs_type=grayscale '~{gray}'"


def _small_camera(work: Workload) -> str:
    """For frames that are made smaller afterwards: let the camera be small."""
    resize = _place_of("resize", work)
    if work.backend.get("type") != "dm_control" or not resize:
        return ""
    place, _, name = resize.partition(".")
    node = work.cfg[place][name]
    return f"Render frames at that size directly: 'backend.pixel_size=[{node['h']},{node['w']}]' '~{resize}'"


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
    """For the first transform in the main process; those in the workers come before it."""
    name, outer = path.partition(".")[2], [name for name, node in work.cfg["outer_transforms"].items() if node]
    if outer[0] != name or name in (work.cfg.get("transforms") or {}):
        return ""
    why = "The workers could do it, each for its own envs"
    return _measure(why, f"{path}: null, +transforms.{name}: {in_one_line(node)}", work)


def _bytes_stay(work: Workload) -> bool:
    nodes = [node for node in work.transforms if node.get("type") == "to_tensor_image"]
    return all(node.get("dtype") == "uint8" for node in nodes)


def _more_envs_a_call(work: Workload) -> str:
    if work.kind == "none" and not work.steps_at_once:
        return _measure("One call of it can act for many envs", "", work)
    return _measure(
        "One call of it acts for all envs, and there could be more", f"parallel.num_envs: {2 * work.envs}", work
    )


def _more_envs_a_worker(work: Workload) -> str:
    why = "With more envs in each worker there would be fewer messages"
    cure = _measure(why, f"parallel.num_envs: {2 * work.envs}", work)
    if work.workers < 2 or work.cfg["parallel"].get("local_worker"):
        return cure
    return f"{cure}. Or the main process as one of the workers: 'variant={{parallel.local_worker: true}}'"


def _even_shares(work: Workload) -> str:
    over = work.envs % work.workers
    if over:
        return f"Shares are uneven: parallel.num_envs={work.envs + work.workers - over}"
    why = "With more envs in each share they could take more alike"
    return _measure(why, f"parallel.num_envs: {2 * work.envs}", work)


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
