from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.vocabulary import registry


class Resize:
    def __init__(self, h: int, w: int = 7, mode: str = "area") -> None:
        if h < 1:
            raise ValueError(f"h must be positive, found {h}")
        self.h, self.w, self.mode = h, w, mode


NAME = f"{__name__}:Resize"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("a_users_module")
    module.Resize = Resize  # type: ignore[attr-defined]  # a module made by hand
    monkeypatch.setitem(sys.modules, "a_users_module", module)


def build(**keys: object) -> Resize:
    node = {"type": "a_users_module:Resize", **keys}
    made = registry.construct("transforms", node, "transforms.resize", allow_imports=True)
    assert isinstance(made, Resize)
    return made


def test_members_are_files_whose_class_has_their_name() -> None:
    assert "gym" in registry.members("backends")
    assert {"step_counter", "double_to_float"} <= set(registry.members("transforms"))
    for family, (contract, _) in registry.FAMILIES.items():
        assert contract not in registry.members(family)
    assert "compose" not in registry.members("transforms")


@pytest.mark.parametrize(("family", "name"), [(f, n) for f in registry.FAMILIES for n in registry.members(f)])
def test_every_member_is_found(family: str, name: str) -> None:
    try:
        found = registry.find(family, name)
    except MissingDependency as missing:
        pytest.skip(str(missing))
    assert found.__name__.lower().startswith(name.replace("_", ""))


def test_a_misspelt_type_gets_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r"no transform 'double_to_flot'. Did you mean 'double_to_float'\? \(transforms.a.type\)"
    ):
        registry.construct("transforms", {"type": "double_to_flot"}, "transforms.a")


def test_the_signature_is_the_schema() -> None:
    made = build(h=3, w=4)
    assert (made.h, made.w, made.mode) == (3, 4, "area")


def test_an_unknown_argument_names_its_path_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"transforms.resize.ww: no such key. Did you mean 'w'\?"):
        build(h=3, ww=4)


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(ConfigError, match=r"transforms.resize.h: required but not given"):
        build()
    with pytest.raises(ConfigError, match=r"transforms.resize.h: required but not given"):
        build(h="???")


def test_a_constructors_refusal_gets_the_path() -> None:
    with pytest.raises(ConfigError, match=r"transforms.resize: h must be positive, found 0"):
        build(h=0)


def test_a_refused_argument_gets_the_key_that_is_typed() -> None:
    with pytest.raises(ConfigError, match=r"^transforms.resize.interpolation: expected one of"):
        registry.construct("transforms", {"type": "resize", "w": 3, "interpolation": "x"}, "transforms.resize")

    def steps(name: str, frame_skip: int = 1) -> None:
        raise ConfigError(f"{name}: found 3")

    for name, said in (("name", "backend.name"), ("frame_skip", "frame_skip"), ("Pong", "Pong")):
        with pytest.raises(ConfigError, match=rf"^{said}: found 3"):
            registry.call(steps, {"name": name}, "backend", frame_skip=2)


def test_a_word_where_numbers_are_taken_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^transforms.resize.h: found 'abc', expected a whole number\.$"):
        build(h="abc")
    with pytest.raises(ConfigError, match=r"^transforms.resize.w: found \[3\], expected a whole number\.$"):
        build(h=3, w=[3])
    with pytest.raises(ConfigError, match=r"max_steps: found 'abc', expected a whole number or null\.$"):
        registry.construct("transforms", {"type": "step_counter", "max_steps": "abc"}, "transforms.step_counter")


def test_a_node_needs_a_type() -> None:
    with pytest.raises(ConfigError, match=r"policy: found {}, expected a mapping with a type"):
        registry.construct("policies", {}, "policy")


def test_code_of_ones_own_must_be_allowed() -> None:
    with pytest.raises(ConfigError, match=r"allow_imports=true"):
        registry.construct("transforms", {"type": "a_users_module:Resize"}, "transforms.a")
    with pytest.raises(ConfigError, match=r"has no class 'Nope'"):
        registry.construct("transforms", {"type": "a_users_module:Nope"}, "transforms.a", allow_imports=True)
    with pytest.raises(ConfigError, match=r"cannot import module 'no_such_module'"):
        registry.construct("transforms", {"type": "no_such_module:X"}, "transforms.a", allow_imports=True)


