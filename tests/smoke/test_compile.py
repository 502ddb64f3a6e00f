"""A run with a compiled training step: traced and differentiated as on a GPU, where tests/gpu has it optimised too."""

import json
from functools import partial

import pytest
import torch
from conftest import TINY, composed

from fer_lightning.cli import train
from fer_lightning.runs.run_folder import RunFolder

SMALL = (
    *(override for override in TINY if not override.startswith("model")),
    "model=se_resnet",
    "model.blocks=[1,1]",
    "model.channels=[4,8]",
    "ema_decay=0.9",
    "trainer.precision=32-true",
    "data.rows=150",
    "trainer.max_epochs=1",
)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_compiled_run_is_the_eager_one_but_for_rounding(tmp_path, monkeypatch):
    """And it compiles once, before the clock starts."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for name in ("true", "false"):
            train.fit_and_test(composed(*SMALL, f"compile={name}"), RunFolder(tmp_path / name), {})
    compiled, eager = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("true", "false"))
    assert compiled["compile_seconds"] > 0
    assert eager["compile_seconds"] is None
    for name in ("train/loss", "val/ce", "train_eval/ce"):
        assert compiled["last"][name] == pytest.approx(eager["last"][name], rel=1e-3)
