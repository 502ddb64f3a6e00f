"""Model card of an exported file: its contents, its accuracy and its limits. It is written only from the metadata.

The sections follow Mitchell et al. 2019, Model Cards for Model Reporting (arXiv:1810.03993).
"""

import math
from collections.abc import Iterable, Sequence

from fer_lightning.faces.metadata import Metadata
from fer_lightning.wording import markdown

Z = 1.959964  # quantile of the normal distribution for a 95 % interval
CLEAN = "*Clean* test rows show a face and are not copies, exact or near, of training or validation rows."
OFFICIAL = " The test rows are FER2013's PrivateTest; 8 % of them are such copies."

UNMEASURED = (
    "**Nobody has measured it on test rows: its run was not finished when it was exported.** Use it only for "
    "experiments."
)


def card(metadata: Metadata, file: str) -> str:
    """Return the model card in Markdown for an exported file of this name."""
    sections = [
        (f"# Model card: {markdown(metadata.name)}", _introduction(metadata)),
        ("## How it was trained", _training(metadata)),
        ("## How often it is right", _accuracy(metadata)),
        ("## Which classes it confuses", _confusion(metadata)),
        ("## How far to trust a probability", _calibration(metadata)),
        ("## What the file stores", _file(metadata)),
        ("## Where the faces come from", _provenance(metadata)),
        ("## Limits", LIMITS),
        ("## The law", LAW),
        ("## What not to do with it", OUT_OF_SCOPE),
        ("## How to use the file", _usage(metadata, file)),
    ]
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections) + "\n"


def _introduction(metadata: Metadata) -> str:
    return (
        f"For an image of one face, this network returns a probability for each of {len(metadata.classes)} classes: "
        f"{', '.join(metadata.classes)}. It predicts **which of these words people would choose for the image**. It "
        "does not know what anybody feels: a face is not an emotion.\n\n"
        "It is meant for research, for teaching how such networks fail, and for games and demonstrations with adults "
        "who have agreed to this use."
    )


def _training(metadata: Metadata) -> str:
    data = {name: markdown(value) for name, value in metadata.data.items()}
    network = {name: markdown(value) for name, value in metadata.network.items()}
    transformer = "no spatial transformer" if network["stn"] == "none" else f"spatial transformer {network['stn']}"
    weights = f"{metadata.network['parameters']:,} weights"
    return "\n".join(
        (
            f"- Run {markdown(metadata.name)}, network {network['model']}, {transformer}, {weights}.",
            f"- Input: a grey face of 48 x 48 pixels, scaled to {network['input_size']} x {network['input_size']}.",
            f"- Data {data['name']} (checksum {data['checksum'][:12]}), split {data['split']} (checksum "
            f"{data['split_checksum'][:12]}).",
            f"- Exported {metadata.exported} by the code of commit {markdown(metadata.commit[:12])}.",
        )
    )


def _accuracy(metadata: Metadata) -> str:
    if "test" not in metadata.metrics:
        return "\n\n".join((UNMEASURED, _metrics(metadata)))
    return "\n\n".join(part for part in (_metrics(metadata), _copies(metadata), _by_class(metadata)) if part)


def _metrics(metadata: Metadata) -> str:
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
    """Return the recall of each class, with Wilson's interval if there are counts (Wilson 1927, JASA 22:209-212)."""
    if metadata.confusion is None:
        return _table(("class", "recall"), [(name, _percent(metadata.recall[name])) for name in metadata.classes])
    rows = []
    for index, (name, counts) in enumerate(zip(metadata.classes, metadata.confusion, strict=True)):
        others = [(count, other) for count, other in zip(counts, metadata.classes, strict=True) if other != name]
        most, other = max(others, key=lambda pair: pair[0])
        low, high = _interval(counts[index], sum(counts))
        recall = f"{_percent(metadata.recall[name])} [{_percent(low)}, {_percent(high)}]" if sum(counts) else "unknown"
        rows.append((name, f"{sum(counts):,}", recall, f"{other}, {_percent(most / sum(counts))}" if most else ""))
    return (
        "Recall is the share of a class's faces that are predicted as this class, with a 95 % interval:\n\n"
        + _table(("class", "test rows", "recall", "most frequent wrong class"), rows)
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
        return "Unknown, because its run has not tested yet."
    rows = [(f"**{name}**", *counts) for name, counts in zip(metadata.classes, metadata.confusion, strict=True)]
    return "Number of test rows by labelled class (lines) and predicted class (columns).\n\n" + _table(
        ("labelled \\ predicted", *metadata.classes), rows
    )


def _calibration(metadata: Metadata) -> str:
    entry = metadata.calibration
    if entry is None:
        return (
            "Nobody has measured this: the validation rows were missing when the file was exported. The temperature is "
            "1, so probabilities are as the network learned them, which is often too high or too low."
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
            f"cross-entropy on the {entry['rows']:,} validation rows (Guo et al. 2017, arXiv:1706.04599). The table is "
            "measured on the same rows, which also chose the checkpoint. Results on other faces can be slightly worse.",
            _table(("validation rows", "accuracy", "calibration error", "cross-entropy, nats"), figures),
            "The next table is for a threshold: faces whose highest probability is below it get no answer.",
            _table(("threshold", "share of faces with an answer", "accuracy on these faces"), thresholds),
        )
    )


