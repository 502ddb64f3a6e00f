"""The model card: what an exported file is, how good, and what it must not be used for. From its metadata alone.

After the sections of Mitchell et al. 2019, Model Cards for Model Reporting (arXiv:1810.03993).
"""

import math
from collections.abc import Iterable, Sequence

from fer_lightning.faces.metadata import Metadata

Z = 1.959964  # of a 95 % interval
CLEAN = "*Clean* rows are no copies, exact or near, of rows that it was trained or chosen on, and they show a face."
OFFICIAL = " Of all of them, FER2013's PrivateTest, 8 % are such copies."

UNMEASURED = (
    "**Nobody has measured it on test rows: its run had not come to an end when it was exported.** Use it for nothing "
    "but trying things out."
)


def card(metadata: Metadata, file: str) -> str:
    """Markdown about the exported file of this name."""
    sections = [
        (f"# Model card: {metadata.name}", _what(metadata)),
        ("## How it was trained", _training(metadata)),
        ("## How often it is right", _accuracy(metadata)),
        ("## What it takes for what", _confusion(metadata)),
        ("## How far to trust a probability", _calibration(metadata)),
        ("## What the file stores", _file(metadata)),
        ("## Where the faces come from", _provenance(metadata)),
        ("## Limits", LIMITS),
        ("## The law", LAW),
        ("## What not to do with it", OUT_OF_SCOPE),
        ("## How to use the file", _use(metadata, file)),
    ]
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections) + "\n"


def _what(metadata: Metadata) -> str:
    return (
        f"A network that gives, for the picture of one face, a probability for each of {len(metadata.classes)} words: "
        f"{', '.join(metadata.classes)}. It predicts **which word people would put to a picture**. It does not know "
        "what anybody feels: a face is not an emotion, and one picture is no conversation.\n\n"
        "It is meant for research, for teaching how such networks fail, and for games and demonstrations with adults "
        "who have agreed to exactly that."
    )


def _training(metadata: Metadata) -> str:
    network, data = metadata.network, metadata.data
    transformer = "no spatial transformer" if network["stn"] == "none" else f"spatial transformer `{network['stn']}`"
    return "\n".join(
        (
            f"- Run `{metadata.name}`, network `{network['model']}`, {transformer}, {network['parameters']:,} weights.",
            f"- It sees a grey face of 48 x 48 pixels, scaled to {network['input_size']} x {network['input_size']}.",
            f"- Data `{data['name']}` (checksum `{data['checksum'][:12]}`), split `{data['split']}` (checksum "
            f"`{data['split_checksum'][:12]}`).",
            f"- Exported {metadata.exported} by the code of commit `{metadata.commit[:12]}`.",
        )
    )


def _accuracy(metadata: Metadata) -> str:
    if "test" not in metadata.metrics:
        return "\n\n".join((UNMEASURED, _figures(metadata)))
    return "\n\n".join(part for part in (_figures(metadata), _copies(metadata), _by_class(metadata)) if part)


def _figures(metadata: Metadata) -> str:
    names = {"val": "validation rows, which chose the checkpoint", "test": "test rows", "test_clean": "clean test rows"}
    rows = [
        (names[name], *(_percent(figures.get(key)) for key in ("acc", "recall_mean", "f1_macro")))
        for name in ("test", "test_clean", "val")
        if (figures := metadata.metrics.get(name))
    ]
    return _table(("rows", "accuracy", "mean recall", "macro-F1"), rows)


def _copies(metadata: Metadata) -> str:
    if "test_clean" not in metadata.metrics:
        return ""
    official = (metadata.data["name"], metadata.data["split"]) == ("fer2013", "official")
    return CLEAN + (OFFICIAL if official else "")


