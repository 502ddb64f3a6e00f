"""Photos, folders and videos through a drawn model: right classes for right faces, and nothing lost on the way."""

import csv
import json
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from collect_portraits import FakeDetector, drawn_picture, encoded, portrait
from disks import small_disk
from face_models import crop_of, drawn_metadata, drawn_model
from face_video import write_video

from fer_lightning.config.settings import declared
from fer_lightning.errors import UserError
from fer_lightning.faces.crop import crop_face
from fer_lightning.faces.detector import WholePicture
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.metadata import crop_rule
from fer_lightning.faces.settings import FaceRules
from fer_lightning.labels import TAXONOMIES
from fer_lightning.predict import labeller
from fer_lightning.predict.containers import is_cut
from fer_lightning.predict.looks import Look
from fer_lightning.predict.predict import predict
from fer_lightning.predict.settings import Processing


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> FaceModel:
    return FaceModel(drawn_model(tmp_path_factory.mktemp("model") / "face.onnx"))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def predicted(model, source, **options):
    """The summary, and the rows of predictions.csv, which are those of predictions.jsonl."""
    out = options.pop("out", source.parent / "out")
    chosen = Processing(**{name: options.pop(name) for name in declared(Processing) if name in options})
    options = {"detector": FakeDetector(), "rules": FaceRules()} | options
    summary = predict(model=model, source=source, out=out, settings=chosen, **options)
    with open(out / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    for row, found in zip(rows, objects, strict=True):
        flat = found | (found["probabilities"] or dict.fromkeys(model.metadata.classes))
        cells = {key: "" if flat[key] is None else str(flat[key]) for key in row}
        assert row | {"file": row["file"].removeprefix("'")} == cells
    return summary, rows


def unreadable(out) -> dict[str, str]:
    with open(out / "unreadable.csv", newline="", encoding="utf-8") as file:
        return {row["file"]: row["why"] for row in csv.DictReader(file)}


def whole(label, taxonomy="fer2013", side=100):
    """The image of a face cut out already, whose class is this one: a grey level."""
    return np.repeat(crop_of(label, taxonomy, side=side)[..., None], 3, axis=2)


def put(path, picture, form="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture, form))
    return path


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_each_label_is_named_as_the_file_says(taxonomy, tmp_path, folder):
    model = FaceModel(drawn_model(tmp_path / "face.onnx", taxonomy))
    for label in TAXONOMIES[taxonomy].classes:
        put(folder / f"{label}.png", whole(label, taxonomy))
    summary, rows = predicted(model, folder, detector=WholePicture())
    assert {row["file"]: row["label"] for row in rows} == {f"{label}.png": label for label in model.metadata.classes}
    assert list(rows[0])[-len(model.metadata.classes) :] == list(model.metadata.classes)
    assert set(summary["counts"]["labels"].values()) == {1}
    for row in rows:
        assert sum(float(row[label]) for label in model.metadata.classes) == pytest.approx(1, abs=1e-5)


def test_red_is_red_and_blue_is_blue(model, folder):
    """Grey levels 76 and 29 by BT.601: of BGR they would change places."""
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        put(folder / f"{name}.png", np.full((100, 100, 3), colour, np.uint8))
    _, rows = predicted(model, folder, detector=WholePicture())
    assert {row["file"]: row["label"] for row in rows} == {"red.png": "fear", "blue.png": "angry"}


def test_every_face_is_cut_as_in_training_and_has_its_own_label(model, folder):
    picture = drawn_picture(3, faces=2, face_height=100)
    put(folder / "two.png", picture)
    summary, rows = predicted(model, folder / "two.png", out=folder.parent / "out")
    faces = sorted(FakeDetector()(picture), key=lambda face: -face.area)
    assert [row["face"] for row in rows] == ["1", "2"]
    for row, face in zip(rows, faces, strict=True):
        assert [float(row[key]) for key in ("x", "y", "width", "height")] == pytest.approx(face.box, abs=0.06)
        expected = model(crop_face(picture, face)[0][None])[0]
        assert [float(row[name]) for name in model.metadata.classes] == pytest.approx(expected.tolist(), abs=1e-5)
        assert row["label"] == model.metadata.classes[expected.argmax()]
    assert summary["counts"]["faces"] == 2


def test_two_faces_of_one_picture_may_have_two_labels(model, folder):
    picture = drawn_picture(3, faces=2, face_height=100)
    right = picture[:, 160:].astype(int)
    picture[:, 160:] = np.clip(right + 60, 0, 255)
    put(folder / "two.png", picture)
    _, rows = predicted(model, folder)
    assert len({row["label"] for row in rows}) == 2


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_faces_are_not_mixed_up_between_pictures_whatever_the_batch(batch_size, model, folder):
    labels = model.metadata.classes
    for number in range(10):
        picture = whole(labels[number % 7]) if number % 4 else np.zeros((100, 100, 3), np.uint8)
        put(folder / f"{number}.png", picture)

    class Some(WholePicture):
        def __call__(self, picture):
            return super().__call__(picture) * (0 if picture.max() == 0 else 1)

    summary, rows = predicted(model, folder, detector=Some(), batch_size=batch_size)
    found = {row["file"]: (row["label"], row["doubt"], row["face"]) for row in rows}
    assert found == {
        f"{number}.png": (labels[number % 7], "", "1") if number % 4 else ("", "no face", "") for number in range(10)
    }
    assert (summary["counts"]["pictures"], summary["counts"]["without_a_face"]) == (10, 3)


def test_faces_in_doubt_are_told_with_the_reason_and_counted(model, folder):
    put(folder / "one.png", drawn_picture(0))
    for options, doubt in (
        ({}, ""),
        ({"rules": FaceRules(min_face_px=150)}, "too small"),
        ({"detector": FakeDetector(roll_deg=60)}, "tilted"),
    ):
        summary, (row,) = predicted(model, folder, **options)
        assert row["doubt"] == doubt
        assert row["label"]
        assert summary["counts"]["doubts"] == ({doubt: 1} if doubt else {})


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(model, folder):
    put(folder / "a.png", drawn_picture(0))
    put(folder / "deep" / "deeper" / "b.JPG", drawn_picture(1), "JPEG")
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "half.png").write_bytes(encoded(drawn_picture(2))[:5000])
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "gone.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("not meant")
    put(folder / ".hidden.png", drawn_picture(3))
    summary, rows = predicted(model, folder)
    assert [row["file"] for row in rows] == ["a.png", "deep/deeper/b.JPG"]
    why = unreadable(folder.parent / "out")
    assert list(why) == ["empty.png", "gone.mp4", "half.png", "phone.heic", "text.jpg"]
    assert all(why.values())
    assert summary["counts"]["unreadable"] == 5
    assert summary["counts"]["files"] == 7


def test_what_is_not_read_is_counted_and_named(model, folder):
    for name, form in (("a.png", "PNG"), ("b.JFIF", "JPEG"), ("c.jpe", "JPEG")):
        put(folder / name, drawn_picture(0), form)
    (folder / "noext").write_text("x")
    (folder / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    (folder / "deep").mkdir()
    (folder / "deep" / "again").symlink_to(folder)
    summary, rows = predicted(model, folder)
    assert [row["file"] for row in rows] == ["a.png", "b.JFIF", "c.jpe"]
    assert sorted(unreadable(folder.parent / "out")) == ["deep/again", "gone.jpg"]
    assert "not read: 1 file (1 no suffix), file of another kind, e.g. noext" in summary["not_read"]


def test_a_video_with_a_wrong_number_of_frames_is_not_called_incomplete(model, folder):
    path = clip(folder / "clip.avi", moving(5))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"avih") + 24, 400)
    struct.pack_into("<I", data, data.index(b"strh") + 40, 400)
    path.write_bytes(data)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 400
    _, rows = predicted(model, path, out=folder.parent / "out")
    assert {row["frame"] for row in rows} == set("01234")
    assert unreadable(folder.parent / "out") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF" + struct.pack("<I", 4) + b"AVI " + b"RIFF" + struct.pack("<I", 8) + b"AVIX1234",
        struct.pack(">I", 16) + b"ftypisom1234" + struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 20) + b"data",
        struct.pack(">I", 8) + b"ftyp" + struct.pack(">I", 16) + b"moov12345678",
        b"\x1a\x45\xdf\xa3\x82\x00\x00" + b"\x18\x53\x80\x67\x40\x04" + b"data",
    ],
)
def test_only_a_file_that_is_shorter_than_its_header_states_is_cut(content, tmp_path):
    for end, cut in ((len(content), False), (len(content) - 2, True)):
        (tmp_path / "video").write_bytes(content[:end])
        assert is_cut(tmp_path / "video") is cut
    live = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + b"data"
    (tmp_path / "video").write_bytes(live)
    assert not is_cut(tmp_path / "video")


