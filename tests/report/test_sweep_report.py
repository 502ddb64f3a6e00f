"""The sweep's report: complete, self-contained, deaf to hostile names, and written whatever the runs' state."""

import csv
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from blobs import blobs
from conftest import ROOT
from matplotlib.figure import Figure
from PIL import Image
from sweep_folders import write_run, write_sweep

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.ingest import write_store
from fer_lightning.data.readers.faces import ReadFaces
from fer_lightning.data.rows import pixel_digests
from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically
from fer_lightning.labels import TAXONOMIES
from fer_lightning.report import ablation, sweep, sweep_page
from fer_lightning.report.__main__ import main
from fer_lightning.report.ablation import analyse
from fer_lightning.report.arms import Estimate
from fer_lightning.report.sweep import write_report
from fer_lightning.report.sweep_figures import arm_panels, curve_panels, gap_panels, styles
from fer_lightning.report.sweep_runs import read_sweep
from fer_lightning.report.sweep_tables import in_percent, mean_and_deviation

HOSTILE = "<script>alert('x')</script>\"' onerror=alert(1) style=\"--c: red\"><b>"
FIGURES = {"curves.png", "fitting.png", "overfitting.png", "differences.png", "calibration.png"}


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, page: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text())
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(ablation, "RESAMPLES", 300)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are written without being drawn, which takes most of a report's time."""
    monkeypatch.setattr(sweep, "png", lambda panels, columns, path, legend: write_atomically(path, "PNG"))
    monkeypatch.setattr(sweep_page, "svg", lambda panel: "data:image/svg+xml;base64,")


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A sweep of three arms with a better one and a failed run, and its page."""
    folder = write_sweep(
        tmp_path_factory.mktemp("sweeps") / "remedies", {"plain": 0, "stn": 0, "better": 0.8}, rows=500
    )
    write_run(folder / "stn_seed-3", "stn", 3, status="failed", error=f"RuntimeError: {HOSTILE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "RESAMPLES", 300)
        write_report(folder)
    return folder, Elements(folder / "report" / "index.html")


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside_and_runs_nothing(reported):
    _, page = reported
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "img" or attributes["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_a_folder_of_the_user_is_kept_and_that_of_a_report_is_replaced(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0}, rows=50)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(UserError, match="files that are not results of this command"):
        write_report(folder, tmp_path / "mine")
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]
    for _ in range(2):
        assert write_report(folder, tmp_path / "out").is_file()


def test_the_summary_tells_what_was_and_was_not_shown(reported):
    _, page = reported
    assert "9 of 10 runs have finished: three arms with three seeds each. Other runs: 1 failed;" in page.text
    assert re.search(
        r"plain reaches [\d.]+ ± [\d.]+ % on all 500 test rows\. Higher with better by [\d.]+ points", page.text
    )
    assert "No difference in accuracy was shown for stn." in page.text
    assert "With three seeds each, the verdicts hold for these networks" in page.text
    assert "Other seeds may give other results" in page.text
    assert "variation between seeds (Student's t), a difference in accuracy is shown for better only." in page.text
    assert "runs were best in the last tenth of their epochs" in page.text
    assert "p =" not in page.text


def test_runs_without_a_result_are_listed_with_their_error_and_the_next_command(reported):
    _, page = reported
    assert f"RuntimeError: {' '.join(HOSTILE.split())}" in page.text
    assert "python train.py hydra.mode=RUN" in page.text


def test_each_row_says_where_it_comes_from(reported):
    _, page = reported
    for fact in ("c0ffeec0ff", "official ababababab", "Pretended Processor, 2 cores", "bf16-mixed", "test reads"):
        assert fact in page.text
    assert "python train.py experiment=better seed=2 hydra.mode=RUN" in page.text
    assert "The finished runs took 3.0 h in total, and 2.3 h from the first start to the last end." in page.text


def test_tables_and_figures_stand_beside_the_page(reported):
    folder, _ = reported
    report = folder / "report"
    assert {path.name for path in (report / "figures").iterdir()} == FIGURES
    for name in FIGURES:
        assert min(Image.open(report / "figures" / name).size) > 200
    lines = (report / "table.md").read_text().splitlines()
    assert lines[0].startswith("| arm | seeds | accuracy % | accuracy, clean rows % | macro-F1 % | mean recall % |")
    assert lines[2].startswith("| plain | 3 | ")
    assert "higher by" in lines[4]
    readme = (report / "README.md").read_text()
    assert "\n".join(lines) in readme
    assert {f"(figures/{name})" for name in FIGURES} == set(re.findall(r"!\[.*\](\(.*\))", readme))
    with open(report / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arm"] for row in rows] == ["plain", "stn", "better"]
    difference = float(rows[2]["all/acc/mean"]) - float(rows[0]["all/acc/mean"])
    assert float(rows[2]["all/acc/difference"]) == pytest.approx(difference)
    assert rows[0]["all/acc/difference"] == ""


@pytest.mark.slow
def test_the_same_runs_give_the_same_report(reported, tmp_path):
    folder, _ = reported
    write_report(folder, tmp_path)
    first, second = (
        re.sub("Written .*", "", (out / "index.html").read_text()) for out in (folder / "report", tmp_path)
    )
    assert first == second


def test_hostile_names_stay_text(tmp_path, undrawn):
    names = {"sound": ("plain", "stn"), "hostile": (HOSTILE.replace("/", "|"), "stn")}
    pages = []
    for name, (arm, other) in names.items():
        folder = tmp_path / name / "sweep"
        for place, one in enumerate((arm, other)):
            job = write_run(folder / f"run-{place}", f"arm-{place}", 0)
            summary = json.loads((job / "summary.json").read_text())
            changed = {"arm": one, "hardware": one, "command": one}
            (job / "summary.json").write_text(json.dumps(summary | changed))
        pages.append(Elements(write_report(folder)))
    sound, hostile = pages
    assert [tag for tag, _ in hostile.tags if tag != "wbr"] == [tag for tag, _ in sound.tags if tag != "wbr"]
    assert [sorted(a) for t, a in hostile.tags if t != "wbr"] == [sorted(a) for t, a in sound.tags if t != "wbr"]
    assert not any("alert" in (attributes.get("style") or "") for _, attributes in hostile.tags)
    for name in ("README.md", "table.md"):
        text = (tmp_path / "hostile" / "sweep" / "report" / name).read_text()
        assert "alert" in text
        assert "<b>" not in text


def test_a_metric_without_rows_is_a_dash():
    missing = Estimate(math.nan, math.nan)
    assert {in_percent(missing), mean_and_deviation(missing), sweep_page._plain(missing)} == {"–"}


def test_a_sweep_that_has_only_begun_has_a_page(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0,), status="running")
    page = Elements(write_report(folder))
    assert "0 of 1 runs have finished. Other runs: 1 running" in page.text
    assert "One command fixes all of them: python train.py sweep=pretended" in page.text
    assert (folder / "report" / "table.md").read_text() == "No run has finished yet.\n"


def test_one_run_is_reported_without_deviation_or_comparison(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0,), test_curve=False)
    page = Elements(write_report(folder))
    assert "1 of 1 runs have finished: one arm with one seed." in page.text
    assert "There is one arm, so there is nothing to compare." in page.text
    assert "Test curves were not recorded" in page.text
    assert "nan" not in page.text
    assert "±" not in (folder / "report" / "table.md").read_text()


@pytest.mark.slow
def test_arms_without_a_finished_run_and_tests_without_two_seeds_are_told(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0}, seeds=(0,))
    page = Elements(write_report(folder))
    assert "Differences in the gap are not tested, because the test needs two seeds." in page.text
    assert "No difference in the gap was shown" not in page.text
    summary = json.loads((folder / "stn_seed-0" / "summary.json").read_text())
    (folder / "stn_seed-0" / "summary.json").write_text(json.dumps(summary | {"status": "failed"}))
    page = Elements(write_report(folder))
    assert "Only one arm, plain, has finished runs, so a comparison is not possible yet." in page.text


@pytest.mark.slow
def test_equal_values_draw_figures_without_a_warning(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0}, seeds=(0,), epochs=1)
    for name in ("predictions.csv", "metrics.csv"):
        shutil.copy(folder / "plain_seed-0" / name, folder / "stn_seed-0" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(folder)


def test_values_near_zero_have_readable_labels_whole_dots_and_no_rise(tmp_path):
    found = analyse(read_sweep(write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0,), epochs=2, rows=30)), "plain")
    values = {"gap_best": 0.0, "gap_last": 2e-5, "ce_rise": 2e-5, "ce_epoch": 2.0}
    (arm,) = found.arms
    overfitting = arm.overfitting | {name: Estimate(value, math.nan) for name, value in values.items()}
    flat = replace(found, arms=[replace(arm, overfitting=overfitting)])
    for panel in gap_panels(flat, styles(flat)):
        figure = Figure(figsize=(panel.width, panel.height))
        panel.draw(figure)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        labels = [tick.label1.get_window_extent() for tick in ticks]
        assert len(labels) > 1
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(labels))
        assert not any(line.get_clip_on() for line in axes.lines if line.get_marker() == "o")
    assert "is lowest at epoch 2 and does not rise after it" in sweep_page._about_overfitting(flat)


def test_a_baseline_without_a_result_is_told(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0}, seeds=(0,))
    shutil.rmtree(folder / "plain_seed-0")
    page = Elements(write_report(folder))
    assert "The baseline, plain, has no finished run, so nothing is compared." in page.text
    assert "baseline=stn" in page.text


def test_arms_are_shown_by_what_distinguishes_them(tmp_path, undrawn):
    common = ["data.rows=600", "trainer.max_epochs=1"]
    overrides = {
        f"data.rows-600_optim.lr-{lr}_trainer.max_epochs-1": ["experiment=quickstart", *common, f"optim.lr={lr}"]
        for lr in ("0.01", "0.1")
    }
    folder = write_sweep(tmp_path / "sweep", dict.fromkeys(overrides, 0), seeds=(0, 1), overrides=overrides)
    page = Elements(write_report(folder))
    assert "optim.lr=0.01 reaches" in page.text
    assert "was shown for optim.lr=0.1." in page.text
    assert "| optim.lr=0.1 | 2 |" in (folder / "report" / "table.md").read_text()
    assert "optim.lr=0.1 reaches" in Elements(write_report(folder, baseline="optim.lr=0.1")).text


def test_figures_that_a_report_no_longer_has_are_removed(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0}, seeds=(0,))
    write_report(folder)
    shutil.rmtree(folder / "plain_seed-0")
    write_report(folder)
    assert {path.name for path in (folder / "report" / "figures").iterdir()} == FIGURES - {"differences.png"}


def test_a_line_goes_on_dotted_where_the_first_seed_has_stopped(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0, 1))
    metrics = folder / "plain_seed-1" / "metrics.csv"
    metrics.write_text("\n".join(metrics.read_text().splitlines()[:4]) + "\n")
    found = analyse(read_sweep(folder), "plain")
    figure = Figure()
    curve_panels(found, styles(found))[0].draw(figure)
    solid, dotted, ends = figure.axes[0].lines
    values = [run.history["val/ce"] for run in found.arms[0].runs]
    np.testing.assert_array_equal(solid.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(solid.get_ydata(), (values[0][:3] + values[1]) / 2)
    np.testing.assert_array_equal(dotted.get_xdata(), [3, 4, 5, 6])
    np.testing.assert_allclose(dotted.get_ydata()[1:], values[0][3:])
    np.testing.assert_array_equal(ends.get_xdata(), [6, 3])


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (3, "o"), (4, "None")])
def test_short_curves_have_dots(epochs, marker, tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0, 1), epochs=epochs)
    found = analyse(read_sweep(folder), "plain")
    for panel in (*curve_panels(found, styles(found)), *arm_panels(found, styles(found))):
        figure = Figure()
        panel.draw(figure)
        assert {line.get_marker() for axes in figure.axes for line in axes.lines} == {marker}
        (band,) = figure.axes[0].collections
        assert (band.get_linewidth()[0] > 0) == (epochs == 1)  # one epoch's range over seeds is a stroke
    train, validation = figure.axes[0].lines
    assert train.get_marker() == "None" or train.get_markerfacecolor() == "white"
    assert validation.get_markerfacecolor() == validation.get_color()


def test_sixteen_arms_have_looks_of_their_own(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {f"arm-{place}": 0 for place in range(16)}, seeds=(0,), epochs=2, rows=30)
    found = styles(analyse(read_sweep(folder), "arm-0"))
    assert len({(look.color, look.dash) for look in found.values()}) == 16
    assert found["arm-0"].color == "#333333"


@pytest.fixture
def faces(tmp_path):
    """A store of 60 test faces with votes; their pixels' hashes and where it is."""
    pixels = blobs(60)
    votes = np.zeros((60, len(COLUMNS)), np.uint8)
    votes[:, COLUMNS.index("happiness")] = 7
    votes[:, COLUMNS.index("sadness")] = 3
    usage = np.full(60, 2, np.uint8)
    table = ReadFaces(pixels, np.zeros(60, np.int64), usage, [str(n) for n in range(60)], "pretended")
    (tmp_path / "store").mkdir()
    key = {"path": "pretended", "fingerprint": [], "ferplus": None}
    write_store(tmp_path / "store", table, key, TAXONOMIES["fer2013"], votes)
    return str(tmp_path / "store"), [digest.tobytes().hex() for digest in pixel_digests(pixels)]


