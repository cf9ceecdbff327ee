"""What a value looks like: shape, dtype, device and the values it may hold."""

from envcli.specs.binary import Binary
from envcli.specs.bounded import Bounded, BoundedContinuous, BoundedDiscrete
from envcli.specs.categorical import Categorical
from envcli.specs.composite import Composite
from envcli.specs.multi_categorical import MultiCategorical
from envcli.specs.multi_one_hot import MultiOneHot
from envcli.specs.one_hot import OneHot
from envcli.specs.space import BinaryBox, Box, BoxList, CategoricalBox, ContinuousBox
from envcli.specs.spec import TensorSpec
from envcli.specs.text import Text
from envcli.specs.unbounded import Unbounded, UnboundedContinuous, UnboundedDiscrete

__all__ = [
    "Binary",
    "BinaryBox",
    "Bounded",
    "BoundedContinuous",
    "BoundedDiscrete",
    "Box",
    "BoxList",
    "Categorical",
    "CategoricalBox",
    "Composite",
    "ContinuousBox",
    "MultiCategorical",
    "MultiOneHot",
    "OneHot",
    "TensorSpec",
    "Text",
    "Unbounded",
    "UnboundedContinuous",
    "UnboundedDiscrete",
]
