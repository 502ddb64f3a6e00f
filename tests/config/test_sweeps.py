"""Every named sweep: its arms and seeds compose, pass the check and get folders of their own."""

import json

import pytest
from conftest import ROOT, composed, pretend_store
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fer_lightning.check.check import check
from fer_lightning.config import schema
from fer_lightning.config.groups import options
from fer_lightning.errors import UserError
from fer_lightning.launch import plan as plan_module
from fer_lightning.launch.plan import Job, describe_failures, plan, read_plan, write_plan
from fer_lightning.runs.run_folder import RunFolder, arm_name, job_name, run_path

SWEEPS = sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml") if path.stem != "search")


@pytest.fixture(autouse=True)
def _store_is_there(monkeypatch):
    pretend_store(monkeypatch)


def jobs_of(*typed: str) -> list[list[str]]:
    """The overrides of each run of `python train.py TYPED`, as Hydra's sweeper deals them out."""
    schema.register()
    fixed = [override for override in typed if "," not in override]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", fixed, return_hydra_config=True)
    assert str(config.hydra.mode) == "RunMode.MULTIRUN"
    params = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
    parsed = OverridesParser.create().parse_overrides([*params, *typed])
    return BasicSweeper.split_arguments(parsed, None)[0]


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS)
def test_each_arm_composes_and_passes_the_check(sweep):
    jobs = jobs_of(f"sweep={sweep}")
    for overrides in jobs:
        if "seed=0" in overrides:
            check(composed(*overrides))
    names = {job_name(overrides, seed=0) for overrides in jobs if "seed=0" in overrides}
    assert len(names) * len({o for overrides in jobs for o in overrides if o.startswith("seed=")}) == len(jobs)


@pytest.mark.parametrize(
    ("scale", "prefix", "name"), [("cpu", "overfitting-", "overfitting-small"), ("gpu", "seed_", "overfitting-gpu")]
)
def test_overfitting_has_the_plain_recipe_first_and_three_seeds_of_six_arms(scale, prefix, name):
    jobs = jobs_of("sweep=overfitting", f"scale={scale}")
    arms = ["plain", "stn", "augment", "weighted_loss", "weighted_sampler", "combined"]
    assert [job_name(overrides, 0) for overrides in jobs[:6]] == [f"{prefix}{arm}_seed-0" for arm in arms]
    assert len(jobs) == 18
    assert composed(*jobs[0]).name == name


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "prefix"), [("cpu", "overfitting/"), ("cpu", "seed_"), ("gpu", "seed_")])
def test_each_arm_differs_from_the_plain_recipe_in_its_remedy_alone(scale, prefix):
    expected = {
        "stn": {"stn"},
        "augment": {"augment"},
        "weighted_loss": {"loss"},
        "weighted_sampler": {"sampler"},
        "combined": {"stn", "augment", "loss"},
    }
    plain = OmegaConf.to_container(composed(f"experiment={prefix}plain", f"scale={scale}"))
    for arm, keys in expected.items():
        config = OmegaConf.to_container(composed(f"experiment={prefix}{arm}", f"scale={scale}"))
        assert {key for key in config if config[key] != plain[key]} == keys | {"name"}


def test_overfitting_on_a_cpu_trains_on_all_rows_and_reads_the_test_rows_once():
    config = composed(*jobs_of("sweep=overfitting", "scale=cpu")[0])
    assert (config.data.train_rows, config.augment.order, config.track_test) == (None, [], False)


def test_the_plain_recipe_is_the_seed_projects():
    cfg = composed("experiment=seed_plain")
    assert (cfg.optim.lr, cfg.optim.momentum, cfg.optim.weight_decay, cfg.optim.nesterov) == (0.001, 0.9, 0.001, False)
    assert (cfg.data.batch_size, cfg.callbacks.early_stopping.patience) == (16, 10)
    assert (cfg.augment.order, cfg.augment.rotate.degrees) == (["flip", "rotate"], 20)
    assert cfg.schedule._target_.endswith("Constant")
    assert cfg.model.width == 1


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["fdr", "limit", "overfit", "profiler"])
def test_a_debug_run_does_not_stop_early(debug):
    config = composed("experiment=seed_plain", f"debug={debug}")
    assert config.trainer.get("fast_dev_run") or config.callbacks.early_stopping.patience is None


def test_factorial_has_all_sixteen_combinations():
    assert len({arm_name(overrides) for overrides in jobs_of("sweep=factorial")}) == 16


