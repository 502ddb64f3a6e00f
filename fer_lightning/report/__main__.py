"""The report of a sweep, at any time: what its runs show about its arms, and what has become of each run.

python -m fer_lightning.report outputs/overfitting-cpu
python -m fer_lightning.report outputs/overfitting-cpu --out results/overfitting-cpu --no-pictures
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from fer_lightning.errors import UserError
from fer_lightning.files import in_words

PROGRAM = "python -m fer_lightning.report"


def main() -> None:
    parser = argparse.ArgumentParser(PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, help="a sweep's folder, or one of several sweeps")
    parser.add_argument("--out", metavar="PATH", type=Path, help="where to write it; default: DIR/report")
    parser.add_argument("--baseline", metavar="ARM", help="what the others are compared with; default: the first arm")
    parser.add_argument("--no-pictures", action="store_true", help="without faces of the data set, for publishing")
    arguments = parser.parse_args()
    from fer_lightning.report.sweep import write_report

    try:
        page = write_report(arguments.folder, arguments.out, arguments.baseline, not arguments.no_pictures)
    except UserError as error:
        refuse(str(error))
    except OSError as error:
        refuse(in_words(error))
    print(f"{page}, and beside it table.md, table.csv and figures/")


def refuse(message: str) -> NoReturn:
    print(f"report: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
