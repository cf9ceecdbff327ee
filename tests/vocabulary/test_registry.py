from __future__ import annotations

import sys
import types

import pytest

from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.vocabulary import registry, signature


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
            signature.call(steps, {"name": name}, "backend", frame_skip=2)


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
    assert signature.call(lambda *boxes: boxes, {"boxes": [[0, 1], [2, 3]]}, "x") == ([0, 1], [2, 3])
    node = {"type": "exclude", "excluded_keys": [["agent", "a"], "reward"]}
    assert registry.construct("transforms", node, "transforms.exclude").excluded_keys == [("agent", "a"), "reward"]
