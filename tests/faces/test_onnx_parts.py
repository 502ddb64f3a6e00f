"""The declared parts of an ONNX file are those of the package onnx, and no part is lost."""

import onnx
from collect_portraits import MODEL
from google.protobuf.descriptor import FieldDescriptor

from fer_lightning.faces.browser_files import with_any_size
from fer_lightning.faces.onnx_parts import MESSAGES

WHOLE = (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64)  # equal in a file
KINDS = {FieldDescriptor.TYPE_STRING: str, **dict.fromkeys(WHOLE, int)}


def declared(field: FieldDescriptor):
    kind = KINDS.get(field.type) or field.message_type.full_name.removeprefix("onnx.").replace(".", "_")
    return field.number, [kind] if field.is_repeated else kind


def test_all_fields_have_the_numbers_and_types_of_onnx():
    schema = onnx.ModelProto.DESCRIPTOR.file
    for name, fields in MESSAGES.items():
        outer, *inner = name.split("_")
        message = schema.message_types_by_name[outer]
        for part in inner:
            message = message.nested_types_by_name[part]
        assert {field: declared(message.fields_by_name[field]) for field in fields} == fields, name


def test_only_the_sizes_of_the_detector_change():
    with open(MODEL, "rb") as file:
        content = file.read()
    before, after = onnx.load_model_from_string(content), onnx.load_model_from_string(with_any_size(content))
    onnx.checker.check_model(after, full_check=True)
    side = before.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in after.graph.input[0].type.tensor_type.shape.dim] == [
        *(dim.dim_value for dim in side[:2]),
        "rows",
        "columns",
    ]
    assert after.graph.node == before.graph.node
    assert after.graph.initializer == before.graph.initializer
    assert (after.ir_version, after.opset_import) == (before.ir_version, before.opset_import)