def _by_class(metadata: Metadata) -> str:
    """Recall of each class, with Wilson's interval where the rows are known (Wilson 1927, JASA 22:209-212)."""
    if metadata.confusion is None:
        return _table(("class", "recall"), [(name, _percent(metadata.recall[name])) for name in metadata.classes])
    rows = []
    for name, counts, place in zip(metadata.classes, metadata.confusion, range(len(metadata.classes)), strict=True):
        others = [(count, other) for count, other in zip(counts, metadata.classes, strict=True) if other != name]
        most, other = max(others, key=lambda pair: pair[0])
        low, high = _interval(counts[place], sum(counts))
        found = f"{_percent(metadata.recall[name])} [{_percent(low)}, {_percent(high)}]" if sum(counts) else "unknown"
        rows.append((name, f"{sum(counts):,}", found, f"{other}, {_percent(most / sum(counts))}" if most else ""))
    return "Recall is the share of a class's faces that it finds, here with a 95 % interval:\n\n" + _table(
        ("class", "test rows", "recall", "most often taken for"), rows
    )


def _interval(hits: int, rows: int) -> tuple[float, float]:
    if not rows:
        return 0.0, 1.0
    share, spread = hits / rows, Z**2 / rows
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def _confusion(metadata: Metadata) -> str:
    if metadata.confusion is None:
        return "Unknown, since its run has no test rows yet."
    rows = [(f"**{name}**", *counts) for name, counts in zip(metadata.classes, metadata.confusion, strict=True)]
    return "Test rows: the class that they are labelled with, by the class that was predicted.\n\n" + _table(
        ("labelled \\ predicted", *metadata.classes), rows
    )


def _calibration(metadata: Metadata) -> str:
    entry = metadata.calibration
    if entry is None:
        return (
            "Nobody has measured it: no validation rows were at hand when the file was exported. Its temperature is 1, "
            "so a probability is what the network learned, which is often too high or too low."
        )
    figures = [
        (name, *(_percent(entry[when][key]) for key in ("acc", "ece")), f"{entry[when]['ce']:.3f}")
        for name, when in (("checkpoint, as trained", "before"), ("this file", "after"))
    ]
    thresholds = [
        (f"{part['threshold']:.1f}", _percent(part["coverage"]), _percent(part["accuracy"]))
        for part in entry["by_confidence"]
    ]
    return "\n\n".join(
        (
            f"The file divides the logits by {metadata.temperature:.3f}. This temperature has the smallest "
            f"cross-entropy on the {entry['rows']:,} validation rows (Guo et al. 2017, arXiv:1706.04599). The same "
            "rows chose the checkpoint and are measured here, so other faces can be a little worse:",
            _table(("validation rows", "accuracy", "calibration error", "cross-entropy, nats"), figures),
            "If faces whose highest probability is below a threshold are left unanswered:",
            _table(("threshold", "share of faces answered", "accuracy on these"), thresholds),
        )
    )


def _file(metadata: Metadata) -> str:
    form, size = metadata.weights["form"], metadata.weights["bytes"]
    return "\n".join(
        (
            f"- Weights as {form}, {size / 1e6:.2f} MB. All computation is in float32.",
            f"- Compared with the checkpoint: {checked_in_words(metadata)}.",
            "- The test figures above were measured with the checkpoint.",
        )
    )


def checked_in_words(metadata: Metadata) -> str:
    """Return how close the file is to its checkpoint; "not compared" if nobody has looked."""
    entry = metadata.checked
    if entry is None:
        return "not compared"
    return (
        f"equal labels on {100 * entry['equal_labels']:.2f} % of {entry['faces']:,} {entry['words']}, and "
        f"probabilities within {entry['difference']:.1g}"
    )


def calibration_in_words(metadata: Metadata) -> str:
    """Return the temperature with the validation figures before and after."""
    entry = metadata.calibration
    if entry is None:
        return "not calibrated, temperature 1: no validation rows at hand (data_root=PATH names the store)"
    (acc, ece, ce), (new_acc, new_ece, new_ce) = (
        [entry[when][key] for key in ("acc", "ece", "ce")] for when in ("before", "after")
    )
    return (
        f"temperature {metadata.temperature:.3f}; on {entry['rows']:,} validation rows, checkpoint to file: accuracy "
        f"{_percent(acc)} to {_percent(new_acc)}, calibration error {_percent(ece)} to {_percent(new_ece)}, "
        f"cross-entropy {ce:.3f} to {new_ce:.3f}"
    )


