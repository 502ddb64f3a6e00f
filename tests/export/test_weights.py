"""Stored weights: size, closeness, that nothing but constants is added, and that BatchNorm is folded."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import composed
from export_runs import distinct
from onnx import TensorProto, helper, numpy_helper

from fer_lightning.data import synthetic
from fer_lightning.export import weights
from fer_lightning.export.recogniser import Checkpoint
from fer_lightning.export.weights import fold_batch_norms, store_weights, stored_bytes
from fer_lightning.training import build

pytestmark = pytest.mark.slow

NETWORKS = {
    "whitened_cnn": ("model=whitened_cnn", "stn=affine", "model.channels=[8,16,24]"),
    "resemotenet": ("model=resemotenet", "model.width=0.0625", "model.lean=true", "model.in_channels=1"),
}


def checkpoint_of(name: str) -> Checkpoint:
    """An untrained network whose BatchNorm statistics are not the initial ones."""
    config = composed("data=synthetic", "model.input_size=48", *NETWORKS[name])
    network = distinct(build.build_network(config, 7)).eval()
    generator = torch.Generator().manual_seed(1)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return Checkpoint(network, input_size=48, mean=config.model.mean, std=config.model.std)


@pytest.fixture(scope="module", params=NETWORKS)
def checkpoint(request):
    return checkpoint_of(request.param)


@pytest.fixture(scope="module")
def graph(checkpoint):
    return checkpoint.to_onnx()


@pytest.fixture(scope="module")
def faces():
    return synthetic.load(rows=100).pixels[:40]


def stored(graph: onnx.ModelProto, form: str) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    store_weights(copy, form)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def answers(model: onnx.ModelProto, faces: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"faces": faces[..., None]})[0]


def test_the_network_with_folded_norms_is_the_checkpoint(graph, checkpoint, faces):
    expected = checkpoint(faces)
    assert expected.std(axis=0).mean() > 0.01  # the comparison could fail
    np.testing.assert_allclose(answers(graph, faces), expected, atol=5e-5)


@pytest.mark.parametrize(
    ("form", "size", "difference"), [("float16", 0.55, 2e-3), ("int8", 0.35, 0.05), ("codebook4", 0.3, 0.2)]
)
def test_stored_weights_are_smaller_and_close(graph, faces, form, size, difference, monkeypatch):
    monkeypatch.setattr(weights, "LEAST_CODEBOOK", 5000)
    small = stored(graph, form)
    assert stored_bytes(small) < size * stored_bytes(graph)
    found, expected = answers(small, faces), answers(graph, faces)
    assert 0 < np.abs(found - expected).max() < difference


@pytest.mark.parametrize("form", ["float16", "int8", "codebook4"])
def test_onnxruntime_computes_the_weights_when_it_loads_them(graph, form, tmp_path, monkeypatch):
    """So that a call takes no longer."""
    monkeypatch.setattr(weights, "LEAST_CODEBOOK", 5000)

    def loaded(model):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "loaded.onnx"), 4
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return collections.Counter(node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node)

    assert loaded(stored(graph, form)) == loaded(graph)


def test_int8_rounds_to_half_a_step_of_each_output_channel():
    weight = np.random.default_rng(0).standard_normal((64, 40)).astype(np.float32) * np.logspace(-3, 2, 64)[:, None]
    weight = weight.astype(np.float32)
    weight[5] = 0
    found = restored(weight, "int8")
    steps = np.abs(weight).max(axis=1, keepdims=True) / 127
    assert (np.abs(found - weight) <= steps * 0.5001).all()
    assert (found[5] == 0).all()


def test_codebook4_keeps_weights_that_take_16_values_in_each_output_channel():
    random = np.random.default_rng(0)
    weight = random.permuted(np.tile(np.arange(-8.0, 8), (200, 40)), axis=1) * random.uniform(0.1, 9, (200, 1))
    found = restored(weight.astype(np.float32), "codebook4")
    np.testing.assert_allclose(found, weight, rtol=1e-3)  # float16 rounds the values
    assert np.abs(found - restored(weight.astype(np.float32), "int8")).max() > 0.01  # it was not stored as int8


def test_codebook4_is_closer_to_normal_weights_than_16_equal_steps():
    """The best equal steps lose 0.0115 of the energy of a long row, the best 16 values 0.0095 (Max 1960)."""
    weight = np.random.default_rng(0).standard_normal((100, 2000)).astype(np.float32)
    assert ((restored(weight, "codebook4") - weight) ** 2).mean() < 0.011


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_codebook4_fits_rows_of_any_scale_and_rows_with_outliers(scale):
    weight = np.random.default_rng(0).standard_normal((100, 2000))
    weight[:, 7] = 100
    weight[3], weight[4] = 0, 5
    error = restored((scale * weight).astype(np.float32), "codebook4") / scale - weight
    assert np.abs(error[3:5]).max() < 0.005
    assert (np.delete(error, [3, 4], axis=0) ** 2).mean() < 0.05  # equal first values would lose half of each row


@pytest.mark.parametrize("shape", [(40, 40), (400, 301), (4000, 64)])
def test_codebook4_stores_small_arrays_and_odd_or_short_rows_as_int8(shape):
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(restored(weight, "codebook4"), restored(weight, "int8"))


def restored(weight: np.ndarray, form: str) -> np.ndarray:
    """Return the weights (out, in) that a linear layer of a stored file computes with."""
    model = linear(weight)
    store_weights(model, form)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.eye(weight.shape[1], dtype=np.float32)})[0].T


def linear(weight: np.ndarray) -> onnx.ModelProto:
    """x (N, in) -> x @ weight.T, and a bias that stays float32."""
    return model_of(
        [helper.make_node("Gemm", ["x", "layer.weight", "layer.bias"], ["y"], transB=1)],
        {"layer.weight": weight, "layer.bias": np.zeros(len(weight), np.float32)},
        ["N", weight.shape[1]],
    )


def model_of(nodes: list, arrays: dict[str, np.ndarray], shape: list) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *"CHW"[: len(shape) - 1]])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_small_arrays_and_biases_stay_as_they_are():
    model = linear(np.ones((8, 8), np.float32))
    before = model.SerializeToString()
    for form in ("float16", "int8", "codebook4"):
        store_weights(model, form)
    assert model.SerializeToString() == before


def test_two_layers_may_share_one_array():
    """torch stores equal weights once."""
    layers = [helper.make_node("Conv", [before, "c.weight"], [after]) for before, after in (("x", "a"), ("b", "c"))]
    norms = [
        helper.make_node("BatchNormalization", [before, scale, "shift", "shift", "var"], [after])
        for before, scale, after in (("a", "one", "b"), ("c", "two", "y"))
    ]
    weight = np.random.default_rng(0).standard_normal((2, 2, 3, 3))
    arrays = {"c.weight": weight, "one": [1, 1], "two": [2, 2], "shift": [0, 0], "var": [1, 1]}
    nodes = [layers[0], norms[0], layers[1], norms[1]]
    model = model_of(nodes, {name: np.float32(array) for name, array in arrays.items()}, ["N", 2, 9, 9])
    assert_folding_changes_nothing(model, norms=0)


def assert_folding_changes_nothing(model: onnx.ModelProto, *, norms: int) -> None:
    x = np.random.default_rng(1).standard_normal((3, 2, 9, 9)).astype(np.float32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    fold_batch_norms(model)
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "BatchNormalization" for node in model.graph.node) == norms
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-5)


def with_norm(scale: np.ndarray, *, pooled: bool, biased: bool, read_twice: bool = False) -> onnx.ModelProto:
    """Convolution, MaxPool if `pooled`, BatchNormalization; if `read_twice` the result of the convolution is added."""
    random = np.random.default_rng(0)
    arrays = {"c.weight": random.standard_normal((4, 2, 3, 3)), "scale": scale}
    arrays |= {name: random.standard_normal(4) for name in ("c.bias", "shift", "mean")}
    arrays["var"] = random.random(4) + 0.1
    inputs = ["x", "c.weight", "c.bias"] if biased else ["x", "c.weight"]
    pool = [helper.make_node("MaxPool", ["conv"], ["before"], kernel_shape=[2, 2], strides=[2, 2])] if pooled else []
    last = "norm" if read_twice else "y"
    nodes = [
        helper.make_node("Conv", inputs, ["conv"]),
        *pool,
        helper.make_node(
            "BatchNormalization",
            ["before" if pooled else "conv", "scale", "shift", "mean", "var"],
            [last],
            epsilon=1e-3,
        ),
        *([helper.make_node("Add", ["norm", "conv"], ["y"])] if read_twice else []),
    ]
    used = {name for node in nodes for name in node.input}
    return model_of(nodes, {k: v.astype(np.float32) for k, v in arrays.items() if k in used}, ["N", 2, 9, 9])


POSITIVE, MIXED = np.array([0.5, 1, 2, 3.0]), np.array([0.5, -1, 2, 3.0])


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    ("scale", "kind", "norms"),
    [
        (POSITIVE, {"pooled": True}, 0),
        (POSITIVE, {"pooled": False}, 0),
        (MIXED, {"pooled": False}, 0),
        (MIXED, {"pooled": True}, 1),  # a negative scale makes a minimum of the maximum
        (POSITIVE, {"pooled": False, "read_twice": True}, 1),
    ],
)
def test_a_norm_is_folded_if_that_changes_nothing(scale, kind, norms, biased):
    assert_folding_changes_nothing(with_norm(scale, biased=biased, **kind), norms=norms)
