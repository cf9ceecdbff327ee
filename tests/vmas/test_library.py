"""The door to VMAS, closed and open."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from envcli.backends.vmas import VmasEnv
from envcli.errors import MissingDependency
from envcli.vmas.library import vmas_library


def test_without_vmas_an_env_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vmas", None)
    vmas_library.cache_clear()
    for use in (VmasEnv.available_names, lambda: VmasEnv("navigation")):
        with pytest.raises(MissingDependency, match=r"backend=vmas needs vmas.*'envcli\[vmas\]'"):
            use()


@pytest.mark.skipif(importlib.util.find_spec("vmas") is None, reason="vmas is not installed (extra vmas)")
def test_nobody_hears_that_gym_is_out_of_date() -> None:
    code = "from envcli.vmas.library import vmas_library; print(vmas_library().__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("vmas\n", "")
