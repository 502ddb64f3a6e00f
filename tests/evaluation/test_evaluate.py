"""Evaluating a finished run: same metrics as the run, same result again, and messages for wrong commands."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, TINY, composed
from disks import read_only
from face_models import drawn_metadata, drawn_model
from omegaconf import OmegaConf
from PIL import Image

import fer_lightning
from fer_lightning.cli import train
from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError
from fer_lightning.evaluation import compare, ensemble, evaluate
from fer_lightning.evaluation.other_data import other_rows
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export.described import describe
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import TAXONOMIES
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.statistics.metrics import LABEL_METRICS

RUN = (*TINY, "ema_decay=0.9", "stn=affine", "augment=mix", "model.input_size=56", "data.eval_batch_size=8")
FILES = {"metrics.json", "predictions.csv", "confusion.png", "per_class.png"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of a finished run; bfloat16, averaged weights, several test batches."""
    folder = RunFolder(tmp_path_factory.mktemp("outputs") / "run")
    cfg = composed(*RUN)
    folder.claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    train.fit_and_test(cfg, folder, {})
    folder.release()
    return folder.path


@pytest.fixture(autouse=True)
def _brief_latency(monkeypatch):
    monkeypatch.setattr("fer_lightning.evaluation.stopwatch.REPEATS", (1, 1))


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def evaluated(run: Path, *overrides: str) -> dict:
    evaluate.evaluate(evaluate.config([f"run={run}", *overrides]))
    tta = next((o.partition("=")[2] for o in overrides if o.startswith("tta=")), "none")
    return json.loads((run / "evaluation" / tta / "metrics.json").read_text())


