"""Imports fall: every module imports only from lower floors, inside functions and for typing too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "envcli"

# From the ground up. The longest entry that fits a module decides; the files of one entry may import each other.
STOREYS = [
    ["envcli.late_compiler"],  # before anything imports tensordict
    ["envcli"],  # only the version, and names that are loaded when asked for
    ["envcli.errors"],
    [
        "envcli.gl",
        "envcli.gl_contexts",
        "envcli.installed",
        "envcli.keys",
        "envcli.mujoco_hints",
        "envcli.override",
        "envcli.processes",
        "envcli.pygame_turns",
        "envcli.seeding",
        "envcli.torch_script",
        "envcli.typed_word",
    ],
    ["envcli.folders", "envcli.vocabulary"],
    ["envcli.agent_groups", "envcli.episodes", "envcli.exploration", "envcli.mdp", "envcli.specs", "envcli.terminal"],
    ["envcli.memory"],
    ["envcli.dynamics", "envcli.moments", "envcli.rows", "envcli.shards"],
    ["envcli.frames", "envcli.gym"],
    [
        "envcli.dm",
        "envcli.exports",
        "envcli.films",
        "envcli.recorders",
        "envcli.stateless",
        "envcli.transforms",
        "envcli.zoo",
    ],
    ["envcli.envs", "envcli.jitted", "envcli.open_spiel", "envcli.vmas"],
    ["envcli.policies", "envcli.trackers"],
    ["envcli.backends", "envcli.chain"],
    ["envcli.batch"],
    ["envcli.clocks", "envcli.ray", "envcli.testing"],
    ["envcli.builder"],
    ["envcli.bench", "envcli.reports"],
    ["envcli.profile", "envcli.tuning"],
    ["envcli.contenders"],
    ["envcli.commands"],
    ["envcli.configuration"],
    ["envcli.cli", "envcli.make"],
    ["envcli.adapters"],
    ["envcli.__main__"],
]
FLOORS = {room: floor for floor, rooms in enumerate(STOREYS) for room in rooms}

# Chosen by a YAML, so reached by name only.
CHOSEN = (
    "envcli.backends",
    "envcli.contenders",
    "envcli.dynamics",
    "envcli.exports",
    "envcli.films",
    "envcli.policies",
    "envcli.recorders",
    "envcli.trackers",
)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
ROOMS: dict[str, list[str]] = {}
for name in MODULES:
    ROOMS.setdefault(".".join(name.split(".")[:2]), []).append(name)


@cache
def statements(module: str) -> list[ast.Import | ast.ImportFrom]:
    """Every import in a module of ours, wherever in the file."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(module: str) -> Iterator[str]:
    """Every module of ours that it imports."""
    for node in statements(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "envcli")
        elif (node.module or "").split(".")[0] == "envcli":
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def entry(module: str) -> str:
    return max((e for e in FLOORS if module == e or module.startswith(f"{e}.")), key=len)


@pytest.mark.parametrize("room", ROOMS)
def test_a_module_imports_only_what_is_below(room: str) -> None:
    for module in ROOMS[room]:
        for imported in imports(module):
            same_room = entry(module) == entry(imported) != "envcli"
            assert same_room or FLOORS[entry(imported)] < FLOORS[entry(module)], (
                f"{module} imports {imported}, which is not below"
            )


@pytest.mark.parametrize("module", [m for m in MODULES if m.count(".") == 1])
def test_every_room_has_a_floor(module: str) -> None:
    assert entry(module) != "envcli", f"give {module} a floor"


def test_there_is_no_circle() -> None:
    graph = {module: set(imports(module)) - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())


def test_no_module_imports_relatively() -> None:
    for module in MODULES:
        for node in statements(module):
            assert not (isinstance(node, ast.ImportFrom) and node.level), module


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_yaml_chooses_no_code_imports(room: str) -> None:
    for module in ROOMS[room]:
        for imported in imports(module):
            family = next((f for f in CHOSEN if imported.startswith(f"{f}.")), None)
            if family is None or entry(module) == family:
                continue
            folder = family.split(".")[1]
            contract = {"dynamics": "dynamics", "policies": "policy"}.get(folder, folder.removesuffix("s"))
            assert imported == f"{family}.{contract}", f"{module} imports {imported}"


def test_torchrl_is_only_imported_to_be_measured_against_and_by_its_adapters() -> None:
    for module in MODULES:
        if module.startswith(("envcli.contenders.torchrl", "envcli.adapters.torchrl_")):
            continue
        for node in statements(module):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not any(name.split(".")[0] == "torchrl" for name in names), module


def test_every_folder_is_packaged() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for path in PACKAGE.rglob("*.py"):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert f'"{package}"' in text, f"add {package} to [tool.setuptools] packages"
