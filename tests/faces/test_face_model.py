import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from conftest import ROOT
from face_models import crop_of, drawn_metadata, drawn_model
from onnx import TensorProto, helper, numpy_helper

from fer_lightning.errors import UserError
from fer_lightning.faces.face_model import OUTPUT, FaceModel
from fer_lightning.faces.metadata import CROP, SEAL, embed, sealed
from fer_lightning.labels import TAXONOMIES


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return FaceModel(drawn_model(tmp_path_factory.mktemp("model") / "face.onnx"))


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_the_drawn_model_says_what_a_crop_shows(tmp_path, taxonomy):
    model = FaceModel(drawn_model(tmp_path / "face.onnx", taxonomy))
    classes = model.metadata.classes
    probabilities = model(np.stack([crop_of(name, taxonomy) for name in classes]))
    assert [classes[place] for place in probabilities.argmax(axis=1)] == list(classes)
    assert probabilities.max(axis=1).min() > 0.96


def test_one_row_for_each_crop_which_sums_to_one(model):
    crops = np.random.default_rng(0).integers(0, 256, (5, 31, 77, 3), np.uint8)
    assert model(crops).shape == (5, 7)
    assert model(crops).dtype == np.float32
    np.testing.assert_allclose(model(crops).sum(axis=1), 1, rtol=1e-5)
    assert model(crops[:0]).shape == (0, 7)


def test_grey_crops_come_with_and_without_their_channel(model):
    grey = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    np.testing.assert_array_equal(model(grey), model(grey[..., None]))


@pytest.mark.parametrize(
    "crops", [np.zeros((1, 48, 48)), np.zeros((48, 48), np.uint8), np.zeros((1, 9, 9, 4), np.uint8)]
)
def test_other_arrays_are_refused(model, crops):
    with pytest.raises(ValueError, match="expected"):
        model(crops)


def test_several_threads_may_call_it_at_once(model):
    names = list(model.metadata.classes) * 20
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: model(crop_of(name)[None]).argmax(), names))
    assert [model.metadata.classes[place] for place in found] == names


def test_a_file_that_is_replaced_is_noticed_and_changes_nothing(tmp_path):
    path = drawn_model(tmp_path / "face.onnx")
    model = FaceModel(path)
    before = model(crop_of("happy")[None])
    assert not model.replaced()
    path.write_bytes(path.read_bytes())
    assert not model.replaced()
    drawn_model(path, "learning_game")
    assert model.replaced()
    path.unlink()
    assert model.replaced()
    np.testing.assert_array_equal(model(crop_of("happy")[None]), before)


def damaged(path):
    drawn_model(path)
    path.write_bytes(path.read_bytes()[:-300])


def empty(path):
    path.write_bytes(b"")


def too_large(path):
    with open(path, "wb") as file:
        file.truncate(2**31)


def unlabelled(path):
    model = onnx.load(drawn_model(path))
    del model.metadata_props[:]
    onnx.save(model, path)


def of_other_classes(path):
    model = onnx.load(drawn_model(path))
    embed(model, drawn_metadata("learning_game_distracted"))
    onnx.save(model, path)


def with_weights_elsewhere(path):
    model = onnx.load(drawn_model(path))
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)


def with_weights_elsewhere_in_a_branch(path):
    """A tensor in a branch's constant is read by onnxruntime as well."""
    model = onnx.load(drawn_model(path))
    secret = helper.make_tensor("secret", TensorProto.UINT8, [4], bytes(4), raw=True)
    secret.ClearField("raw_data")
    secret.data_location = TensorProto.EXTERNAL
    secret.external_data.add(key="location", value="/etc/passwd")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["taken"], value=secret)],
        "branch",
        [],
        [helper.make_tensor_value_info("taken", TensorProto.UINT8, [4])],
    )
    model.graph.node.append(helper.make_node("If", ["faces"], ["seen"], then_branch=branch, else_branch=branch))
    onnx.save(model, path)


def of_another_input(path):
    model = onnx.load(drawn_model(path))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, path)


def of_an_unknown_operator(path):
    model = onnx.load(drawn_model(path))
    model.graph.node[0].op_type = "Sorcery"
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file. Make one: python -m fer_lightning.export run=PATH"),
        (lambda path: path.mkdir(), "a folder. Name the .onnx file in it"),
        (os.mkfifo, "not a regular file"),
        (too_large, "more than 2,147,483,647 bytes"),
        (empty, r"not an ONNX file, or a damaged one \(0 bytes\)"),
        (damaged, "not an ONNX file, or a damaged one"),
        (unlabelled, "an ONNX file of another program.*which classes it has.*make one: python -m fer_lightning.export"),
        (lambda path: drawn_model(path, format=7), "its metadata has format 7, and this version reads format 2"),
        (lambda path: drawn_model(path, crop=CROP | {"side_of_height": 1.3}), "its faces were cut by .*1.3.*export it"),
        (of_other_classes, "gives 7 probabilities for a face, and its metadata names 8 classes"),
        (with_weights_elsewhere, "its weights lie in other files beside it, which are never opened"),
        (with_weights_elsewhere_in_a_branch, "its weights lie in other files beside it"),
        (of_another_input, r"model=.*: (takes and gives faces tensor\(float\)|onnxruntime)"),
        (of_an_unknown_operator, "onnxruntime .* cannot run it"),
    ],
)
def test_what_is_none_of_ours_is_refused_in_words(tmp_path, make, message):
    path = tmp_path / "face.onnx"
    make(path)
    with pytest.raises(UserError, match=message) as refused:
        FaceModel(path)
    assert f"model={path}" in str(refused.value)