def test_where_nothing_can_be_read_that_is_said(model, folder):
    (folder / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"input=.*: it cannot be read\. text\.jpg: .* one of JPEG.*unreadable\.csv"):
        predicted(model, folder / "text.jpg", out=folder.parent / "one")
    (folder / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"input=.*: none of its 2 files can be read\. text\.jpg: .* not one of JPEG"):
        predicted(model, folder)
    assert list(unreadable(folder.parent / "out")) == ["text.jpg", "text.png"]


def test_names_are_harmless_in_a_spreadsheet_and_may_hold_any_byte(model, folder):
    put(folder / "=1+1.png", drawn_picture(0))
    strange = Path(str(folder) + "/caf\udce9.png")
    try:
        put(strange, drawn_picture(1))
    except OSError:
        strange = None  # a file system that accepts only text
    _, rows = predicted(model, folder)
    assert [row["file"] for row in rows] == ["'=1+1.png", *(["caf\\udce9.png"] if strange else [])]


def test_copies_are_like_their_pictures_but_for_the_marks(model, folder):
    pictures = {"a.png": drawn_picture(0, size=(640, 480)), "b.webp": drawn_picture(1, faces=0, size=(640, 480))}
    put(folder / "a.png", pictures["a.png"])
    put(folder / "b.webp", pictures["b.webp"], "WEBP")
    predicted(model, folder)
    annotated = folder.parent / "out" / "annotated"
    assert sorted(path.name for path in annotated.iterdir()) == ["a.png", "b.webp.jpg"]
    marked = cv2.imread(str(annotated / "a.png"))[..., ::-1]
    same = (marked == pictures["a.png"]).all(axis=2)
    assert 0.8 < same.mean() < 1
    (face,) = FakeDetector()(pictures["a.png"])
    x, y, width, height = map(int, face.box)
    assert same[y + 15 : y + height - 15, x + 15 : x + width - 15].all()
    predicted(model, folder, annotate=False)
    assert not annotated.exists()


