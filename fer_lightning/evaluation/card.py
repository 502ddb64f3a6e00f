"""Model card of an exported file: its contents, its accuracy and its limits. It is written only from the metadata.

The text is pages/templates/model_card.md. Its sections follow Mitchell et al. 2019, Model Cards for Model Reporting
(arXiv:1810.03993).
"""

from collections.abc import Iterator
from pathlib import Path

from fer_lightning.faces.metadata import Metadata
from fer_lightning.files import write_atomically
from fer_lightning.labels import TAXONOMIES
from fer_lightning.pages.templates import render_markdown
from fer_lightning.statistics.significance import wilson

ROWS = {"test": "test rows", "test_clean": "clean test rows", "val": "validation rows, which chose the checkpoint"}


def card_path(file: Path) -> Path:
    return file.with_name(f"{file.stem}_card.md")


def write_card(file: Path, metadata: Metadata) -> Path:
    """Write the model card beside an exported file, and return its path."""
    write_atomically(card_path(file), card(metadata, file.name))
    return card_path(file)


def card(metadata: Metadata, file: str) -> str:
    """Return the model card in Markdown for an exported file of this name."""
    return render_markdown(
        "model_card.md",
        model=metadata,
        file=file,
        tested="test" in metadata.metrics,
        official=(metadata.data["name"], metadata.data["split"]) == ("fer2013", "official"),
        origin=metadata.data["name"] if metadata.data["name"] in ("own", "synthetic") else "fer2013",
        added=[name for name in metadata.classes if name not in TAXONOMIES["fer2013"].classes],
        form=metadata.form,
        members=list(_members(metadata)),
        views=metadata.network.get("tta", "none"),
        metrics=_metrics(metadata),
        by_class=list(_by_class(metadata)),
        confusion=[
            (f"**{name}**", *counts) for name, counts in zip(metadata.classes, metadata.confusion or (), strict=False)
        ],
        comparison=describe_comparison(metadata),
        **_calibration(metadata),
    )


def _members(metadata: Metadata) -> Iterator[tuple[str, ...]]:
    """Yield a row for each network of an ensemble; nothing for a single network."""
    for member in metadata.network.get("members", ()):
        side = f"{member['input_size']} x {member['input_size']}"
        facts = (member["model"], member["stn"], side, f"{member['parameters']:,}", _percent(member["test/acc"]))
        yield f"{member['name']}, commit {(member['commit'] or 'unknown')[:12]}", *facts


def _metrics(metadata: Metadata) -> list[tuple[str, ...]]:
    return [
        (words, *(_percent(metrics.get(key)) for key in ("acc", "recall_mean", "f1_macro")))
        for name, words in ROWS.items()
        if (metrics := metadata.metrics.get(name))
    ]


def _by_class(metadata: Metadata) -> Iterator[tuple[str, ...]]:
    """Yield the recall of each class, with its interval and the most frequent wrong class if there are counts."""
    if metadata.confusion is None:
        yield from ((name, _percent(metadata.recall[name])) for name in metadata.classes)
        return
    for index, (name, counts) in enumerate(zip(metadata.classes, metadata.confusion, strict=True)):
        rows = sum(counts)
        others = [(count, other) for count, other in zip(counts, metadata.classes, strict=True) if other != name]
        most, other = max(others, key=lambda pair: pair[0])
        low, high = wilson(counts[index], rows)
        recall = f"{_percent(metadata.recall[name])} [{_percent(low)}, {_percent(high)}]" if rows else "unknown"
        yield name, f"{rows:,}", recall, f"{other}, {_percent(most / rows)}" if most else ""


def _calibration(metadata: Metadata) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of the tables about calibration; {} if it was not measured."""
    entry = metadata.calibration
    if entry is None:
        return {}
    metrics = [
        (name, *(_percent(entry[when][key]) for key in ("acc", "ece")), f"{entry[when]['ce']:.3f}")
        for name, when in (("checkpoint, as trained", "before"), ("this file", "after"))
    ]
    thresholds = [
        (f"{part['threshold']:.1f}", _percent(part["coverage"]), _percent(part["accuracy"]))
        for part in entry["by_confidence"]
    ]
    return {"calibration": metrics, "thresholds": thresholds}


def describe_comparison(metadata: Metadata) -> str:
    """Return the agreement of the file with its checkpoint, or "not compared"."""
    entry = metadata.checked
    if entry is None:
        return "not compared"
    return (
        f"equal labels on {100 * entry['equal_labels']:.2f} % of {entry['faces']:,} {entry['words']}; probabilities "
        f"differ by at most {entry['difference']:.1g}"
    )


def describe_calibration(metadata: Metadata) -> str:
    """Return the temperature with the validation metrics before and after."""
    entry = metadata.calibration
    if entry is None:
        return "not calibrated, temperature 1: validation rows are missing (name their store with data_root=PATH)"
    (acc, ece, ce), (new_acc, new_ece, new_ce) = (
        [entry[when][key] for key in ("acc", "ece", "ce")] for when in ("before", "after")
    )
    return (
        f"temperature {metadata.temperature:.3f}; checkpoint to file on {entry['rows']:,} validation rows: accuracy "
        f"{_percent(acc)} to {_percent(new_acc)}, calibration error {_percent(ece)} to {_percent(new_ece)}, "
        f"cross-entropy {ce:.3f} to {new_ce:.3f}"
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
