"""Entries of a simulator's ``info`` as observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from envcli.errors import ConfigError, SpecError
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.announced import UNFIT
from envcli.specs import Composite, TensorSpec, Unbounded

__all__ = ["InfoReader", "ShownInfo", "default_info_dict_reader"]

_NUMBERS = "biuf"  # numpy's kinds


class InfoReader:
    """Reads some keys of the ``info`` dict that a simulator returns beside its observation.

    Args:
        keys: which.
        spec: what their values look like: key -> spec, or one spec for each key in order; None: a float32 scalar each.

    Raises:
        SpecError: a key without a spec.
    """

    def __init__(
        self, keys: Sequence[str], spec: Mapping[str, TensorSpec] | Sequence[TensorSpec] | Composite | None = None
    ) -> None:
        specs: dict[str, TensorSpec]
        if spec is None:
            specs = {key: Unbounded(torch.Size([])) for key in keys}
        elif isinstance(spec, Mapping | Composite):
            missing = [key for key in keys if key not in spec]
            if missing:
                raise SpecError(f"info reader: no spec for {missing}. Give one for each key: {list(keys)}")
            specs = {key: spec[key] for key in keys}
        else:
            specs = dict(zip(keys, spec, strict=True))
        self._keys = list(keys)
        self.info_spec = Composite(specs)

    @classmethod
    def of(cls, *infos: Mapping[str, Any], ignore_private: bool = True) -> Self:
        """Of all numbers and arrays of numbers in ``infos``, with their shapes and dtypes; words are left out.

        What is whole in one of them and a fraction in another has the dtype that holds both. ``ignore_private`` leaves
        out keys that begin with ``_`` too.
        """
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for info in infos:
            for key, value in info.items():
                array = np.asarray(None if isinstance(value, Mapping) else value)
                before = arrays.get(key)
                if before is not None and {before.dtype.kind, array.dtype.kind} <= set(_NUMBERS):
                    array = array.astype(np.result_type(before, array))
                arrays[key] = array
        specs = {
            key: Unbounded(torch.Size(array.shape), dtype=torch.from_numpy(np.empty_like(array)).dtype)
            for key, array in arrays.items()
            if array.dtype.kind in _NUMBERS and not (ignore_private and key.startswith("_"))
        }
        return cls(list(specs), specs)

    @classmethod
    def named(cls, keys: Sequence[str], *infos: Mapping[str, Any]) -> Self:
        """Of these ``keys`` in ``infos``, as :meth:`of`.

        Raises:
            ConfigError: no list; a key that none of them has, or that is no number or array of numbers.
        """
        if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
            raise ConfigError(f"info_keys: expected a list of names, found {keys!r}. Write info_keys=[action_mask]")
        known = cls.of(*infos, ignore_private=False).info_spec
        if missing := [key for key in keys if key not in known]:
            found = next((f"a {type(info[missing[0]]).__name__}" for info in infos if missing[0] in info), "nothing")
            raise ConfigError(
                f"info_keys: {missing[0]!r}: expected a number or an array of numbers in the info of the first reset "
                f"or step, found {found}. There are {sorted(known.keys())}. Keys that appear later need a spec, from "
                "Python: env.set_info_dict_reader(envcli.default_info_dict_reader(keys, spec))"
            )
        return cls(keys, known)

    def writer(self, buffer: RolloutBuffer, prefix: tuple[str, ...]) -> Callable[[int, Mapping[str, Any]], None]:
        """``write(t, info)`` into the rows under ``prefix``. A key that ``info`` lacks is written as 0.

        Simulators leave keys out at a reset or between episodes, and a row must not show an older value then. It raises
        SpecError for a value that the row cannot hold: of another shape, or no whole number where the first were.
        """
        rows = [(key, buffer.array((*prefix, key))) for key in self._keys]

        def write(t: int, info: Mapping[str, Any]) -> None:
            for key, row in rows:
                value = info.get(key, 0)
                try:
                    row[t] = value
                except UNFIT as error:
                    raise _unlike(key, row, value) from error
                if row.dtype.kind in "biu" and (row[t] != value if row.ndim == 1 else np.any(row[t] != value)):
                    raise _unlike(key, row, value)

        return write


def _unlike(key: str, rows: Array, value: Any) -> SpecError:  # Any: whatever a simulator says
    return SpecError(
        f"info: {key!r}: expected {rows.dtype} {list(rows.shape[1:])}, as in the first reset and step, found "
        f"{value!r}. To say what it is, from Python: "
        "env.set_info_dict_reader(envcli.default_info_dict_reader([key], [spec]))"
    )


class ShownInfo:
    """A reader yet to be made, once it is seen what a simulator's first reset and step show.

    Args:
        keys: which; a number that is not shown yet is a float32 scalar. None: all numbers and arrays of numbers.
        ignore_private: without ``keys``, leave out those that begin with ``_``.
    """

    def __init__(self, keys: Sequence[str] | None = None, ignore_private: bool = True) -> None:
        self._keys, self._ignore_private = keys, ignore_private

    def reader(self, *infos: Mapping[str, Any]) -> InfoReader:
        """The reader, with the shapes and dtypes of ``infos``."""
        if self._keys is None:
            return InfoReader.of(*infos, ignore_private=self._ignore_private)
        shown = InfoReader.of(*infos, ignore_private=False).info_spec
        return InfoReader(self._keys, {key: shown.get(key, Unbounded(torch.Size([]))) for key in self._keys})


def default_info_dict_reader(
    keys: Sequence[str] | None = None,
    spec: Mapping[str, TensorSpec] | Sequence[TensorSpec] | Composite | None = None,
    ignore_private: bool = True,
) -> InfoReader | ShownInfo:
    """For ``set_info_dict_reader``: an :class:`InfoReader` where ``spec`` is given, else a :class:`ShownInfo`.

    A ``spec`` with names needs no ``keys``.
    """
    if spec is None:
        return ShownInfo(keys, ignore_private)
    if keys is None and isinstance(spec, Mapping | Composite):
        keys = [str(key) for key in spec]
    if keys is None:
        raise SpecError("info reader: found specs in order without keys. Give keys, or specs by name")
    return InfoReader(keys, spec)
