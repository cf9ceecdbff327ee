from __future__ import annotations

import logging
import re

import pytest

from envcli.envs.closing import closing
from envcli.errors import EnvError
from envcli.testing.toys import CountingEnv


class Stuck(CountingEnv):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _close(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("cannot\nclose"), r"close: RuntimeError: cannot close in \S*test_closing.py, line \d+ \("),
        (EnvError("env 1: gone"), r"close: env 1: gone \("),
    ],
)
def test_what_close_raises_is_said(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), closing(Stuck(error)) as env:
        env.rollout(3)
    assert re.search(said, caplog.text)
    assert env.is_closed


def test_what_went_wrong_before_is_what_is_raised() -> None:
    with pytest.raises(ValueError, match="first"), closing(Stuck(RuntimeError("second"))):
        raise ValueError("first")


def test_an_env_is_closed() -> None:
    with closing(CountingEnv()) as env:
        assert not env.is_closed
    assert env.is_closed