@pytest.mark.slow
def test_models_on_a_cpu_has_emonext_without_each_addition_at_size_atto():
    jobs = jobs_of("sweep=models", "scale=cpu")
    arms = ["emonext", "emonext_no_stn", "emonext_no_se", "emonext_no_attention", "convnext"]
    assert [arm_name(overrides) for overrides in jobs[: len(arms)]] == [f"models-{arm}" for arm in arms]
    assert len(jobs) == 3 * len(arms)
    configs = {arm: composed(*overrides) for arm, overrides in zip(arms, jobs, strict=False)}
    for config in configs.values():
        check(config)
        assert (config.name, config.model.size, config.model.input_size) == ("models-cpu", "atto", 64)
        assert (config.trainer.accelerator, config.trainer.max_epochs, config.threads) == ("cpu", 10, 1)
        assert config.data.train_rows is None
    full = OmegaConf.to_container(configs["emonext"])
    expected = {"emonext_no_stn": "stn", "emonext_no_se": "model", "emonext_no_attention": "model"}
    for arm, group in expected.items():
        config = OmegaConf.to_container(configs[arm])
        assert {key for key in config if config[key] != full[key]} == {group}
    assert (configs["emonext_no_se"].model.se_init, configs["emonext_no_attention"].model.attention) == ("off", "off")


def test_models_without_a_scale_is_emonext_tiny_at_its_published_size():
    jobs = jobs_of("sweep=models")
    assert len(jobs) == 21
    config = composed(*next(overrides for overrides in jobs if "experiment=models/emonext" in overrides))
    assert (config.name, config.scale, config.model.size, config.model.input_size) == ("models", None, "tiny", 224)


def test_scale_is_for_resemotenet_what_it_was():
    config = composed("scale=cpu")
    assert (config.model.width, config.model.lean, config.data.train_rows, config.optim.lr) == (0.125, True, 4000, 0.01)
    assert (config.threads, config.trainer.precision, config.trainer.max_epochs) == (1, "32-true", 30)


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "scaled").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_name_of_each_scaled_file_is_a_scale_and_an_option(path):
    scale, _, option = path.stem.partition("_")
    assert scale in options("scale")
    assert option in options(path.parent.name)
    assert composed(f"scale={scale}", f"{path.parent.name}={option}").scale == scale


def test_a_sweep_is_extended_by_seeds():
    assert len(jobs_of("sweep=overfitting", "scale=cpu", "seed=0,1,2,3,4")) == 30


def test_the_arm_of_a_run():
    assert arm_name(["stn=affine", "seed=3", "augment=strong"]) == "augment-strong_stn-affine"
    assert arm_name(["experiment=quickstart", "seed=3"]) == ""
    assert arm_name(["sweep=models", "experiment=models/convnext"]) == "models-convnext"
    assert job_name(["experiment=seed_stn", "scale=cpu"], 0) == "scale-cpu_seed-0"
    assert job_name(["sweep=overfitting", "experiment=seed_stn", "scale=cpu"], 1) == "seed_stn_seed-1"


def test_a_run_from_another_run_has_its_name_but_folders_of_an_earlier_version_keep_theirs(tmp_path):
    typed = ["stn=affine", "model.init=outputs/fer2013_cpu/seed-0"]
    named = run_path(str(tmp_path), "tuned", typed, 1)
    assert named == tmp_path / "tuned" / "init-fer2013_cpu-seed-0_stn-affine_seed-1"
    assert job_name(["model.init=elsewhere/seed-0"], 1) == "model.init-elsewhere-seed-0_seed-1"
    former = named.with_name("model.init-outputs-fer2013_cpu-seed-0_stn-affine_seed-0")
    former.mkdir(parents=True)
    assert run_path(str(tmp_path), "tuned", typed, 0) == former
    other_seed = run_path(str(tmp_path), "tuned", typed, 1)
    assert other_seed.name == "model.init-outputs-fer2013_cpu-seed-0_stn-affine_seed-1"


def test_long_names_are_cut_and_stay_apart():
    names = {job_name([f"model.{'x' * 150}={value}"], 0) for value in (1, 2)}
    assert len(names) == 2
    assert all(len(name) <= 130 for name in names)


def job(folder, arm: str, seed: int) -> Job:
    return Job((f"stn={arm}", f"seed={seed}"), folder / f"stn-{arm}_seed-{seed}", f"stn-{arm}", seed, epochs=2)


