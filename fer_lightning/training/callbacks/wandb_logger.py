"""Weights & Biases, when asked for: with an account the run is synchronised, without one it stays on this disk."""

import logging
import os
import uuid
from pathlib import Path
from typing import Any

from dotenv import load_dotenv
from lightning.pytorch.loggers import WandbLogger

from fer_lightning.files import write_atomically

log = logging.getLogger("fer_lightning")


class WandbRun(WandbLogger):
    """Lightning's logger, plus what a finished run has to show."""

    def publish(self, folder: Path, summary: dict[str, Any]) -> None:
        """Send the plots, the test figures and best.ckpt (as an artifact) of a finished run."""
        import wandb

        run = self.experiment
        run.log({f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted((folder / "plots").glob("*.png"))})
        run.summary.update({"best": summary["best"], "test": summary["test"], "split": summary["split"]})
        artifact = wandb.Artifact(f"{summary['name']}-{run.id}", type="model", metadata=summary)
        artifact.add_file(str(folder / "checkpoints" / "best.ckpt"))
        artifact.add_file(str(folder / "config.yaml"))
        run.log_artifact(artifact)
        run.finish()


def build_wandb(folder: str, run_config: dict, project: str, tags: list[str]) -> WandbRun:
    """A logger whose run goes on where this folder's run was left.

    Reads WANDB_API_KEY and WANDB_ENTITY from the environment or .env; without a key it works offline and says so.
    """
    load_dotenv()
    keyless = not os.environ.get("WANDB_API_KEY")
    offline = keyless or os.environ.get("WANDB_MODE") == "offline"
    if keyless:
        log.info(
            "W&B: no WANDB_API_KEY in .env, so this run is kept offline; `wandb sync %s/wandb/*` sends it",
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