def test_without_views_it_reproduces_what_the_run_reported(run):
    entry = evaluated(run)
    assert {path.name for path in (run / "evaluation" / "none").iterdir()} == FILES
    assert (run / "evaluation/none/predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    reported = RunFolder(run).summary()["test"]
    for name in ("all", "unseen", "clean"):
        assert entry[name] == reported[name]
    assert entry["split"]["checksum"] == RunFolder(run).summary()["split"]["checksum"]


@pytest.mark.slow
def test_validation_rows_are_those_that_selected_and_are_no_look_at_the_test_rows(run):
    reads = (run / "test_reads.csv").read_bytes()
    evaluate.evaluate(evaluate.config([f"run={run}", "rows=val"]))
    entry = json.loads((run / "evaluation" / "val_none" / "metrics.json").read_text())
    summary = RunFolder(run).summary()
    assert entry["all"]["acc"]["value"] == pytest.approx(summary["best"]["val/acc"])
    assert entry["all"]["rows"] == summary["split"]["rows"]["val"]
    assert entry["call"]["reads"] is None
    assert (run / "test_reads.csv").read_bytes() == reads


@pytest.mark.slow
def test_raw_weights_would_have_scored_otherwise(run):
    """So that the test above knows which weights were loaded."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"ema_decay": None}))
    evaluated(run)
    raw, averaged = (read_predictions(run / path) for path in ("evaluation/none/predictions.csv", "predictions.csv"))
    assert np.abs(raw.probabilities - averaged.probabilities).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("tta", ["none", "ten_crop"])
def test_the_same_command_writes_the_same_bytes(tta, run):
    folder = run / "evaluation" / tta
    first, before = evaluated(run, f"tta={tta}"), {name: (folder / name).read_bytes() for name in FILES}
    second = evaluated(run, f"tta={tta}")
    for name in FILES - {"metrics.json"}:
        assert (folder / name).read_bytes() == before[name], name
    calls = [entry.pop("call") for entry in (first, second)]
    assert first == second
    assert all(call.keys() == {"time", "command", "commit", "dirty", "reads", "latency"} for call in calls)


@pytest.mark.slow
def test_views_average_probabilities_over_the_same_rows(run, capsys):
    for tta, views in (("flip", 2), ("ten_crop", 10)):
        entry = evaluated(run, f"tta={tta}")
        plain, averaged = (
            read_predictions(path) for path in (run / "predictions.csv", run / "evaluation" / tta / "predictions.csv")
        )
        assert entry["views"] == views
        np.testing.assert_array_equal(plain.images, averaged.images)
        np.testing.assert_allclose(averaged.probabilities.sum(axis=1), 1, atol=1e-5)
        change = np.abs(plain.probabilities - averaged.probabilities)
        assert 0 < change.max() < 0.5
        latency = entry["call"]["latency"]
        assert latency["milliseconds_of_one_image"] > 0
        assert latency["images_per_second"] > 0
        assert (latency["device"], latency["threads"], latency["batch_size"]) == ("cpu", 1, 8)
        printed = capsys.readouterr().out
        for words in ("all", "unseen", "clean", "surprise", "images/s", f"tta={tta}", "The test rows were read"):
            assert words in printed
        *_, folder, following = printed.rstrip().splitlines()
        assert folder.endswith(str(run / "evaluation" / tta))
        assert "python -m fer_lightning.compare" in following


@pytest.fixture
def file(run, tmp_path) -> Path:
    """An exported file whose metadata names the split of the run."""
    split = RunFolder(run).summary()["split"]["checksum"]
    data = drawn_metadata().data | {"split_checksum": split}
    return drawn_model(tmp_path / "small face.onnx", temperature=3.0, data=data)


@pytest.mark.slow
def test_an_exported_file_is_evaluated_on_the_rows_of_the_run(run, file, capsys):
    evaluate.evaluate(evaluate.config([f"run={run}", f"model={file}"]))
    folder = run / "evaluation" / "small face"
    assert {path.name for path in folder.iterdir()} == FILES
    own, found = read_predictions(run / "predictions.csv"), read_predictions(folder / "predictions.csv")
    np.testing.assert_array_equal(found.images, own.images)
    pixels = open_run(run).faces()[0].pixels[found.rows]
    np.testing.assert_allclose(found.probabilities, FaceModel(file)(pixels), atol=1e-6)
    entry = json.loads((folder / "metrics.json").read_text())
    assert entry["model"] == {"name": "drawn/seed-0", "sha256": FaceModel(file).sha256, "temperature": 3.0}
    assert (entry["precision"], entry["views"], entry["device"]) == ("weights=float32", 1, "cpu")
    assert "epoch" not in entry
    with open(run / "test_reads.csv", newline="") as lines:
        assert [line["tta"] for line in csv.DictReader(lines)] == ["none", "small face"]
    printed = capsys.readouterr().out
    assert "model=small face.onnx" in printed
    assert "the run itself reported" not in printed


@pytest.mark.slow
def test_card_writes_the_metrics_of_the_file_into_it(run, file, capsys):
    before = FaceModel(file).metadata
    evaluate.evaluate(evaluate.config([f"run={run}", f"model={file}", "card=true"]))
    folder = run / "evaluation" / "small face"
    entry, found = json.loads((folder / "metrics.json").read_text()), read_predictions(folder / "predictions.csv")
    after = FaceModel(file).metadata
    for rows, key in (("test", "all"), ("test_clean", "clean")):
        assert after.metrics[rows] == {name: entry[key][name]["value"] for name in LABEL_METRICS}
    assert after.metrics["test"] != before.metrics["test"]
    assert np.array_equal(after.confusion, found.confusion())
    assert after.recall == {name: entry["all"]["classes"][name]["recall"]["value"] for name in after.classes}
    assert replace(after, metrics={}, recall={}, confusion=None, data=before.data) == replace(
        before, metrics={}, recall={}, confusion=None
    )
    text = (file.parent / "small face_card.md").read_text()
    assert "The test metrics were measured with this file." in text
    assert f"| test rows | {100 * entry['all']['acc']['value']:.1f} % |" in text
    assert str(file.parent / "small face_card.md") in capsys.readouterr().out
    pixels = open_run(run).faces()[0].pixels[found.rows]
    np.testing.assert_allclose(FaceModel(file)(pixels), found.probabilities, atol=1e-6)


@pytest.mark.slow
def test_a_file_on_validation_rows_is_no_look_at_the_test_rows(run, file):
    reads = (run / "test_reads.csv").read_bytes()
    evaluate.evaluate(evaluate.config([f"run={run}", f"model={file}", "rows=val"]))
    assert (run / "evaluation" / "val_small face" / "predictions.csv").is_file()
    assert (run / "test_reads.csv").read_bytes() == reads


@pytest.mark.parametrize(
    ("taxonomy", "words"), [("fer2013", "trained on split 111111111111"), ("learning_game", "its classes are")]
)
def test_a_file_of_other_classes_or_another_split_is_rejected(run, tmp_path, taxonomy, words):
    file = drawn_model(tmp_path / "face.onnx", taxonomy)
    with pytest.raises(UserError, match=words):
        evaluate.evaluate(evaluate.config([f"run={run}", f"model={file}"]))
    assert not (run / "evaluation").exists()


@pytest.mark.slow
def test_each_evaluation_is_counted(run):
    assert RunFolder(run).summary()["test"]["reads"]["run"] == 1
    assert evaluated(run)["call"]["reads"]["run"] == 2
    assert evaluated(run, "tta=flip")["call"]["reads"]["run"] == 3
    with open(run / "test_reads.csv", newline="") as file:
        assert [line["tta"] for line in csv.DictReader(file)] == ["none", "none", "flip"]


@pytest.mark.slow
def test_a_config_of_an_older_version_will_do(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key in ("labels", "fold", "folds"):
        config["data"].pop(key, None)
    for key in ("expected", "channels_last"):
        config.pop(key)
    config["model"]["weights"] = "a/file/that/is/gone.pth"  # its weights are in best.ckpt
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    evaluated(run)
    assert (run / "evaluation/none/predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_a_run_that_was_interrupted_can_be_evaluated_and_says_so(run, capsys):
    summary = json.loads((run / "summary.json").read_text())
    del summary["test"]
    (run / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))
    evaluated(run)
    assert "is not finished (interrupted)" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_tested_some_rows_alone_is_pointed_out(run, capsys):
    summary = json.loads((run / "summary.json").read_text())
    summary["test"]["all"]["rows"] = 5
    (run / "summary.json").write_text(json.dumps(summary))
    evaluated(run)
    assert "the run itself tested only 5 of these rows" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.slow
def test_figures_that_the_run_did_not_report_are_pointed_out(run, capsys):
    summary = json.loads((run / "summary.json").read_text())
    summary["test"]["test/acc"] = 0.987
    (run / "summary.json").write_text(json.dumps(summary))
    evaluated(run)
    assert "the run itself reported an accuracy of 98.70 %" in capsys.readouterr().out.replace("\n", " ")


def edit_config(run: Path, **changes) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in changes.items():
        group, _, leaf = key.partition("__")
        config[group] = config[group] | {leaf: value} if leaf else value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def edit_summary(run: Path, **changes) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | changes))


HARMS = {
    "no checkpoint": (
        lambda run: (run / "checkpoints/best.ckpt").unlink(),
        ["best.ckpt", "Resume it: python"],
    ),
    "no summary": (lambda run: (run / "summary.json").unlink(), ["not a run folder", "summary.json is missing"]),
    "a summary without a split": (lambda run: edit_summary(run, split=None), ["summary.json", "split"]),
    "a config that is no YAML": (lambda run: (run / "config.yaml").write_text("a: [1"), ["config.yaml"]),
    "a key of nobody's": (lambda run: edit_config(run, modle=1), ["config.yaml", "modle"]),
    "a wrong value": (lambda run: edit_config(run, model__width="wide"), ["config.yaml", "model.width='wide'"]),
    "other faces": (lambda run: edit_config(run, data__seed=1), ["trained on split", "synthetic.load"]),
    "another split": (lambda run: edit_config(run, data__split="stratified"), ["trained on split"]),
}


@pytest.mark.parametrize(("harm", "words"), HARMS.values(), ids=HARMS)
def test_what_cannot_be_evaluated_is_told_in_words(harm, words, run):
    harm(run)
    with pytest.raises(UserError) as refusal:
        evaluated(run)
    for word in (str(run), *words):
        assert word in str(refusal.value)
    assert not (run / "evaluation").exists()


def test_a_checkpoint_of_another_network_is_told_in_words(run):
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"] = {key: value[:1] for key, value in checkpoint["state_dict"].items() if value.ndim}
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match=r"best\.ckpt does not fit"):
        evaluated(run)


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_read(run):
    with read_only(run), pytest.raises(UserError, match=r"is not writable.*cp -r"):
        evaluated(run)


def test_a_run_that_is_going_on_is_left_alone(run):
    holder = (
        "import sys, pathlib; from fer_lightning.runs.run_folder import RunFolder\n"
        "folder = RunFolder(pathlib.Path(sys.argv[1])); folder.lock(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(run)]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(UserError, match=rf"written by process {other.pid}\. Wait"):
            open_run(run)
    finally:
        other.communicate(timeout=60)
    open_run(run).folder.release()


COMMAND_LINES = [
    ([], ["run is not set", "run=outputs/"]),
    (["rnu=x"], ["rnu", "Did you mean run?"]),
    (["run=x", "loss=focal"], ["loss", "Allowed: run, model, tta, rows, data_root"]),
    (
        ["run=x", "model=face.onnx", "tta=flip"],
        ["model=face.onnx: the views of an exported file are fixed. Drop tta=flip."],
    ),
    (["run=x", "model=face.onnx", "device=cuda"], ["evaluated on the CPU. Drop device=cuda."]),
    (["run=x", "model=a/ten_crop.onnx"], ["evaluation/ten_crop/ is the folder of another evaluation. Rename the file"]),
    (["run=x", "card=true"], ["card=true: is an option of model=FILE"]),
    (["predictions=x.npy", "card=true"], ["card=true: is an option of model=FILE"]),
    (["run=x", "model=face.onnx", "card=true", "rows=val"], ["card=true with rows=val: must be the test rows"]),
    (["run=x", "model=face.onnx", "card=true", "data.root=y"], ["card=true with data.root=y: must be the test rows"]),
    (["run=x", "tta=five_crop"], ["tta='five_crop'", "none, flip, shift, ten_crop"]),
    (["run=x", "device=tpu"], ["device='tpu'", "auto, cpu, cuda"]),
    (["run=x", "threads=0"], ["threads=0", "1 or more"]),
    (["run=x", "threads=two"], ["threads='two'", "a whole number"]),
    (["run=x", "tta"], ["'tta'", "key=value", "fer_lightning.evaluate --help"]),
    (["run=README.md"], ["run=README.md: must be a folder, not a file", "python train.py"]),
    (["run=nowhere/to/be/found"], ["run=nowhere/to/be/found: no such folder", "python train.py"]),
    (["run=tests"], ["run=tests: not a run folder", "config.yaml"]),
]


@pytest.mark.parametrize(("overrides", "words"), COMMAND_LINES, ids=lambda value: " ".join(value))
def test_a_mistaken_command_is_told_in_words(overrides, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", *overrides])
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("evaluate: ")
    for word in words:
        assert word in told


def test_a_store_for_drawn_faces_is_refused(run):
    with pytest.raises(UserError, match=r"data_root=elsewhere: the faces of run=.*synthetic.load"):
        evaluated(run, "data_root=elsewhere")


def test_a_gpu_that_is_not_there_is_told_in_words(run):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"device=cuda: .* Use device=cpu"):
        evaluated(run, "device=cuda")


@pytest.mark.slow
def test_refusals_and_help_come_before_torch(run):
    edit_config(run, data__seed=1)
    script = (
        "import runpy, sys\n"
        "for arguments, code in ((['--help'], 0), (['run=x', 'tta=x'], 2), (['run=tests'], 2), (['run={RUN}'], 2)):\n"
        "    sys.argv = ['evaluate', *arguments]\n"
        "    try: runpy.run_module('fer_lightning.evaluation.evaluate', run_name='__main__')\n"
        "    except SystemExit as end: assert end.code == code, end.code\n"
        "    else: raise AssertionError\n"
        "    assert 'torch' not in sys.modules and 'lightning' not in sys.modules, arguments\n"
    ).replace("{RUN}", str(run))
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "trained on split" in result.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "store"
    ingest(str(write_csv(root.parent / "fer2013.csv", seed=0)), str(root))
    return root


def write_csv(path: Path, seed: int) -> Path:
    """Four faces of noise for each class and usage."""
    random = np.random.default_rng(seed)
    lines = ["emotion,pixels,Usage"]
    for usage in ("Training", "PublicTest", "PrivateTest"):
        lines += [f"{code % 7},{' '.join(map(str, random.integers(256, size=48 * 48)))},{usage}" for code in range(28)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_a_run_finds_its_faces_where_they_were_moved(store, tmp_path, capsys):
    """And the data's folder counts the looks of every run."""
    folder, overrides = RunFolder(tmp_path / "run"), [o for o in TINY if not o.startswith("data")]
    cfg = composed(*overrides, f"data.root={store}", "data.batch_size=8", "data.train_eval_rows=8")
    folder.claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    train.fit_and_test(cfg, folder, {})
    folder.release()
    assert folder.summary()["test"]["reads"] == {"run": 1, "data": 1, "note": None}

    moved = Path(shutil.move(store, tmp_path / "elsewhere"))
    with pytest.raises(UserError, match=r"(?s)this folder does not hold a store of faces.*data_root=PATH"):
        evaluated(folder.path)
    entry = evaluated(folder.path, f"data_root={moved}", "tta=flip")
    assert entry["call"]["reads"] == {"run": 2, "data": 2, "note": None}
    assert "PrivateTest was read 2 times by this run, 2 times on this data." in capsys.readouterr().out

    ingest(str(write_csv(tmp_path / "other.csv", seed=1)), str(tmp_path / "other"))
    with pytest.raises(UserError, match=r"trained on split \w{12}, and data\.root=.*other now gives"):
        evaluated(folder.path, f"data_root={tmp_path / 'other'}")


def other_store(tmp_path: Path, taxonomy: str = "affectnet8", usage: str = "", **form) -> Path:
    """Ten RGB images of each class of another data set, below `usage`/ or without splits."""
    random = np.random.default_rng(0)
    for name in TAXONOMIES[taxonomy].classes:
        folder = tmp_path / "faces" / usage / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / f"{number}.png")
    ingest(str(tmp_path / "faces"), str(tmp_path / "other"), taxonomy, **form)
    return tmp_path / "other"


