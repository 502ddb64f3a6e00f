"""Report of a sweep: a comparison of its arms and the state of each run. A sweep need not be finished for a report.

    python -m fer_lightning.report sweep=outputs/overfitting-cpu
    python -m fer_lightning.report sweep=outputs/overfitting-cpu out=results/overfitting-cpu pictures=no

sweep        folder of a sweep, or parent folder of several
out          folder of the report (default: SWEEP/report)
baseline     arm to compare the others with (default: the first arm)
pictures=no  show no faces, so that you may publish the report
"""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING, OmegaConf

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF


@dataclass
class ReportSettings:
    """Settings of a report."""

    sweep: str = MISSING  # folder of a sweep, or parent folder of several
    out: str | None = None  # folder of the report; null: SWEEP/report
    baseline: str | None = None  # arm to compare the others with; null: the first arm
    pictures: bool = True  # false: no faces, so that the report may be published


COMMAND = Command(
    "python -m fer_lightning.report",
    ReportSettings,
    CONF / "report" / "report.yaml",
    texts=("sweep", "out", "baseline"),
)
OLD = OldForm(
    keys=("sweep",),
    options={"--out": "out", "--baseline": "baseline"},
    flags={"--no-pictures": "pictures=no"},
)


def main(arguments: list[str] | None = None) -> None:
    with command.failures_in_words("report", "Nothing is half written"):
        words = command.typed(COMMAND.program, __doc__, "sweep=DIR [key=value ...]", arguments, OLD)
        cfg = command.settings(COMMAND, words)
        if OmegaConf.is_missing(cfg, "sweep"):
            raise UserError(
                f"sweep is not set: must be the folder of a sweep. Example: {COMMAND.program} "
                "sweep=outputs/overfitting-cpu"
            )
        from fer_lightning.report.sweep import write_report

        page = write_report(Path(cfg.sweep), None if cfg.out is None else Path(cfg.out), cfg.baseline, cfg.pictures)
        print(f"{page}, and in the same folder table.md, table.csv and figures/")


if __name__ == "__main__":
    main()
