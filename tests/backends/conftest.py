"""What tests of simulators need of the machine."""

from __future__ import annotations

import pytest

from envcli import gl


@pytest.fixture(scope="session")
def drawing() -> None:
    """Skip where no OpenGL can draw."""
    reasons = gl.survey()
    if not any(way.works for way in reasons):
        pytest.skip(f"nothing can draw here: {'; '.join(f'{way.name}: {way.reason}' for way in reasons)}")
