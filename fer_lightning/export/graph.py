"""First part of an exported file: it turns crops of any size, grey or RGB, into 48 x 48 grey levels.

It computes the same grey levels as OpenCV (`crop_face`, `cv2.cvtColor`, `cv2.resize` with INTER_AREA), by two matrix
products whose weights depend on the crop's height and width. Imports no torch.
"""

import onnx
from onnx import TensorProto, compose, inliner
from onnxscript import BOOL, DOUBLE, FLOAT, INT64, UINT8, script
from onnxscript.onnx_opset import opset20 as op

OPSET, IR_VERSION = 20, 10
N, H, W, C, L = "N", "H", "W", "C", "L"  # sizes of arrays that are known only at a call
INTEGER, REAL, LONG = TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE


@script(default_opset=op)
def _channel_weights(channels: INT64[1]) -> FLOAT[C]:
    """Return the weights of R, G and B (BT.601 in OpenCV's 32768ths), or the weight of grey if there is one channel."""
    weights = op.Constant(value_floats=[9798.0, 19235.0, 3735.0, 32768.0])
    is_grey = op.Cast(op.Equal(channels, op.Constant(value_ints=[1])), to=INTEGER)
    first = is_grey * op.Constant(value_ints=[3])
    return op.Slice(weights, first, is_grey + op.Constant(value_ints=[3]))


@script(default_opset=op)
def _shares(length: DOUBLE, shrinks: BOOL) -> FLOAT[48, L]:
    """Return the share of each of `length` pixels in each of 48 pixels, by the overlap of their areas.

    OpenCV uses the overlap only if both sides shrink. Otherwise a pixel is a mixture of only two neighbours. Along a
    side that grows, their shares are the same; along a side that shrinks, they are those of OpenCV's emulation.
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
    """Return whole grey levels from 0 to 255."""
    grey = op.Floor(op.MatMul(op.Cast(faces, to=REAL), _channel_weights(op.Shape(faces, start=3))) / 32768.0 + 0.5)
    sides = op.Shape(faces, start=1, end=3)
    height, width = op.Split(op.Cast(sides, to=LONG), num_outputs=2)
    shrinks = op.ReduceMin(sides, keepdims=0) >= 48
    down = _shares(op.Squeeze(height), shrinks)
    across = _shares(op.Squeeze(width), shrinks)
    scaled = op.MatMul(op.MatMul(down, grey), op.Transpose(across, perm=[1, 0]))
    # OpenCV rounds halves to the even level, but upwards if 2 x 2 pixels become one.
    halved = op.And(op.ReduceMin(sides, keepdims=0) == 96, op.ReduceMax(sides, keepdims=0) == 96)
    return op.Round(scaled + 0.125 * op.Cast(halved, to=REAL))


def grey_faces() -> onnx.ModelProto:
    """Return the graph from crops uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB), to grey levels float32 (N, 48, 48).

    The levels are whole numbers. If both sides are 48 or more, they equal OpenCV's, except for halves that OpenCV's
    32-bit sums miss. If a side is smaller, they differ by at most one level, because OpenCV then computes in 2048ths.
    """
    model = inliner.inline_local_functions(_grey_faces.to_model_proto(ir_version=IR_VERSION))
    del model.opset_import[1:]  # domain of the functions, which are all inlined
    return model


def join(network: onnx.ModelProto) -> onnx.ModelProto:
    """Return `grey_faces` followed by a network from grey levels float32 (N, 48, 48) to `probabilities` (N, K)."""
    crop = grey_faces()
    network = compose.add_prefix(network, "network/", rename_outputs=False)
    network.ir_version = IR_VERSION
    (grey,), (levels,) = crop.graph.output, network.graph.input
    model = compose.merge_models(crop, network, [(grey.name, levels.name)], name="faces")
    del model.opset_import[:]
    model.opset_import.extend(network.opset_import)  # merge_models repeats the domain ''
    model.producer_name = "fer_lightning"
    onnx.checker.check_model(model, full_check=True)
    return model
