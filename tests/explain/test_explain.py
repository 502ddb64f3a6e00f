"""Maps of faces: what is chosen, what the maps show, and what the page says about its own limits."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from export_runs import untrained_run
from face_models import drawn_model
from fer_forms import drawn_store
from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.evaluation.torch_predictor import FilePredictor, Predictor
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.explain import __main__ as command
from fer_lightning.explain.rows import surest
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.files import require_own_folder
from fer_lightning.models.network import Network
from fer_lightning.stn.none import Identity

captum = pytest.importorskip("captum", reason="captum is not installed")
from fer_lightning.explain import maps  # noqa: E402 (needs captum)

CORNER = (slice(8, 16), slice(32, 40))  # rows and columns that the probabilities of `Looks` depend on


class Looks(nn.Module):
    """A backbone that knows only one corner: the brighter it is, the more likely is class 1."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 8, stride=8)
        for layer in (self.first, self.second):
            nn.init.constant_(layer.weight, 1 / layer.weight.numel())
            nn.init.zeros_(layer.bias)
        self.weight = nn.Parameter(torch.zeros(6, 6))
        self.weight.data[1, 4] = 1

    def forward(self, x):
        seen = (self.second(self.first(x))[:, 0] * self.weight).sum(dim=(1, 2))
        return torch.stack([-seen, seen], dim=1)


class Shift(Identity):
    """A spatial transformer that moves what is 8 pixels to the right to the left."""

    def forward(self, x):
        self.theta = torch.tensor([[1.0, 0, 8 / 24], [0, 1, 0]]).expand(len(x), 2, 3)
        grid = nn.functional.affine_grid(self.theta, x.shape, align_corners=False)
        return nn.functional.grid_sample(x, grid, align_corners=False)


def predictor(stn=None) -> Predictor:
    network = Network(stn or Identity(), Looks(), in_channels=1)
    return Predictor(network, [None], input_size=48, mean=0.0, std=1.0, device=torch.device("cpu"))


@pytest.fixture
def faces():
    """Two grey faces with a bright corner."""
    pixels = np.full((2, 48, 48), 100, np.uint8)
    pixels[:, *CORNER] = 200
    return torch.from_numpy(pixels)


ONES = torch.ones(2, dtype=torch.int64)


def test_the_surest_right_and_wrong_rows_of_each_class_are_chosen():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.7, 0.3]], np.float32)
    chosen = surest(probabilities, np.array([0, 0, 0, 1, 0]), per_class=2, images=np.arange(5))
    found = [(choice.label, choice.right, choice.rows.tolist()) for choice in chosen]
    assert found == [(0, True, [0, 4]), (0, False, [2]), (1, True, [3])]


def test_a_face_and_its_copy_are_one_example():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], np.float32)
    chosen = surest(probabilities, np.zeros(4, int), per_class=2, images=np.array([3, 3, 1, 0]))
    assert [choice.rows.tolist() for choice in chosen] == [[0, 2]]


def test_occlusion_finds_the_pixels_that_count(faces):
    found = maps.occlusion(predictor(), faces, ONES, square=8)
    assert found.shape == (2, 48, 48)
    assert found[0][CORNER].min() > 0.02
    away = found[0].copy()
    away[4:20, 28:44] = 0
    np.testing.assert_allclose(away, 0, atol=1e-6)


def test_all_channels_of_a_square_are_hidden_together():
    pixels = np.full((2, 48, 48, 3), (10, 100, 200), np.uint8)
    pixels[:, *CORNER] = (0, 255, 0)
    filled = []

    def bright_corner(images):
        filled.append(images[:, *CORNER][:, 4, 4].tolist())
        seen = images[:, *CORNER].float().mean(dim=(1, 2, 3)) / 255
        return torch.stack([1 - seen, seen], dim=1)

    found = maps.occlusion(bright_corner, torch.from_numpy(pixels), ONES, square=8)
    assert found.shape == (2, 48, 48)
    mean = np.floor(pixels[0].mean(axis=(0, 1)) + 0.5).astype(int).tolist()
    assert {tuple(color) for colors in filled for color in colors} == {(0, 255, 0), tuple(mean)}
    assert abs(found[0][CORNER]).min() > 0.02
    np.testing.assert_allclose(found[0, 28:], 0, atol=1e-6)


def test_class_activation_finds_them_too(faces):
    ours = predictor()
    layer = maps.find_layer(ours, faces)
    assert (layer.name, layer.side) == ("second", 6)
    found = maps.class_activation(ours, layer.name, faces, ONES)
    assert found.shape == (2, 48, 48)
    assert np.isfinite(found).all()


def test_a_map_is_carried_back_through_the_spatial_transformer():
    after = torch.zeros(1, 1, 6, 6)
    after[0, 0, 1, 3] = 1  # rows 8 to 15, columns 24 to 31 of what the transformer returned
    theta = torch.tensor([[[1.0, 0, 8 / 24], [0, 1, 0]]])
    on_face = maps._on_faces(after, theta, 48)[0, 0].numpy()
    row, column = np.unravel_index(on_face.argmax(), on_face.shape)
    assert (row // 8, column // 8) == (1, 4)  # 8 pixels further to the right on the face
    assert maps.class_activation(
        predictor(Shift()), "second", torch.full((1, 48, 48), 9, dtype=torch.uint8), ONES[:1]
    ).shape == (1, 48, 48)


def test_a_network_without_two_convolutions_has_no_map(faces):
    ours = predictor()
    ours.network.backbone.first = nn.Identity()
    assert maps.find_layer(ours, faces) is None


def test_shuffled_weights_give_another_network_and_leave_ours_alone(faces):
    ours = predictor()
    other = maps.shuffled(ours)
    assert other.network.backbone.weight[1, 4] == 0
    assert ours.network.backbone.weight[1, 4] == 1
    mine, others = (maps.occlusion(one, faces, ONES, square=8) for one in (ours, other))
    assert maps.agreement(mine, mine) == pytest.approx(1)
    assert maps.agreement(mine, others) < 0.9
    assert maps.agreement(np.zeros_like(mine), mine) is None


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "seed-0", quickest=True)


