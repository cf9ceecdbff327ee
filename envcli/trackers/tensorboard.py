"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envcli.errors import MissingDependency, described
from envcli.trackers.tracker import Tracker
from envcli.vocabulary.dotted import dotted

__all__ = ["TensorboardTracker"]


class TensorboardTracker(Tracker):
    """Episodes and metrics as scalars, the configuration as text and as hyperparameters, posters as images.

    They are written to ``tensorboard/``, by the writer that torch has, for which the package ``tensorboard`` must be
    there. ``tensorboard --logdir outputs`` shows all runs, and a sweep side by side under HPARAMS.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__(folder)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingDependency("tensorboard", "tracker=tensorboard", extra="tensorboard") from None
        self._make: Any = SummaryWriter  # Any: torch annotates nothing of it
        self._writer: Any = None  # Any: see above
        self._config: dict[str, str | float] = {}

    def begin(self, config: Mapping[str, Any]) -> None:  # Any: what JSON can hold
        """See :class:`Tracker`."""
        self._writer = self._make(str(self.folder / "tensorboard"))
        self._config = {name: _shown(value) for name, value in dotted(config) if value is not None}
        indented = json.dumps(config, indent=4).replace("\n", "\n    ")
        self._writer.add_text("config", f"    {indented}")  # Markdown's code block

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See :class:`Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(f"episode/{name}", value, step)

    def keep(self, path: Path) -> None:
        """See :class:`Tracker`. A PNG is shown; of any other file its path."""
        if path.suffix != ".png":
            self._writer.add_text(path.stem, str(path))
            return
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(path.stem, pixels, dataformats="HWC")

    def end(self, metrics: Mapping[str, Any]) -> None:  # Any: what JSON can hold
        """See :class:`Tracker`."""
        from torch.utils.tensorboard.summary import hparams

        numbers = {f"run/{k}": v for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, metrics.get("steps", 0))
        # The writer's own add_hparams would put them into a folder apart from the run's curves.
        for summary in hparams(self._config, numbers):  # type: ignore[no-untyped-call]
            self._writer.file_writer.add_summary(summary)

    def close(self, error: BaseException | None = None) -> None:
        """See :class:`Tracker`."""
        if self._writer is None:
            return
        if error is not None:
            self._writer.add_text("error", described(error))
        self._writer.close()


def _shown(value: Any) -> str | float:  # Any: what JSON can hold
    """What is no number, as text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
