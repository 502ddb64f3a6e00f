"""Weights & Biases without an account: the run says so, stays on this disk and holds everything."""

from conftest import TINY, run_train


def test_wandb_without_a_key_is_kept_offline(tmp_path):
    result = run_train(
        *TINY, "logger=wandb", f"output_dir={tmp_path}", WANDB_API_KEY="", WANDB_MODE="", WANDB_SILENT="true"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "offline" in result.stdout
    assert "WANDB_API_KEY" in result.stdout
    folder = next((tmp_path / "train").iterdir())
    runs = list((folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    assert {path.stem.partition("_")[0] for path in (runs[0] / "files" / "media" / "images" / "plots").iterdir()} >= {
        "curves",
        "confusion",
        "augmentation",
    }
