"""The part of an exported file before its network: crops of any size, grey or RGB, to 48 x 48 grey levels.

It gives the grey levels that OpenCV gives (`crop_face`, `cv2.cvtColor`, `cv2.resize` with INTER_AREA), by two matrix
products with shares that are computed from the crop's height and width. Imports no torch.
"""

import onnx
from onnx import TensorProto, compose, inliner
from onnxscript import BOOL, DOUBLE, FLOAT, INT64, UINT8, script
from onnxscript.onnx_opset import opset20 as op

OPSET, IR_VERSION = 20, 10
N, H, W, C, L = "N", "H", "W", "C", "L"  # sides of arrays that a call decides
INTEGER, REAL, LONG = TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE


@script(default_opset=op)
def _channel_weights(channels: INT64[1]) -> FLOAT[C]:
    """What R, G and B, or grey alone, add to a grey level: BT.601 in OpenCV's 32768ths; any other C fits no crop."""
    weights = op.Constant(value_floats=[9798.0, 19235.0, 3735.0, 32768.0])
    is_grey = op.Cast(op.Equal(channels, op.Constant(value_ints=[1])), to=INTEGER)
    first = is_grey * op.Constant(value_ints=[3])
    return op.Slice(weights, first, is_grey + op.Constant(value_ints=[3]))


@script(default_opset=op)
def _shares(length: DOUBLE, shrinks: BOOL) -> FLOAT[48, L]:
    """What each of `length` pixels adds to each of 48: by the overlap of their areas.

    OpenCV does so only where both sides shrink. Else a pixel takes from two neighbours alone: at the same shares along
    a side that grows, and at those of `resize`'s emulation along one that shrinks.
    """
    ratio = 48.0 / length
    scale = 1.0 / ratio
    none, one = op.CastLike(0.0, length), op.CastLike(1.0, length)
    place = op.Unsqueeze(op.Range(none, op.CastLike(48.0, length), one), [1])
    pixel = op.Unsqueeze(op.Range(none, length, one), [0])
    start = place * scale
    by_area = op.Max(op.Min(start + scale, pixel + 1.0) - op.Max(start, pixel), 0.0) / scale
    left = op.Floor(start)
    beyond = (place + 1.0) - (left + 1.0) * ratio
    position = op.Min(left + op.Where(beyond > 0.0, beyond - op.Floor(beyond), 0.0), length - 1.0)
    between = op.Max(1.0 - op.Abs(position - pixel), 0.0)
    return op.Cast(op.Where(shrinks, by_area, between), to=REAL)


@script(default_opset=op)
def _grey_faces(faces: UINT8[N, H, W, C]) -> FLOAT[N, 48, 48]:
    """Whole grey levels from 0 to 255."""
    grey = op.Floor(op.MatMul(op.Cast(faces, to=REAL), _channel_weights(op.Shape(faces, start=3))) / 32768.0 + 0.5)
    sides = op.Shape(faces, start=1, end=3)
    height, width = op.Split(op.Cast(sides, to=LONG), num_outputs=2)
    shrinks = op.ReduceMin(sides, keepdims=0) >= 48
    down = _shares(op.Squeeze(height), shrinks)
    across = _shares(op.Squeeze(width), shrinks)
    scaled = op.MatMul(op.MatMul(down, grey), op.Transpose(across, perm=[1, 0]))
    # OpenCV rounds halves to the even level, but upwards where 2 x 2 pixels become one.
    halved = op.And(op.ReduceMin(sides, keepdims=0) == 96, op.ReduceMax(sides, keepdims=0) == 96)
    return op.Round(scaled + 0.125 * op.Cast(halved, to=REAL))


def grey_faces() -> onnx.ModelProto:
    """Crops uint8 (N, H, W, C), with C 1 (grey) or 3 (RGB), to whole grey levels float32 (N, 48, 48).

    Equal to OpenCV's where both sides are 48 or more, but for halves that its 32-bit sums miss; within one grey level
    where a side is smaller, since OpenCV then counts in 2048ths.
    """
    model = inliner.inline_local_functions(_grey_faces.to_model_proto(ir_version=IR_VERSION))
    del model.opset_import[1:]  # the domain of the functions, of which none is left
    return model


def join(network: onnx.ModelProto) -> onnx.ModelProto:
    """`grey_faces` and behind it a network of its grey levels, float32 (N, 48, 48), to `probabilities` (N, K)."""
    crop = grey_faces()
    network = compose.add_prefix(network, "network/", rename_outputs=False)
    network.ir_version = IR_VERSION
    (grey,), (taken,) = crop.graph.output, network.graph.input
    model = compose.merge_models(crop, network, [(grey.name, taken.name)], name="faces")
    del model.opset_import[:]
    model.opset_import.extend(network.opset_import)  # merge_models repeats the domain ''
    model.producer_name = "fer_lightning"
    onnx.checker.check_model(model, full_check=True)
    return model