@pytest.mark.slow
def test_it_needs_no_torch_and_is_quiet(tmp_path):
    path = drawn_model(tmp_path / "face.onnx")
    program = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'lightning'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import numpy as np, pathlib\n"
        "from fer_lightning.evaluation import card, card_metrics\n"
        "from fer_lightning.export import __main__, described, graph\n"
        "from fer_lightning.faces.face_model import FaceModel\n"
        f"model = FaceModel(pathlib.Path({str(path)!r}), threads=1)\n"
        "print(model(np.zeros((1, 48, 48), np.uint8)).shape, card.card(model.metadata, 'face.onnx')[:7])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("(1, 7) # Model\n", "")


def test_onnxruntime_tells_nobody_and_leaves_nothing_in_the_home_folder(tmp_path):
    """Version 1.32 writes a device's id there, and sends what it knows of the process."""
    model, home = drawn_model(tmp_path / "face.onnx"), tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; import numpy as np; "
        "from fer_lightning.faces.face_model import FaceModel; "
        "FaceModel(Path(sys.argv[1]))(np.zeros((1, 48, 48), np.uint8))"
    )
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    subprocess.run([sys.executable, "-c", code, str(model)], env=outside | {"HOME": str(home)}, check=True, cwd=ROOT)
    assert not list(home.rglob("*"))


def with_output(path, nodes: list[onnx.NodeProto], *arrays: onnx.TensorProto):
    """Write the drawn model with other nodes after its softmax, whose result they take as `sound`."""
    model = onnx.load(drawn_model(path))
    model.graph.node[-1].output[0] = "sound"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(arrays)
    onnx.save(model, path)
    return FaceModel(path)


def test_every_changed_byte_of_an_exported_file_is_noticed(tmp_path):
    path = tmp_path / "face.onnx"
    content = sealed(onnx.load(drawn_model(path)))
    path.write_bytes(content)
    assert FaceModel(path).metadata == drawn_metadata()
    draw = np.random.default_rng(0)
    outside = [place for place in range(len(content)) if not content.find(SEAL.encode()) <= place < len(content) - 66]
    for place in draw.choice(outside, 60, replace=False):
        changed = bytearray(content)
        changed[place] ^= 1 << draw.integers(8)
        path.write_bytes(changed)
        with pytest.raises(UserError, match=f"model={path}"):
            FaceModel(path)


@pytest.mark.parametrize("factor", [-5.0, 10.0, float("nan")])
def test_numbers_that_are_no_probabilities_are_refused(tmp_path, factor):
    times = numpy_helper.from_array(np.array(factor, np.float32), "times")
    model = with_output(tmp_path / "face.onnx", [helper.make_node("Mul", ["sound", "times"], [OUTPUT])], times)
    with pytest.raises(UserError, match="returned numbers that are not probabilities"):
        model(crop_of("happy")[None])


def test_another_number_of_rows_is_refused(tmp_path):
    twice = helper.make_node("Concat", ["sound", "sound"], [OUTPUT], axis=0)
    model = with_output(tmp_path / "face.onnx", [twice])
    with pytest.raises(UserError, match=r"returned \(2, 7\); must be \(1, 7\)"):
        model(crop_of("happy")[None])


@pytest.mark.parametrize("by_rows", [False, True], ids=["at load", "at a face"])
def test_a_graph_that_asks_for_more_memory_than_there_is_is_refused(tmp_path, by_rows):
    """Return a graph like ConstantOfShape of 2**48 numbers, which fit into no memory."""
    nodes = [
        helper.make_node("Shape", ["sound"], ["rows"], start=0, end=1),
        helper.make_node("Div", ["rows", "rows"], ["one"]),
        helper.make_node("Mul", ["one" if by_rows else "size", "size"], ["asked"]),
        helper.make_node("ConstantOfShape", ["asked"], ["much"]),
        helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sound", "sum"], [OUTPUT]),
    ]
    size = numpy_helper.from_array(np.array([2**48 if by_rows else 2**24], np.int64), "size")
    with pytest.raises(UserError, match=f"model={tmp_path}"):
        with_output(tmp_path / "face.onnx", nodes, size)(crop_of("happy")[None])


def test_a_signal_ends_a_graph_that_does_not_end(tmp_path, monkeypatch):
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["row"], ["same"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, ["N", 7]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N", 7]),
        ],
    )
    turns = numpy_helper.from_array(np.array(2**62, np.int64), "turns")
    true = numpy_helper.from_array(np.array(True), "true")
    loop = helper.make_node("Loop", ["turns", "true", "sound"], [OUTPUT], body=body)
    model = with_output(tmp_path / "face.onnx", [loop], turns, true)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            model(crop_of("happy")[None])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
