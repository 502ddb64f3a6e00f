"""One view of a face per image, for browsers: a file with `tta` that computes one view of a face by turns, or all."""

from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.faces.face import SIDE
from fer_lightning.faces.face_model import INPUT, OUTPUT, open_session
from fer_lightning.faces.metadata import sealed
from fer_lightning.faces.onnx_parts import add_node, parse_model

VIEWS, EARLIER, SEEN = "views", "earlier", "seen"  # inputs and output that `with_chosen_views` adds
ALL = (0, 100)  # first view, and the one after the last; a file has fewer
NOTHING = np.zeros(0, np.float32)
SAME = 1e-4  # largest difference of two equal probabilities
FLOAT, INT64 = 1, 7  # types of numbers in ONNX's schema
BEFORE_THE_MEAN = ("Softmax", "Div", "Log", "ReduceMean", "Reshape")  # last nodes of a file with `tta`, backwards
TEMPERED = "Div"  # is missing at a temperature of 1
VIEW = ("Floor", "Add", "MatMul", "Slice")  # nodes that make a view from the levels of a face
LEVELS = "Round"  # node that computes the levels: see `export.graph`


def with_chosen_views(content: bytes) -> bytes:
    """Return a file with `tta`, changed so that each call chooses its views. Another file stays as it is.

    All views take the same time. A page that follows a face computes one of them in each image, by turns, and
    passes the probabilities of the others from the images before.

    The inputs and the output that are added:

    views    int64 (2,): first view and the one after the last, which may be larger than their number V. With
             `tta=flip`, 0 is the face and 1 its mirror image
    earlier  float32: probabilities of views of earlier images, in the order of `seen`; may be empty
    seen     float32 (V, N, K): probabilities of the views of this call. `probabilities` is the mean of these and of
             `earlier`, at the temperature of the file

    The views must be joined in front of all networks, and the networks must take the number of faces from there. An
    ensemble with `tta=shift` joins its views in each network, and a transformer may expand a class token by the number
    of faces before the views. Such a file stays as it is.
    """
    changed = _changed(content)
    return changed if changed is not None and _agree(content, changed) else content


def _changed(content: bytes) -> bytes | None:
    """Return the changed file; None if it has one view, or if its views are not joined in front of all networks."""
    file = parse_model(content)
    parts = _find(file.graph)
    if parts is None:
        return None
    join, mean, shape = parts
    nodes = list(file.graph.node)
    del file.graph.node[:]
    for node in nodes:
        file.graph.node.append(node)
        if node.output[0] == join.output[0]:
            _choose(file.graph, join)
        elif node.output[0] == shape.output[0]:
            _add_earlier(file.graph, shape)
    for node in file.graph.node:
        if node.output[0] == mean.output[0]:
            node.input[0] = f"{SEEN}/all"
    _remove_unused(file.graph, shape.input[1])
    _declare(file.graph)
    return sealed(file)


def _agree(content: bytes, changed: bytes) -> bool:
    """Return True if both files give the same probabilities, the changed one from its views by turns."""
    faces = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 1), np.uint8)  # values that no view leaves alike
    original, session = (open_session(Path(), one, threads=1) for one in (content, changed))
    seen = NOTHING
    try:
        number = len(session.run([SEEN], {INPUT: faces, VIEWS: np.array(ALL), EARLIER: NOTHING})[0])
        for view in range(number):
            inputs = {INPUT: faces, VIEWS: np.array([view, view + 1]), EARLIER: seen}
            probabilities, latest = session.run([OUTPUT, SEEN], inputs)
            seen = np.append(seen, latest)
    except Exception:  # onnxruntime's own classes have no common base but this
        return False
    return bool(np.allclose(probabilities, original.run([OUTPUT], {INPUT: faces})[0], atol=SAME))


