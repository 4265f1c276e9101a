"""The options of the second union: StableHLO operators and what came after the first union was full.

Written like those of `options.py`, which gives them out as well.
"""

from __future__ import annotations

from tinyinterp.schema.enums import (
    CustomOptionsFormat,
    ReduceWindowFunction,
    RngAlgorithm,
    StablehloComparisonDirection,
    StablehloComparisonType,
)
from tinyinterp.schema.fields import Bool, Bools, Bytes, Int, Ints, Long, Longs, Options, Precisions, String, record


@record(frozen=True)
class StablehloConcatenateOptions(Options):
    dimension: Long = 0


@record(frozen=True)
class StablehloBroadcastInDimOptions(Options):
    broadcast_dimensions: Longs = ()


@record(frozen=True)
class StablehloSliceOptions(Options):
    start_indices: Longs = ()
    limit_indices: Longs = ()
    strides: Longs = ()


@record(frozen=True)
class StablehloConvolutionOptions(Options):
    window_strides: Longs = ()
    padding: Longs = ()
    lhs_dilation: Longs = ()
    rhs_dilation: Longs = ()
    window_reversal: Bools = ()
    input_batch_dimension: Long = 0
    input_feature_dimension: Long = 0
    input_spatial_dimensions: Longs = ()
    kernel_input_feature_dimension: Long = 0
    kernel_output_feature_dimension: Long = 0
    kernel_spatial_dimensions: Longs = ()
    output_batch_dimension: Long = 0
    output_feature_dimension: Long = 0
    output_spatial_dimensions: Longs = ()
    feature_group_count: Long = 0
    batch_group_count: Long = 0
    precision_config: Precisions = ()


@record(frozen=True)
class StablehloCustomCallOptions(Options):
    call_target_name: String = ""
    has_side_effect: Bool = False
    backend_config: String = ""
    api_version: Int = 0
    called_computations: Ints = ()
    custom_attributes: Bytes = b""


@record(frozen=True)
class StablehloReduceOptions(Options):
    dimensions: Longs = ()
    body_subgraph_index: Int = 0


@record(frozen=True)
class StablehloScatterOptions(Options):
    indices_are_sorted: Bool = False
    update_window_dims: Longs = ()
    inserted_window_dims: Longs = ()
    scatter_dims_to_operand_dims: Longs = ()
    index_vector_dim: Long = 0
    unique_indices: Bool = False
    update_computation_subgraph_index: Int = 0


@record(frozen=True)
class StablehloCompareOptions(Options):
    comparison_direction: StablehloComparisonDirection = StablehloComparisonDirection.STABLEHLO_COMPARISON_DIRECTION_EQ
    compare_type: StablehloComparisonType = StablehloComparisonType.STABLEHLO_COMPARISON_TYPE_NOTYPE


@record(frozen=True)
class StablehloDynamicSliceOptions(Options):
    slice_sizes: Longs = ()


@record(frozen=True)
class StablehloPadOptions(Options):
    edge_padding_low: Longs = ()
    edge_padding_high: Longs = ()
    interior_padding: Longs = ()


@record(frozen=True)
class StablehloIotaOptions(Options):
    iota_dimension: Long = 0


@record(frozen=True)
class StablehloDotGeneralOptions(Options):
    lhs_batching_dimensions: Longs = ()
    rhs_batching_dimensions: Longs = ()
    lhs_contracting_dimensions: Longs = ()
    rhs_contracting_dimensions: Longs = ()
    precision_config: Precisions = ()


@record(frozen=True)
class StablehloReduceWindowOptions(Options):
    window_dimensions: Longs = ()
    window_strides: Longs = ()
    base_dilations: Longs = ()
    window_dilations: Longs = ()
    padding: Longs = ()
    body_subgraph_index: Int = 0


@record(frozen=True)
class StablehloSortOptions(Options):
    dimension: Long = 0
    is_stable: Bool = False
    comparator_subgraph_index: Int = 0


@record(frozen=True)
class StablehloWhileOptions(Options):
    cond_subgraph_index: Int = 0
    body_subgraph_index: Int = 0


@record(frozen=True)
class StablehloGatherOptions(Options):
    offset_dims: Longs = ()
    collapsed_slice_dims: Longs = ()
    start_index_map: Longs = ()
    index_vector_dim: Long = 0
    slice_sizes: Longs = ()
    indices_are_sorted: Bool = False


@record(frozen=True)
class StablehloTransposeOptions(Options):
    permutation: Longs = ()


@record(frozen=True)
class StablehloRngBitGeneratorOptions(Options):
    algorithm: RngAlgorithm = RngAlgorithm.DEFAULT


@record(frozen=True)
class ReduceWindowOptions(Options):
    reduce_function: ReduceWindowFunction = ReduceWindowFunction.UNSUPPORTED


@record(frozen=True)
class StableHLOCompositeOptions(Options):
    name: String = ""
    decomposition_subgraph_index: Int = 0
    composite_attributes: Bytes = b""
    composite_attributes_format: CustomOptionsFormat = CustomOptionsFormat.FLEXBUFFERS
    version: Int = 0


@record(frozen=True)
class StablehloCaseOptions(Options):
    branch_subgraph_indices: Ints = ()


class DilateOptions(Options): ...


class StablehloShiftLeftOptions(Options): ...