def _file(metadata: Metadata) -> str:
    form, size = metadata.weights["form"], metadata.weights["bytes"]
    return "\n".join(
        (
            f"- Weights as {form}, {size / 1e6:.2f} MB. All computation is in float32.",
            f"- Compared with the checkpoint: {describe_comparison(metadata)}.",
            "- The test metrics above were measured with the checkpoint.",
        )
    )


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


def _provenance(metadata: Metadata) -> str:
    if metadata.data["name"] == "synthetic":
        return DRAWN
    own = [name for name in metadata.classes if name not in FER2013_CLASSES]
    added = (
        f"\n\nFaces of {', '.join(own)} are not in FER2013. The person who trained the network added them. {OWN}"
        if own
        else ""
    )
    return FER2013 + added


def _usage(metadata: Metadata, file: str) -> str:
    return (
        f"Crop the face first, as the training faces are cropped: a square around the centre of YuNet's box, with a "
        f"side of {metadata.crop['side_of_height']} times the box's height. The file itself converts to grey, scales "
        "and normalises. The probabilities are in the order of the classes above.\n\n"
        "```python\n"
        "import json\n"
        "import os\n\n"
        "import numpy as np\n\n"
        'os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, or onnxruntime may send usage data\n'
        "import onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{file}")\n'
        "faces = np.zeros((1, 96, 96, 3), np.uint8)  # N crops of any size, RGB (not BGR), or grey with one channel\n"
        '(probabilities,) = session.run(["probabilities"], {"faces": faces})\n'
        'classes = json.loads(session.get_modelmeta().custom_metadata_map["fer_lightning"])["classes"]\n'
        "```\n\n"
        "With this project's own detector and crop:\n\n"
        "```bash\n"
        f"python -m fer_lightning.predict model={file} input=photographs\n"
        "```"
    )


FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

FER2013 = """\
FER2013 ([Goodfellow et al. 2013](https://arxiv.org/abs/1307.0414)): images from web searches for 184 emotion keywords,
cropped by a face detector and scaled to 48 x 48 grey pixels. The people in them were never asked. Many of the images
are posed, and some are stock photographs. The labels are noisy: the plurality of ten
[FER+](https://github.com/microsoft/FERPlus) taggers agrees with 62.3 % of the labels of PrivateTest (measured on the
data set). So the metrics above say how well the network repeats *these* labels."""

OWN = "Ask them for the dataset card that `python -m fer_lightning.collect` writes."

DRAWN = """\
**Drawn by a program.** No photograph of a person was used. The metrics above say nothing about faces of people."""

LIMITS = """\
- **Posed faces.** It was trained on expressions that people made for a camera. Its accuracy on faces of everyday life
  was not measured.
- **Groups of people.** Nobody counted the people in its data by age, skin tone, sex or country, so its accuracy is not
  known for any group. Do not use it on children.
- **Difficult images.** It was not trained for faces that are tilted, turned, covered (hands, masks, hair, glasses) or
  badly lit, but it still returns probabilities for them. It receives 48 x 48 grey pixels: no colour, no small details,
  no movement, no context.
- **Other expressions.** Every face gets one of its classes, even a face of concentration or pain.
- **Probabilities.** A probability is the network's own confidence. It equals the share of correct answers only on
  faces like its validation rows. If the highest probability is low, answer "unknown".
- **Rare classes.** Check the recall of a class above before you rely on it."""

LAW = """\
Article 5(1)(f) of the EU's AI Act (Regulation 2024/1689) forbids AI systems that infer emotions of people at work and
in education, except for medical or safety reasons. A learning game played at school is such a case. Other countries
have other laws. This is not legal advice: ask a lawyer before you deploy it."""

OUT_OF_SCOPE = """\
- Do not make decisions about people with it: hiring, grading, policing, credit, insurance, health or advertising.
- Do not use it at work, at school, or where people cannot refuse without a disadvantage.
- Do not use it on people who do not know about it or have not agreed: no hidden cameras, no images of strangers.
- Do not use it to detect lies, moods, illnesses, attention or character. It does not measure any of these."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    align = ["---" if index == 0 else "---:" for index in range(len(head))]
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join(align) + " |", *lines])


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