def _provenance(metadata: Metadata) -> str:
    if metadata.data["name"] == "synthetic":
        return DRAWN
    own = [name for name in metadata.classes if name not in FER2013_CLASSES]
    added = f"\n\nFaces of {', '.join(own)} are not in FER2013; whoever trained it added them: {OWN}" if own else ""
    return FER2013 + added


def _use(metadata: Metadata, file: str) -> str:
    return (
        f"Crop the face first, as the training faces are: a square around the middle of YuNet's box, its side "
        f"{metadata.crop['side_of_height']} times the box's height. Grey, scale and normalisation are part of the "
        "file. The order of the probabilities is the order of the words above.\n\n"
        "```python\n"
        "import json\n"
        "import os\n\n"
        "import numpy as np\n\n"
        'os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, or onnxruntime may tell its maker of its use\n'
        "import onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{file}")\n'
        "faces = np.zeros((1, 96, 96, 3), np.uint8)  # N crops of any size: RGB, not BGR; or grey, C = 1\n"
        '(probabilities,) = session.run(["probabilities"], {"faces": faces})\n'
        'words = json.loads(session.get_modelmeta().custom_metadata_map["fer_lightning"])["classes"]\n'
        "```\n\n"
        "With this project's own detector and crop:\n\n"
        "```bash\n"
        f"python -m fer_lightning.predict model={file} input=photographs\n"
        "```"
    )


FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

FER2013 = """\
FER2013 ([Goodfellow et al. 2013](https://arxiv.org/abs/1307.0414)): pictures from web searches for 184 emotion
keywords, cut out by a face detector and scaled to 48 x 48 grey pixels. The people shown were never asked. Many of the
pictures are posed, stock photographs among them. The labels are noisy: the plurality of ten
[FER+](https://github.com/microsoft/FERPlus) taggers agrees with 62.3 % of those of PrivateTest (measured on the data
set), so that a figure above says how well the network repeats *these* labels."""

OWN = "ask them for the dataset card that `python -m fer_lightning.collect` writes."

DRAWN = """\
**Drawn by a program.** No photograph of anybody was used, and no figure above says anything about faces of people."""

LIMITS = """\
- **Posed, not felt.** It has learnt from expressions that somebody made for a picture. How it does on the faces of
  everyday life was not measured.
- **Whom it fails.** Who is in its data, by age, skin tone, sex or country, was never counted, so no figure above is
  known for any group of people. Do not point it at children.
- **How a face is seen.** Tilted, turned, covered (hands, masks, hair, glasses) or badly lit faces are outside what it
  knows, and it answers all the same. It sees 48 x 48 grey pixels: no colour, no detail, no movement, no context.
- **What it has no word for.** Every face gets one of its words, a face of concentration or pain as well.
- **Probabilities.** They say how sure the network is. That is how often it is right on faces like its validation rows
  only. If the highest is low, the honest answer is: unknown.
- **Rare classes.** Look at the recall by class above before you build on one of them."""

LAW = """\
Article 5(1)(f) of the EU's AI Act (Regulation 2024/1689) forbids AI systems that infer emotions of people at work and
in education, except for medical or safety reasons; a learning game played at school is such a case. Other places have
other laws. This is no legal advice: ask before you deploy."""

OUT_OF_SCOPE = """\
- No decisions about people: not for hiring, grading, policing, credit, insurance, health or advertising.
- Not at work, at school, or wherever somebody cannot say no without a cost.
- Not on people who do not know, or have not agreed: no hidden cameras, no pictures of strangers.
- Not to tell lies, moods, diagnoses, attention or character: it measures none of these."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    align = ["---" if place == 0 else "---:" for place in range(len(head))]
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join(align) + " |", *lines])


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