def test_the_plan_keeps_what_an_earlier_call_asked_for(tmp_path):
    write_plan([job(tmp_path, arm, 0) for arm in ("none", "affine")], "python train.py -m stn=none,affine")
    write_plan([job(tmp_path, "none", seed) for seed in (0, 1)], "python train.py -m stn=none seed=0,1")
    known = read_plan(tmp_path)
    assert [entry["job"] for entry in known["jobs"]] == ["stn-none_seed-0", "stn-affine_seed-0", "stn-none_seed-1"]
    assert known["command"].endswith("seed=0,1")
    assert known["jobs"][2]["overrides"] == ["stn=none", "seed=1"]


def test_a_finished_run_is_done_again_only_where_asked(tmp_path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "summary.json").write_text('{"status": "done", "started": "yesterday"}')
    former = RunFolder(tmp_path / "done").summary()
    kept, again = (Job((), tmp_path / "done", "", 0, 2, former=summary) for summary in (None, former))
    assert (kept.is_done(), again.is_done()) == (True, False)
    assert "ended before it wrote a summary" in describe_failures([again], 1)
    (tmp_path / "done" / "summary.json").write_text('{"status": "done", "started": "today"}')
    assert again.is_done()


class Composer:
    """A loader as Hydra gives one to a launcher, for runs of experiment=quickstart."""

    def __init__(self, folder, *typed: str) -> None:
        self.typed = ("experiment=quickstart", "name=x", f"output_dir={folder}", *typed)

    def load_sweep_config(self, _, overrides: list[str]):
        schema.register()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("train", [*self.typed, *overrides], return_hydra_config=True)


def finish(job: Job, config) -> None:
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    job.folder.mkdir(parents=True)
    OmegaConf.save(own, job.folder / "config.yaml", resolve=True)
    (job.folder / "summary.json").write_text('{"status": "done"}')


@pytest.mark.slow
def test_a_run_of_another_config_is_no_run_of_this_sweep(tmp_path):
    """A changed YAML, or a scale that is not part of the name, gives the same folder."""
    as_before, changed = Composer(tmp_path), Composer(tmp_path, "++trainer.gradient_clip_val=0.5")
    (first,) = plan(as_before, None, [["seed=0"]])
    finish(first, as_before.load_sweep_config(None, ["seed=0"]))
    write_plan([first], "python train.py")
    (again,) = plan(as_before, None, [["seed=0"]])
    assert again.is_done()
    edited = OmegaConf.load(first.folder / "config.yaml")
    edited.trainer.max_epochs = 77
    OmegaConf.save(edited, first.folder / "config.yaml")
    with pytest.raises(UserError, match=r"a run of another config:\n  trainer\.max_epochs: 77 -> "):
        plan(as_before, None, [["seed=0"]])
    with pytest.raises(UserError, match=r"all runs of an arm differ only by seed.*\n  trainer\.max_epochs: 77 -> "):
        plan(as_before, None, [["seed=1"]])
    (other_arm,) = plan(changed, None, [["seed=1"]])
    assert not other_arm.is_done()
    over = plan(Composer(tmp_path, "resume=never"), None, [["seed=0"], ["seed=1"]])
    assert not any(job.is_done() for job in over)
    (first.folder / "config.yaml").unlink()
    plan(as_before, None, [["seed=1"]])


@pytest.mark.slow
def test_a_sweep_of_a_finder_is_refused(tmp_path):
    with pytest.raises(UserError, match="finder=lr: does not leave a run and cannot be swept"):
        plan(Composer(tmp_path, "debug=lr_find"), None, [["seed=0"]])


@pytest.mark.slow
def test_a_run_that_extends_another_has_its_own_config_in_a_sweep_too(tmp_path, monkeypatch):
    def extended(config, parent, overrides):
        config.name, config.trainer.max_epochs = "parent", 9
        return config

    monkeypatch.setattr(plan_module, "read_parent", lambda _: None)
    monkeypatch.setattr(plan_module, "extended_config", extended)
    (job,) = plan(Composer(tmp_path, "extend=outputs/x/seed-0"), None, [["seed=0"]])
    assert (job.folder.parent, job.epochs) == (tmp_path / "parent", 9)


def test_a_damaged_plan_is_written_anew(tmp_path):
    (tmp_path / "sweep.json").write_text('{"jobs": [')
    write_plan([job(tmp_path, "none", 0)], "python train.py")
    assert len(json.loads((tmp_path / "sweep.json").read_text())["jobs"]) == 1
