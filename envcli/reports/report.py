"""Writes the reports on a sweep into its folder."""

from __future__ import annotations

from pathlib import Path

from envcli.errors import StoreError
from envcli.folders.json_file import write_json, write_text
from envcli.reports.page import page
from envcli.reports.spreadsheet import text
from envcli.reports.sweep import Sweep

__all__ = ["write"]


def write(sweep: Sweep) -> Path:
    """Write ``sweep.json``, ``sweep.csv`` and ``report.html``, each replaced as a whole. Returns the path of the last.

    Raises:
        StoreError: the folder cannot be written.
    """
    report = sweep.folder / "report.html"
    try:
        write_json(sweep.folder / "sweep.json", sweep.data())
        write_text(sweep.folder / "sweep.csv", text(sweep))
        write_text(report, page(sweep))
    except OSError as error:
        raise StoreError(f"{sweep.folder}: no report can be written there, {error.strerror or error}.") from error
    return report
