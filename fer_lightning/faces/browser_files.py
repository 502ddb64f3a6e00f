"""Files of the detector and the model for pages that run them in the browser."""

from fer_lightning.faces.detector import Detector, YuNetDetector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.faces.onnx_parts import parse_model
from fer_lightning.faces.products import with_products
from fer_lightning.faces.views import with_chosen_views

DETECTOR, MODEL = "detector.onnx", "model.onnx"  # names in the addresses of pages


def browser_files(model: FaceModel, detector: Detector) -> dict[str, bytes]:
    """Return the content of each file by its name; an empty dict if the browser cannot run this detector or model.

    The pages cut faces of FER2013's form only.
    """
    if not isinstance(detector, YuNetDetector) or model.metadata.form != FER2013_FORM:
        return {}
    return {DETECTOR: with_any_size(detector.content), MODEL: with_chosen_views(with_products(model))}


def with_any_size(content: bytes) -> bytes:
    """Return YuNet's file for input of any size that is a multiple of 32; the original accepts only 640 x 640."""
    model = parse_model(content)
    _, _, rows, columns = model.graph.input[0].type.tensor_type.shape.dim
    names = [(rows, "rows"), (columns, "columns")]
    names += [(port.type.tensor_type.shape.dim[1], f"cells of {port.name}") for port in model.graph.output]
    for side, name in names:
        side.Clear()
        side.dim_param = name
    del model.graph.value_info[:]
    return model.SerializeToString()
