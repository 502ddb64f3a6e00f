"""Commands of a user, from a provider's first answer to a network with the new classes."""

import csv
import json

import numpy as np
import pytest
from collect_provider_server import ProviderServer
from collect_rows import drawn
from collect_runs import WHOLE, Reviewer, draw_pictures, run
from conftest import run_train

from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.ingest import ingest
from fer_lightning.labels import TAXONOMIES, USAGES
from fer_lightning.machine import fitting_experiment

GAME = TAXONOMIES["learning_game"].classes


def a_small_fer2013(folder) -> str:
    """A store of 420 drawn faces, of every class and usage."""
    random = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    for number in range(420):
        pixels = np.clip(drawn(9000 + number % 7).astype(int) + random.integers(-20, 20, (48, 48)), 0, 255)
        lines.append(f"{number % 7},{' '.join(map(str, pixels.ravel()))},{USAGES[0 if number < 300 else number % 3]}")
    (folder / "fer2013.csv").write_text("\n".join(lines))
    ingest(str(folder / "fer2013.csv"), str(folder / "store"))
    return str(folder / "store")


@pytest.mark.slow
def test_from_the_provider_through_the_review_to_training(tmp_path, image_host):
    root, store, out = tmp_path / "collection", a_small_fer2013(tmp_path), tmp_path / "export"
    common = (*WHOLE, f"root={root}", f"fer2013={store}", f"export.folder={out}")
    with ProviderServer(image_host.url("/").rstrip("/"), works_per_query=30) as server:
        for emotion in ("frustration", "boredom"):
            words = (*common, f"emotion={emotion}", "target=10", "oversample=3", "emotion.languages=[en]")
            openverse = (
                f"provider.endpoint={server.openverse}",
                "provider.hosts=[127.0.0.1]",
                "provider.requests_per_minute=10000",
                "fetch.allow_loopback=true",
                "fetch.requests_per_second=1000",
            )
            said = run("search", "fetch", "detect", "dedupe", *words, *openverse)
            assert "new images of" in said
            reviewer = Reviewer(*words)
            assert len(reviewer.faces) >= 20
            reviewer.decide(reviewer.faces[:18], "accept", emotion)
            reviewer.decide(reviewer.faces[18:], "reject")
            assert f"18 {emotion}" in reviewer.finish()
    said = run("merge", "tally", "export", *common)
    assert "36 faces accepted" in said
    assert "36 faces in" in said
    following = f"python train.py{fitting_experiment()} data.taxonomy=learning_game data.extra={out}/custom.csv"
    assert following in said.replace("\n", "")
    with open(out / "provenance.csv", newline="") as handle:
        assert {row["label"] for row in csv.DictReader(handle)} == {"frustration", "boredom"}

    ended = run_train(
        "data=fer2013",
        f"data.root={store}",
        "data.taxonomy=learning_game",
        f"data.extra={out}/custom.csv",
        "data.batch_size=32",
        "data.train_eval_rows=30",
        "model=resemotenet",
        "model.width=0.0625",
        "model.input_size=48",
        "model.in_channels=1",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "threads=1",
        "callbacks.progress.style=plain",
        f"output_dir={tmp_path / 'outputs'}",
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    (folder,) = (tmp_path / "outputs" / "train").glob("*seed-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    with open(folder / "predictions.csv", newline="") as handle:
        tested = list(csv.DictReader(handle))
    assert {"frustration", "boredom"} <= {row["label"] for row in tested}
    assert {f"p_{name}" for name in GAME} <= set(tested[0]) or set(GAME) <= set(tested[0])
    assert (folder / "plots" / "confusion.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_folder_through_the_whole_chain_and_a_second_run_that_adds(tmp_path):
    folder = draw_pictures(tmp_path / "photographs", range(12))
    common = (*WHOLE, "provider=local", f"provider.path={folder}", f"root={tmp_path / 'c'}", f"fer2013={tmp_path}")
    said = run("search", "fetch", "detect", "dedupe", *common)
    assert "12 new images of frustration" in said
    assert "not compared with FER2013" in said
    reviewer = Reviewer(*common)
    reviewer.decide(reviewer.faces[:10], "accept", "frustration")
    reviewer.decide(reviewer.faces[10:11], "minor")
    assert "1 undecided" in reviewer.finish()
    assert "10 faces accepted, 1 rejected" in run("merge", *common)

    draw_pictures(folder, range(12, 15))
    said = run("search", "fetch", "detect", "dedupe", "merge", "tally", *common)
    assert "3 new images of frustration" in said
    assert "10 faces accepted, 1 rejected, 0 open; 0 of these are new or changed" in said
    assert "learning_game also needs boredom. Run the same make collect with EMOTION=boredom" in run("export", *common)
    with Collection(tmp_path / "c") as collection:
        gone = collection.value("SELECT image FROM current_face JOIN current_settled ON face = current_face.id "
                                "WHERE outcome = 'accepted'")  # fmt: skip
    assert "1 accepted face;" in run("purge", "--id", gone[:12], f"root={tmp_path / 'c'}").replace("\n", " ")
    assert "0 faults" in run("verify", *common)
    assert "0 new images" in run("search", *common)
    assert "9 faces accepted" in run("fetch", "detect", "dedupe", "merge", *common)
