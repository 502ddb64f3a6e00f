"""Formats of an exported network's weights: float32, float16, int8 or codebook4. Imports no torch.

All computation stays in float32. The nodes after a stored array have constant inputs, so onnxruntime computes them
once, when it loads the file. DequantizeLinear would stay in the loaded graph and run at each call.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

WEIGHT = ".weight"  # end of torch's name for the weights of a convolution or linear layer
LEAST_SIZE = 1024  # elements; a smaller array stays float32
LARGEST_INT8 = 127
VALUES = 16  # that an index of 4 bits can name
LEAST_CODEBOOK = 100_000  # elements; a smaller array adds little to the file and is stored as int8
ROUNDS = 60  # of k-means
FAR = 4  # standard deviations


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Move each BatchNormalization into the convolution before it.

    If there is a MaxPool between them, all scales must be positive: a maximum commutes only with increasing functions.
    """
    graph = model.graph
    arrays = {array.name: array for array in graph.initializer}
    writers = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        chain = _chain_before(norm, writers, readers)
        if not chain or not all(name in arrays for name in (*norm.input[1:], *chain[0].input[1:])):
            continue
        factor, shift = _affine(norm, arrays)
        if len(chain) > 1 and not (factor > 0).all():
            continue
        _scale(chain[0], factor, shift, arrays, graph)
        chain[-1].output[0] = norm.output[0]
        graph.node.remove(norm)
    _drop_unread(graph)


