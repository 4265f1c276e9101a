"""The arithmetic: one operator family a file. OPS is the table of contents."""

if __name__ != "tinyinterp.kernels":
    raise ImportError("import tinyinterp.kernels, not kernels: the folder is linked into the package")

from .activation import HARD_SWISH, LEAKY_RELU, LOGISTIC, RELU, RELU6, RELU_0_TO_1, RELU_N1_TO_1, TANH
from .add_sub import ADD, SUB
from .arg import ARG_MAX, ARG_MIN
from .cast import CAST
from .concat import CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK
from .contract import Op
from .conv import CONV_2D
from .densify import DENSIFY
from .depthwise import DEPTHWISE_CONV_2D
from .detection import DETECTION_POSTPROCESS
from .elementwise import MAXIMUM, MINIMUM, SQUARED_DIFFERENCE
from .extremes import REDUCE_MAX, REDUCE_MIN
from .fully_connected import FULLY_CONNECTED
from .gather import GATHER, TILE
from .l2_normalization import L2_NORMALIZATION
from .mul_div import DIV, MUL
from .pad import MIRROR_PAD, PAD, PADV2
from .pool import AVERAGE_POOL_2D, MAX_POOL_2D
from .prelu import PRELU
from .quantize import DEQUANTIZE, QUANTIZE
from .reduce import MEAN, SUM
from .reshape import EXPAND_DIMS, RESHAPE, SQUEEZE
from .resize import RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR
from .shape import SHAPE
from .slice import SLICE, STRIDED_SLICE
from .softmax import SOFTMAX
from .transpose import DEPTH_TO_SPACE, SPACE_TO_DEPTH, TRANSPOSE
from .transpose_conv import TRANSPOSE_CONV
from .unary import ABS, CEIL, COS, EXP, FLOOR, LOG, NEG, ROUND, RSQRT, SIN, SQRT, SQUARE

OPS: tuple[Op, ...] = (
    CONV_2D,
    DEPTHWISE_CONV_2D,
    TRANSPOSE_CONV,
    FULLY_CONNECTED,
    AVERAGE_POOL_2D, MAX_POOL_2D,
    RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR,
    ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, PRELU,
    RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH,
    ABS, NEG, SQUARE, SQRT, RSQRT, EXP, LOG, SIN, COS, FLOOR, CEIL, ROUND,
    QUANTIZE, DEQUANTIZE,
    RESHAPE, SQUEEZE, EXPAND_DIMS, SHAPE,
    PAD, PADV2, MIRROR_PAD,
    CONCATENATION, PACK, UNPACK, SPLIT, SPLIT_V,
    SLICE, STRIDED_SLICE,
    TRANSPOSE, DEPTH_TO_SPACE, SPACE_TO_DEPTH,
    GATHER, TILE,
    DENSIFY,
    DETECTION_POSTPROCESS,
    MEAN, SUM, REDUCE_MAX, REDUCE_MIN,
    SOFTMAX, L2_NORMALIZATION,
    ARG_MAX, ARG_MIN,
    CAST,
)
