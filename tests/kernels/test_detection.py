"""TFLite_Detection_PostProcess against the official interpreter, by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import cut, every_kernel, official, operators, ours, same
from tinyinterp.errors import ShapeError, UnsupportedOpError, ValueDependentError
from tinyinterp.kernels.detection import NAME
from tinyinterp.schema import Model, build
from tinyinterp.schema.build import one_op, tensor

flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")

DEFAULTS: dict[str, Any] = {
    "max_detections": 10, "max_classes_per_detection": 1, "nms_score_threshold": 0.1, "nms_iou_threshold": 0.5,
    "num_classes": 3, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}


def model(boxes: int = 20, classes: int = 4, dtype: str = "float32", anchors: Any = None, width: int = 4, scores: str = "",
          scale: float = 1 / 256, **options: Any) -> Model:
    found = {k: v for k, v in {**DEFAULTS, **options}.items() if v is not None}
    n = max(found["max_detections"] * found["max_classes_per_detection"], 1)
    kind = scores or dtype
    quants = ((dtype, 0.03, 120), (kind, scale, 0), (dtype, 0.004, 3))
    quant: list[dict[str, Any]] = [{"scale": s, "zero_point": z} if d == "uint8" else {} for d, s, z in quants]
    inputs = [tensor("boxes", dtype, [1, boxes, width], **quant[0]), tensor("scores", kind, [1, boxes, classes], **quant[1]),
              tensor("anchors", dtype, [boxes, 4], data=anchors, **quant[2])]
    shapes = (("places", [1, n, 4]), ("classes", [1, n]), ("best", [1, n]), ("number", [1]))
    outputs = [tensor(name, "float32", shape) for name, shape in shapes]
    return one_op(NAME, inputs, outputs, custom_options=bytes(flexbuffers.Dumps(found)))


def values(made: Model, seed: int, levels: int = 0) -> list[np.ndarray]:
    """Boxes around a grid of anchors; `levels`: how few different scores there are."""
    rng = np.random.default_rng(seed)
    found = []
    for t in made.subgraphs[0].inputs:
        x = made.subgraphs[0].tensors[t]
        if x.type.name == "UINT8":
            least, most = (0, levels or 256) if x.name == "scores" else (60, 200)
            found.append(rng.integers(least, most, x.shape).astype(np.uint8))
        elif x.name == "scores":
            found.append((rng.integers(0, levels, x.shape) / levels if levels else rng.random(x.shape)).astype(np.float32))
        elif x.name == "anchors":
            found.append(rng.random(x.shape).astype(np.float32) * 0.6 + 0.2)
        else:
            found.append(rng.normal(0, 2, x.shape).astype(np.float32))
    return found


def check(made: Model, inputs: list[np.ndarray], numerics: tuple[str, ...] = ("reference", "default")) -> int:
    """Equal as far as detections go; the official fast variant leaves the rest unwritten."""
    for mode in numerics:
        theirs = official(build(made), mode)
        theirs.allocate_tensors()
        for detail, value in zip(theirs.get_input_details(), inputs):
            theirs.set_tensor(detail["index"], value)
        theirs.invoke()
        expected = [theirs.get_tensor(d["index"]) for d in theirs.get_output_details()]
        found = ours(made, *inputs, numerics=mode)
        n = int(expected[3][0])
        assert not same(found[3], expected[3]), mode
        filled = n * (found[1].shape[1] // _most(made))
        for a, b in zip(found[:3], expected[:3]):
            assert a.shape == b.shape and not same(a[:, :filled].copy(), b[:, :filled].copy()), mode
            assert not a[:, filled:].any()
    return n


def _most(made: Model) -> int:
    return int(flexbuffers.Loads(made.subgraphs[0].operators[0].custom_options)["max_detections"])


def test_by_hand() -> None:
    """Two boxes at one place, a third beside them: the better of the two and the third stay."""
    anchors = np.array([[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]], np.float32)
    made = model(3, 2, anchors=anchors, num_classes=2, max_detections=3)
    scores = np.array([[[0.6, 0.2], [0.1, 0.9], [0.5, 0.7]]], np.float32)
    boxes, classes, best, number = ours(made, np.zeros((1, 3, 4), np.float32), scores)
    assert number[0] == 2 and classes.tolist() == [[1, 1, 0]]
    assert np.allclose(best, [[0.9, 0.7, 0]]) and np.allclose(boxes[0, :2], [[0.4, 0.4, 0.6, 0.6], [0.1, 0.1, 0.3, 0.3]])


@pytest.mark.parametrize("regular", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_detections(dtype: str, regular: bool) -> None:
    some = 0
    for seed in range(12):
        k = seed % 3
        made = model(10 + 7 * seed, 3 + seed % 2, dtype, width=4 + k, use_regular_nms=regular, max_detections=(5, 10, 100)[k],
                     detections_per_class=(None, 2, 5)[k], nms_iou_threshold=(0.5, 0.2, 1.0)[k])
        some += check(made, values(made, seed))
    assert some > 60


@pytest.mark.parametrize("regular", [False, True])
def test_equal_scores(regular: bool) -> None:
    for seed in range(10):
        made = model(40, 4, use_regular_nms=regular, max_detections=15, nms_iou_threshold=0.9)
        check(made, values(made, seed, 4))
        made = model(40, 4, "uint8", scale=0.2, use_regular_nms=regular, max_detections=15, nms_iou_threshold=0.9)
        check(made, values(made, seed, 5))


def test_several_classes_a_box() -> None:
    """The order of equal scores inside one box is that of a partial heap sort."""
    for seed in range(20):
        for classes, each in ((4, 2), (8, 3), (12, 7), (21, 20), (5, 5)):
            made = model(15, classes + seed % 2, num_classes=classes, max_classes_per_detection=each, max_detections=6)
            check(made, values(made, seed, 0 if seed % 4 == 0 else 3), ("reference",))


def test_more_classes_asked_for_than_there_are() -> None:
    made = model(15, 3, max_classes_per_detection=5, max_detections=4)
    found = ours(made, *values(made, 0))
    assert found[0].shape == (1, 20, 4) and not found[1].reshape(4, 5)[:, 3:].any()


def test_mixed_types() -> None:
    """Quantized boxes with float scores, and the other way round."""
    for dtype, scores in (("uint8", "float32"), ("float32", "uint8")):
        made = model(30, 4, dtype, scores=scores)
        check(made, values(made, 3))


def test_missing_options() -> None:
    made = model(12, 4, y_scale=None, use_regular_nms=True, nms_score_threshold=None)
    inputs = values(made, 1)
    inputs[0][..., 0] = 1.0  # 1 / 0: infinitely far
    check(made, inputs)


def test_special_values() -> None:
    made = model(20, 4, max_classes_per_detection=2)
    inputs = values(made, 2)
    inputs[1][0, 3, :] = np.nan
    inputs[1][0, 5, 2] = np.inf
    inputs[0][0, 4, 2] = 600.0  # exp overflows
    inputs[0][0, 6, 0] = np.nan
    check(made, inputs)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_best_classes(dtype: str) -> None:
    """The first of the greatest, whatever the number of classes; with one class asked for they are found by vectors."""
    for classes in (1, 7, 16, 17, 40):
        made = model(21, classes, dtype, num_classes=classes, **({"scale": 0.2} if dtype == "uint8" else {}))
        inputs = values(made, classes, 5)
        if dtype == "float32":
            inputs[1][0, 3, :] = np.nan
            inputs[1][0, 5, classes // 2 :] = np.nan
            inputs[1][0, 8, :] = -np.inf
            inputs[1][0, 9, :] = np.where(np.arange(inputs[1].shape[2]) % 2, -0.0, 0.0)
        check(made, inputs)
        every_kernel(made, "reference", *inputs)


def test_real_models() -> None:
    for _, i, found in operators(NAME, 4):
        part = cut(found, i)
        check(part, values(part, i))
        check(part, values(part, i, 7))


def test_a_box_that_ends_before_it_begins() -> None:
    made = model(4, 4)
    inputs = values(made, 0)
    inputs[2][2, 2] = -0.5
    with pytest.raises(ValueDependentError, match=r"TFLite_Detection_PostProcess .*a box ends before it begins at element 2"):
        ours(made, *inputs)


@pytest.mark.parametrize(("options", "text"), [
    ({"num_classes": 2}, "num_classes is 2 for scores of 4"),
    ({"num_classes": 5}, "num_classes is 5 for scores of 4"),
    ({"max_classes_per_detection": 0}, "max_classes_per_detection is 0"),
    ({"max_detections": 0}, "max_detections is 0"),
    ({"max_detections": -5}, "max_detections is -5"),
    ({"nms_iou_threshold": 0.0}, "nms_iou_threshold"),
    ({"nms_iou_threshold": 1.5}, "nms_iou_threshold"),
    ({"width": 3}, "boxes are"),
])
def test_refusals(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        ours(model(**options))


def test_other_refusals() -> None:
    made = [tensor(n, "float32", s) for n, s in (("b", [1, 4, 4]), ("s", [1, 4, 4]), ("a", [3, 4]))]
    outputs = [tensor(n, "float32", [1]) for n in "wxyz"]
    options = bytes(flexbuffers.Dumps(DEFAULTS))
    with pytest.raises(ShapeError, match="anchors are"):
        ours(one_op(NAME, made, outputs, custom_options=options))
    made[2] = tensor("a", "uint8", [4, 4])
    with pytest.raises(UnsupportedOpError, match="UINT8"):
        ours(one_op(NAME, made, outputs, custom_options=options))
    with pytest.raises(ShapeError, match="not a map"):
        ours(one_op(NAME, made, outputs, custom_options=bytes(flexbuffers.Dumps([1, 2]))))
