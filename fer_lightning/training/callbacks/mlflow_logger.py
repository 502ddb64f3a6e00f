"""Logger for MLflow: mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger

from fer_lightning.failures import require_package
from fer_lightning.files import write_atomically
from fer_lightning.runs.processes import is_first_process

DATABASE = "mlflow.db"  # in output_dir, so that one page shows all runs


class MlflowRun(MLFlowLogger):
    """Lightning's logger, which also sends the results of a finished run."""

    def publish(self, folder: Path, summary: dict[str, Any]) -> None:
        """Send the test metrics, and set tags for the split and the commit."""
        test = {name: value for name, value in summary["test"].items() if name.startswith("test/")}
        self.log_metrics(test, step=summary["epochs"])
        for name in ("split", "commit"):
            fact = summary.get(name)
            self.experiment.set_tag(self.run_id, name, fact["checksum"] if isinstance(fact, dict) else fact)


def build_mlflow(folder: str, run_config: dict[str, Any], experiment: str, uri: str | None) -> MlflowRun:
    """Return a logger that resumes the MLflow run of this folder, if there is one.

    uri  tracking server or database; None: MLFLOW_TRACKING_URI of the environment, or else output_dir/mlflow.db
    """
    require_package("mlflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at the import; no usage data leaves this machine
    database = Path(run_config["output_dir"], DATABASE).resolve()
    id_file = Path(folder, ".mlflow_id")
    logger = MlflowRun(
        experiment_name=experiment,
        run_name="/".join(Path(folder).parts[-2:]),
        run_id=id_file.read_text() if id_file.exists() else None,
        tracking_uri=uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}",
        log_model=False,
    )
    if is_first_process() and not id_file.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        logger.log_hyperparams(run_config)
        write_atomically(id_file, logger.run_id)
    return logger