@pytest.fixture
def run(untrained, tmp_path):
    """A copy, for a run is held until the process ends."""
    return shutil.copytree(untrained, tmp_path / "seed-0")


def page_of(run, name, *words) -> str:
    command.main([f"run={run}", "per_class=1", "square=24", *words])
    return (run / "explain" / name / "index.html").read_text()


@pytest.mark.slow
def test_a_run_becomes_a_page_with_its_limits_and_no_test_row(run, capsys):
    text = page_of(run, "val")
    assert not (run / "test_reads.csv").exists()
    require_own_folder(run / "explain" / "val", "out", command.MARK)
    assert "arxiv.org/abs/1810.03292" in text
    assert re.search(r"<td>class activation</td><td>-?\d\.\d\d</td>", text)
    assert "drawn by a program" in text
    assert text.count('alt="face, label') == text.count('alt="occlusion, label') > 0
    assert "validation rows" in text
    assert f"page: {run}/explain/val/index.html\n" in capsys.readouterr().out


def test_without_pictures_no_face_is_on_the_page(run):
    text = page_of(run, "val", "pictures=no")
    assert 'alt="face' not in text
    assert 'alt="occlusion, label' in text
    assert "mean of 1" in text


def test_a_page_of_people_says_that_it_is_private(run, monkeypatch, capsys):
    monkeypatch.setattr("fer_lightning.evaluation.trained_run.TrainedRun.faces", people(open_run(run).faces()))
    open_run(run).folder.release()
    assert "Keep this page private" in page_of(run, "val")
    assert "shows people: do not publish it" in capsys.readouterr().out


def people(faces):
    """Faces that are not called drawn."""
    table, split = faces
    table.name = "fer2013"
    return lambda run: (table, split)


def test_test_rows_are_counted(run, capsys):
    assert "read once by this run" in page_of(run, "test", "rows=test")
    assert len((run / "test_reads.csv").read_text().splitlines()) == 2


def test_an_exported_file_is_explained_by_occlusion(run, tmp_path):
    split = open_run(run).summary["split"]["checksum"]
    data = {"name": "synthetic", "checksum": "0", "split": "official", "split_checksum": split}
    file = drawn_model(tmp_path / "face.onnx", data=data)
    text = page_of(run, "val_face", f"model={file}")
    assert "An exported file has no layers" in text
    assert 'alt="class activation' not in text
    assert 'alt="occlusion, label' in text


@pytest.mark.slow
def test_a_run_on_larger_rgb_faces_becomes_a_page(tmp_path):
    store = drawn_store(tmp_path / "faces", ImageForm(64, color=True))
    words = ("data=fer2013", f"data.root={store}", "model.in_channels=3")
    run = untrained_run(tmp_path / "run", *words, quickest=True)
    text = page_of(run, "val", "square=32")
    assert text.count('alt="face, label') == text.count('alt="class activation, label') > 0
    assert "filled with the mean color of the face" in text
    assert "enlarged to 64 x 64 pixels" in text
    assert "Keep this page private" in text


def test_an_exported_file_of_rgb_faces_is_explained_by_occlusion(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    file = FilePredictor(FaceModel(drawn_model(tmp_path / "face.onnx")), threads=1)
    probabilities = file(torch.from_numpy(pixels)).numpy()
    found, _ = command.explained(file, pixels, probabilities, square=32)
    assert (found.occlusion.shape, found.activation) == ((2, 64, 64), None)
    assert np.ptp(found.occlusion) > 0


def test_the_square_fits_the_faces():
    assert (command.square_side(None, 48), command.square_side(None, 112), command.square_side(24, 48)) == (8, 18, 24)
    with pytest.raises(UserError, match="square=25: must be at most 24 pixels, half the side"):
        command.square_side(25, 48)


def test_an_ensemble_is_sent_to_its_exported_file(run):
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"members": [{"run": "outputs/a/seed-0"}]}))
    with pytest.raises(UserError, match=r"is an ensemble.*fer_lightning.export run=.*run=outputs/a/seed-0 model="):
        command.explain(command.config([f"run={run}"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "explain: run is not set"),
        (["run=nowhere"], "run=nowhere: no such folder"),
        (["run=x", "rows=all"], "rows='all': must be one of val, train, test"),
        (["run=x", "per_class=0"], "per_class=0: must be from 1 to 20"),
        (["run=x", "model=y.onnx", "device=cuda"], "model=y.onnx: an exported file is explained on the CPU"),
    ],
)
def test_mistakes_are_told_in_words(capsys, words, message):
    with pytest.raises(SystemExit):
        command.main(words)
    assert message in capsys.readouterr().err
