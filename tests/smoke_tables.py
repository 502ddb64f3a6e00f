import csv
from pathlib import Path


def table_without_timings(folder: Path) -> list[dict[str, str]]:
    """metrics.csv of a run, less the columns that no two runs share."""
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]
