"""Wrong commands are rejected with a message, before any request and before any file is written."""

import os
import shutil
import subprocess

import pytest
from collect_rows import decide
from collect_runs import draw_pictures
from conftest import ROOT

from fer_lightning.collect.__main__ import ALONE, CHAIN, config, main
from fer_lightning.collect.session import CollectRun
from fer_lightning.collect.store.collection import Collection
from fer_lightning.config.groups import options

REFUSED = {
    "serch": "serch: no such step. Did you mean search?",
    "emotion=boredm": "emotion=boredm: no such option. Did you mean emotion=boredom?",
    "provider=bing": "Allowed: commons, google, local, openverse.",
    "target=ten": "target='ten': must be a whole number, 1 or more (number of accepted faces wanted",
    "target=0": "target=0: must be 1 or more (number of accepted faces wanted for this emotion). The default is 200.",
    "oversample=0.5": "oversample=0.5: must be from 1 to 1000",
    "targt=3": "targt: no such key. Did you mean target?",
    "review.prt=3": "review.prt: no such key. Did you mean review.port? Allowed: annotator, second_pass, share, port.",
    "review.port=70000": "review.port=70000: must be from 0 to 65535",
    "review.annotator=": "review.annotator='': must be a pseudonym of at most 40",
    "provider.page_sze=9": "provider.page_sze: no such key. Did you mean provider.page_size?",
    "emotion.langages=[en]": "Did you mean emotion.languages?",
    "faces.kind=mtcnn": "faces.kind='mtcnn': must be one of",
    "review.share=2": "review.share=2.0",
    "fetch.at_once=0": "fetch.at_once=0: must be 1 or more (simultaneous downloads;",
    "fetch.requests_per_second=0": "fetch.requests_per_second=0.0: must be greater than 0 (maximum requests per se",
    "oversample=nan": "oversample=nan",
    "faces.size=20": "faces.size=20: must be from 32 to 512 (side of the cropped faces in pixels; null: that of the",
    "faces.color=blue": "faces.color=blue: must be true or false or null",
    "faces.min_score=2": "faces.min_score=2.0: must be from 0 to 1",
    "export.taxonomy=fer": "export.taxonomy='fer': must be one of fer2013, affectnet8",
    "provider._target_=os.system": "provider._target_=os.system: not allowed here",
    "purge": "purge: must be the only step, with exactly one of --id, --creator, --url, --minors",
    "purge --id 12 --url x": "purge: must be the only step, with exactly one of --id, --creator, --url, --minors",
    "purge merge --id 12": "purge: must be the only step",
    "merge --id 12": "--id: only purge takes this option",
    "search provider=local": "provider.path: not set. Name a folder of images",
    "export": "this folder holds no collection. Start one with `search`: make collect",
    "purge --creator Ann": "this folder holds no collection",
}


@pytest.mark.parametrize("words", REFUSED)
def test_wrong_commands_are_refused_in_words(words, tmp_path, monkeypatch, capsys):
    arguments = [*words.split(), f"root={tmp_path}", f"fer2013={tmp_path}"]
    monkeypatch.setattr("sys.argv", ["collect", *arguments])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert REFUSED[words] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["Jörg", "O'Neil", "Smith, Ann", "a (b) $c", "C:\\", "back\\'slash", "[x]", "true", "7"]
)
def test_names_and_paths_may_hold_any_letter(text):
    assert config([f"review.annotator={text}"]).review.annotator == text
    assert config(["provider=local", f"provider.path=../{text}"]).provider.path == f"../{text}"


def test_cropped_faces_that_are_refused_name_the_keys_for_them(tmp_path, capsys):
    photographs, store = draw_pictures(tmp_path / "photographs", range(2), side=48), tmp_path / "store"
    words = ["emotion=boredom", "provider=local", f"provider.path={photographs}", f"root={tmp_path / 'collection'}"]
    main(["search", "fetch", "detect", "dedupe", *words, "faces.kind=whole", f"fer2013={store}"])
    said = capsys.readouterr().out
    assert "no image has a usable face: too small (2)." in said
    assert "run the same command again with faces.kind=whole faces.min_face_px=48" in said
    assert f"not compared with FER2013: fer2013={store}: this folder does not hold a store" in said
    main(["detect", *words, "faces.kind=whole", "faces.min_face_px=48"])
    said = capsys.readouterr().out
    assert "2 faces in 2 new images" in said
    assert "no image has a usable face" not in said


@pytest.mark.slow
def test_a_collection_follows_the_form_that_it_began_with(tmp_path, capsys):
    photographs, root = draw_pictures(tmp_path / "photographs", range(2)), tmp_path / "collection"
    words = ["emotion=boredom", "provider=local", f"provider.path={photographs}", f"root={root}", "faces.kind=whole"]
    words.append(f"fer2013={tmp_path}")
    main(["search", "fetch", "detect", "dedupe", *words, "faces.size=64", "faces.color=yes"])
    with Collection(root) as collection:
        faces = collection.rows("SELECT id, crop FROM face ORDER BY id")
        assert [len(face["crop"]) for face in faces] == [64 * 64 * 3] * 2
        for face, label in zip(faces, ("boredom", "frustration"), strict=True):
            decide(collection, face["id"], label=label)
    capsys.readouterr()
    main(["detect", "merge", "export", *words])
    said = capsys.readouterr().out
    assert "0 faces in 0 new images" in said
    assert (
        "model.in_channels=3 data.root=STORE, where STORE holds faces of 64 x 64 RGB pixels: make data SIZE=64" in said
    )
    with pytest.raises(SystemExit):
        main(["detect", *words, "faces.size=48"])
    assert f"faces.size=48 faces.color=yes: the collection {root} holds faces of 64 x 64 RGB" in capsys.readouterr().err


def test_an_export_of_nothing_names_the_way_on(tmp_path, monkeypatch, capsys):
    Collection(tmp_path).close()
    with pytest.raises(SystemExit):
        main(["export", f"root={tmp_path}"])
    assert "nothing to export: no face is accepted yet. Review the faces:" in capsys.readouterr().err


def test_every_step_has_its_method_and_its_place_in_the_help():
    from fer_lightning.collect import __main__

    for step in (*CHAIN, *ALONE):
        assert callable(getattr(CollectRun, step))
        assert f" {step} " in __main__.__doc__


@pytest.mark.parametrize("provider", options("collect/provider"))
@pytest.mark.parametrize("emotion", options("collect/emotion"))
def test_every_option_composes(provider, emotion):
    cfg = config([f"provider={provider}", f"emotion={emotion}"])
    assert cfg.emotion.name == emotion
    assert cfg.emotion.definition.strip()


def test_keys_of_the_environment_example_are_those_that_are_read():
    from fer_lightning.collect.session import KEYS

    example = (ROOT / ".env.example").read_text()
    assert all(f"\n{name}=" in example for name in KEYS)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_collect_takes_size_and_color():
    without = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    for words, passed in (((), ""), (("SIZE=112", "COLOR=yes"), 'faces.size="$SIZE" faces.color="$COLOR"')):
        command = ["make", "-n", "collect", *words]
        said = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, check=True).stdout
        assert passed in said
        assert ("faces." in said) == bool(passed)
    faces = config(["faces.size=112", "faces.color=yes"]).faces
    assert (faces.size, faces.color) == (112, True)