def test_the_worst_mistakes_are_shown_beside_peoples_votes(faces, tmp_path, undrawn):
    root, images = faces
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0, 1), rows=60, root=root, images=images)
    page = Elements(write_report(folder))
    pictures = [a for tag, a in page.tags if tag == "img" and a["src"].startswith("data:image/png")]
    assert 3 < len(pictures) <= 24
    assert {a["title"] for a in pictures} <= {image[:12] for image in images}
    assert "Keep this page private." in page.text
    assert "happiness" in page.text
    closed = Elements(write_report(folder, tmp_path / "published", pictures=False))
    assert not [a for tag, a in closed.tags if tag == "img" and a["src"].startswith("data:image/png")]
    assert "This report was written without images of faces." in closed.text


def test_without_a_store_there_is_a_sentence(tmp_path, undrawn):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0,), root=str(tmp_path / "gone"))
    assert f"{tmp_path / 'gone'} does not hold a store of faces" in Elements(write_report(folder)).text


def test_the_command_says_where_the_page_is(reported, tmp_path, capsys, monkeypatch, undrawn):
    folder, _ = reported
    monkeypatch.setattr(sys, "argv", ["report", str(folder), "--out", str(tmp_path / "out"), "--no-pictures"])
    main()
    assert (
        capsys.readouterr().out
        == f"{tmp_path / 'out' / 'index.html'}, and in the same folder table.md, table.csv and figures/\n"
        "next: open the page in a browser\n"
    )


