"""Convolutions of small maps as matrix products, for browsers."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fer_lightning.faces.face import SIDE
from fer_lightning.faces.face_model import INPUT, FaceModel, open_session
from fer_lightning.faces.metadata import sealed
from fer_lightning.faces.onnx_parts import add_node, parse_model

LARGEST_MAP = 36  # pixels of a map up to which a product is faster in onnxruntime-web
PLAIN = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}


def with_products(model: FaceModel) -> bytes:
    """Return the file of a model, changed so that it computes the 3x3 convolutions of small maps as matrix products.

    onnxruntime-web multiplies in blocks of 16 columns. The columns of a convolution are the pixels of one map, and its
    weights are arranged at each call. The columns of a product are channels, and its weights are arranged once. With
    onnxruntime for Python the original is as fast or faster.
    """
    file, nodes = parse_model(model.content), parse_model(model.content).graph.node
    sizes = _map_sizes(model, [node.output[0] for node in nodes if _is_plain(node)])
    small = {name: size for name, size in sizes.items() if size[0] * size[1] <= LARGEST_MAP}
    if not small:
        return model.content
    del file.graph.node[:]
    for node in nodes:
        if node.output[0] in small:
            _add_product(file.graph, node, *small[node.output[0]])
        else:
            file.graph.node.append(node)
    return sealed(file)


def _is_plain(node: Any) -> bool:
    """Return True for a 3x3 convolution with bias that keeps the size of its maps."""
    given = {one.name: list(one.ints) or one.i for one in node.attribute}
    return node.op_type == "Conv" and len(node.input) == 3 and all(given.get(key) == PLAIN[key] for key in PLAIN)


def _map_sizes(model: FaceModel, names: list[str]) -> dict[str, tuple[int, int]]:
    """Return height and width of each named map for the faces that pages cut. One face runs through the network."""
    if not names:
        return {}
    file = parse_model(model.content)
    for name in names:
        file.graph.output.add(name=name)
    session = open_session(model.path, file.SerializeToString(), threads=1)
    maps = session.run(names, {INPUT: np.zeros((1, SIDE, SIDE, 1), np.uint8)})
    return {name: one.shape[2:] for name, one in zip(names, maps, strict=True)}


def _add_product(graph: Any, convolution: Any, height: int, width: int) -> None:
    """Add nodes that compute a convolution of maps of this size. Each row holds the pixels under a kernel."""
    (image, weight, bias), (result,) = convolution.input, convolution.output
    windows = list(map(int, _windows(height, width).flat))

    def add(operation: str, *inputs: str, output: str = "", **attributes: int | list[int]) -> str:
        return add_node(graph, operation, *inputs, output=output or f"{result}/{len(graph.node)}", **attributes)

    def constant(*values: int) -> str:
        return add("Constant", value_ints=list(values))

    pixels = add("Transpose", add("Reshape", image, constant(0, 0, -1)), perm=[0, 2, 1])
    with_black_pixel = add("Pad", pixels, constant(0, 0, 0, 0, 1, 0))
    under_kernels = add("Gather", with_black_pixel, constant(*windows), axis=1)
    rows = add("Reshape", under_kernels, constant(0, height * width, -1))
    columns = add("Flatten", add("Transpose", weight, perm=[2, 3, 1, 0]), axis=3)
    sums = add("Add", add("MatMul", rows, columns), bias)
    add("Reshape", add("Transpose", sums, perm=[0, 2, 1]), constant(0, 0, height, width), output=result)


def _windows(height: int, width: int) -> np.ndarray:
    """Return the indices (height, width, 3, 3) of the pixels under the kernel; height * width: a pixel outside."""
    pixels = np.pad(np.arange(height * width).reshape(height, width), 1, constant_values=height * width)
    return sliding_window_view(pixels, (3, 3))
