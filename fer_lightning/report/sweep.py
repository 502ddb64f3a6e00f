"""Report of a sweep: one self-contained page, two tables and figures, made from the files of its runs.

This module does not import torch, so a report can be written during a sweep or on a machine without torch.
"""

from pathlib import Path

from fer_lightning.files import require_own_folder, write_atomically, write_csv
from fer_lightning.report.ablation import analyse, baseline_of
from fer_lightning.report.arms import Ablation
from fer_lightning.report.mistakes import with_pictures, worst_mistakes
from fer_lightning.report.sweep_figures import (
    arm_panels,
    calibration_panels,
    curve_panels,
    difference_panels,
    effect_panels,
    gap_panels,
    png,
    styles,
)
from fer_lightning.report.sweep_page import Figures, render
from fer_lightning.report.sweep_runs import Sweep, read_sweep
from fer_lightning.report.sweep_tables import as_markdown, as_readme, csv_table

MARK = ("index.html", ": sweep report</title>")  # of the folder of a report
NO_PICTURES = "This report was written without images of faces."


def write_report(folder: Path, out: Path | None = None, baseline: str | None = None, pictures: bool = True) -> Path:
    """Write the page, README.md, table.md, table.csv and figures/*.png of a sweep; return the path of the page.

    README.md shows table and figures on a code host.

    out       folder of the report; None: `folder`/report
    baseline  arm to compare the others with; None: the first arm of the sweep
    `pictures`  True: the page shows faces of the data set

    Raise UserError if `folder` has no run or no such arm. Missing and damaged runs are listed in the report.
    """
    if out is not None:
        require_own_folder(out, "out", MARK)
    sweep = read_sweep(folder)
    out = folder / "report" if out is None else out
    ablation = analyse(sweep, baseline_of(sweep, baseline))
    figures = _figures(ablation)
    _write_figures(out / "figures", figures)
    table = as_markdown(ablation)
    write_atomically(out / "table.md", table)
    write_atomically(
        out / "README.md", as_readme(sweep.name, table, sorted(path.name for path in (out / "figures").glob("*.png")))
    )
    header, *rows = csv_table(ablation)
    write_csv(out / "table.csv", header, rows)
    page = out / "index.html"
    write_atomically(page, render(sweep, ablation, figures, *_mistakes(sweep, ablation, pictures)))
    return page


def _figures(ablation: Ablation | None) -> Figures:
    if ablation is None:
        return Figures({})
    look = styles(ablation)
    return Figures(
        look,
        curves=curve_panels(ablation, look),
        by_arm=arm_panels(ablation, look),
        overfitting=gap_panels(ablation, look),
        differences=difference_panels(ablation, look),
        effects=effect_panels(ablation.effects),
        calibration=calibration_panels(ablation, look),
    )


def _write_figures(folder: Path, figures: Figures) -> None:
    """Write the figures as PNG files, and remove old ones that this report does not have."""
    plans = {
        "curves": (figures.curves, 2, True),
        "fitting": (figures.by_arm, 3, False),
        "overfitting": (figures.overfitting, 2, False),
        "differences": (figures.differences, 3, False),
        "effects": (figures.effects, 2, False),
        "calibration": (figures.calibration, 1, True),
    }
    for name, (panels, columns, legend) in plans.items():
        path = folder / f"{name}.png"
        if panels:
            png(panels, min(columns, len(panels)), path, figures.look if legend else None)
        else:
            path.unlink(missing_ok=True)


def _mistakes(sweep: Sweep, ablation: Ablation | None, pictures: bool) -> tuple[list, str]:
    if ablation is None:
        return [], ""
    if not pictures:
        return [], NO_PICTURES
    return with_pictures(worst_mistakes(ablation), sweep.done[0].folder / "config.yaml")
