"""Class folders of whole photographs: each face is found and cut as the collector does, and none is lost unseen."""

import io
import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from collect_portraits import (
    MODEL,
    FakeDetector,
    drawn_picture,
    encoded,
    enlarged,
    lying,
    mirrored,
    portrait,
    two_faces,
)
from fer_forms import Samples
from PIL import Image

from fer_lightning.data import ingest as ingesting
from fer_lightning.data.ingest import ingest, main
from fer_lightning.data.readers.photographs import Photographs
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.data.store import open_store
from fer_lightning.errors import UserError
from fer_lightning.faces import model_file
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.find import find_face
from fer_lightning.faces.settings import FaceRules
from fer_lightning.labels import TAXONOMIES

FER = TAXONOMIES["fer2013"]


def put(root, **files):
    """`happy__a_png=bytes` to root/happy/a.png"""
    for name, content in files.items():
        path = root.joinpath(*name.replace("_png", ".png").replace("_jpg", ".jpg").split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def drawn_folder(root):
    return put(
        root,
        train__happy__a_png=encoded(drawn_picture(1)),
        train__sad__b_jpg=encoded(drawn_picture(2), "JPEG"),
        train__sad__none_png=encoded(drawn_picture(3, faces=0)),
        test__happy__small_png=encoded(drawn_picture(4, face_height=60)),
        test__happy__two_png=encoded(drawn_picture(5, faces=2, size=(400, 240))),
        test__sad__c_png=encoded(drawn_picture(6)),
    )


def photographs(**rules):
    return Photographs(FakeDetector(), FaceRules(**rules))


def test_each_face_is_cut_out_and_what_is_left_out_is_named(tmp_path):
    faces = read_faces(drawn_folder(tmp_path), FER, photographs=photographs())
    assert faces.source == ["test/happy/two.png", "test/sad/c.png", "train/happy/a.png", "train/sad/b.jpg"]
    assert [FER.classes[label] for label in faces.labels] == ["happy", "sad", "happy", "sad"]
    assert faces.usage.tolist() == [2, 2, 0, 0]
    found = find_face(drawn_picture(1), FakeDetector(), FaceRules())
    assert np.array_equal(faces.pixels[2], found.crop)
    assert faces.form == "class folders of photographs"
    notes = "\n".join(faces.notes)
    assert "1 photograph (train/sad/none.png) skipped: no face" in notes
    assert "1 photograph (test/happy/small.png) skipped: too small" in notes
    assert "1 photograph (test/happy/two.png) with a second face of nearly the same size" in notes
    assert "found and cropped with drawn" in notes
    assert "resized" not in notes


def test_a_note_names_the_first_few(tmp_path):
    files = {f"happy__{number}_png": encoded(drawn_picture(number, faces=0)) for number in range(5)}
    put(tmp_path, happy__face_png=encoded(drawn_picture(9)), **files)
    notes = read_faces(tmp_path, FER, photographs=photographs()).notes
    assert "5 photographs (happy/0.png, happy/1.png, happy/2.png, ...) skipped: no face" in notes


def test_photographs_without_any_face_are_refused(tmp_path):
    put(tmp_path, happy__a_png=encoded(drawn_picture(1, faces=0)), sad__b_png=encoded(drawn_picture(2, face_height=60)))
    with pytest.raises(UserError, match=r"has a usable face.*happy/a.png.*no face; .*sad/b.png.*too small"):
        read_faces(tmp_path, FER, photographs=photographs())


def moving(form):
    frames = [Image.new("L", (48, 48), shade) for shade in (0, 100, 200)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


def huge():
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


ODD = {
    "happy/phone.heic": b"\0\0\0\x18ftypheic",
    "sad/moving.gif": moving("GIF"),
    "happy/cut.jpg": encoded(drawn_picture(2), "JPEG")[:2000],
    "happy/nothing.jpg": b"",
    "happy/poster.png": huge(),
    "happy/moving.webp": moving("WEBP"),
}


def test_odd_files_among_photographs_are_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lightning.data.readers.images.MAX_FILE", 1 << 20)
    files = {"happy/a.png": encoded(drawn_picture(1)), "happy/long.jpg": bytes((1 << 20) + 1)}
    faces = read_faces(write(tmp_path, ODD | files), FER, photographs=photographs())
    assert faces.source == ["happy/a.png"]
    assert faces.notes[1:] == [
        "2 photographs (happy/phone.heic, sad/moving.gif) skipped: not PNG, JPEG or WebP",
        "2 photographs (happy/cut.jpg, happy/nothing.jpg) skipped: not a readable PNG, JPEG or WebP",
        "1 photograph (happy/long.jpg) skipped: larger than 1 MiB",
        "1 photograph (happy/moving.webp) skipped: an animation",
        "1 photograph (happy/poster.png) skipped: larger than 8192 pixels per side or 40,000,000 in total",
    ]


@pytest.mark.parametrize("name", ODD)
def test_without_photos_each_odd_file_is_an_error(name, tmp_path):
    write(tmp_path, {"happy/a.png": encoded(drawn_picture(1)), "sad/b.png": encoded(drawn_picture(2)), name: ODD[name]})
    with pytest.raises(UserError, match=f"^{name}: "):
        read_faces(tmp_path, FER)


@pytest.mark.parametrize("odd", [ODD, {"happy/phone.heic": ODD["happy/phone.heic"]}])
def test_odd_files_alone_are_refused(odd, tmp_path):
    with pytest.raises(UserError, match=r"no photograph has a usable face\. .*happy/phone\.heic.* skipped: not PNG"):
        read_faces(write(tmp_path, odd), FER, photographs=photographs())


def test_a_class_folder_without_any_file_is_refused_among_photographs_too(tmp_path):
    write(tmp_path, {"happy/a.png": encoded(drawn_picture(1))})
    (tmp_path / "sad").mkdir()
    with pytest.raises(UserError, match="sad: this folder holds no PNG, JPEG or WebP image"):
        read_faces(tmp_path, FER, photographs=photographs())


def test_webp_is_a_photograph(tmp_path):
    write(tmp_path, {"happy/a.webp": encoded(drawn_picture(1), "WEBP", lossless=True)})
    faces = read_faces(tmp_path, FER, photographs=photographs())
    assert np.array_equal(faces.pixels[0], find_face(drawn_picture(1), FakeDetector(), FaceRules()).crop)


def test_an_odd_file_more_makes_the_store_again(tmp_path):
    source, root = write(tmp_path / "photos", {"happy/a.png": encoded(drawn_picture(1))}), str(tmp_path / "store")
    ingest(str(source), root, photographs=photographs())
    write(source, {"happy/phone.heic": b"?"})
    result = ingest(str(source), root, photographs=photographs())
    assert result.outcome.startswith("written again: the source has changed")
    assert "happy/phone.heic" in " ".join(result.manifest["notes"])


def test_a_warning_is_a_plain_line(tmp_path, monkeypatch, capsys):
    def open_other():
        warnings.warn("another detector", stacklevel=2)
        return FakeDetector()

    monkeypatch.setattr(ingesting, "open_detector", open_other)
    shown = warnings.showwarning
    assert main([str(drawn_folder(tmp_path / "photos")), str(tmp_path / "store"), "--photos"]) == 0
    assert capsys.readouterr().err == "warning: another detector\n"
    assert warnings.showwarning is shown


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("given", ["yes", "no", "false", "0", ""])
def test_make_passes_a_switch_on_as_it_is_typed(given):
    command = ["make", "-n", "data", "FROM=x", f"PHOTOS={given}", f"COLOR={given}"]
    here = Path(__file__).parents[2]
    without = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    said = subprocess.run(command, cwd=here, env=without, capture_output=True, text=True, check=True).stdout
    assert ('photos="$PHOTOS"' in said) == ('color="$COLOR"' in said) == bool(given)


def test_a_csv_has_no_photographs(tmp_path):
    path = Samples().csv(tmp_path / "fer2013.csv")
    for source in (path, tmp_path):
        with pytest.raises(UserError, match=r"PHOTOS=yes: FROM=.*already cut out\. Omit PHOTOS"):
            read_faces(source, FER, photographs=photographs())


def test_a_store_of_photographs_is_not_taken_for_one_of_faces_nor_for_one_under_other_rules(tmp_path):
    source, root = str(drawn_folder(tmp_path / "photos")), str(tmp_path / "store")

    def outcome(photographs=None):
        result = ingest(source, root, photographs=photographs)
        return result.outcome.split(":")[0], result.manifest["rows"]

    assert outcome(photographs()) == ("written", 4)
    assert outcome(photographs()) == ("reused", 4)
    assert outcome() == ("written again", 6)
    assert outcome() == ("reused", 6)
    assert outcome(photographs(min_face_px=50)) == ("written again", 5)
    assert outcome(photographs()) == ("written again", 4)


def test_a_store_made_under_older_rules_of_reading_is_written_again(tmp_path):
    source, root = str(Samples().csv(tmp_path / "fer2013.csv")), tmp_path / "store"
    ingest(source, str(root))
    manifest = json.loads((root / "store.json").read_text())
    for name in ("photographs", "rules"):
        del manifest["source"][name]
    del manifest["sha256"]  # older stores lack it
    (root / "store.json").write_text(json.dumps(manifest))
    assert ingest(source, str(root)).outcome.startswith("written again: the rules for reading")
    assert ingest(source, str(root)).outcome.startswith("reused")


def test_images_that_look_like_photographs_are_told(tmp_path):
    put(tmp_path, happy__a_png=encoded(drawn_picture(1, size=(400, 300))), sad__b_png=encoded(drawn_picture(2)))
    assert "PHOTOS=yes" not in " ".join(read_faces(tmp_path, FER).notes)
    put(tmp_path, sad__c_png=encoded(drawn_picture(3, size=(300, 400))))
    assert "2 images are larger than 256 x 256" in " ".join(read_faces(tmp_path, FER).notes)
    assert "PHOTOS=yes" not in " ".join(read_faces(tmp_path, FER, photographs=photographs()).notes)


@pytest.mark.slow
def test_make_data_photos_yes_as_a_user_types_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(model_file.ENVIRONMENT, MODEL)
    put(
        tmp_path / "photos",
        happy__upright_png=encoded(portrait()),
        happy__lying_jpg=lying(portrait()),
        happy__mirrored_png=encoded(mirrored(portrait())),
        happy__grey_png=encoded(portrait()[..., 1]),
        sad__two_png=encoded(two_faces(0.5)),
        sad__nobody_png=encoded(portrait()[300:]),
        neutral__large_jpg=encoded(enlarged(portrait(), 3), "JPEG"),
    )
    assert main([str(tmp_path / "photos"), str(tmp_path / "store"), "--photos"]) == 0
    said = capsys.readouterr().out
    assert "1 photograph (sad/nobody.png) skipped: no face" in said
    assert "yunet-2023mar" in said
    store = open_store(tmp_path / "store")
    faces = dict(zip(store.source, store.pixels, strict=True))
    assert np.array_equal(faces["happy/upright.png"], find_face(portrait(), open_detector(MODEL), FaceRules()).crop)
    assert len(faces) == 6
    for name, face in faces.items():
        expected = faces["happy/upright.png"][:, :: -1 if "mirrored" in name else 1]
        assert np.corrcoef(face.ravel(), expected.ravel())[0, 1] > 0.9, name


def test_make_data_photos_yes_with_a_wrong_model_says_so(tmp_path, monkeypatch, capsys):
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"?")
    monkeypatch.setenv(model_file.ENVIRONMENT, str(wrong))
    assert main([str(drawn_folder(tmp_path / "photos")), str(tmp_path / "store"), "--photos"]) == 2
    assert "its SHA-256 is" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
