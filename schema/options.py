"""The options of the operators: one record for each options table of the format.

Field order is slot order in the file, the annotation is the type in the file (`fields.py`), and the default is what an
absent field means: so these records are the layout of their tables as well, and `layout.py` takes it from them. Tables
without a field stand in `options_empty.py`, those of the second union in `options_stablehlo.py`; all are given out
here.
"""

from __future__ import annotations

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
from tinyinterp.schema.fields import Bool, Float, Floats, Int, Ints, Long, Options, String, UInt, record
from tinyinterp.schema.options_empty import *  # noqa: F403
from tinyinterp.schema.options_stablehlo import *  # noqa: F403


@record(frozen=True)
class Conv2DOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@record(frozen=True)
class DepthwiseConv2DOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    depth_multiplier: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1


@record(frozen=True)
class ConcatEmbeddingsOptions(Options):
    num_channels: Int = 0
    num_columns_per_channel: Ints = ()
    embedding_dim_per_channel: Ints = ()


@record(frozen=True)
class LSHProjectionOptions(Options):
    type: LSHProjectionType = LSHProjectionType.UNKNOWN


@record(frozen=True)
class Pool2DOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    filter_width: Int = 0
    filter_height: Int = 0
    fused_activation_function: Activation = Activation.NONE


@record(frozen=True)
class SVDFOptions(Options):
    rank: Int = 0
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class RNNOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class FullyConnectedOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    weights_format: FullyConnectedOptionsWeightsFormat = FullyConnectedOptionsWeightsFormat.DEFAULT
    keep_num_dims: Bool = False
    asymmetric_quantize_inputs: Bool = False
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@record(frozen=True)
class SoftmaxOptions(Options):
    beta: Float = 0.0


@record(frozen=True)
class ConcatenationOptions(Options):
    axis: Int = 0
    fused_activation_function: Activation = Activation.NONE


@record(frozen=True)
class AddOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: Bool = True


@record(frozen=True)
class L2NormOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@record(frozen=True)
class LocalResponseNormalizationOptions(Options):
    radius: Int = 0
    bias: Float = 0.0
    alpha: Float = 0.0
    beta: Float = 0.0


@record(frozen=True)
class LSTMOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    kernel_type: LSTMKernelType = LSTMKernelType.FULL
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class ResizeBilinearOptions(Options):
    new_height: Int = 0  # deprecated, like new_width: the size comes from the second input
    new_width: Int = 0
    align_corners: Bool = False
    half_pixel_centers: Bool = False


@record(frozen=True)
class CallOptions(Options):
    subgraph: UInt = 0


@record(frozen=True)
class ReshapeOptions(Options):
    new_shape: Ints = ()


@record(frozen=True)
class SkipGramOptions(Options):
    ngram_size: Int = 0
    max_skip_size: Int = 0
    include_all_ngrams: Bool = False


@record(frozen=True)
class SpaceToDepthOptions(Options):
    block_size: Int = 0


@record(frozen=True)
class EmbeddingLookupSparseOptions(Options):
    combiner: CombinerType = CombinerType.SUM


@record(frozen=True)
class MulOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@record(frozen=True)
class GatherOptions(Options):
    axis: Int = 0
    batch_dims: Int = 0


@record(frozen=True)
class ReducerOptions(Options):
    keep_dims: Bool = False


@record(frozen=True)
class SubOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: Bool = True


@record(frozen=True)
class DivOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@record(frozen=True)
class SqueezeOptions(Options):
    squeeze_dims: Ints = ()


@record(frozen=True)
class SequenceRNNOptions(Options):
    time_major: Bool = False
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class StridedSliceOptions(Options):
    begin_mask: Int = 0
    end_mask: Int = 0
    ellipsis_mask: Int = 0
    new_axis_mask: Int = 0
    shrink_axis_mask: Int = 0
    offset: Bool = False


@record(frozen=True)
class SplitOptions(Options):
    num_splits: Int = 0


@record(frozen=True)
class CastOptions(Options):
    in_data_type: TensorType = TensorType.FLOAT32
    out_data_type: TensorType = TensorType.FLOAT32


