from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from envcli.errors import MissingDependency
from envcli.vocabulary import registry

pytest.importorskip("tensorboard", reason="needs tensorboard: pip install 'envcli[tensorboard]'")


def values(folder: Path) -> Iterator[tuple[int, Any]]:
    """What the event files hold, read as TensorBoard's own page reads them; Any: TensorBoard annotates nothing."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for path in sorted((folder / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            yield from ((event.step, value) for value in event.summary.value)


def scalar(value: Any) -> float:  # Any: TensorBoard annotates nothing
    found: float = value.tensor.float_val[0]
    return found


def test_episodes_metrics_configuration_and_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "poster.png")
    with registry.construct("trackers", {"type": "tensorboard"}, "tracker", folder=tmp_path) as tracker:
        tracker.begin({"seed": 3, "backend": {"name": "CartPole-v1", "skip": None, "list": [1]}})
        tracker.log({"return": 5.0, "length": 4.0}, 10)
        tracker.log({"return": 7.0, "length": 6.0}, 10)
        tracker.keep(tmp_path / "poster.png")
        tracker.keep(tmp_path / "video.mp4")
        tracker.end({"steps": 20, "return_mean": 6.0, "return_min": None, "name": "CartPole-v1"})
    found = list(values(tmp_path))
    returns = [(step, scalar(value)) for step, value in found if value.tag == "episode/return"]
    assert returns == [(10, 5.0), (10, 7.0)]
    assert [(step, scalar(value)) for step, value in found if value.tag == "run/return_mean"] == [(20, 6.0)]
    tags = {value.tag for _, value in found}
    assert {"config/text_summary", "poster", "video/text_summary", "_hparams_/session_start_info"} <= tags
    assert not any("return_min" in tag or "name" in tag for tag in tags)
    (start,) = (value for _, value in found if value.tag == "_hparams_/session_start_info")
    assert b"backend.name" in start.metadata.plugin_data.content


def test_where_it_is_not_installed_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match=r"pip install 'envcli\[tensorboard\]'"):
        registry.construct("trackers", {"type": "tensorboard"}, "tracker", folder=tmp_path)
