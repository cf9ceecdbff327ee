"""``python -m envcli`` is ``envcli``."""

from envcli.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