def test_another_data_set_is_evaluated_on_the_common_classes(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fer_lightning.evaluation.evaluation.write_plots", lambda *_: None)
    store, reads = other_store(tmp_path, form=ImageForm(64, color=True)), (run / "test_reads.csv").read_bytes()
    evaluate.evaluate(evaluate.config([f"run={run}", f"data.root={store}"]))
    folder = run / "evaluation" / "on_other_none"
    entry, predictions = json.loads((folder / "metrics.json").read_text()), read_predictions(folder / "predictions.csv")
    assert entry["other"]["common"] == list(TAXONOMIES["fer2013"].classes)
    assert entry["other"]["left_out"] == {"contempt": 10}
    assert entry["other"]["without_rows"] == []
    assert (entry["all"]["rows"], entry["split"]["name"]) == (70, "all rows")
    assert predictions.classes == TAXONOMIES["fer2013"].classes
    assert sorted(predictions.labels.tolist()) == [code for code in range(7) for _ in range(10)]
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    assert predictions.clean.all()
    assert (run / "test_reads.csv").read_bytes() == reads
    assert entry["call"]["reads"] == {"run": None, "data": 1, "note": None}
    printed = " ".join(capsys.readouterr().out.split())
    assert "70 rows of the common classes angry, disgust, fear, happy, sad, surprise, neutral" in printed
    assert "rows left out, because the run does not have their class: 10 of contempt" in printed
    assert "the faces of 64 x 64 RGB pixels were converted to 48 x 48 grey, the run's form" in printed
    assert "the run itself" not in printed


def test_another_data_set_with_splits_and_fewer_classes_has_a_column_for_each_of_them(run, tmp_path):
    store = other_store(tmp_path, "ckplus", usage="private")
    other = other_rows(open_run(run), str(store), "test")
    assert other.facts["split"]["name"] == "official"
    assert other.facts["other"]["without_rows"] == ["neutral"]
    probabilities = np.tile(np.float32([0.1, 0.1, 0, 0, 0, 0, 0.8]), (60, 1))
    predictions = other.predictions(other.judged.rows, other.table.labels[other.judged.rows], probabilities)
    assert predictions.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise")
    np.testing.assert_allclose(predictions.probabilities[0], [0.5, 0.5, 0, 0, 0, 0], atol=1e-6)
    with pytest.raises(UserError, match=r"data\.root=.*: the store has no PublicTest rows. Use rows=test"):
        other_rows(open_run(run), str(store), "val")


def test_copies_of_training_faces_in_another_data_set_are_not_unseen(run, tmp_path):
    opened = open_run(run)
    table, split = opened.faces()
    rows = np.concatenate([split.train[:5], split.test[:5]])
    lines = [f"{table.labels[row]},{' '.join(map(str, table.pixels[row].ravel()))}" for row in rows]
    (tmp_path / "copies.csv").write_text("\n".join(["emotion,pixels", *lines]) + "\n")
    ingest(str(tmp_path / "copies.csv"), str(tmp_path / "copies"))
    judged = other_rows(opened, str(tmp_path / "copies"), "test").judged
    seen = {digest.tobytes().hex() for digest in table.digests[np.concatenate([split.train, split.val])]}
    assert judged.unseen.tolist() == [image not in seen for image in judged.images]
    assert (~judged.unseen).sum() >= 5


def test_a_data_set_without_common_classes_is_refused(run, tmp_path):
    (tmp_path / "custom.csv").write_text(f"emotion,pixels\nboredom,{' '.join(['1'] * 2304)}\n")
    ingest(str(tmp_path / "custom.csv"), str(tmp_path / "own"), "learning_game")
    with pytest.raises(UserError, match="none of its rows has one of the common classes"):
        other_rows(open_run(run), str(tmp_path / "own"), "test")
    with pytest.raises(UserError, match="this folder does not hold a store of faces"):
        other_rows(open_run(run), str(tmp_path), "test")


@pytest.mark.slow
def test_a_run_is_loaded_for_scripts(run):
    opened = open_run(run)
    table, split = opened.faces()
    opened.folder.release()
    written = read_predictions(run / "predictions.csv")
    pixels = torch.from_numpy(table.pixels[written.rows])
    loaded = fer_lightning.load_run(run)
    assert loaded.classes == written.classes
    assert np.allclose(loaded.predictor(pixels).numpy(), written.probabilities, atol=1e-2)
    with torch.inference_mode():
        assert loaded.network(loaded.transform.evaluate(pixels[:3])).shape == (3, len(loaded.classes))
    faces, labels = fer_lightning.load_run(run).faces("val")  # the first call keeps no lock
    assert np.array_equal(faces, table.pixels[split.val])
    assert np.array_equal(labels, table.labels[split.val])
    with pytest.raises(UserError, match=r"rows=test: must be train or val\. .*fer_lightning.evaluate"):
        fer_lightning.load_run(run).faces("test")
    with pytest.raises(UserError, match=r"device=cuda:1: must be cpu, cuda or auto\."):
        fer_lightning.load_run(run, device="cuda:1")
    with pytest.raises(UserError, match=r"views=five: must be one of none, flip, shift, ten_crop"):
        fer_lightning.load_run(run, views="five")


@pytest.mark.slow
def test_an_evaluation_of_former_weights_is_not_used(run, tmp_path):
    """An unfinished run may be evaluated; after it is resumed, best.ckpt is of another epoch."""
    first, second = (shutil.copytree(run, tmp_path / name) for name in "ab")
    summary = json.loads((first / "summary.json").read_text())
    summary["best"]["epoch"] += 1
    for path in (first, second):
        evaluated(path, "tta=flip")
    (first / "summary.json").write_text(json.dumps(summary))
    message = (
        rf"{first}/evaluation/flip: has predictions of epoch \d+, and best.ckpt of the run is now of epoch \d+\. "
        rf"Evaluate it again: python -m fer_lightning.evaluate run={first} tta=flip$"
    )
    with pytest.raises(UserError, match=message):
        compare.read_run("RUN_A", first, "flip")
    with pytest.raises(UserError, match=message):
        ensemble.read_member(first / "evaluation" / "flip")
    unlocked = shutil.copytree(first, tmp_path / "c")  # a command holds its folder until the process ends
    with pytest.raises(UserError, match=r"and best\.ckpt of the run is now of epoch"):
        describe(open_run(unlocked), "flip")
    assert len(compare.read_run("RUN_B", second, "flip"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "python -m fer_lightning.compare 'runs=[run,OTHER]'"),
        (("tta=flip",), "python -m fer_lightning.compare 'runs=[run,OTHER]' tta=flip"),
        (("model=face.onnx",), "python -m fer_lightning.compare 'runs=[run/evaluation/x,OTHER]'"),
        (
            ("rows=val", "tta=flip"),
            "choose by these rows, and then evaluate the choice on the test rows with rows=test",
        ),
        (("data.root=other",), "open run/evaluation/x/confusion.png"),
    ],
)
def test_the_next_step_fits_what_was_evaluated(words, expected):
    cfg = evaluate.config(["run=run", *words])
    assert evaluate.next_step(cfg, Path("run"), Path("run/evaluation/x")).endswith(expected)
