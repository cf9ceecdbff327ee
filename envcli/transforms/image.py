"""What all transforms of images agree on: where the channels are, how a size is given, what the bounds become."""

from __future__ import annotations

import warnings
from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from envcli.errors import TransformError
from envcli.frames.channels import CHANNELS, channels_last
from envcli.keys import NestedKey, as_path
from envcli.memory.buffer import Array, RolloutBuffer, as_array
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.transforms.overriding import is_written_for, place_of
from envcli.transforms.transform import Transform

__all__ = ["ByteRule", "ImageSequence", "ImageTransform", "channel_axis", "height_and_width"]

ByteRule: TypeAlias = Callable[[Array], Array]

_IN_FEWER_STEPS = ("_channels_alike", "_makes_unit_floats", "_of_frame", "_on_bytes", "_recolour")


class ImageTransform(Transform, ABC):
    """A transform of images, ``[*lead, channels, height, width]``; a subclass writes ``_apply_transform``.

    Frames as simulators draw them, uint8 ``[*lead, height, width, channels]``, are taken too, see :func:`channel_axis`.

    Args:
        in_keys: the images; None: ``["pixels"]``.
        out_keys: what they are called after; None: the same.
    """

    _keeps_order = True
    """Is a brighter image never made darker anywhere? Then bounds go through the transform as images do."""

    def __init__(self, in_keys: Sequence[NestedKey] | None = None, out_keys: Sequence[NestedKey] | None = None) -> None:
        super().__init__(["pixels"] if in_keys is None else in_keys, out_keys)
        self._keys_by_default = in_keys is None
        self._may_idle = self._warned = False

    # -- an env without images ------------------------------------------------------------------------------------

    def _added_later(self) -> None:
        self._may_idle = self._keys_by_default

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        """What it works on; nothing, if it was appended without keys to an env without images, as in the tutorial."""
        return ([] if self._may_idle else self.in_keys), self.in_keys_inv

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        shown = output_spec["full_observation_spec"].leaves()
        missing = [key for key in self.in_keys if as_path(key) not in shown]
        if self._may_idle and missing and not self._warned:
            warnings.warn(
                f"{type(self).__name__}: the env shows no {missing}, so it does nothing. Name the image in in_keys",
                stacklevel=2,
            )
            self._warned = True
        return super().transform_output_spec(output_spec)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        try:
            return self._spec_after(leaf)
        except TransformError as error:
            raise TransformError(f"{key!r}: {error}") from None

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        """With the bounds that follow from the old ones; those of floats are a millionth wider, for rounding."""
        if not isinstance(leaf, Bounded) or not self._keeps_order:
            value = self._apply_transform(leaf.zero())
            return self._without_bounds(value, leaf)
        low, high = self._apply_transform(leaf.low), self._apply_transform(leaf.high)
        low, high = low.min(), high.max()
        if low.dtype.is_floating_point and self._rounds and high > low:
            low, high = low - low.abs() * 1e-6, high + high.abs() * 1e-6
        shape = self._apply_transform(leaf.zero()).shape
        return Bounded(low, high, shape=shape, device=leaf.device, dtype=low.dtype)

    _keeps_values = False
    _resets_by_call = True

    _channels_alike = False
    """Is every channel treated alike and by itself, with sums kept sums? Then grays may be made before or after."""

    _rounds = False
    """Are floats computed with, so that rounding may carry them past the bounds?"""

    def _without_bounds(self, value: torch.Tensor, leaf: TensorSpec) -> TensorSpec:
        if value.dtype == torch.uint8:
            return Bounded(0, 255, shape=value.shape, device=leaf.device, dtype=value.dtype)
        return Unbounded(value.shape, device=leaf.device, dtype=value.dtype)

    # -- several in one pass --------------------------------------------------------------------------------------

    def _fused(self, following: Transform) -> Transform | None:
        return _in_one_pass([self], following)

    def _may_join(self) -> bool:
        """Is all that it does in ``_apply_transform``, and in what was written to do the same?

        A subclass that changes one and not the other is run by itself.
        """
        kind, rule = type(self), "_apply_transform"
        newer = any(place_of(kind, hook) < place_of(kind, rule) for hook in ("_bind", "_step_row", "_reset_row"))
        known = all(is_written_for(kind, name, rule) for name in _IN_FEWER_STEPS)
        return known and not newer and not self._hook_plan.on_tensordicts

    def _makes_unit_floats(self) -> bool:
        """Is a uint8 frame made a float image by moving its channels and dividing by 255, and nothing else?"""
        return False

    def _of_frame(self, frame: torch.Tensor) -> torch.Tensor | None:
        """What this makes of uint8 ``[*lead, height, width, 3]`` made floats, in fewer steps; None: it has none."""
        return None

    def _on_bytes(self, shape: tuple[int, ...]) -> ByteRule | None:
        """``_apply_transform`` of a uint8 array of this shape, to the last bit; None: it has no other way.

        The rule may be given the bytes as float32, and may give its own as float32; they are good until it is called
        again. Between the steps of a simulator, a call of torch costs some 5 us and one of numpy 1: Atari's frames are
        made gray and small in 135 us by tensors, in 80 by arrays.
        """
        return None


