"""A camera on MuJoCo's physics as dm_control wraps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from envcli import gl
from envcli.errors import ConfigError
from envcli.gl_contexts import kept_current
from envcli.rows.pixels import FrameSize, Pixels, frame_size

__all__ = ["PhysicsCamera", "release"]

_SIZE = (240, 320)  # of a frame, as dm_control itself has it
_PLACE = ("height", "width", "camera_id", "scene_callback")  # what a camera is made with; the rest is for each frame
_QUALITIES = ("full", "fast")


class PhysicsCamera:
    """Where the camera stands, how large its frames are, and how much they may cost.

    Args:
        camera_id: number or name of a camera of the model; -1 is the free one.
        pixel_size: ``[height, width]`` of the frames; None: 240 x 320.
        render_quality: ``"fast"`` draws without smoothed edges and shadows, three to ten times as fast without a GPU.
        render_kwargs: for ``physics.render``; wins over the others.

    Raises:
        ConfigError: a size or quality that there is not.
    """

    def __init__(
        self,
        camera_id: int | str = 0,
        pixel_size: FrameSize | None = None,
        render_quality: str = "full",
        render_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if render_quality not in _QUALITIES:
            raise ConfigError(f"render_quality: found {render_quality!r}, expected one of {', '.join(_QUALITIES)}")
        height, width = _SIZE if pixel_size is None else frame_size(pixel_size)
        self.quality = render_quality
        self.options = {"height": height, "width": width, "camera_id": camera_id, **(render_kwargs or {})}

    def aim(self, env: Any, where: str) -> Pixels:  # Any: whatever has a physics
        """Frames of ``env.physics``. Size and quality count for a physics that has not drawn yet.

        Raises:
            ConfigError: there is nothing to draw, nothing to draw with, or no such camera.
        """
        physics = getattr(env, "physics", None)
        if not callable(getattr(physics, "render", None)):
            raise ConfigError(f"from_pixels: {where} has no physics to draw. Type: from_pixels=false")
        gl.prepare_mujoco(pixels=True)
        self._prepare(physics)
        try:
            return Pixels(_Lens(env, self.options), where)
        except (TypeError, ValueError) as error:  # dm_control's own words for a camera or an option it does not have
            raise ConfigError(f"pixels of {where}: {error}") from error

    def _prepare(self, physics: Any) -> None:  # Any: dm_control is not annotated
        visual = physics.model.vis
        frame = getattr(visual, "global_")  # noqa: B009 - MuJoCo's name for what C calls global
        frame.offheight = max(frame.offheight, self.options["height"])
        frame.offwidth = max(frame.offwidth, self.options["width"])
        if self.quality == "fast":
            visual.quality.offsamples = 0
            visual.quality.shadowsize = 0


class _Lens:
    """The present frame of ``env.physics``, drawn by one camera for as long as the model stays the same.

    ``physics.render`` makes a new scene for every frame: at 84 x 84 and fast quality that is 3 of its 7 ms.
    """

    def __init__(self, env: Any, options: Mapping[str, Any]) -> None:  # Any: see PhysicsCamera.aim
        self._env = env
        self._placed = {name: value for name, value in options.items() if name in _PLACE}
        self._drawn = {name: value for name, value in options.items() if name not in _PLACE}
        self._model: Any = None

    def __call__(self) -> Any:
        physics = self._env.physics
        with kept_current(), _nothing_believed(physics):
            if physics.model is not self._model:
                self._camera = self._on(physics)
                self._model = physics.model
            return self._camera.render(**self._drawn)

    def _on(self, physics: Any) -> Any:
        from dm_control.mujoco import Camera
        from dm_control.mujoco.wrapper.core import Error

        try:
            return Camera(physics, **self._placed)
        except Error as error:  # no camera of that name; it is a bare Exception
            raise ValueError(str(error)) from error


@contextmanager
def _nothing_believed(physics: Any) -> Iterator[None]:  # Any: dm_control is not annotated
    """Inside and afterwards dm_control makes an OpenGL context current when it needs it.

    It does not where it believes that it is: it remembers which one was, and others draw here, too.
    """
    _forget_current(physics)
    try:
        yield
    finally:
        _forget_current(physics)


def _forget_current(physics: Any) -> None:  # Any: dm_control is not annotated
    from dm_control._render import base

    believed = base._CURRENT_CONTEXT_FOR_THREAD.pop(physics.contexts.gl.thread, None)
    base._CURRENT_THREAD_FOR_CONTEXT.pop(believed, None)


def release(env: Any) -> None:  # Any: a dm_env environment, with or without a physics
    """Close ``env`` and let go of its OpenGL context, which the suite's own ``close`` keeps. Safe twice."""
    with suppress(AttributeError, ReferenceError):  # what composer's envs raise where their physics is gone already
        env.close()
        if callable(free := getattr(getattr(env, "physics", None), "free", None)):
            free()
