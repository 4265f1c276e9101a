"""The file format: bytes to records and back. It knows no arithmetic."""

if __name__ != "tinyinterp.schema":
    raise ImportError("this package is tinyinterp.schema: import it by that name")

from tinyinterp.schema import options as options
from tinyinterp.schema.build import build
from tinyinterp.schema.enums import (
    Activation,
    BuiltinOperator,
    CombinerType,
    DimensionType,
    FullyConnectedOptionsWeightsFormat,
    LSHProjectionType,
    LSTMKernelType,
    MirrorPadMode,
    Padding,
    ReduceWindowFunction,
    RngAlgorithm,
    TensorType,
)
from tinyinterp.schema.layout import OPTIONS_OF
from tinyinterp.schema.reader import read
from tinyinterp.schema.records import (
    ExternalBuffer,
    Metadata,
    Model,
    Operator,
    Quantization,
    Signature,
    SparseLevel,
    Sparsity,
    Subgraph,
    Tensor,
    VariantType,
)

__all__ = [
    "OPTIONS_OF",
    "Activation",
    "BuiltinOperator",
    "CombinerType",
    "DimensionType",
    "ExternalBuffer",
    "FullyConnectedOptionsWeightsFormat",
    "LSHProjectionType",
    "LSTMKernelType",
    "Metadata",
    "MirrorPadMode",
    "Model",
    "Operator",
    "Padding",
    "Quantization",
    "ReduceWindowFunction",
    "RngAlgorithm",
    "Signature",
    "SparseLevel",
    "Sparsity",
    "Subgraph",
    "Tensor",
    "TensorType",
    "VariantType",
    "build",
    "options",
    "read",
]