def _find(graph: Any) -> tuple[Any, Any, Any] | None:
    """Return the nodes that join all views, average them, and arrange them by view; None if the file has one view."""
    made_by = {output: node for node in graph.node for output in node.output}
    last, name = [], OUTPUT
    for operation in BEFORE_THE_MEAN:
        node = made_by.get(name)
        if operation == TEMPERED and (node is None or node.op_type != operation):
            continue
        if node is None or node.op_type != operation:
            return None
        last.append(node)
        name = node.input[0]
    joins = [node for node in graph.node if node.op_type == "Concat" and _joins_views(node, made_by)]
    return (joins[0], *last[-2:]) if len(joins) == 1 else None


def _joins_views(join: Any, made_by: dict[str, Any]) -> bool:
    """Return True if each input is a view of the levels of a face, or the levels themselves."""
    return len(join.input) > 1 and all(_sources(name, made_by) == {LEVELS} for name in join.input)


def _sources(name: str, made_by: dict[str, Any]) -> set[str]:
    """Return the operations of the nodes from whose results nodes of VIEW compute an array; stored arrays have none."""
    node = made_by.get(name)
    if node is None:
        return set()
    if node.op_type not in VIEW:
        return {node.op_type}
    return set().union(*(_sources(one, made_by) for one in node.input))


def _choose(graph: Any, join: Any) -> None:
    """Let the network see the chosen views only: rows of the joined views."""
    (result,), face = join.output, join.input[0]
    graph.node[-1].output[0] = f"{VIEWS}/all"
    faces = add_node(graph, "Shape", face, output=f"{VIEWS}/faces", start=0, end=1)
    bounds = add_node(graph, "Mul", VIEWS, faces, output=f"{VIEWS}/bounds")
    first, end = (_item(graph, bounds, index) for index in (0, 1))
    add_node(graph, "Slice", f"{VIEWS}/all", first, end, _constant(graph, 0), output=result)


def _add_earlier(graph: Any, shape: Any) -> None:
    """Arrange the probabilities by chosen view, and add those of earlier images."""
    probabilities = shape.input[0]
    del graph.node[-1]
    classes = add_node(graph, "Shape", probabilities, output=f"{SEEN}/classes", start=1)
    sizes = add_node(graph, "Concat", _constant(graph, -1), f"{VIEWS}/faces", classes, output=f"{SEEN}/sizes", axis=0)
    seen = add_node(graph, "Reshape", probabilities, sizes, output=SEEN)
    row = add_node(graph, "Shape", seen, output=f"{EARLIER}/row", start=1)
    sizes = add_node(graph, "Concat", _constant(graph, -1), row, output=f"{EARLIER}/sizes", axis=0)
    earlier = add_node(graph, "Reshape", EARLIER, sizes, output=f"{EARLIER}/seen")
    add_node(graph, "Concat", seen, earlier, output=f"{SEEN}/all", axis=0)


def _constant(graph: Any, value: int) -> str:
    return add_node(graph, "Constant", output=f"{VIEWS}/constant {len(graph.node)}", value_ints=[value])


def _item(graph: Any, numbers: str, index: int) -> str:
    """Return the name of a vector with the number at the index."""
    name = f"{numbers}/{index}"
    return add_node(graph, "Slice", numbers, _constant(graph, index), _constant(graph, index + 1), output=name)


def _remove_unused(graph: Any, name: str) -> None:
    """Remove an array that no node reads; onnxruntime-web would warn of it."""
    if all(name not in node.input for node in graph.node):
        kept = [array for array in graph.initializer if array.name != name]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _declare(graph: Any) -> None:
    """Add the inputs and the output to those of the graph."""
    for ports, name, kind, sides in (
        (graph.input, VIEWS, INT64, 1),
        (graph.input, EARLIER, FLOAT, 1),
        (graph.output, SEEN, FLOAT, 3),
    ):
        tensor = ports.add(name=name).type.tensor_type
        tensor.elem_type = kind
        for side in range(sides):
            tensor.shape.dim.add(dim_param=f"{name} {side}")
