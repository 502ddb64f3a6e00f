"""Report of a sweep: a comparison of its arms and the state of each run. A sweep need not be finished for a report.

python -m fer_lightning.report outputs/overfitting-cpu
python -m fer_lightning.report outputs/overfitting-cpu --out results/overfitting-cpu --no-pictures
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from fer_lightning.errors import UserError
from fer_lightning.files import in_words
from fer_lightning.wording import message

PROGRAM = "python -m fer_lightning.report"


def main() -> None:
    parser = argparse.ArgumentParser(PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep, or parent folder of several")
    parser.add_argument("--out", metavar="PATH", type=Path, help="folder of the report; default: DIR/report")
    parser.add_argument("--baseline", metavar="ARM", help="arm to compare the others with; default: the first arm")
    parser.add_argument("--no-pictures", action="store_true", help="show no faces, so that you may publish the report")
    arguments = parser.parse_args()
    from fer_lightning.report.sweep import write_report

    try:
        page = write_report(arguments.folder, arguments.out, arguments.baseline, not arguments.no_pictures)
    except UserError as error:
        refuse(str(error))
    except OSError as error:
        refuse(in_words(error))
    print(f"{page}, and in the same folder table.md, table.csv and figures/")


def refuse(reason: str) -> NoReturn:
    print(message(f"report: {reason}"), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