def test_mistakes_are_one_message_and_status_2(reported, tmp_path, capsys, monkeypatch):
    folder, _ = reported
    for arguments, words in (
        ([str(tmp_path / "gone")], "gone: no such folder. Give a sweep's folder"),
        ([str(folder), "--baseline", "best"], f"baseline=best: {folder} has no such arm"),
    ):
        monkeypatch.setattr(sys, "argv", ["report", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert words in capsys.readouterr().err


@pytest.mark.slow
def test_no_torch_is_needed(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0}, seeds=(0,), epochs=2, rows=30, status="running")
    code = (
        "import sys; from pathlib import Path; from fer_lightning.report.sweep import write_report;"
        f"write_report(Path({str(folder)!r})); sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1400])
def test_the_page_fits_a_browser_window(width, reported, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium")
    folder, _ = reported
    asking = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    page = re.sub(r"<meta http-equiv[^>]*>", "", (folder / "report" / "index.html").read_text())
    (tmp_path / "page.html").write_text(page.replace("</body>", asking))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    dumped = subprocess.run([*command, f"file://{tmp_path / 'page.html'}"], capture_output=True, text=True, timeout=240)
    needed, given = map(int, re.search(r"<title>(\d+) of (\d+)</title>", dumped.stdout).groups())
    assert needed <= given
