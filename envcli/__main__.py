"""``python -m envcli`` is ``envcli``."""

from __future__ import annotations

import os

__all__ = ["run"]


def run() -> int:
    """:func:`envcli.cli.main`. A Ctrl-C that comes while that is imported is told as any other."""
    try:
        from envcli.cli import main

        return main()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        return 130


if __name__ == "__main__":
    raise SystemExit(run())
