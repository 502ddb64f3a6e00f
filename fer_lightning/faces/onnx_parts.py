"""Parts of an ONNX file that are read or changed here, without the package onnx, which takes 33 MB."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Fields that are used, by message: the number in ONNX's schema, and the type; a list is a repeated field. A message
# inside another one has _ for the dot.
MESSAGES: dict[str, dict[str, tuple[int, Any]]] = {
    "ModelProto": {
        "graph": (7, "GraphProto"),
        "metadata_props": (14, ["StringStringEntryProto"]),
        "functions": (25, ["FunctionProto"]),
    },
    "StringStringEntryProto": {"key": (1, str), "value": (2, str)},
    "GraphProto": {
        "node": (1, ["NodeProto"]),
        "initializer": (5, ["TensorProto"]),
        "input": (11, ["ValueInfoProto"]),
        "output": (12, ["ValueInfoProto"]),
        "value_info": (13, ["ValueInfoProto"]),
        "sparse_initializer": (15, ["SparseTensorProto"]),
    },
    "FunctionProto": {"node": (7, ["NodeProto"]), "attribute_proto": (11, ["AttributeProto"])},
    "NodeProto": {
        "input": (1, [str]),
        "output": (2, [str]),
        "op_type": (4, str),
        "attribute": (5, ["AttributeProto"]),
    },
    "AttributeProto": {
        "name": (1, str),
        "i": (3, int),
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "ints": (8, [int]),
        "tensors": (10, ["TensorProto"]),
        "graphs": (11, ["GraphProto"]),
        "type": (20, int),
        "sparse_tensor": (22, "SparseTensorProto"),
        "sparse_tensors": (23, ["SparseTensorProto"]),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "indices": (2, "TensorProto")},
    "TensorProto": {"name": (8, str), "data_location": (14, int)},
    "ValueInfoProto": {"name": (1, str), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "TypeProto_Tensor")},
    "TypeProto_Tensor": {"elem_type": (1, int), "shape": (2, "TensorShapeProto")},
    "TensorShapeProto": {"dim": (1, ["TensorShapeProto_Dimension"])},
    "TensorShapeProto_Dimension": {"dim_param": (2, str)},
}
_INT, _INTS = 2, 7  # types of attributes
EXTERNAL = 1  # data_location of an array whose numbers lie in another file

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {str: _FIELD.TYPE_STRING, int: _FIELD.TYPE_INT64}


def parse_model(content: bytes) -> Any:
    """Return the model in an ONNX file. Raise google's DecodeError if the bytes are not a protobuf message.

    Fields that MESSAGES does not list are kept when the model is written again.
    """
    return _MODEL.FromString(content)


def add_node(graph: Any, operation: str, *inputs: str, output: str, **attributes: int | list[int]) -> str:
    """Add a node with one output to the end of a graph, and return the name of its output."""
    node = graph.node.add(op_type=operation, input=inputs, output=[output])
    for name, value in attributes.items():
        one = {"ints": value, "type": _INTS} if isinstance(value, list) else {"i": value, "type": _INT}
        node.attribute.add(name=name, **one)
    return output


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="onnx_parts.proto", package="onnx_parts")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx_parts.ModelProto"))


def _add_field(message: Any, name: str, number: int, kind: Any) -> None:
    repeated = isinstance(kind, list)
    (kind,) = kind if repeated else (kind,)
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    made = message.field.add(name=name, number=number, label=label, type=_KINDS.get(kind, _FIELD.TYPE_MESSAGE))
    if kind not in _KINDS:
        made.type_name = f".onnx_parts.{kind}"


_MODEL = _model_class()
