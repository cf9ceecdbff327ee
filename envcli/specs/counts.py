"""How many choices there are, whichever way they are written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from envcli.specs.categorical import Categorical
from envcli.specs.multi_categorical import MultiCategorical
from envcli.specs.multi_one_hot import MultiOneHot
from envcli.specs.one_hot import OneHot
from envcli.specs.spec import TensorSpec

__all__ = ["choice_counts"]


def choice_counts(spec: TensorSpec) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The number of choices behind each number that a member of ``spec`` stands for, int64; None if it is no choice.

    A one-hot vector stands for one number. Choices of bool are bits, and no numbers.

    >>> choice_counts(MultiOneHot([2, 3])), choice_counts(OneHot(4))
    (array([2, 3]), array(4))
    """
    match spec:
        case OneHot():
            return np.full(spec.shape[:-1], spec.n, np.int64)
        case MultiOneHot():
            return np.tile(np.asarray(spec.nvec, np.int64), (*spec.shape[:-1], 1))
        case Categorical() if spec.dtype != torch.bool:
            return np.full(spec.shape, spec.n, np.int64)
        case MultiCategorical() if spec.dtype != torch.bool:
            return spec.nvec.cpu().numpy().astype(np.int64)
    return None
