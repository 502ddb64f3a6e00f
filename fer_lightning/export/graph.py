"""First part of an exported file: it turns crops of any size, grey or RGB, into levels in the form of the faces.

It computes the same levels as OpenCV (`crop_face`, `cv2.cvtColor`, `cv2.resize` with INTER_AREA), by two matrix
products whose weights depend on the crop's height and width. Imports no torch.
"""

import onnx
from onnx import TensorProto, compose, inliner
from onnxscript import BOOL, DOUBLE, FLOAT, INT64, UINT8, script
from onnxscript.onnx_opset import opset20 as op

from fer_lightning.faces.image_form import FER2013_FORM, ImageForm

OPSET, IR_VERSION = 20, 10
N, H, W, C, L, S = "N", "H", "W", "C", "L", "S"  # sizes of arrays that are known only at a call
INTEGER, REAL, LONG = TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE


@script(default_opset=op)
def _channel_weights(channels: INT64[1]) -> FLOAT[C]:
    """Return the weights of R, G and B (BT.601 in OpenCV's 32768ths), or the weight of grey if there is one channel."""
    weights = op.Constant(value_floats=[9798.0, 19235.0, 3735.0, 32768.0])
    is_grey = op.Cast(op.Equal(channels, op.Constant(value_ints=[1])), to=INTEGER)
    first = is_grey * op.Constant(value_ints=[3])
    return op.Slice(weights, first, is_grey + op.Constant(value_ints=[3]))


@script(default_opset=op)
def _grey(faces: UINT8[N, H, W, C]) -> FLOAT[N, H, W]:
    """Return whole grey levels from 0 to 255."""
    weights = _channel_weights(op.Shape(faces, start=3))
    return op.Floor(op.MatMul(op.Cast(faces, to=REAL), weights) / 32768.0 + 0.5)


@script(default_opset=op)
def _rgb(faces: UINT8[N, H, W, C]) -> FLOAT[N, 3, H, W]:
    """Return the levels of three channels; those of a grey face are equal."""
    levels = op.Transpose(op.Cast(faces, to=REAL), perm=[0, 3, 1, 2])
    return op.Expand(levels, op.Constant(value_ints=[1, 3, 1, 1]))


@script(default_opset=op)
def _shares(length: DOUBLE, shrinks: BOOL, side: DOUBLE) -> FLOAT[S, L]:
    """Return the share of each of `length` pixels in each of `side` pixels, by the overlap of their areas.

    OpenCV uses the overlap only if both sides shrink. Otherwise a pixel is a mixture of only two neighbours. Along a
    side that grows, their shares are the same; along a side that shrinks, they are those of OpenCV's emulation.
    """
    ratio = side / length
    scale = 1.0 / ratio
    none, one = op.CastLike(0.0, length), op.CastLike(1.0, length)
    index = op.Unsqueeze(op.Range(none, side, one), [1])
    pixel = op.Unsqueeze(op.Range(none, length, one), [0])
    start = index * scale
    by_area = op.Max(op.Min(start + scale, pixel + 1.0) - op.Max(start, pixel), 0.0) / scale
    left = op.Floor(start)
    beyond = (index + 1.0) - (left + 1.0) * ratio
    position = op.Min(left + op.Where(beyond > 0.0, beyond - op.Floor(beyond), 0.0), length - 1.0)
    between = op.Max(1.0 - op.Abs(position - pixel), 0.0)
    return op.Cast(op.Where(shrinks, by_area, between), to=REAL)


@script(default_opset=op)
def _scaled(levels: FLOAT[...], sides: INT64[2], side: DOUBLE) -> FLOAT[...]:
    """Return whole levels of `side` x `side` pixels."""
    height, width = op.Split(op.Cast(sides, to=LONG), num_outputs=2)
    shrinks = op.Cast(op.ReduceMin(sides, keepdims=0), to=LONG) >= side
    down = _shares(op.Squeeze(height), shrinks, side)
    across = _shares(op.Squeeze(width), shrinks, side)
    scaled = op.MatMul(op.MatMul(down, levels), op.Transpose(across, perm=[1, 0]))
    # OpenCV rounds halves to the even level, but upwards if 2 x 2 pixels become one.
    halved = op.And(
        op.Cast(op.ReduceMin(sides, keepdims=0), to=LONG) / 2.0 == side,
        op.Cast(op.ReduceMax(sides, keepdims=0), to=LONG) / 2.0 == side,
    )
    return op.Round(scaled + 0.125 * op.Cast(halved, to=REAL))


def face_levels(form: ImageForm = FER2013_FORM) -> onnx.ModelProto:
    """Return the graph from crops uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB), to levels float32 in this form.

    Grey levels are (N, S, S), RGB levels (N, 3, S, S). The levels are whole numbers. If both sides are `size` or more,
    they equal OpenCV's, except for halves that OpenCV's 32-bit sums miss. If a side is smaller, they differ by at most
    one level, because OpenCV then computes in 2048ths.
    """
    side = float(form.size)

    @script(default_opset=op)
    def _grey_faces(faces: UINT8[N, H, W, C]) -> FLOAT[N, S, S]:
        return _scaled(_grey(faces), op.Shape(faces, start=1, end=3), op.Cast(op.Constant(value_float=side), to=LONG))

    @script(default_opset=op)
    def _rgb_faces(faces: UINT8[N, H, W, C]) -> FLOAT[N, 3, S, S]:
        return _scaled(_rgb(faces), op.Shape(faces, start=1, end=3), op.Cast(op.Constant(value_float=side), to=LONG))

    graph = _rgb_faces if form.color else _grey_faces
    model = inliner.inline_local_functions(graph.to_model_proto(ir_version=IR_VERSION))
    del model.opset_import[1:]  # domain of the functions, which are all inlined
    for dimension, length in zip(model.graph.output[0].type.tensor_type.shape.dim[-2:], form.shape, strict=False):
        dimension.dim_value = length
    return model


def join(network: onnx.ModelProto, form: ImageForm = FER2013_FORM) -> onnx.ModelProto:
    """Return `face_levels` followed by a network from levels float32 in this form to `probabilities` (N, K)."""
    crop = face_levels(form)
    network = compose.add_prefix(network, "network/", rename_outputs=False)
    network.ir_version = IR_VERSION
    (grey,), (levels,) = crop.graph.output, network.graph.input
    model = compose.merge_models(crop, network, [(grey.name, levels.name)], name="faces")
    del model.opset_import[:]
    model.opset_import.extend(network.opset_import)  # merge_models repeats the domain ''
    model.producer_name = "fer_lightning"
    onnx.checker.check_model(model, full_check=True)
    return model
