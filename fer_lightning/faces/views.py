"""One view of a face per image, for browsers: a file with `tta` that sees one view of a face by turns, or all."""

from typing import Any

from fer_lightning.faces.face_model import OUTPUT
from fer_lightning.faces.metadata import sealed
from fer_lightning.faces.onnx_parts import add_node, parse_model

VIEWS, EARLIER, SEEN = "views", "earlier", "seen"  # inputs and output that `with_chosen_views` adds
FLOAT, INT64 = 1, 7  # types of numbers in ONNX's schema
BEFORE_THE_MEAN = ("Softmax", "Div", "Log", "ReduceMean", "Reshape")  # last nodes of a file with `tta`, backwards
VIEW = ("Floor", "Slice")  # nodes that make a view: moved and resized, and mirrored


def with_chosen_views(content: bytes) -> bytes:
    """Return a file with `tta`, changed so that each call chooses its views. Another file stays as it is.

    Each view takes as long as the first. A page that follows a face sees one of them in each image, by turns, and
    passes the probabilities of the others from the images before.

    The inputs and the output that are added:

    views    int64 (2,): first view and the one after the last, which may be larger than their number V. With
             `tta=flip`, 0 is the face and 1 its mirror image
    earlier  float32: probabilities of views of earlier images, in the order of `seen`; may be empty
    seen     float32 (V, N, K): probabilities of the views of this call. `probabilities` is the mean of these and of
             `earlier`, at the temperature of the file

    The views must be joined in front of all networks. An ensemble with `tta=shift` joins them in each of its networks,
    so its file stays as it is.
    """
    file = parse_model(content)
    parts = _find(file.graph)
    if parts is None:
        return content
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


def _find(graph: Any) -> tuple[Any, Any, Any] | None:
    """Return the nodes that join all views, average them, and arrange them by view; None if the file has one view."""
    made_by = {output: node for node in graph.node for output in node.output}
    last, name = [], OUTPUT
    for operation in BEFORE_THE_MEAN:
        node = made_by.get(name)
        if node is None or node.op_type != operation:
            return None
        last.append(node)
        name = node.input[0]
    joins = [node for node in graph.node if node.op_type == "Concat" and _joins_views(node, made_by)]
    return (joins[0], last[3], last[4]) if len(joins) == 1 else None


def _joins_views(join: Any, made_by: dict[str, Any]) -> bool:
    """Return True if each input is a view of the levels of a face. The first may be the levels themselves."""
    others = join.input if made_by[join.input[0]].op_type in VIEW else join.input[1:]
    return len(join.input) > 1 and all(name in made_by and made_by[name].op_type in VIEW for name in others)


def _choose(graph: Any, join: Any) -> None:
    """Let the network see the chosen views only: rows of the joined views."""
    (result,), face = join.output, join.input[0]
    graph.node[-1].output[0] = f"{VIEWS}/all"
    faces = add_node(graph, "Shape", face, output=f"{VIEWS}/faces", start=0, end=1)
    bounds = add_node(graph, "Mul", VIEWS, faces, output=f"{VIEWS}/bounds")
    first, end = (_item(graph, bounds, index) for index in (0, 1))
    add_node(graph, "Slice", f"{VIEWS}/all", first, end, _constant(graph, 0), output=result)


def _add_earlier(graph: Any, shape: Any) -> None:
    """Arrange the probabilities by chosen view, and add those of the earlier image."""
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
