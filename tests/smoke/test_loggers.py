"""Loggers without an account: the run stays on this disk and holds everything."""

import pytest
from conftest import TINY, run_train


@pytest.mark.slow
def test_wandb_without_a_key_is_kept_offline(tmp_path):
    result = run_train(
        *TINY,
        "logger=wandb",
        "name=group/my run",
        f"output_dir={tmp_path}",
        WANDB_API_KEY="",
        WANDB_MODE="",
        WANDB_SILENT="true",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "offline" in result.stdout
    assert "WANDB_API_KEY" in result.stdout
    folder = next((tmp_path / "group" / "my run").iterdir())
    runs = list((folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    assert {path.stem.partition("_")[0] for path in (runs[0] / "files" / "media" / "images" / "plots").iterdir()} >= {
        "curves",
        "confusion",
        "augmentation",
    }


@pytest.mark.slow
def test_mlflow_writes_one_database_and_resumes_its_run(tmp_path, monkeypatch):
    """Slow: MLflow takes seconds to make its tables."""
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    from fer_lightning.training.callbacks.mlflow_logger import build_mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, config = tmp_path / "train" / "seed-0", {"output_dir": str(tmp_path), "optim": {"lr": 0.1}}
    run.mkdir(parents=True)
    first, again = (build_mlflow(str(run), config, "tests", None) for _ in range(2))
    again.log_metrics({"val/acc": 0.5}, step=1)
    again.publish(
        run, {"epochs": 2, "test": {"test/acc": 0.4, "all": {}}, "split": {"checksum": "5e7"}, "commit": None}
    )
    assert first.run_id == again.run_id
    found = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(first.run_id)
    assert found.data.metrics == {"val/acc": 0.5, "test/acc": 0.4}
    assert found.data.params["optim/lr"] == "0.1"
    assert found.info.run_name == "train/seed-0"


def test_tensorboard_writes_into_the_run_folder(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from fer_lightning.training.callbacks.tensorboard_logger import build_tensorboard

    logger = build_tensorboard(str(tmp_path), {})
    logger.log_metrics({"val/acc": 0.5}, step=1)
    logger.finalize("success")
    assert list((tmp_path / "tensorboard").glob("events.*"))