class ImageSequence(ImageTransform, ABC):
    """Transforms of images, one after the other, without memory between them.

    Where the first is a usual ``ToTensorImage`` and a ``GrayScale`` follows, with only transforms before it that treat
    each channel alike, frames are made gray first: a weighted sum of resized channels is the resized weighted sum. The
    results differ by rounding only, less than 1e-6 where values go from 0 to 1, and a third of the work is left.

    Args:
        steps: the transforms.
    """

    def __init__(self, steps: Sequence[ImageTransform]) -> None:
        super().__init__(steps[0].in_keys, steps[-1].out_keys)
        self._steps = list(steps)

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        super()._bind(inner, outer)
        self._first, self._rest = self._steps[0]._apply_transform, self._steps[1:]
        frames = all(source.dtype == torch.uint8 and source.shape[-1] == 3 for source, _ in self._next_moves)
        place = next((i for i, step in enumerate(self._steps) if i and not step._channels_alike), 0)
        if frames and place and self._steps[0]._makes_unit_floats():
            gray = self._steps[place]._of_frame
            if gray(torch.zeros(1, 1, 3, dtype=torch.uint8)) is not None:
                self._first, self._rest = cast(Any, gray), self._steps[1:place] + self._steps[place + 1 :]

        self._in_bytes = [(as_array(i), as_array(o), self._rules(i, o)) for i, o in self._next_moves]

    def _rules(self, source: torch.Tensor, target: torch.Tensor) -> list[ByteRule]:
        """What takes a row of ``source`` to one of ``target`` in arrays; empty where a step of it needs tensors."""
        rules: list[ByteRule] = []
        frame = np.zeros(source.shape[1:], np.uint8)
        for step in self._steps if source.dtype == target.dtype == torch.uint8 else []:
            rule = step._on_bytes(frame.shape)
            if rule is None:
                return []
            rules.append(rule)
            frame = rule(frame)
        return rules

    def _step_row(self, t: int) -> None:
        if not all(rules for _, _, rules in self._in_bytes):
            super()._step_row(t)
            return
        for source, target, rules in self._in_bytes:
            frame = source[t]
            for rule in rules:
                frame = rule(frame)
            target[t] = frame

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        obs = self._first(obs)
        for step in self._rest:
            obs = step._apply_transform(obs)
        return obs

    def _fused(self, following: Transform) -> Transform | None:
        return _in_one_pass(self._steps, following)

    def _runs(self, transform: Transform) -> bool:
        return any(step is transform for step in self._steps)


def _in_one_pass(steps: Sequence[ImageTransform], following: Transform) -> ImageSequence | None:
    """One transform for ``steps`` and ``following``; None if that works on other entries."""
    keys = steps[-1].out_keys
    if not isinstance(following, ImageTransform) or following.in_keys != keys or following.out_keys != keys:
        return None
    if not steps[-1]._may_join() or not following._may_join():
        return None
    return ImageSequence([*steps, following])


def channel_axis(image: torch.Tensor, who: str) -> int:
    """Where the channels of ``image`` are: -3, or -1 for a frame as simulators draw it.

    The latter are uint8, see :func:`~envcli.frames.channels.channels_last`; floats are always ``[*lead, channels,
    height, width]``, as ``ToTensorImage`` makes them.

    Raises:
        TransformError: not an image, or a float image that has its channels last.

    >>> channel_axis(torch.zeros(210, 160, 3, dtype=torch.uint8), "Resize")
    -1
    """
    shape = list(image.shape)
    if image.ndim < 3:
        raise TransformError(
            f"{who} takes an image [*lead, channels, height, width], found {shape}. Name the image in in_keys"
        )
    if not channels_last(shape):
        return -3
    if image.dtype == torch.uint8:
        return -1
    if shape[-1] not in CHANNELS:
        return -3
    raise TransformError(
        f"{who} takes a float image [*lead, channels, height, width], found {shape}. Put ToTensorImage() before it"
    )


def height_and_width(who: str, w: int | None, same: tuple[int, ...], h: int | None) -> tuple[int, int]:
    """The height and width that a user gave: ``w`` and ``h`` by name, or the side of a square, once or twice.

    Raises:
        TransformError: two different numbers without names: TorchRL 0.14 calls the first one width and takes it for the
            height, so that nobody can say what was meant. Or no number, or one that is less than 1.
    """
    if len(same) > 1 or (same and h is not None):
        raise TransformError(f"{who}: expected w= and h=, or one number for a square, found {[w, *same, h]}")
    if same and same[0] != w:
        raise TransformError(
            f"{who}({w}, {same[0]}): which is the height? Write {who}(h={w}, w={same[0]}) or {who}(w={w}, h={same[0]})"
        )
    height = w if h is None else h
    for name, number in (("w", w), ("h", height)):
        if not isinstance(number, int) or number < 1:
            raise TransformError(f"{who}: expected {name} to be a whole number of at least 1, found {number!r}")
    assert w is not None  # they are numbers: see above
    assert height is not None
    return height, w
