"""Report of a sweep: a comparison of its arms and the state of each run. A sweep need not be finished for a report.

    python -m fer_lightning.report sweep=outputs/overfitting-small
    python -m fer_lightning.report sweep=outputs/overfitting-small out=results/overfitting-small pictures=no

The page is SWEEP/report/index.html, or OUT/index.html.
"""

from dataclasses import dataclass
from pathlib import Path

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import Settings, setting
from fer_lightning.paths import CONF


@dataclass(frozen=True, kw_only=True)
class ReportSettings(Settings):
    """Settings of a report."""

    sweep: str = setting(comment="folder of a sweep, or parent folder of several", path=True)
    out: str | None = setting(None, "folder of the report; null: SWEEP/report", path=True)
    baseline: str | None = setting(None, "arm to compare the others with; null: the first arm")
    pictures: bool = setting(True, "false: no faces, so that you may publish the report")


COMMAND = Command(
    "python -m fer_lightning.report",
    ReportSettings,
    CONF / "report" / "report.yaml",
    example="sweep=outputs/overfitting-small",
)
OLD = OldForm(
    keys=("sweep",),
    options={"--out": "out", "--baseline": "baseline"},
    flags={"--no-pictures": "pictures=no"},
)


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("report", "Nothing is half written"):
        overrides = command.read_arguments(COMMAND, __doc__, arguments, OLD)
        cfg = command.settings(COMMAND, overrides)
        from fer_lightning.report.sweep import write_report

        page = write_report(Path(cfg.sweep), None if cfg.out is None else Path(cfg.out), cfg.baseline, cfg.pictures)
        print(f"{page}, and in the same folder table.md, table.csv and figures/")
        print("next: open the page in a browser")


if __name__ == "__main__":
    main()