def store_weights(model: onnx.ModelProto, form: str) -> None:
    """Store the weights of convolutions and linear layers in `form`: float32, float16, int8 or codebook4.

    int8 is symmetric, with one scale per output channel. codebook4 keeps 16 values per output channel, and 4 bits per
    weight that name one of them. Biases and small arrays stay float32.
    """
    if form == "float32":
        return
    graph, convert = model.graph, {"float16": _as_float16, "int8": _as_int8, "codebook4": _as_codebook4}[form]
    restoring: list[NodeProto] = []
    for weight in [array for array in graph.initializer if _is_large_weight(array)]:
        arrays, nodes = convert(weight.name, numpy_helper.to_array(weight))
        graph.initializer.remove(weight)
        graph.initializer.extend(arrays)
        restoring.extend(nodes)
    nodes = [*restoring, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def stored_bytes(model: onnx.ModelProto) -> int:
    """Number of bytes that the stored arrays take."""
    return sum(numpy_helper.to_array(array).nbytes for array in model.graph.initializer)


def _chain_before(norm: NodeProto, writers: dict[str, NodeProto], readers: Counter[str]) -> list[NodeProto]:
    """Return [convolution] or [convolution, MaxPool] if their results reach nothing but `norm`; else []."""
    chain: list[NodeProto] = []
    node: NodeProto | None = norm
    for kind in ("MaxPool", "Conv"):
        before = writers.get(node.input[0])
        if before is not None and before.op_type == kind and readers[before.output[0]] == 1:
            chain.insert(0, before)
            node = before
    return chain if chain and chain[0].op_type == "Conv" else []


def _affine(norm: NodeProto, arrays: dict[str, TensorProto]) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and shift per channel, float64 (C,) each, that a BatchNormalization applies."""
    scale, bias, mean, variance = (numpy_helper.to_array(arrays[name]).astype(np.float64) for name in norm.input[1:])
    epsilon = next((part.f for part in norm.attribute if part.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    return factor, bias - mean * factor


def _scale(
    convolution: NodeProto,
    factor: np.ndarray,
    shift: np.ndarray,
    arrays: dict[str, TensorProto],
    graph: onnx.GraphProto,
) -> None:
    """Let a convolution give factor * result + shift. New arrays keep the weight's name with a suffix."""
    weight, *bias = (numpy_helper.to_array(arrays[name]).astype(np.float64) for name in convolution.input[1:])
    scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    shifted = (bias[0] * factor if bias else 0) + shift
    name = f"{convolution.input[1]}.{convolution.output[0]}"  # torch stores equal weights of two layers once
    names = [f"{name}{WEIGHT}", f"{name}.bias"]
    for new, values in zip(names, (scaled, shifted), strict=True):
        arrays[new] = numpy_helper.from_array(values.astype(np.float32), new)
        graph.initializer.append(arrays[new])
    del convolution.input[1:]
    convolution.input.extend(names)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove the arrays that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [array for array in graph.initializer if array.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _is_large_weight(array: TensorProto) -> bool:
    large = len(array.dims) >= 2 and np.prod(array.dims) >= LEAST_SIZE
    return large and array.data_type == TensorProto.FLOAT and array.name.endswith(WEIGHT)


def _as_float16(name: str, weight: np.ndarray) -> tuple[Sequence[TensorProto], Sequence[NodeProto]]:
    stored = f"{name}.float16"
    cast = helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)
    return [numpy_helper.from_array(weight.astype(np.float16), stored)], [cast]


def _as_int8(name: str, weight: np.ndarray) -> tuple[Sequence[TensorProto], Sequence[NodeProto]]:
    """Round weight / scale, with the scale of an output channel such that its largest weight becomes 127."""
    stored, scale, cast = f"{name}.int8", f"{name}.scale", f"{name}.cast"
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scales = np.where(largest > 0, largest / LARGEST_INT8, 1).astype(np.float32)
    integers = np.round(weight / scales).astype(np.int8)
    return (
        [numpy_helper.from_array(integers, stored), numpy_helper.from_array(scales, scale)],
        [
            helper.make_node("Cast", [stored], [cast], to=TensorProto.FLOAT),
            helper.make_node("Mul", [cast, scale], [name]),
        ],
    )


def _as_codebook4(name: str, weight: np.ndarray) -> tuple[Sequence[TensorProto], Sequence[NodeProto]]:
    """Store 16 values (O, 16) per output channel with their scale (O, 1), and two indices per byte (O, I / 2).

    Source: weight sharing in Deep Compression (Han et al. 2016, arXiv:1510.00149, section 3).
    """
    rows = weight.reshape(len(weight), -1)
    half, odd = divmod(rows.shape[1], 2)
    if weight.size < LEAST_CODEBOOK or odd or half <= 2 * VALUES:  # the values would take more bytes than they save
        return _as_int8(name, weight)
    scales = np.abs(rows).max(axis=1, keepdims=True)
    scales[scales == 0] = 1
    values, indices = _cluster(rows / scales)
    arrays = {
        "packed": indices[:, :half] << 4 | indices[:, half:],
        "values": values,
        "scales": scales,
        "four": np.array(4, np.uint8),
        "low bits": np.array(VALUES - 1, np.uint8),
        "shape": np.array(weight.shape, np.int64),
    }

    def node(operation: str, *inputs: str, output: str = "", **attributes: str | int) -> NodeProto:
        result = f"{name}.{output}" if output else name
        return helper.make_node(operation, [f"{name}.{one}" for one in inputs], [result], **attributes)

    nodes = [
        node("BitShift", "packed", "four", output="first", direction="RIGHT"),
        node("BitwiseAnd", "packed", "low bits", output="second"),
        node("Concat", "first", "second", output="bytes", axis=1),
        node("Cast", "bytes", output="indices", to=TensorProto.INT32),
        node("Cast", "values", output="shares", to=TensorProto.FLOAT),
        node("Mul", "shares", "scales", output="choices"),
        node("GatherElements", "choices", "indices", output="rows", axis=1),
        node("Reshape", "rows", "shape"),
    ]
    return [numpy_helper.from_array(array, f"{name}.{part}") for part, array in arrays.items()], nodes


def _cluster(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 16 values for each row, float16 (O, 16), and for each weight the index of the nearest, uint8 (O, I).

    They are found by k-means in one dimension. The first values lie at equal distances within FAR standard deviations
    of the mean, so that a few much larger weights do not leave most values without weights.
    """
    far = FAR * rows.std(axis=1, keepdims=True)
    mean = rows.mean(axis=1, keepdims=True)
    low, high = (
        np.maximum(rows.min(axis=1, keepdims=True), mean - far),
        np.minimum(rows.max(axis=1, keepdims=True), mean + far),
    )
    values = low + (high - low) * (np.arange(VALUES) + 0.5) / VALUES
    first = VALUES * np.arange(len(rows))[:, None]
    for _ in range(ROUNDS):
        cells = (first + _nearest(rows, values)).ravel()
        counts = np.bincount(cells, minlength=values.size).reshape(values.shape)
        sums = np.bincount(cells, weights=rows.ravel(), minlength=values.size).reshape(values.shape)
        values = np.where(counts > 0, sums / np.maximum(counts, 1), values)
    values = values.astype(np.float16)
    return values, _nearest(rows, values.astype(np.float32))


def _nearest(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the index of the value nearest to each weight; the values of a row ascend."""
    middles = (values[:, 1:] + values[:, :-1]) / 2
    return sum((rows > middle[:, None]).astype(np.uint8) for middle in middles.T)