@record(frozen=True)
class ArgMaxOptions(Options):
    output_type: TensorType = TensorType.FLOAT32


@record(frozen=True)
class TransposeConvOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    quantized_bias_type: TensorType = TensorType.FLOAT32  # FLOAT32 says: not set


@record(frozen=True)
class SparseToDenseOptions(Options):
    validate_indices: Bool = False


@record(frozen=True)
class ShapeOptions(Options):
    out_type: TensorType = TensorType.FLOAT32


@record(frozen=True)
class ArgMinOptions(Options):
    output_type: TensorType = TensorType.FLOAT32


@record(frozen=True)
class FakeQuantOptions(Options):
    min: Float = 0.0
    max: Float = 0.0
    num_bits: Int = 0
    narrow_range: Bool = False


@record(frozen=True)
class PackOptions(Options):
    values_count: Int = 0
    axis: Int = 0


@record(frozen=True)
class OneHotOptions(Options):
    axis: Int = 0


@record(frozen=True)
class UnpackOptions(Options):
    num: Int = 0
    axis: Int = 0


@record(frozen=True)
class BidirectionalSequenceLSTMOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    merge_outputs: Bool = False
    time_major: Bool = True
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class BidirectionalSequenceRNNOptions(Options):
    time_major: Bool = False
    fused_activation_function: Activation = Activation.NONE
    merge_outputs: Bool = False
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class UnidirectionalSequenceLSTMOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    cell_clip: Float = 0.0
    proj_clip: Float = 0.0
    time_major: Bool = False
    asymmetric_quantize_inputs: Bool = False
    diagonal_recurrent_tensors: Bool = False


@record(frozen=True)
class ResizeNearestNeighborOptions(Options):
    align_corners: Bool = False
    half_pixel_centers: Bool = False


@record(frozen=True)
class LeakyReluOptions(Options):
    alpha: Float = 0.0


@record(frozen=True)
class MirrorPadOptions(Options):
    mode: MirrorPadMode = MirrorPadMode.REFLECT


@record(frozen=True)
class SplitVOptions(Options):
    num_splits: Int = 0


@record(frozen=True)
class UniqueOptions(Options):
    idx_out_type: TensorType = TensorType.INT32


@record(frozen=True)
class ReverseSequenceOptions(Options):
    seq_dim: Int = 0
    batch_dim: Int = 0


@record(frozen=True)
class IfOptions(Options):
    then_subgraph_index: Int = 0
    else_subgraph_index: Int = 0


@record(frozen=True)
class WhileOptions(Options):
    cond_subgraph_index: Int = 0
    body_subgraph_index: Int = 0


@record(frozen=True)
class DepthToSpaceOptions(Options):
    block_size: Int = 0


@record(frozen=True)
class BatchMatMulOptions(Options):
    adj_x: Bool = False
    adj_y: Bool = False
    asymmetric_quantize_inputs: Bool = False


@record(frozen=True)
class CumsumOptions(Options):
    exclusive: Bool = False
    reverse: Bool = False


@record(frozen=True)
class CallOnceOptions(Options):
    init_subgraph_index: Int = 0


@record(frozen=True)
class Conv3DOptions(Options):
    padding: Padding = Padding.SAME
    stride_d: Int = 0
    stride_w: Int = 0
    stride_h: Int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_d_factor: Int = 1
    dilation_w_factor: Int = 1
    dilation_h_factor: Int = 1


@record(frozen=True)
class HashtableOptions(Options):
    table_id: Int = 0
    key_dtype: TensorType = TensorType.FLOAT32
    value_dtype: TensorType = TensorType.FLOAT32


@record(frozen=True)
class VarHandleOptions(Options):
    container: String = ""
    shared_name: String = ""


@record(frozen=True)
class RandomOptions(Options):
    seed: Long = 0
    seed2: Long = 0


@record(frozen=True)
class BucketizeOptions(Options):
    boundaries: Floats = ()


@record(frozen=True)
class GeluOptions(Options):
    approximate: Bool = False
