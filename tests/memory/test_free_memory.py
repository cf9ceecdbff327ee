"""How much memory can still be had."""

from __future__ import annotations

from pathlib import Path

from envcli.memory.free_memory import free_memory


def test_the_free_memory_is_known() -> None:
    assert (free_memory() or 0) > 2**20


def test_what_a_container_keeps_of_files_is_free(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    about = "anon 900000\ninactive_file 2000000\nactive_file 1000000\n"
    for name, text in (("max", "4096000\n"), ("current", "4000000\n"), ("stat", about)):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory(tmp_path / "meminfo", tmp_path) == 3_096_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 8000 * 1024
    assert free_memory(tmp_path / "none", tmp_path / "none") is None
