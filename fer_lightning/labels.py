"""Label orders; all readers, losses, plots and reports use these.

FER2013's codes 0 to 6 are those of the challenge (Goodfellow et al. 2013, arXiv:1307.0414). In the seed project of
`learning_game`, codes 1 and 2 are frustration and boredom, with collected faces, instead of disgust and fear.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of classes; the index of a class is its index in `classes`."""

    name: str
    classes: tuple[str, ...]

    def index(self, label: str) -> int:
        """Return the class index of a name, in any letter case, or of a common synonym.

        Raise ValueError if it is not a class of this taxonomy.
        """
        name = canonical(label)
        if name not in self.classes:
            raise ValueError(f"unknown label {label!r}: the classes of {self.name} are {', '.join(self.classes)}")
        return self.classes.index(name)

    @property
    def colors(self) -> tuple[str, ...]:
        return tuple(COLORS[name] for name in self.classes)


_GAME = ("angry", "frustration", "boredom", "happy", "sad", "surprise", "neutral")

TAXONOMIES = {
    taxonomy.name: taxonomy
    for taxonomy in (
        Taxonomy("fer2013", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")),
        Taxonomy("learning_game", _GAME),
        Taxonomy("learning_game_distracted", (*_GAME, "distracted")),
    )
}

SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "neutrality": "neutral",
    "frustrated": "frustration",
    "bored": "boredom",
    "distraction": "distracted",
}

# Okabe and Ito's palette, which colour-blind readers can distinguish, plus two greys.
COLORS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#E69F00",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
    "neutral": "#777777",
    "frustration": "#882255",
    "boredom": "#44AA99",
    "distracted": "#AAAAAA",
}
NOT_SURE = "not sure"  # label of a face whose highest probability is below `min_confidence`
NOT_SURE_COLOR = "#FFFFFF"

USAGES = ("Training", "PublicTest", "PrivateTest")


def canonical(label: str) -> str:
    """Return the standard spelling of a label: lower case, without synonyms (`Happiness` -> `happy`)."""
    name = label.strip().lower()
    return SYNONYMS.get(name, name)
