"""The choice of OpenGL: which way of drawing works on this machine, decided before a simulator is imported.

MuJoCo and dm_control read ``MUJOCO_GL`` once, when they are imported. Left unset it draws nothing without a display,
set to a library that is not there it breaks even envs that draw nothing, and a context that fails can take the whole
process with it. So the answer is proved by drawing one small frame in a child process (about a second), and remembered:
for the process, and for the machine in ``~/.cache/envcli/gl.json`` until a library, a driver or the display changes.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from envcli.errors import ConfigError

__all__ = ["GL", "PACKAGES", "prepare_mujoco", "prepare_sdl", "prepare_unknown", "survey"]

PACKAGES = {"glfw": "", "egl": "libegl1 libgl1", "osmesa": "libosmesa6"}
"""The ways of drawing, best first -> the Debian packages that bring them; a display comes with its own."""

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
_OFF = ("disable", "disabled", "off", "false", "0")
_ON = ("enable", "enabled", "on", "true", "1", "")  # what dm_control takes for glfw
_PATIENCE = 60  # seconds; a cold disk needs five

_PROOF = """
import ctypes.util, os, sys
if sys.argv[1] and not ctypes.util.find_library(sys.argv[1]):
    sys.exit(f"lib{sys.argv[1]} is not installed")
try:
    import mujoco
except ModuleNotFoundError:
    sys.exit("mujoco is not installed")
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom type='box' size='1 1 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 8, 8)
renderer.update_scene(data)
if not renderer.render().any():
    sys.exit("the frame it draws is black")
os._exit(0)  # a context that cannot be torn down has drawn all the same
"""


@dataclass(frozen=True)
class GL:
    """One way of drawing. ``reason`` says why it does not work, in one line, and is empty where it does."""

    name: str
    works: bool
    reason: str = ""


def prepare_mujoco(pixels: bool) -> None:
    """Set ``MUJOCO_GL`` to what works here, unless it is set. Call it before mujoco or dm_control is imported.

    Also an env without pixels asks, so that a later one in the same process can have them; only where nothing works is
    drawing switched off. Elsewhere than on Linux the libraries' own choice is right, and nothing is done.

    Args:
        pixels: whether frames will be wanted.

    Raises:
        ConfigError: frames are wanted, and ``MUJOCO_GL`` as the user set it, or nothing at all, can draw them.
    """
    if sys.platform != "linux":
        return
    chosen = os.environ.get("MUJOCO_GL")
    if chosen is not None:
        if pixels:
            _require(chosen.lower())
        return
    if "dm_control._render" in sys.modules:  # imported before us and without being told: it took glfw
        if pixels:
            _require("glfw", "dm_control was imported before envcli could choose, and took glfw, which")
        return
    working = _first_working(sure=pixels)
    if working is None and pixels:
        raise ConfigError(_nothing_works())
    os.environ["MUJOCO_GL"] = working or "disabled"


def prepare_sdl() -> None:
    """Let pygame draw without a window or a sound card where there is no display. Call it before pygame is imported."""
    if sys.platform == "linux" and not _has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_AUDIODRIVER", "dummy")


def prepare_unknown() -> None:
    """Before code is imported of which nobody knows what it draws with: let it draw without a display, too."""
    prepare_sdl()
    if importlib.util.find_spec("mujoco") is not None:
        prepare_mujoco(pixels=False)


def survey() -> list[GL]:
    """Every way of drawing, proved anew: what works here, and why the others do not."""
    return [_proved(name, sure=True) for name in PACKAGES]


def _first_working(sure: bool) -> str | None:
    return next((name for name in PACKAGES if _proved(name, sure).works), None)


def _require(chosen: str, told: str = "") -> None:
    """Raise ConfigError unless ``chosen``, a value of ``MUJOCO_GL``, draws here."""
    chosen = "glfw" if chosen in _ON else chosen
    if chosen in PACKAGES and (gl := _proved(chosen, sure=True)).works:
        return
    working = _first_working(sure=True)
    if working is None:
        raise ConfigError(_nothing_works())
    cure = f"Start again with MUJOCO_GL={working}, which does"
    told = told or f"MUJOCO_GL={chosen}"
    if chosen in _OFF:
        raise ConfigError(f"pixels: {told} switches drawing off. {cure} not")
    if chosen not in PACKAGES:
        raise ConfigError(f"pixels: {told} is not one of {', '.join(PACKAGES)}. Start again with MUJOCO_GL={working}")
    raise ConfigError(f"pixels: {told} does not work here: {gl.reason}. {cure}")


def _nothing_works() -> str:
    reasons = "; ".join(f"{gl.name}: {gl.reason}" for gl in survey())
    return (
        f"pixels: nothing can draw on this machine ({reasons}). On Debian and Ubuntu type: "
        f"apt-get install --no-install-recommends {PACKAGES['egl']}"
    )


# -- the proof --------------------------------------------------------------------------------------------------------


@functools.cache
def _proved(name: str, sure: bool) -> GL:
    """Does ``name`` draw? A refusal that was only remembered is tried again if the caller must be ``sure``."""
    if name == "glfw" and not _has_display():
        return GL(name, False, "there is no display (DISPLAY is not set)")
    remembered = _remembered().get(name)
    if remembered is not None and (remembered.works or not sure):
        return remembered
    gl = _drawn(name)
    _remember(gl)
    return gl


def _drawn(name: str) -> GL:
    environment = {**os.environ, "MUJOCO_GL": name}
    environment.pop("PYOPENGL_PLATFORM", None)  # dm_control leaves it behind, for the GL that it took
    command = [sys.executable, "-c", _PROOF, _LIBRARIES.get(name, "")]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return GL(name, False, f"no frame within {_PATIENCE} seconds")
    if done.returncode == 0:
        return GL(name, True)
    lines = done.stderr.strip().splitlines()
    return GL(name, False, lines[-1].strip().rstrip(".") if lines else f"it crashes the process ({done.returncode})")


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# -- what is remembered -----------------------------------------------------------------------------------------------

_KEPT = 8  # machines and venvs that share one home


def _cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "envcli" / "gl.json"


@functools.cache
def _circumstances() -> str:
    """Whatever, when it changes, may change the answer."""
    versions = [_version(name) for name in ("mujoco", "PyOpenGL", "glfw")]
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_EGL_DEVICE_ID", "EGL_DEVICE_ID", "LD_LIBRARY_PATH")
    cards = sorted(
        path.name for place, form in (("/dev/dri", "*"), ("/dev", "nvidia*")) for path in Path(place).glob(form)
    )
    try:
        libraries = Path("/etc/ld.so.cache").stat().st_mtime_ns  # rewritten when a package brings or takes a library
    except OSError:
        libraries = 0
    seen = [sys.prefix, platform.node(), *versions, *(os.environ.get(name) for name in variables), *cards, libraries]
    return json.dumps(seen)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _read() -> dict[str, dict[str, dict[str, object]]]:
    try:
        content = json.loads(_cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, not readable, cut short: then nothing is remembered
        return {}
    return content if isinstance(content, dict) else {}


def _remembered() -> dict[str, GL]:
    entries = _read().get(_circumstances(), {})
    return {name: GL(name, bool(entry["works"]), str(entry["reason"])) for name, entry in entries.items()}


def _remember(gl: GL) -> None:
    content = _read()
    here = {**content.pop(_circumstances(), {}), gl.name: asdict(gl)}
    content = {**dict(list(content.items())[1 - _KEPT :]), _circumstances(): here}
    path = _cache_file()
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(path)  # whole or not at all: several workers may ask at once
    except OSError:
        return  # a home that cannot be written costs a second per process, no more
