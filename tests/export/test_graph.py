import cv2
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fer_lightning.export.graph import OPSET, face_levels, join
from fer_lightning.faces.image_form import ImageForm


@pytest.fixture(scope="module")
def levels():
    session = onnxruntime.InferenceSession(face_levels().SerializeToString())
    return lambda crops: session.run(None, {"faces": crops})[0]


def crops(height: int, width: int) -> np.ndarray:
    """RGB, noise and smooth ones: uint8 (4, height, width, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8)
    return np.stack([noise[0], noise[1], *(cv2.GaussianBlur(crop, (0, 0), 3) for crop in noise[2:])])


def as_opencv(crop: np.ndarray) -> np.ndarray:
    """Reduce by area as `faces.crop` does."""
    return cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (48, 48), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("height", "width"), [(48, 48), (49, 49), (64, 64), (96, 96), (144, 144), (192, 96), (200, 200), (333, 251)]
)
def test_grey_levels_are_opencvs_where_a_crop_is_large_enough(levels, height, width):
    pictures = crops(height, width)
    np.testing.assert_array_equal(levels(pictures), [as_opencv(crop) for crop in pictures])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (24, 24), (47, 47), (31, 77), (77, 31), (20, 400)])
def test_they_are_within_one_level_where_a_side_grows(levels, height, width):
    pictures = crops(height, width)
    expected = np.array([as_opencv(crop) for crop in pictures], int)
    assert np.abs(levels(pictures) - expected).max() <= 1


def test_grey_crops_stay_as_they_are(levels):
    grey = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    np.testing.assert_array_equal(levels(grey), grey[..., 0])


@pytest.mark.parametrize("form", [ImageForm(64, color=True), ImageForm(112)], ids=lambda form: form.description)
def test_faces_of_another_form_are_opencvs(form):
    session = onnxruntime.InferenceSession(face_levels(form).SerializeToString())
    assert session.get_outputs()[0].shape == ["N", *((3,) if form.color else ()), form.size, form.size]
    for sides, most in (((form.size,) * 2, 0), ((2 * form.size,) * 2, 0), ((200, 150), 0), ((31, 77), 1)):
        pictures = crops(*sides)
        expected = form.fit_all(pictures).astype(int)
        expected = expected.transpose(0, 3, 1, 2) if form.color else expected
        assert np.abs(session.run(None, {"faces": pictures})[0] - expected).max() <= most
    grey = np.random.default_rng(0).integers(0, 256, (3, *form.shape[:2], 1), np.uint8)
    levels = session.run(None, {"faces": grey})[0]
    assert (levels == (np.moveaxis(grey, 3, 1) if form.color else grey[..., 0])).all()


def test_a_joined_graph_names_each_operator_set_once():
    """onnxruntime.quantization refuses a file that names one twice."""
    network = helper.make_graph(
        [
            helper.make_node("Flatten", ["grey"], ["levels"]),
            helper.make_node("Softmax", ["levels"], ["probabilities"], axis=1),
        ],
        "network",
        [helper.make_tensor_value_info("grey", TensorProto.FLOAT, ["N", 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2304])],
    )
    model = join(helper.make_model(network, opset_imports=[helper.make_opsetid("", OPSET)]))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_an_error_and_no_grey(levels, channels):
    with pytest.raises(Exception, match="MatMul"):
        levels(np.zeros((1, 60, 60, channels), np.uint8))
