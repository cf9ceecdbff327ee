"""Dtypes by their names."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import ConfigError
from envcli.specs.dtype_names import dtype_named


@pytest.mark.parametrize("name", ["bool", "torch.bool", torch.bool])
def test_a_dtype_is_found_by_its_name(name: torch.dtype | str) -> None:
    assert dtype_named("dtype", name) == torch.bool


@pytest.mark.parametrize("name", ["float33", "nn", "", 3])
def test_what_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^a.dtype: expected a dtype of torch such as float32.* found {name!r}$"):
        dtype_named("a.dtype", name)
