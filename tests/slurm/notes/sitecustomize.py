"""Python imports this at its start where PYTHONPATH leads here: each rank leaves in $NOTES what it draws, and where."""

import json
import os
from pathlib import Path

from torch import Tensor

from fer_lightning.samplers.base import GlobalSampler

positions = GlobalSampler.positions


def noted(self: GlobalSampler) -> Tensor:
    drawn = positions(self)
    note = {"node": os.environ["SLURMD_NODENAME"], "positions": drawn.tolist()}
    Path(os.environ["NOTES"], f"rank-{self.rank}_epoch-{self.epoch}.json").write_text(json.dumps(note))
    return drawn


GlobalSampler.positions = noted
