"""What a gymnasium env draws, whoever else draws in the process."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
from gymnasium.vector import SyncVectorEnv, VectorEnv

from envcli import gl
from envcli.gl_contexts import ending_in_time, kept_current
from envcli.pygame_turns import pygame_turn

__all__ = ["Lens", "Lenses"]


class Lens:
    """The present frame of ``env``, what ``env.render()`` gives.

    MuJoCo draws with whatever OpenGL context is current. gymnasium makes that of an env current when it first draws,
    and never again: from then on it draws with the context of the env that began last, and an env that is closed
    deletes what another one draws with. Here its own is made current before each frame (7 us) and before it is freed.

    Which OpenGL that is, is chosen before the first frame, as no display may be there (:mod:`envcli.gl`).

    A free camera of gymnasium's looks at where the model is when it first draws, whatever the seed was then.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        self._renderer: Any = getattr(env.unwrapped, "mujoco_renderer", None)
        self._ready = self._ends = self._anew = False

    def __call__(self) -> Any:  # Any: as gymnasium has it
        if not self._ready:
            self._prepare()
        with kept_current():
            for viewer in _viewers(self._renderer).values():
                viewer.make_context_current()
                if self._anew:
                    self._place(viewer)
            self._anew = False
            frame = self._drawn()
        if not self._ends and _viewers(self._renderer):
            self._ends = True
            ending_in_time(self._env.unwrapped, _free, self._renderer)
        return frame

    def _drawn(self) -> Any:  # Any: as gymnasium has it
        if self._renderer is not None:
            return self._env.render()
        with pygame_turn():
            return self._env.render()

    def _prepare(self) -> None:
        """Let the first frame be drawn without a display, whoever made the env."""
        gl.prepare_sdl()
        if "mujoco" in sys.modules:
            gl.prepare_mujoco(pixels=self._renderer is not None)
        self._ready = True

    def look_anew(self) -> None:
        """Have the next frame be the first one of a new camera, as where the env is made anew."""
        self._anew = True

    def _place(self, viewer: Any) -> None:  # Any: an OffScreenViewer of gymnasium's, which makes its camera so
        viewer.cam = type(viewer.cam)()
        viewer._init_camera()
        self._renderer.viewer = viewer
        self._renderer._set_cam_config()

    def close(self) -> None:
        """Let go of what is drawn with. Call it before ``env.close()``; safe twice."""
        _free(self._renderer)


class Lenses:
    """The present frame of each env of ``engine``, what ``engine.render()`` gives."""

    def __init__(self, engine: VectorEnv[Any, Any, Any]) -> None:
        self._engine = engine
        self._each = [Lens(env) for env in engine.envs] if isinstance(engine, SyncVectorEnv) else []

    def __call__(self) -> Any:  # Any: as gymnasium has it
        if self._each:
            return tuple(lens() for lens in self._each)
        with pygame_turn():
            return self._engine.render()

    def look_anew(self) -> None:
        """See :meth:`Lens.look_anew`."""
        for lens in self._each:
            lens.look_anew()

    def close(self) -> None:
        """See :meth:`Lens.close`."""
        for lens in self._each:
            lens.close()


def _viewers(renderer: Any) -> dict[str, Any]:  # Any: a MujocoRenderer of gymnasium's, or None
    """Those that draw into memory, by what they draw; a window sees to itself."""
    found = getattr(renderer, "_viewers", {})
    return {mode: viewer for mode, viewer in found.items() if hasattr(viewer, "opengl_context")}


def _free(renderer: Any) -> None:
    for mode, viewer in _viewers(renderer).items():
        viewer.make_context_current()
        viewer.con.free()
        viewer.free()
        del renderer._viewers[mode]
