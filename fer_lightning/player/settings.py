"""Settings of the estimated state of a player, for `state.StateEstimator`."""

from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class StateSettings(Settings):
    """Time constants, weights and the limit below which a state is unknown."""

    face_seconds: float = setting(6, "seconds after which a look at a face counts for a third", above=0)
    text_seconds: float = setting(30, "seconds after which a text counts for a third", above=0)
    face_weight: float = setting(3, "number of independent looks that the mean of the face counts for", minimum=0)
    text_weight: float = setting(1, "number of texts that one text counts for", minimum=0)
    unknown_below: float = setting(0.25, "minimum confidence at which a state is named", minimum=0, maximum=1)
