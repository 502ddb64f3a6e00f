"""Each mistake a user can make in a config: the message names the key, the value, what is allowed and what to do."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT, run_train
from smoke_processes import run_forked

from fer_lightning.check.annotations import signature
from fer_lightning.check.check import DATAMODULE
from fer_lightning.data.label_kinds import FROM_TEACHER, FROM_VOTES

SYNTHETIC = "data=synthetic"

REFUSALS = [
    (["modle=emonext"], ["modle", "Did you mean model?"]),
    (["model=emo next"], ["model=emo next: no such option", "Did you mean model=emonext?"]),
    (["model=emonet"], ["model=emonet: no such option", "Did you mean model=emonext?", "resemotenet"]),
    (["experiment=models/emonex"], ["experiment=models/emonex: no such option", "experiment=models/emonext?"]),
    (["experiment=plain"], ["experiment=plain: no such option", "Did you mean experiment=overfitting/plain?"]),
    ([SYNTHETIC, "model.widht=3"], ["model.widht", "Did you mean model.width?"]),
    ([SYNTHETIC, "+model.widht=3"], ["model.widht", "Did you mean model.width?", "ResEmoteNet"]),
    ([SYNTHETIC, "seeed=1"], ["seeed", "Did you mean seed?"]),
    (["seed=abc"], ["seed", "'abc'", "a whole number"]),
    (["resume=sometimes"], ["resume", "'sometimes'", "auto", "never"]),
    ([SYNTHETIC, "model.width=wide"], ["model.width='wide'", "must be a number"]),
    ([SYNTHETIC, "trainer.max_epochs=ten"], ["trainer.max_epochs='ten'", "must be a whole number or null"]),
    ([SYNTHETIC, "data.batch_size=3.5"], ["data.batch_size=3.5", "must be a whole number"]),
    ([SYNTHETIC, "augment.padding=mirror"], ["augment.padding='mirror'", "zeros"]),
    ([SYNTHETIC, "augment=strong", "+augment.flip.prob=1"], ["augment.flip.prob", "Allowed: p"]),
    ([SYNTHETIC, "+optim.learning_rate=1"], ["optim.learning_rate", "SGD"]),
    ([SYNTHETIC, "+trainer.max_epoch=3"], ["trainer.max_epoch", "Did you mean trainer.max_epochs?"]),
    ([SYNTHETIC, "+trainer.max_steps=3"], ["trainer.max_steps=3", "trainer.limit_train_batches"]),
    ([SYNTHETIC, "trainer.max_epochs=0"], ["trainer.max_epochs=0", "1 or more"]),
    ([SYNTHETIC, "trainer=cpu", "trainer.precision=16-mixed"], ["16-mixed", "bf16-mixed"]),
    ([SYNTHETIC, "callbacks.best.monitor=val/accuracy"], ["val/accuracy", "Did you mean val/acc?"]),
    ([SYNTHETIC, "callbacks.early_stopping.patience=99"], ["patience=99", "trainer.max_epochs=60"]),
    ([SYNTHETIC, "ema_decay=1.5"], ["ema_decay=1.5", "between 0 and 1"]),
    (
        [SYNTHETIC, "model=emonext", "model.attention=tokens", "model.input_size=48"],
        ["model.attention=tokens", "64"],
    ),
    ([SYNTHETIC, "model.weights=nowhere.pth"], ["model.weights=nowhere.pth", "no such file"]),
    ([SYNTHETIC, "model=resemotenet=3"], ["model=resemotenet=3"]),
    ([SYNTHETIC, "optim.lr=abc"], ["optim.lr='abc': must be a number.\n"]),
    ([SYNTHETIC, "trainer.precision=fp16"], ["trainer.precision=fp16", "bf16-mixed"]),
    ([SYNTHETIC, "trainer.accelerator=tpux"], ["trainer.accelerator=tpux", "gpu"]),
    ([SYNTHETIC, "data.batch_size=1"], ["data.batch_size=1", "2 or more"]),
    ([SYNTHETIC, "+trainer.limit_val_batches=0"], ["trainer.limit_val_batches=0"]),
    ([SYNTHETIC, "trainer=cpu", "trainer.max_epoch=3"], ["trainer.max_epochs", "limit_train_batches", "accelerator"]),
    ([SYNTHETIC, "callbacks.best=null"], ["callbacks.best", "best.ckpt"]),
    ([SYNTHETIC, "expected={test/foo: [0, 1]}"], ["test/foo", "test/acc"]),
    ([SYNTHETIC, "expected={test/acc: [0.9, 0.1]}"], ["expected.test/acc=[0.9, 0.1]", "in this order"]),
    ([SYNTHETIC, "expected={test/acc: [low, high]}"], ["expected.test/acc=['low', 'high']", "two numbers"]),
    ([SYNTHETIC, "augment.flip=0.5"], ["augment.flip=0.5: must be a node", "augment.flip=null"]),
    ([SYNTHETIC, "model.init="], ["model.init='': must be a path"]),
    ([SYNTHETIC, "extend="], ["extend='': must be a path"]),
    ([SYNTHETIC, "data.extra="], ["data.extra: no such key"]),
    ([SYNTHETIC, "trainer.deterministic=true"], ["trainer.deterministic: no such key", "Trainer: +trainer.KEY=VALUE"]),
    ([SYNTHETIC, "optim.betas=[1,2]"], ["optim.betas: no such key", "torch.optim.sgd.SGD: +optim.KEY=VALUE"]),
    ([SYNTHETIC, "expected=3"], ["expected=3", "{metric: [low, high]}"]),
    ([SYNTHETIC, "stn._target_=os.system"], ["stn._target_=os.system: not allowed", "Allowed: fer_lightning.stn.*"]),
    ([SYNTHETIC, "augment.order=[flip,rotat,affine]"], ["rotat", "Did you mean rotate?"]),
    ([SYNTHETIC, "data.split=offical"], ["data.split='offical': must be one of", "Did you mean official?"]),
    ([SYNTHETIC, "model.size=tiny"], ["model.size", "Allowed:"]),
    (
        ["-m", SYNTHETIC, "trainer=ddp_cpu", "seed=1,2", "hydra/launcher=basic"],
        ["trainer.strategy=ddp", "hydra/launcher=local"],
    ),
    ([SYNTHETIC, "schedule.warmup=2"], ["schedule.warmup=2", "between 0 and 1"]),
    ([SYNTHETIC, "data.split=folds"], ["data.split='folds'", "official_dedup", "fold"]),
    ([SYNTHETIC, "data.split=fold"], ["data.fold=None", "data.fold=0 to 4", "-m data.fold=0,1,2,3,4"]),
    ([SYNTHETIC, "data.split=fold", "data.fold=5"], ["data.fold=5", "data.fold=0 to 4"]),
    ([SYNTHETIC, "data.start_size=41"], ["data.start_size=41", "multiple of 8 below model.input_size=64"]),
    ([SYNTHETIC, "data.start_size=64"], ["data.start_size=64", "null"]),
    ([SYNTHETIC, "data.start_size=32", "compile=true"], ["data.start_size=32 with compile=true"]),
    ([SYNTHETIC, "data.split=training_fold"], ["data.split=training_fold with data.fold=None", "data.fold=0 to 4"]),
    ([SYNTHETIC, "data.fold=1"], ["data.fold=1 with data.split=official", "data.split=training_fold"]),
    ([SYNTHETIC, "data.folds=2"], ["data.folds=2", "3 or more"]),
    ([SYNTHETIC, "data.labels=ferplus_soft"], ["data.labels=ferplus_soft", "no FER+ votes", "FERPLUS="]),
    ([SYNTHETIC, "data.labels=teacher"], ["data.teacher=null: data.labels=teacher", "fer_lightning.teach"]),
    ([SYNTHETIC, "callbacks.best.monitor=val/ferplus_acc"], ["callbacks.best.monitor=val/ferplus_acc", "FERPLUS="]),
    ([SYNTHETIC, "loss.weights=[1]"], ["loss.weights: no such key. loss does not have keys here."]),
    (["data.root=nowhere"], ["nowhere", "make data FROM=", "experiment=quickstart"]),
]


@pytest.mark.parametrize(("overrides", "words"), REFUSALS, ids=lambda value: " ".join(value))
def test_refusal_names_key_value_and_fix(overrides, words):
    result = run_forked(*overrides)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "train.py: " in result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("override", ["optim.lr=abc", "optim.lrx=1", "loss=nope"])
def test_a_rejected_sweep_leaves_no_folder(override, tmp_path):
    result = run_forked("-m", SYNTHETIC, "seed=1,2", override, f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_rejected_sweep_leaves_an_older_one_as_it_was(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "multirun.yaml").touch()
    assert run_forked("-m", SYNTHETIC, "seed=1,2", "optim.lrx=1", f"output_dir={tmp_path}").returncode == 2
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["multirun.yaml"]


EXPERIMENT_FILES = {
    "a misspelt key": (
        "# @package _global_\ndefaults:\n  - override /data: synthetic\ntrainer:\n  max_epoch: 3\n",
        ["trainer.max_epoch", "Did you mean trainer.max_epochs?"],
    ),
    "without its first line": ("name: own\n", ["Begin the file with the line: # @package _global_"]),
}


@pytest.mark.parametrize(("content", "words"), EXPERIMENT_FILES.values(), ids=EXPERIMENT_FILES)
def test_a_fault_inside_an_experiment_file_is_refused(content, words, tmp_path):
    path = tmp_path / "experiment" / "own.yaml"
    path.parent.mkdir()
    path.write_text(content)
    result = run_forked("experiment=own", f"hydra.searchpath=[file://{tmp_path}]")
    assert result.returncode == 2
    for word in words:
        assert word in result.stderr


@pytest.mark.slow
def test_refusals_come_before_torch():
    script = (
        "import sys, runpy; sys.argv = ['train.py', 'data=synthetic', '+model.widht=3']\n"
        "try: runpy.run_path('train.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 2\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_help_lists_every_group_and_option():
    result = run_train("--help")
    assert result.returncode == 0
    for group in ("model", "stn", "augment", "loss", "sampler", "optim", "schedule", "experiment"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert path.stem in result.stdout
    for group in ("collect", "evaluate", "live", "predict", "scaled"):  # of other commands, or no choice of a user
        assert f"\n{group}" not in result.stdout


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+model.widht=3"], "model.widht"),
        (["+trainer.profiler=foo"], "trainer: When passing string value for the `profiler`"),
        (["callbacks.early_stopping.patience=0"], "callbacks.early_stopping.patience=0: must be 1 or more"),
        (["augment=strong", "augment.erase.p=2"], "augment.erase.p=2: must be from 0 to 1"),
        (["schedule=one_cycle", "schedule.warmup=3"], "schedule.warmup=3: must be between 0 and 1"),
        (["loss=logit_adjusted", "loss.tau=-1"], "loss.tau=-1: must be at least 0"),
        (["loss=focal", "loss.gamma=-1"], "loss.gamma=-1: must be at least 0"),
        (["loss=label_smoothing", "loss.smoothing=1"], "loss.smoothing=1: must be at least 0 and less than 1"),
        (["loss=class_balanced", "loss.beta=1"], "loss.beta=1: must be at least 0 and less than 1"),
        (["optim=muon", "optim.rest_momentum=2"], "optim.rest_momentum=2: must be at least 0 and less than 1"),
        (["optim=sgd", "optim.momentum=-1"], "optim.momentum=-1: must be 0 or more"),
        (["optim=sgd", "optim.momentum=2"], "optim.momentum=2: must be at most 0.9999"),
        (["callbacks.early_stopping.patience=9", "trainer.max_epochs=1"], "can never stop the run. Use null."),
        (["+trainer.max_time='00:01:00:00'"], "not used here. A run is counted in epochs. Use trainer.max_epochs"),
        (["+trainer.log_every_n_steps=7"], "trainer.log_every_n_steps=7: not used here"),
        (["+trainer.enable_progress_bar=false"], "Use callbacks.progress.style=off"),
        (["+trainer.limit_val_batches=0.5"], "trainer.limit_val_batches=0.5: must be a whole number of batches"),
        (
            ["+trainer.limit_test_batches=0.0001"],
            "0.0001: must be a whole number of batches",
        ),
        (["callbacks.best.monitor=val/ce"], "smaller values are better. Use callbacks.best.mode=min"),
        (["callbacks.best.mode=min"], "larger values are better. Use callbacks.best.mode=max"),
        (
            ["callbacks.early_stopping.monitor=train_eval/loss"],
            "smaller values are better. Use callbacks.early_stopping.mode=min",
        ),
        (["track_test=ja"], "track_test=ja: must be true or false"),
        (["data.classes=happy"], "must be a list, each item a text or null"),
        (["schedule=plateau", "schedule.threshold=-5"], "schedule.threshold=-5: must be at least 0"),
        (["model.in_channels=0"], "model.in_channels=0: must be 1 or more"),
        (["experiment=quickstart", "model=se_resnet"], "If an experiment sets it, add ~model.width ~model.lean"),
        (["model=whitened_cnn", "model.dropout=7"], "model.dropout=7: must be at most 0.99"),
        (["model=se_resnet", "model.std=0"], "model.std=0: must be 0.001 or more"),
        (["model=se_resnet", "model.blocks=[1,1]", "model.channels=[8]"], "model.blocks"),
        (["stn=affine", "stn.max_change=-1"], "stn.max_change=-1: must be 0 or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refused_run_leaves_nothing_behind(overrides, words, tmp_path):
    result = run_forked(SYNTHETIC, *overrides, f"output_dir={tmp_path / 'outputs'}")
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "outputs").exists()


def test_each_kind_of_labels_says_what_it_needs():
    annotation = signature(DATAMODULE).parameters["labels"].annotation
    assert {"hard", *FROM_VOTES, *FROM_TEACHER} == set(re.findall(r"'(\w+)'", annotation.replace('"', "'")))
