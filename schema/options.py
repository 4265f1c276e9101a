"""The options of the operators: one record for each options table of the format.

Field order is slot order in the file, the annotation is the type in the file (`fields.py`), and the default is what an
absent field means: so these records are the layout of their tables as well, and `layout.py` takes it from them. Tables
without a field stand in `options_empty.py`, those of the second union in `options_stablehlo.py`; all are given out
here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyinterp.schema.enums import (
    Activation,
    CombinerType,
    FullyConnectedOptionsWeightsFormat,
    LSHProjectionType,
    LSTMKernelType,
    MirrorPadMode,
    Padding,
    TensorType,
)
from tinyinterp.schema.fields import Bool, Float, Floats, Int, Ints, Long, String, UInt
from tinyinterp.schema.options_empty import *  # noqa: F403
from tinyinterp.schema.options_stablehlo import *  # noqa: F403


@dataclass(frozen=True, slots=True)
class Conv2DOptions:
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@dataclass(frozen=True, slots=True)
class DepthwiseConv2DOptions:
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    depth_multiplier: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1


@dataclass(frozen=True, slots=True)
class ConcatEmbeddingsOptions:
    num_channels: Int = 0
    num_columns_per_channel: Ints = ()
    embedding_dim_per_channel: Ints = ()


@dataclass(frozen=True, slots=True)
class LSHProjectionOptions:
    type: LSHProjectionType = LSHProjectionType.UNKNOWN


@dataclass(frozen=True, slots=True)
class Pool2DOptions:
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    filter_width: Int = 0
    filter_height: Int = 0
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class SVDFOptions:
    rank: Int = 0
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class RNNOptions:
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class FullyConnectedOptions:
    fused_activation_function: Activation = Activation.NONE
    weights_format: FullyConnectedOptionsWeightsFormat = FullyConnectedOptionsWeightsFormat.DEFAULT
    keep_num_dims: Bool = False
    asymmetric_quantize_inputs: Bool = False
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@dataclass(frozen=True, slots=True)
class SoftmaxOptions:
    beta: Float = 0.0


@dataclass(frozen=True, slots=True)
class ConcatenationOptions:
    axis: Int = 0
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class AddOptions:
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: Bool = True


@dataclass(frozen=True, slots=True)
class L2NormOptions:
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class LocalResponseNormalizationOptions:
    radius: Int = 0
    bias: Float = 0.0
    alpha: Float = 0.0
    beta: Float = 0.0


@dataclass(frozen=True, slots=True)
class LSTMOptions:
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    kernel_type: LSTMKernelType = LSTMKernelType.FULL
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class ResizeBilinearOptions:
    new_height: Int = 0  # deprecated, like new_width: the size comes from the second input
    new_width: Int = 0
    align_corners: Bool = False
    half_pixel_centers: Bool = False


@dataclass(frozen=True, slots=True)
class CallOptions:
    subgraph: UInt = 0


@dataclass(frozen=True, slots=True)
class ReshapeOptions:
    new_shape: Ints = ()


@dataclass(frozen=True, slots=True)
class SkipGramOptions:
    ngram_size: Int = 0
    max_skip_size: Int = 0
    include_all_ngrams: Bool = False


@dataclass(frozen=True, slots=True)
class SpaceToDepthOptions:
    block_size: Int = 0


@dataclass(frozen=True, slots=True)
class EmbeddingLookupSparseOptions:
    combiner: CombinerType = CombinerType.SUM


@dataclass(frozen=True, slots=True)
class MulOptions:
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class GatherOptions:
    axis: Int = 0
    batch_dims: Int = 0


@dataclass(frozen=True, slots=True)
class ReducerOptions:
    keep_dims: Bool = False


@dataclass(frozen=True, slots=True)
class SubOptions:
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: Bool = True


@dataclass(frozen=True, slots=True)
class DivOptions:
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class SqueezeOptions:
    squeeze_dims: Ints = ()


@dataclass(frozen=True, slots=True)
class SequenceRNNOptions:
    time_major: Bool = False
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class StridedSliceOptions:
    begin_mask: Int = 0
    end_mask: Int = 0
    ellipsis_mask: Int = 0
    new_axis_mask: Int = 0
    shrink_axis_mask: Int = 0
    offset: Bool = False


@dataclass(frozen=True, slots=True)
class SplitOptions:
    num_splits: Int = 0


@dataclass(frozen=True, slots=True)
class CastOptions:
    in_data_type: TensorType = TensorType.FLOAT32
    out_data_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True, slots=True)
class ArgMaxOptions:
    output_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True, slots=True)
class TransposeConvOptions:
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@dataclass(frozen=True, slots=True)
class SparseToDenseOptions:
    validate_indices: Bool = False


@dataclass(frozen=True, slots=True)
class ShapeOptions:
    out_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True, slots=True)
class ArgMinOptions:
    output_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True, slots=True)
class FakeQuantOptions:
    min: Float = 0.0
    max: Float = 0.0
    num_bits: Int = 0
    narrow_range: Bool = False


@dataclass(frozen=True, slots=True)
class PackOptions:
    values_count: Int = 0
    axis: Int = 0


@dataclass(frozen=True, slots=True)
class OneHotOptions:
    axis: Int = 0


@dataclass(frozen=True, slots=True)
class UnpackOptions:
    num: Int = 0
    axis: Int = 0


@dataclass(frozen=True, slots=True)
class BidirectionalSequenceLSTMOptions:
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    merge_outputs: Bool = False
    time_major: Bool = True
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class BidirectionalSequenceRNNOptions:
    time_major: Bool = False
    fused_activation_function: Activation = Activation.NONE
    merge_outputs: Bool = False
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class UnidirectionalSequenceLSTMOptions:
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    time_major: Bool = False
    asymmetric_quantize_inputs: Bool = False
    diagonal_recurrent_tensors: Bool = False


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighborOptions:
    align_corners: Bool = False
    half_pixel_centers: Bool = False


@dataclass(frozen=True, slots=True)
class LeakyReluOptions:
    alpha: Float = 0.0


@dataclass(frozen=True, slots=True)
class MirrorPadOptions:
    mode: MirrorPadMode = MirrorPadMode.REFLECT


@dataclass(frozen=True, slots=True)
class SplitVOptions:
    num_splits: Int = 0


@dataclass(frozen=True, slots=True)
class UniqueOptions:
    idx_out_type: TensorType = TensorType.INT32


@dataclass(frozen=True, slots=True)
class ReverseSequenceOptions:
    seq_dim: Int = 0
    batch_dim: Int = 0


@dataclass(frozen=True, slots=True)
class IfOptions:
    then_subgraph_index: Int = 0
    else_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class WhileOptions:
    cond_subgraph_index: Int = 0
    body_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class DepthToSpaceOptions:
    block_size: Int = 0


@dataclass(frozen=True, slots=True)
class BatchMatMulOptions:
    adj_x: Bool = False
    adj_y: Bool = False
    asymmetric_quantize_inputs: Bool = False


@dataclass(frozen=True, slots=True)
class CumsumOptions:
    exclusive: Bool = False
    reverse: Bool = False


@dataclass(frozen=True, slots=True)
class CallOnceOptions:
    init_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class Conv3DOptions:
    padding: Padding = Padding.SAME
    stride_d: Int = 0
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_d_factor: Int = 1
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1


@dataclass(frozen=True, slots=True)
class HashtableOptions:
    table_id: Int = 0
    key_dtype: TensorType = TensorType.FLOAT32
    value_dtype: TensorType = TensorType.FLOAT32


@dataclass(frozen=True, slots=True)
class VarHandleOptions:
    container: String = ""
    shared_name: String = ""


@dataclass(frozen=True, slots=True)
class RandomOptions:
    seed: Long = 0
    seed2: Long = 0


@dataclass(frozen=True, slots=True)
class BucketizeOptions:
    boundaries: Floats = ()


@dataclass(frozen=True, slots=True)
class GeluOptions:
    approximate: Bool = False
