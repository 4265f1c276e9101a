"""TFLite_Detection_PostProcess: from anchors and scores to the boxes of objects, without those that overlap better ones.

    boxes:   [1, B, 4 or more]  y, x, h, w of each box, relative to its anchor      float32, or uint8 with a scale
    scores:  [1, B, C]          of each class; C is num_classes, or one more: then class 0 is the background
    anchors: [B, 4]             y, x, h, w
    →  boxes [1, N, 4] as ymin, xmin, ymax, xmax   classes [1, N]   scores [1, N]   number [1]      all float32

N is max_detections * max_classes_per_detection. A box is decoded in double, each result rounded to float32:

    center = box.y / y_scale * anchor.h + anchor.y      half = 0.5 * exp(box.h / h_scale) * anchor.h      (x and w alike)

Non-maximum suppression takes the candidates whose score reaches the threshold from the best to the worst (of equal ones
the first stands first) and drops each that overlaps one taken before by more than `nms_iou_threshold` of their union.

    fast     one score a box, its best class; a box taken is given with its max_classes_per_detection best classes
    regular  class by class, at most detections_per_class; the results are merged by score, the max_detections best stay

Equal scores inside one box come in the order in which a partial heap sort leaves them. What no detection fills is 0 (the
official fast variant leaves there what was in memory). With several threads the official regular variant merges in an
order of chance where scores of two classes are equal; here it is always that of one thread.

Source: LiteRT tflite/kernels/detection_postprocess.cc; std::partial_sort of libstdc++.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tinyinterp.schema import TensorType
from tinyinterp.schema.flexbuffer import decode

from . import jit
from .contract import Arg, Call, Kernel, Op, Operand, Scratch, Shape, Status
from .machine import address, exp64, f32, inline
from .micro.first_best import first_best
from .movement import status

CROSSED = int(Status.CROSSED_BOX)
NAME = "TFLite_Detection_PostProcess"


class Options(NamedTuple):
    """The FlexBuffer of the operator."""

    most: int  # max_detections
    classes_each: int  # max_classes_per_detection
    per_class: int  # detections_per_class
    regular: bool  # use_regular_nms
    threshold: np.float32  # nms_score_threshold
    overlap: np.float32  # nms_iou_threshold
    classes: int  # num_classes
    scales: tuple[float, float, float, float]  # y, x, h, w


# ---------------------------------------------------------------------------------------------------------- shapes
def options(call: Call) -> Options:
    """What is missing is 0, as in the official interpreter, but for detections_per_class: 100."""
    found = decode(call.operator.custom_options)
    call.need(isinstance(found, dict), "the options are not a map")
    values = {k: v for k, v in found.items() if isinstance(v, (bool, int, float))}
    call.need(all(math.isfinite(v) for v in values.values()), "an option is not finite")

    def number(name: str) -> Any:
        return f32(values.get(name, 0))

    y, x, h, w = (float(number(f"{axis}_scale")) for axis in "yxhw")
    return Options(int(values.get("max_detections", 0)), int(values.get("max_classes_per_detection", 0)),
                   int(values.get("detections_per_class", 100)), bool(values.get("use_regular_nms", False)),
                   number("nms_score_threshold"), number("nms_iou_threshold"), int(values.get("num_classes", 0)), (y, x, h, w))


def infer(call: Call) -> tuple[Shape, ...]:
    boxes, scores, anchors, o = call.input(0).shape, call.input(1).shape, call.input(2).shape, options(call)
    call.need(len(boxes) == 3 and boxes[0] == 1 and boxes[2] >= 4, f"boxes are {list(boxes)}, need [1, B, 4 or more]")
    call.need(len(scores) == 3 and scores[:2] == boxes[:2], f"scores are {list(scores)}, need [1, {boxes[1]}, C]")
    call.need(len(anchors) == 2 and anchors[0] >= boxes[1] and anchors[1] == 4, f"anchors are {list(anchors)}, not [B, 4]")
    call.need(1 <= o.classes <= scores[2] <= o.classes + 1, f"num_classes is {o.classes} for scores of {scores[2]} classes")
    call.need(o.classes_each > 0, f"max_classes_per_detection is {o.classes_each}")
    call.need(o.most > 0 and o.per_class > 0, f"max_detections is {o.most}, detections_per_class {o.per_class}")
    call.need(0 < o.overlap <= 1, f"nms_iou_threshold {o.overlap} is not in (0, 1]")
    n = o.most * o.classes_each
    return (1, n, 4), (1, n), (1, n), (1,)


# ---------------------------------------------------------------------------------------- settled before the first run
def affine(x: Operand) -> tuple[np.float32, np.float32]:
    """(zero point, scale), such that (x - zero) * scale is the value; exact for floats."""
    return (f32(0), f32(1)) if x.type == TensorType.FLOAT32 else (f32(x.zero_point), x.scale)


def args(call: Call, params: None) -> tuple[Arg, ...]:
    boxes, scores, anchors, o = call.input(0), call.input(1), call.input(2), options(call)
    n, c = scores.shape[1:]
    zero, scale = affine(scores)
    # Eight at a time the product is float32, with the zero point's added; -0.0 adds nothing to a float.
    shift = f32(-0.0) if scores.type == TensorType.FLOAT32 else f32(-float(zero) * float(scale))
    per_class = min(o.per_class, o.most)
    room = o.most + per_class
    return (boxes.view(*boxes.shape[1:]), scores.view(n * c), anchors.view(), *affine(boxes), *affine(anchors),
            zero, scale, shift, *o.scales, o.threshold, o.overlap,
            c, o.classes, o.classes_each, o.most, per_class, int(o.regular),
            Scratch(np.dtype("f8"), (4, 256 if boxes.type == TensorType.UINT8 else 0)),
            Scratch(np.dtype("f4"), (n, 4)), Scratch(np.dtype("f4"), (n * c,)), Scratch(np.dtype("f4"), (n,)),
            Scratch(np.dtype("i4"), (2, n)), Scratch(np.dtype("i4"), (n * min(o.classes_each, o.classes) + o.classes,)),
            Scratch(np.dtype("f4"), (2, room)), Scratch(np.dtype("i4"), (4, room)),
            *(y.view(*y.shape[1:]) if len(y.shape) > 1 else y.view() for y in call.outputs))


# --------------------------------------------------------------------------------------------------------- kernels
@inline
def part(q: Any, zero: Any, scale: Any, by: Any) -> Any:
    """A stored number of a box, in units of its anchor."""
    return np.float64((f32(q) - zero) * scale) / by


@inline
def worked_out(boxes: Any, i: Any, zero: Any, scale: Any, y: Any, x: Any, h: Any, w: Any, parts: Any) -> Any:
    """Center and half the size of box i, in units of its anchor."""
    return (part(boxes[i, 0], zero, scale, y), part(boxes[i, 1], zero, scale, x),
            0.5 * exp64(part(boxes[i, 2], zero, scale, h)), 0.5 * exp64(part(boxes[i, 3], zero, scale, w)))


@inline
def looked_up(boxes: Any, i: Any, zero: Any, scale: Any, y: Any, x: Any, h: Any, w: Any, parts: Any) -> Any:
    """The same for boxes of bytes."""
    return parts[0, boxes[i, 0]], parts[1, boxes[i, 1]], parts[2, boxes[i, 2]], parts[3, boxes[i, 3]]


def decoder(parts_of: Callable[..., Any]) -> Callable[..., Any]:
    @inline
    def decode_boxes(boxes: Any, anchors: Any, zero: Any, scale: Any, anchor_zero: Any, anchor_scale: Any, y_by: Any,
                     x_by: Any, h_by: Any, w_by: Any, parts: Any, corners: Any) -> Any:
        """Center and size to corners: [B, 4]. Gives the first box that ends before it begins, or B."""
        for q in range(parts.shape[1]):
            parts[0, q], parts[1, q] = part(q, zero, scale, y_by), part(q, zero, scale, x_by)
            parts[2, q], parts[3, q] = 0.5 * exp64(part(q, zero, scale, h_by)), 0.5 * exp64(part(q, zero, scale, w_by))
        bad = len(corners)
        for i in range(len(corners)):
            ay = np.float64((f32(anchors[i, 0]) - anchor_zero) * anchor_scale)
            ax = np.float64((f32(anchors[i, 1]) - anchor_zero) * anchor_scale)
            ah = np.float64((f32(anchors[i, 2]) - anchor_zero) * anchor_scale)
            aw = np.float64((f32(anchors[i, 3]) - anchor_zero) * anchor_scale)
            py, px, ph, pw = parts_of(boxes, i, zero, scale, y_by, x_by, h_by, w_by, parts)
            y, x, h, w = f32(py * ah + ay), f32(px * aw + ax), f32(ph * ah), f32(pw * aw)
            corners[i, 0] = y - h
            corners[i, 1] = x - w
            corners[i, 2] = y + h
            corners[i, 3] = x + w
            if bad == len(corners) and (corners[i, 0] > corners[i, 2] or corners[i, 1] > corners[i, 3]):
                bad = i
        return bad

    return decode_boxes


@inline
def overlap_of(corners: Any, i: Any, j: Any) -> Any:
    """Intersection over union of two boxes; 0 when one of them has no area."""
    area_i = (corners[i, 2] - corners[i, 0]) * (corners[i, 3] - corners[i, 1])
    area_j = (corners[j, 2] - corners[j, 0]) * (corners[j, 3] - corners[j, 1])
    if area_i <= f32(0) or area_j <= f32(0):
        return f32(0)
    top = corners[j, 0] if corners[i, 0] < corners[j, 0] else corners[i, 0]
    left = corners[j, 1] if corners[i, 1] < corners[j, 1] else corners[i, 1]
    bottom = corners[j, 2] if corners[j, 2] < corners[i, 2] else corners[i, 2]
    right = corners[j, 3] if corners[j, 3] < corners[i, 3] else corners[i, 3]
    h = f32(0) if bottom - top < f32(0) else bottom - top
    w = f32(0) if right - left < f32(0) else right - left
    return h * w / (area_i + area_j - h * w)


@inline
def sift(values: Any, heap: Any, hole: Any, n: Any) -> None:
    """heap[hole] down to where it belongs: the greatest value is on top, of equal ones the first."""
    item = heap[hole]
    while 2 * hole + 1 < n:
        child = 2 * hole + 1
        if child + 1 < n and ahead(values, heap[child + 1], heap[child]):
            child += 1
        if not ahead(values, heap[child], item):
            break
        heap[hole] = heap[child]
        hole = child
    heap[hole] = item


@inline
def ahead(values: Any, a: Any, b: Any) -> Any:
    return values[a] > values[b] or (values[a] == values[b] and a < b)


@inline
def suppress(values: Any, corners: Any, threshold: Any, overlap: Any, limit: Any, lists: Any) -> Any:
    """The indices of the boxes taken, best first, in lists[0]; gives how many. A box is taken when it overlaps none of those
    before it; few are looked at, so a heap gives them one by one. lists: [2, B] int32."""
    chosen, heap, n = lists[0], lists[1], 0
    for i in range(len(values)):
        if values[i] >= threshold:
            heap[n] = i
            n += 1
    for parent in range(n // 2 - 1, -1, -1):
        sift(values, heap, parent, n)
    taken = 0
    while n > 0 and taken < limit:
        box = heap[0]
        n -= 1
        heap[0] = heap[n]
        sift(values, heap, 0, n)
        free = True
        for k in range(taken):
            if overlap_of(corners, chosen[k], box) > overlap:
                free = False
                break
        if free:
            chosen[taken] = box
            taken += 1
    return taken


@inline
def place_in_heap(v: Any, at: Any, heap: Any, first: Any, hole: Any, n: Any, item: Any) -> None:
    """libstdc++ __adjust_heap: from the hole down to a leaf, then up with the item. The least value is on top."""
    top, child = hole, hole
    while child < (n - 1) // 2:
        child = 2 * (child + 1)
        if v[at + heap[first + child]] > v[at + heap[first + child - 1]]:
            child -= 1
        heap[first + hole] = heap[first + child]
        hole = child
    if n & 1 == 0 and child == (n - 2) // 2:
        child = 2 * (child + 1)
        heap[first + hole] = heap[first + child - 1]
        hole = child - 1
    while hole > top and v[at + heap[first + (hole - 1) // 2]] > v[at + item]:
        heap[first + hole] = heap[first + (hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[first + hole] = item


@inline
def best_classes(v: Any, at: Any, n: Any, k: Any, heap: Any, first: Any) -> None:
    """The k best of v[at : at + n], best first, in heap[first : first + k]: one by search, several by a heap sort."""
    if k == 1:
        best = 0
        for i in range(1, n):
            if v[at + i] > v[at + best] or (v[at + best] != v[at + best] and v[at + i] == v[at + i]):
                best = i
        heap[first] = best
        return
    for i in range(n):
        heap[first + i] = i
    for parent in range((k - 2) // 2, -1, -1):
        place_in_heap(v, at, heap, first, parent, k, heap[first + parent])
    for i in range(k, n):
        if v[at + heap[first + i]] > v[at + heap[first]]:
            item = heap[first + i]
            heap[first + i] = heap[first]
            place_in_heap(v, at, heap, first, 0, k, item)
    for last in range(k - 1, 0, -1):
        item = heap[first + last]
        heap[first + last] = heap[first]
        place_in_heap(v, at, heap, first, 0, last, item)


@inline
def merge_down(score: Any, what: Any, n: Any, m: Any) -> None:
    """Rows 0 of score and 0, 1 of what: [:n] and [n : n + m] are sorted, now all are; of equal ones the first n stand first."""
    for k in range(n + m):
        score[1, k] = score[0, k]
        what[2, k], what[3, k] = what[0, k], what[1, k]
    i, j = 0, n
    for k in range(n + m):
        if i < n and (j >= n + m or not score[1, j] > score[1, i]):
            source = i
            i += 1
        else:
            source = j
            j += 1
        score[0, k] = score[1, source]
        what[0, k], what[1, k] = what[2, source], what[3, source]


@inline
def give(corners: Any, box: Any, label: Any, score: Any, k: Any, y_boxes: Any, y_classes: Any, y_scores: Any) -> None:
    """Detection k."""
    for i in range(4):
        y_boxes[k, i] = corners[box, i]
    y_classes[k] = f32(label)
    y_scores[k] = score


@inline
def best_of_boxes(v: Any, columns: Any, offset: Any, classes: Any, each: Any, heap: Any) -> None:
    """What the fast variant looks for first: the `each` best classes of every box, at heap[box * each]."""
    n = len(v) // columns
    for i in range(n):
        best_classes(v, i * columns + offset, classes, each, heap, n * each)  # in the room behind all answers
        for c in range(each):
            heap[i * each + c] = heap[n * each + c]


@cache
def best_in_vectors(lanes: int) -> Callable[..., None]:
    """The same, a single class by vectors."""
    first = first_best(lanes)

    @inline
    def best(v: Any, columns: Any, offset: Any, classes: Any, each: Any, heap: Any) -> None:
        if each == 1:
            first(address(v) + offset * 4, columns * 4, classes, len(v) // columns, address(heap), 4)
        else:
            best_of_boxes(v, columns, offset, classes, each, heap)

    return best


@cache
def detection(best: Callable[..., None], parts_of: Callable[..., Any]) -> Callable[..., int]:
    """The kernel; `best` finds the best classes of all boxes."""
    decode_boxes = decoder(parts_of)

    def detect(boxes: Any, scores: Any, anchors: Any, box_zero: Any, box_scale: Any, anchor_zero: Any, anchor_scale: Any,
               zero: Any, scale: Any, shift: Any, y_scale: Any, x_scale: Any, h_scale: Any, w_scale: Any, threshold: Any,
               overlap: Any, columns: int, classes: int, classes_each: int, most: int, per_class: int, regular: int,
               parts: Any, corners: Any, v: Any, values: Any, lists: Any, heap: Any, merged: Any, what: Any,
               y_boxes: Any, y_classes: Any, y_scores: Any, y_number: Any) -> int:
        """parts to what: scratch."""
        n, offset = len(values), columns - classes
        bad = decode_boxes(boxes, anchors, box_zero, box_scale, anchor_zero, anchor_scale, y_scale, x_scale, h_scale, w_scale,
                           parts, corners)
        if bad < n:
            return status(CROSSED, bad)  # type: ignore[no-any-return]
        for i in range(len(v) // 8 * 8):
            v[i] = f32(scores[i]) * scale + shift
        for i in range(len(v) // 8 * 8, len(v)):
            v[i] = f32((np.float64(scores[i]) - np.float64(zero)) * np.float64(scale))
        for k in range(len(y_scores)):
            y_scores[k] = y_classes[k] = y_boxes[k, 0] = y_boxes[k, 1] = y_boxes[k, 2] = y_boxes[k, 3] = f32(0)
        taken = 0
        if regular != 0:
            for c in range(classes):
                for i in range(n):
                    values[i] = v[i * columns + c + offset]
                more = suppress(values, corners, threshold, overlap, per_class, lists)
                for k in range(more):
                    merged[0, taken + k] = values[lists[0, k]]
                    what[0, taken + k], what[1, taken + k] = lists[0, k], c
                merge_down(merged, what, taken, more)
                taken = min(taken + more, most)
            for k in range(taken):
                give(corners, what[0, k], what[1, k], merged[0, k], k, y_boxes, y_classes, y_scores)
        else:
            each = min(classes_each, classes)
            best(v, columns, offset, classes, each, heap)
            for i in range(n):
                values[i] = v[i * columns + offset + int(heap[i * each])]
            taken = suppress(values, corners, threshold, overlap, most, lists)
            for k in range(taken):
                box = int(lists[0, k])
                for c in range(each):
                    label = int(heap[box * each + c])
                    give(corners, box, label, v[box * columns + offset + label], k * classes_each + c, y_boxes, y_classes,
                         y_scores)
        y_number[0] = f32(taken)
        return 0

    return detect


# -------------------------------------------------------------------------------------------------------------- op
def takes(call: Call) -> bool:
    boxes, scores, anchors = call.input(0).type, call.input(1).type, call.input(2).type
    both = (TensorType.FLOAT32, TensorType.UINT8)
    return boxes == anchors and boxes in both and scores in both and all(y.type == TensorType.FLOAT32 for y in call.outputs)


def in_vectors(call: Call) -> Kernel | None:
    lanes = {"avx512": 16, "avx2": 8}.get(jit.isa())
    if lanes is None or jit.DISABLED or not takes(call):
        return None
    parts_of = looked_up if call.input(0).type == TensorType.UINT8 else worked_out
    return Kernel(f"detection_postprocess_{jit.isa()}", detection(best_in_vectors(lanes), parts_of), args)


DETECTION_POSTPROCESS = Op(
    NAME, (3, 3), (4, 4), ("float32", "uint8"), infer,
    (in_vectors, Kernel("detection_postprocess", detection(best_of_boxes, worked_out), args, when=takes)),
    "LiteRT tflite/kernels/detection_postprocess.cc")
