"""Settings of the game's difficulty, for `controller.Controller`."""

from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting

MOST_LEVELS = 100  # of the live protocol


@dataclass(frozen=True, kw_only=True)
class DifficultySettings(Settings):
    """Limits that hold for every policy."""

    levels: int = setting(10, "number of levels; 1 is the easiest", minimum=1, maximum=MOST_LEVELS)
    start: int = setting(3, "first level; a value outside 1 to difficulty.levels is moved to the nearest level")
    cooldown_seconds: float = setting(20, "minimum seconds between two changes of level by the policy", minimum=0)
    min_tasks: int = setting(3, "minimum number of finished tasks on a level before the policy changes it", minimum=0)
    stand_seconds: float = setting(2, "seconds for which a proposal must persist before it is applied", minimum=0)
    reversal: float = setting(
        2, "factor on cooldown and tasks for a change against the direction of the last one", minimum=1
    )
    state_seconds: float = setting(20, "time constant in seconds of the average state that the policy sees", minimum=0)
