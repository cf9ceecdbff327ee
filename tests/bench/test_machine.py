from __future__ import annotations

import platform

from envcli.bench import machine


def test_the_machine_is_described_in_one_line() -> None:
    found = machine.describe()
    assert found["cores"] >= 1
    text = machine.line(found)
    assert "\n" not in text
    for part in (f"Python {platform.python_version()}", f"{found['cores']} cores of ", "torch ", "gymnasium "):
        assert part in text
