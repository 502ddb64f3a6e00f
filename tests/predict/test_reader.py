"""One call from images to faces: every kind of input, the words of its refusals, and calls from several threads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from collect_portraits import encoded, portrait
from face_models import crop_of, drawn_model
from face_video import write_video
from PIL import Image

import fer_lightning
from fer_lightning import FaceReader
from fer_lightning.errors import UserError
from fer_lightning.faces import shipped


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")


@pytest.fixture(scope="module")
def reader(path) -> FaceReader:
    """A reader of faces that are cut out already, batches of two."""
    return FaceReader(path, detector="whole", batch_size=2, threads=1)


def cut_out(label: str, side: int = 100) -> np.ndarray:
    return np.repeat(crop_of(label, side=side)[..., None], 3, axis=2)


def photo(folder, name: str, pixels: np.ndarray) -> str:
    (folder / name).write_bytes(encoded(pixels))
    return str(folder / name)


def test_a_portrait_becomes_one_face(path):
    (face,) = FaceReader(path, threads=1)(portrait())
    x, y, width, height = face.box
    assert abs(x + width / 2 - 223) < 20
    assert abs(y + height / 2 - 119) < 20
    assert face.doubt is None
    assert face.label == max(face.probabilities, key=face.probabilities.get)
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert (face.image, face.number, face.file, face.frame) == (0, 1, None, None)


def test_every_kind_of_input_gives_the_same_face(reader, tmp_path):
    pixels = cut_out("happy")
    file = photo(tmp_path, "a.png", pixels)
    expected = reader(pixels).probabilities
    for one in (file, tmp_path / "a.png", tmp_path, pixels[..., 0], Image.fromarray(pixels), [file], iter([pixels])):
        assert np.array_equal(reader(one).probabilities, expected), one
    assert reader(tmp_path)[0].file == "a.png"


def test_lists_are_batched_and_keep_their_order(reader):
    labels = ["happy", "sad", "fear", "angry", "neutral"]
    faces = reader([cut_out(label) for label in labels])
    assert [(face.image, face.label) for face in faces] == list(enumerate(labels))
    assert faces.probabilities.shape == (5, 7)
    assert len(reader([])) == 0


def test_a_video_names_frames_seconds_and_tracks(reader, tmp_path):
    video = write_video(tmp_path / "v.mp4", [cut_out("happy", side=96)] * 4, fps=5.0)
    faces = reader(video)
    assert [face.frame for face in faces] == [0, 1, 2, 3]
    assert {face.number for face in faces} == {1}
    assert faces[3].seconds > faces[1].seconds > 0


def test_the_tracks_of_two_videos_with_the_same_name_are_separate(reader, tmp_path):
    videos = [tmp_path / folder / "v.mp4" for folder in ("a", "b")]
    for video in videos:
        video.parent.mkdir()
        write_video(video, [cut_out("happy", side=96)] * 3, fps=5.0)
    faces = reader(videos)
    assert [(face.frame, face.number) for face in faces] == 2 * [(0, 1), (1, 1), (2, 1)]


def test_a_low_probability_is_not_sure(path):
    classes = fer_lightning.FaceReader(path, detector="whole", threads=1).classes
    level = round(255 / len(classes))  # the edge between the first two classes: each has about a half
    edge = np.full((64, 64), level, np.uint8)
    for min_confidence, label in ((0.0, classes[0]), (0.9, "not sure")):
        (face,) = FaceReader(path, detector="whole", min_confidence=min_confidence, threads=1)(edge)
        assert face.label in (label, classes[1]) if min_confidence == 0 else face.label == label
        assert face.confidence < 0.9


def test_faces_become_a_table(reader):
    frame = reader([cut_out("happy"), cut_out("sad")]).to_dataframe()
    assert list(frame.label) == ["happy", "sad"]
    assert {"x", "y", "width", "height", "doubt", *reader.classes} <= set(frame.columns)
    assert "happy" in reader([]).to_dataframe().columns


def test_without_pandas_the_extra_is_named(reader, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"needs pandas.*fer_lightning\[dataframe\]"):
        reader(cut_out("sad")).to_dataframe()


def test_threads_share_a_reader(path):
    reader = FaceReader(path, threads=1)
    pictures = [portrait(), portrait()[:, ::-1], portrait()[20:, 10:]] * 2
    expected = [reader(picture)[0].box for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        assert [faces[0].box for faces in pool.map(reader, pictures)] == expected


def test_an_unreadable_file_is_named_and_never_skipped_in_silence(reader, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"?")
    with pytest.raises(UserError, match=r"broken.png: .*damaged"):
        reader(tmp_path / "broken.png")
    photo(tmp_path, "good.png", cut_out("sad"))
    with pytest.warns(UserWarning, match=r"broken.png is skipped"):
        faces = reader(tmp_path)
    assert [face.file for face in faces] == ["good.png"]
    assert faces.unreadable[0][0] == "broken.png"


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("nowhere.jpg", r"nowhere.jpg: no such file"),
        (np.zeros((4, 4, 3)), r"float64 \(4, 4, 3\): must be uint8 .*255"),
        (np.zeros((4, 4, 4), np.uint8), r"must be uint8 \(H, W, 3\)"),
        (7, r"images is a int: must be a path"),
    ],
)
def test_an_input_that_is_not_an_image_is_refused(reader, images, words):
    with pytest.raises(UserError, match=words):
        reader(images)


@pytest.mark.parametrize("settings", [{"min_confidence": 1.5}, {"batch_size": 0}, {"detector": "mtcnn"}])
def test_a_setting_outside_its_range_is_refused(path, settings):
    with pytest.raises(UserError, match=f"({next(iter(settings))}|kind)="):
        FaceReader(path, **settings)


def test_without_a_shipped_network_the_error_says_what_to_give(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "MODEL", tmp_path / "face.onnx")
    with pytest.raises(UserError, match=r"model=shipped: this version has no network.*fer_lightning.export"):
        FaceReader()


def test_an_unknown_public_name_is_an_attribute_error():
    assert not hasattr(fer_lightning, "FaceRecognizer")


class Tensor:
    """Object that is read by iteration and has .numpy(), as a tensor of torch."""

    def __iter__(self):
        return iter(range(3))

    def numpy(self):
        return cut_out("happy")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("", r"images='': must be the path"),
        ([""], r"images='': must be the path"),
        (Tensor(), r"images is a Tensor: must be .*\.numpy\(\)"),
        (Image.fromarray(np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)), r"values from 0 to 1, .*unclear"),
    ],
)
def test_input_that_would_be_another_image_is_rejected(images, words, reader):
    with pytest.raises(UserError, match=words):
        reader(images)
    assert len(reader(Tensor().numpy())) == 1


@pytest.mark.parametrize("setting", [{"batch_size": 1.5}, {"batch_size": 0}, {"threads": 1.5}])
def test_counts_are_whole_numbers(setting, path):
    with pytest.raises(UserError, match=rf"{next(iter(setting))}=.*: must be .*1 or more"):
        FaceReader(path, **setting)


def test_an_empty_path_is_no_run():
    with pytest.raises(UserError, match="path='': must be the folder of a run"):
        fer_lightning.load_run("")