def clip(path, frames, fps=10):
    return write_video(path, frames, fps)


def moving(count, size=(320, 240)):
    """A reddish face that moves to the right and is away in the third quarter of the time."""
    for number in range(count):
        picture = np.full((size[1], size[0], 3), 128, np.uint8)
        if not count // 2 <= number < count * 3 // 4:
            x = 20 + 3 * number
            picture[60:160, x : x + 92] = (190, 120, 90)
        yield picture


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_a_video_has_rows_by_frame_with_its_clock_and_faces_keep_their_numbers(ending, model, folder):
    clip(folder / f"clip{ending}", moving(48))
    summary, rows = predicted(model, folder)
    assert [int(row["frame"]) for row in rows] == list(range(48))
    assert [float(row["seconds"]) for row in rows] == pytest.approx([number / 10 for number in range(48)], abs=0.02)
    faces = [row["face"] for row in rows]
    assert faces == ["1"] * 24 + [""] * 12 + ["2"] * 12
    assert summary["counts"]["pictures"] == 48
    (copy,) = (folder.parent / "out" / "annotated").iterdir()
    assert copy.name == ("clip.mp4" if ending == ".mp4" else "clip.avi.mp4")
    capture = cv2.VideoCapture(str(copy))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 48


def test_every_nth_frame(model, folder):
    clip(folder / "clip.avi", moving(20))
    _, rows = predicted(model, folder / "clip.avi", every=6, out=folder.parent / "out")
    assert [int(row["frame"]) for row in rows] == [0, 6, 12, 18]
    assert [float(row["seconds"]) for row in rows] == pytest.approx([0, 0.6, 1.2, 1.8], abs=0.02)
    capture = cv2.VideoCapture(str(folder.parent / "out" / "annotated" / "clip.avi.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10 / 6, abs=0.01)


def test_faces_of_another_video_are_others(model, folder):
    for name in ("a.avi", "b.avi"):
        clip(folder / name, moving(4))
    _, rows = predicted(model, folder)
    faces = {(row["file"], row["face"]) for row in rows}
    assert faces >= {("a.avi", "1"), ("b.avi", "1")}
    assert all(face in ("", "1", "2") for _, face in faces)


def test_a_video_that_was_cut_off_keeps_what_there_is_and_is_told(model, folder):
    path = clip(folder / "clip.avi", moving(40))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    _, rows = predicted(model, folder)
    assert 5 < len(rows) < 36
    assert list(unreadable(folder.parent / "out")) == ["clip.avi"]


def test_progress_reaches_its_end(model, folder):
    put(folder / "a.png", drawn_picture(0))
    clip(folder / "b.avi", moving(5))
    (folder / "c.jpg").write_text("no picture")
    seen = []
    predicted(model, folder, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1] == (8, 8)
    assert all(done <= total for done, total in seen)


def test_the_same_command_replaces_and_other_results_are_left_alone(model, folder, tmp_path):
    put(folder / "a.png", drawn_picture(0))
    put(folder / "b.png", drawn_picture(1))
    predicted(model, folder)
    (folder / "a.png").unlink()
    _, rows = predicted(model, folder)
    assert [row["file"] for row in rows] == ["b.png"]
    assert [path.name for path in (tmp_path / "out" / "annotated").iterdir()] == ["b.png"]
    before = (tmp_path / "out" / "predictions.csv").read_bytes()
    other = FaceModel(drawn_model(tmp_path / "other.onnx", "learning_game"))
    for change, words in (({"model": other}, "another model"), ({"source": folder / "b.png"}, "another input")):
        options = {"model": model, "source": folder, "out": tmp_path / "out"} | change
        with pytest.raises(UserError, match=rf"out=.*holds the results of {words}.*Choose another folder with out="):
            predict(**options, detector=FakeDetector(), rules=FaceRules())
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == before


def test_where_nothing_could_be_read_the_next_input_may_take_the_folder(model, folder, tmp_path):
    (folder / "a.jpg").write_text("no picture")
    put(folder / "b.png", drawn_picture(1))
    with pytest.raises(UserError, match="it cannot be read"):
        predicted(model, folder / "a.jpg")
    _, rows = predicted(model, folder / "b.png")
    assert [row["file"] for row in rows] == ["b.png"]


@pytest.mark.parametrize("content", ["diary.txt", "summary.json"])
def test_a_folder_with_other_things_is_not_written_to(content, model, folder, tmp_path):
    put(folder / "a.png", drawn_picture(0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / content).write_text('{"status": "done"}')
    with pytest.raises(
        UserError, match=r"out=.*: this folder holds files that are not results of this command\. Choose"
    ):
        predicted(model, folder)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [content]
    with pytest.raises(UserError, match=r"out=.*: this is a file\. Give a folder"):
        predicted(model, folder, out=tmp_path / "out" / content)


def test_results_within_the_input_are_not_looked_at_again(model, folder):
    put(folder / "a.png", drawn_picture(0))
    for _ in range(2):
        _, rows = predicted(model, folder, out=folder / "predictions")
        assert [row["file"] for row in rows] == ["a.png"]


def test_what_is_interrupted_leaves_no_table_and_can_be_done_anew(model, folder, tmp_path):
    for number in range(3):
        put(folder / f"{number}.png", drawn_picture(number))

    class Interrupted(FakeDetector):
        def __call__(self, picture):
            if self.seen == 2:
                raise KeyboardInterrupt
            return super().__call__(picture)

    with pytest.raises(KeyboardInterrupt):
        predicted(model, folder, detector=Interrupted(), batch_size=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotated", "summary.json"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "running"
    summary, rows = predicted(model, folder)
    assert len(rows) == 3
    assert summary["status"] == "done"


def test_few_pictures_are_held_at_once(model, folder, monkeypatch):
    """Images without faces never fill a batch."""
    for number in range(12):
        put(folder / f"{number:02}.png", drawn_picture(number, faces=0))
    monkeypatch.setattr(labeller, "HELD", 3 * 320 * 240 * 3)
    held = []
    numbered = labeller._Numbering.seen

    def counted(self, waiting, probabilities):
        held.append(len(waiting))
        return numbered(self, waiting, probabilities)

    monkeypatch.setattr(labeller._Numbering, "seen", counted)
    summary, _ = predicted(model, folder)
    assert held == [3, 3, 3, 3]
    assert summary["counts"]["pictures"] == 12


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("every", -1)])
def test_numbers_that_make_no_sense_are_refused(name, value, model, folder):
    put(folder / "a.png", drawn_picture(0))
    with pytest.raises(UserError, match=rf"{name}={value}: must be 1 or more"):
        predicted(model, folder, **{name: value})


def test_nothing_to_look_at_is_said_before_anything_is_written(model, folder, tmp_path):
    with pytest.raises(UserError, match=r"this folder has no images or videos\. Allowed are \.jpg"):
        predicted(model, folder)
    with pytest.raises(UserError, match=r"input=.*nowhere: no such file or folder\. Give a photo"):
        predicted(model, tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_no_half_table(model, folder, tmp_path):
    clip(folder / "clip.avi", (np.asarray(portrait()) for _ in range(60)))
    with small_disk(tmp_path / "out", "64k") as out:
        with pytest.raises(OSError, match=r"could not be written|No space left"):
            predicted(model, folder, out=out)
        assert not (out / "predictions.csv").exists()


def test_a_copy_whose_name_or_side_is_too_long_stops_nothing(model, folder):
    for name in ("n" * 247, "m" * 247):
        put(folder / f"{name}.jpg", whole("happy"), "JPEG")
    put(folder / "wide.tiff", np.zeros((40, 70_000, 3), np.uint8), "TIFF")
    summary, _ = predicted(model, folder, detector=WholePicture())
    assert (summary["counts"]["pictures"], unreadable(folder.parent / "out")) == (3, {})
    copies = sorted(path.name for path in (folder.parent / "out" / "annotated").iterdir())
    assert len(copies) == 3
    assert copies[-1] == "wide.tiff.png"


def test_a_model_that_says_what_is_no_number_is_told(model, folder, monkeypatch):
    put(folder / "one.png", whole("happy"))
    monkeypatch.setattr(FaceModel, "_run", lambda self, crops: np.full((len(crops), 7), np.nan))
    with pytest.raises(UserError, match="returned numbers that are not probabilities"):
        predicted(model, folder, detector=WholePicture())


def test_a_label_below_the_least_confidence_is_not_sure(model, folder):
    put(folder / "a.png", whole("happy"))
    put(folder / "b.png", np.full((100, 100, 3), 36, np.uint8))  # the edge between the first two classes
    summary, rows = predicted(model, folder, detector=WholePicture(), min_confidence=0.9)
    assert [row["label"] for row in rows] == ["happy", "not sure"]
    assert float(rows[1]["angry"]) > 0
    assert summary["counts"]["labels"]["not sure"] == 1
    assert summary["settings"]["min_confidence"] == 0.9
    with pytest.raises(UserError, match=r"min_confidence=2"):
        Processing(min_confidence=2)


def test_faces_are_cut_in_the_form_of_the_model():
    """A network on RGB faces of 64 pixels receives such crops."""
    shapes = []

    class Model:
        metadata = replace(drawn_metadata(), crop=crop_rule(ImageForm(64, color=True)))

        def __call__(self, crops):
            shapes.append(crops.shape)
            return np.full((len(crops), 7), 1 / 7, np.float32)

    label = labeller.FaceLabeller(Model(), FakeDetector(), FaceRules(), batch_size=8, min_confidence=0.0)
    ((_, seen),) = label([Look("a.png", drawn_picture(0, faces=2))])
    assert (len(seen), shapes) == (2, [(2, 64, 64, 3)])