def test_a_module_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_things").mkdir()
    (tmp_path / "my_things" / "__init__.py").write_text("")
    (tmp_path / "my_things" / "resizing.py").write_text("")
    monkeypatch.chdir(tmp_path)
    for typed, meant, place in (
        ("my_thing.resizing", "my_things", f"{tmp_path}, in PYTHONPATH"),
        ("my_things.resize", "my_things.resizing", str(tmp_path / "my_things")),
    ):
        with pytest.raises(ConfigError) as caught:
            registry.construct("transforms", {"type": f"{typed}:X"}, "transforms.a", allow_imports=True)
        assert f". Did you mean {meant!r}? Looked for in {place}" in str(caught.value)
    for typed, meant in (("./my_things/resizing.py", "my_things.resizing"), ("", "my_module")):
        with pytest.raises(ConfigError, match=rf"expected module:Name\. Type: transforms\.a\.type={meant}:X$"):
            registry.construct("transforms", {"type": f"{typed}:X"}, "transforms.a", allow_imports=True)


@pytest.mark.parametrize("module", ["needs_much", "no_such_library_yet"])
def test_a_missing_library_says_what_to_install(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{module}.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDependency, match=r"needs no_such_library.* pip install no_such_library"):
        registry.construct("transforms", {"type": f"{module}:X"}, "transforms.a", allow_imports=True)
    assert str(tmp_path) not in sys.path


def test_options_are_handed_on_only_where_anything_is_taken() -> None:
    def make(name: str, **options: object) -> tuple[str, dict[str, object]]:
        return name, options

    assert registry.call(make, {"name": "a", "options": {"g": 3}}, "backend") == ("a", {"g": 3})
    with pytest.raises(ConfigError, match=r"backend.options: found 3, expected names and values"):
        registry.call(make, {"name": "a", "options": 3}, "backend")
    with pytest.raises(ConfigError, match=r"backend.options.name: is not one of the options. Type backend.name="):
        registry.call(make, {"name": "a", "options": {"name": "b"}}, "backend")
    with pytest.raises(ConfigError, match=r"backend.g: no such key"):
        registry.call(make, {"name": "a", "g": 3}, "backend")
    with pytest.raises(ConfigError, match=r"backend.options: no such key"):
        registry.call(lambda name: name, {"name": "a", "options": {}}, "backend")


def test_what_a_class_refuses_is_told_with_its_node() -> None:
    class Picky:
        def __init__(self, at: int) -> None:
            raise ConfigError(f"at: found {at}" if at else "Picky: found 0. Give more")

    with pytest.raises(ConfigError, match=r"^transforms.p.at: found 1"):
        registry.call(Picky, {"at": 1}, "transforms.p")
    with pytest.raises(ConfigError, match=r"^transforms.p: Picky: found 0. Give more"):
        registry.call(Picky, {"at": 0}, "transforms.p")


def test_what_is_given_is_passed_only_where_it_is_taken() -> None:
    assert registry.call(lambda a, b: (a, b), {"a": 1}, "x", b=2, c=3) == (1, 2)
    with pytest.raises(ConfigError, match=r"x.b: no such key"):
        registry.call(lambda a, b: (a, b), {"a": 1, "b": 5}, "x", b=2)


def test_the_first_keys_of_a_constructor_are_a_list() -> None:
    node = {"type": "exclude", "excluded_keys": ["observation", "reward"], "inverse": True}
    made = registry.construct("transforms", node, "transforms.exclude")
    assert (made.excluded_keys, made.inverse) == (["observation", "reward"], True)
    assert registry.construct("transforms", {"type": "exclude"}, "transforms.exclude").excluded_keys == []
    assert registry.construct("transforms", {**node, "excluded_keys": None}, "transforms.exclude").excluded_keys == []


def test_nested_keys_are_lists_in_yaml_and_tuples_here() -> None:
    node = {"type": "vec_norm", "in_keys": [["agent", 1], "reward"], "out_keys": [["agent", "x"], "reward"]}
    made = registry.construct("transforms", node, "transforms.vec_norm")
    assert (made.in_keys, made.out_keys) == ([("agent", "1"), "reward"], [("agent", "x"), "reward"])
    node = {"type": "cat_tensors", "in_keys": [["agent", "a"], "b"], "out_key": ["agent", "c"]}
    assert registry.construct("transforms", node, "transforms.cat_tensors").out_keys == [("agent", "c")]
    assert registry.call(lambda *boxes: boxes, {"boxes": [[0, 1], [2, 3]]}, "x") == ([0, 1], [2, 3])
    node = {"type": "exclude", "excluded_keys": [["agent", "a"], "reward"]}
    assert registry.construct("transforms", node, "transforms.exclude").excluded_keys == [("agent", "a"), "reward"]
