"""Logger for Weights & Biases. With an API key the run is uploaded; without one it stays on this disk."""

import logging
import os
import re
import uuid
from pathlib import Path
from typing import Any

from dotenv import load_dotenv
from lightning.pytorch.loggers import WandbLogger

from fer_lightning.errors import UserError
from fer_lightning.failures import require_package
from fer_lightning.files import write_atomically
from fer_lightning.paths import ENV_FILE

LEAST_LETTERS = 40  # of an API key

log = logging.getLogger("fer_lightning")


class WandbRun(WandbLogger):
    """Lightning's logger, which also uploads the results of a finished run."""

    def publish(self, folder: Path, summary: dict[str, Any]) -> None:
        """Send the plots, the test metrics and best.ckpt (as an artifact) of a finished run."""
        import wandb

        run = self.experiment
        run.log({f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted((folder / "plots").glob("*.png"))})
        run.summary.update({"best": summary["best"], "test": summary["test"], "split": summary["split"]})
        name = re.sub(r"[^\w.-]", "-", summary["name"], flags=re.ASCII)  # W&B accepts no other letters
        artifact = wandb.Artifact(f"{name}-{run.id}", type="model", metadata=summary)
        artifact.add_file(str(folder / "checkpoints" / "best.ckpt"))
        artifact.add_file(str(folder / "config.yaml"))
        run.log_artifact(artifact)
        run.finish()


def refuse_wrong_key() -> None:
    """Raise UserError if WANDB_API_KEY cannot be a key. Without this check, the run would end after its preparation."""
    load_dotenv(ENV_FILE)
    key = os.environ.get("WANDB_API_KEY", "")
    if key and os.environ.get("WANDB_MODE") not in ("offline", "disabled") and len(key) < LEAST_LETTERS:
        raise UserError(
            f"WANDB_API_KEY has {len(key)} letters: must have {LEAST_LETTERS} or more. Fix it in .env. "
            "Without a key, the run stays offline."
        )


def build_wandb(folder: str, run_config: dict, project: str, tags: list[str]) -> WandbRun:
    """Return a logger that resumes the W&B run of this folder, if there is one.

    WANDB_API_KEY and WANDB_ENTITY are read from the environment or from .env. Without a key the logger works offline
    and logs a line about it.
    """
    require_package("wandb")
    load_dotenv(ENV_FILE)
    mode = os.environ.get("WANDB_MODE")
    keyless = not os.environ.get("WANDB_API_KEY") and mode != "disabled"
    offline = keyless or mode == "offline"
    if keyless:
        log.info(
            "W&B: WANDB_API_KEY is not set, so this run stays offline. To upload it: wandb sync %s/wandb/*",
            folder,
        )
    return WandbRun(
        name=Path(folder).name,
        project=project,
        entity=os.environ.get("WANDB_ENTITY") or None,
        id=_run_id(Path(folder)),
        resume="allow",
        group=Path(folder).parent.name,
        tags=tags,
        config=run_config,
        save_dir=folder,
        offline=offline,
        log_model=False,
    )


def _run_id(folder: Path) -> str:
    path = folder / ".wandb_id"
    if not path.exists():
        write_atomically(path, uuid.uuid4().hex[:12])
    return path.read_text()
