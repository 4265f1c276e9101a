"""The options of the second union: StableHLO operators and what came after the first union was full.

Written like those of `options.py`, which gives them out as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyinterp.schema.enums import (
    CustomOptionsFormat,
    ReduceWindowFunction,
    RngAlgorithm,
    StablehloComparisonDirection,
    StablehloComparisonType,
)
from tinyinterp.schema.fields import Bool, Bools, Bytes, Empty, Int, Ints, Long, Longs, Precisions, String


@dataclass(frozen=True, slots=True)
class StablehloConcatenateOptions:
    dimension: Long = 0


@dataclass(frozen=True, slots=True)
class StablehloBroadcastInDimOptions:
    broadcast_dimensions: Longs = ()


@dataclass(frozen=True, slots=True)
class StablehloSliceOptions:
    start_indices: Longs = ()
    limit_indices: Longs = ()
    strides: Longs = ()


@dataclass(frozen=True, slots=True)
class StablehloConvolutionOptions:
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


@dataclass(frozen=True, slots=True)
class StablehloCustomCallOptions:
    call_target_name: String = ""
    has_side_effect: Bool = False
    backend_config: String = ""
    api_version: Int = 0
    called_computations: Ints = ()
    custom_attributes: Bytes = b""


@dataclass(frozen=True, slots=True)
class StablehloReduceOptions:
    dimensions: Longs = ()
    body_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloScatterOptions:
    indices_are_sorted: Bool = False
    update_window_dims: Longs = ()
    inserted_window_dims: Longs = ()
    scatter_dims_to_operand_dims: Longs = ()
    index_vector_dim: Long = 0
    unique_indices: Bool = False
    update_computation_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloCompareOptions:
    comparison_direction: StablehloComparisonDirection = StablehloComparisonDirection.STABLEHLO_COMPARISON_DIRECTION_EQ
    compare_type: StablehloComparisonType = StablehloComparisonType.STABLEHLO_COMPARISON_TYPE_NOTYPE


@dataclass(frozen=True, slots=True)
class StablehloDynamicSliceOptions:
    slice_sizes: Longs = ()


@dataclass(frozen=True, slots=True)
class StablehloPadOptions:
    edge_padding_low: Longs = ()
    edge_padding_high: Longs = ()
    interior_padding: Longs = ()


@dataclass(frozen=True, slots=True)
class StablehloIotaOptions:
    iota_dimension: Long = 0


@dataclass(frozen=True, slots=True)
class StablehloDotGeneralOptions:
    lhs_batching_dimensions: Longs = ()
    rhs_batching_dimensions: Longs = ()
    lhs_contracting_dimensions: Longs = ()
    rhs_contracting_dimensions: Longs = ()
    precision_config: Precisions = ()


@dataclass(frozen=True, slots=True)
class StablehloReduceWindowOptions:
    window_dimensions: Longs = ()
    window_strides: Longs = ()
    base_dilations: Longs = ()
    window_dilations: Longs = ()
    padding: Longs = ()
    body_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloSortOptions:
    dimension: Long = 0
    is_stable: Bool = False
    comparator_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloWhileOptions:
    cond_subgraph_index: Int = 0
    body_subgraph_index: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloGatherOptions:
    offset_dims: Longs = ()
    collapsed_slice_dims: Longs = ()
    start_index_map: Longs = ()
    index_vector_dim: Long = 0
    slice_sizes: Longs = ()
    indices_are_sorted: Bool = False


@dataclass(frozen=True, slots=True)
class StablehloTransposeOptions:
    permutation: Longs = ()


@dataclass(frozen=True, slots=True)
class StablehloRngBitGeneratorOptions:
    algorithm: RngAlgorithm = RngAlgorithm.DEFAULT


@dataclass(frozen=True, slots=True)
class ReduceWindowOptions:
    reduce_function: ReduceWindowFunction = ReduceWindowFunction.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class StableHLOCompositeOptions:
    name: String = ""
    decomposition_subgraph_index: Int = 0
    composite_attributes: Bytes = b""
    composite_attributes_format: CustomOptionsFormat = CustomOptionsFormat.FLEXBUFFERS
    version: Int = 0


@dataclass(frozen=True, slots=True)
class StablehloCaseOptions:
    branch_subgraph_indices: Ints = ()


class DilateOptions(Empty): ...


class StablehloShiftLeftOptions(Empty): ...
