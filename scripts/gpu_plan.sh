#!/usr/bin/env bash
# Run everything that needs a GPU on another machine without a network: pack it here, run it there in slices of time.
#
#   scripts/gpu_plan.sh pack plan.tar [fer2013.csv [fer2013new.csv]]   pack the last commit, faces and missing libraries
#
# Then on the GPU machine, in an empty folder:
#
#   tar -xf plan.tar
#   bash scripts/gpu_plan.sh all           run the next slice; repeat it until it prints that all phases are finished
#   bash scripts/gpu_plan.sh run PHASE     run one slice of one phase: tests, speed, best, overfitting
#   bash scripts/gpu_plan.sh collect       write tables, figures and reports to results/gpu, without weights and faces
#
# The exit status of a slice is 75 if there is more to do; the next slice resumes there. Environment variables:
#
#   HAS             for pack: libraries of the GPU machine (default: torch torchvision lightning timm torchmetrics)
#   PYTHON_VERSION  for pack: Python version of the GPU machine, e.g. 3.12 (default: the version here)
#   FER2013_ROOT    for pack: store of faces if no CSV is named (default: data/fer2013)
#   SLICE           for run and all: seconds of a slice (default: 520)
#   JOBS            for run and all: number of runs of `overfitting` that share the GPU (default: 4)
#   SIZE=tiny       for run, all and collect: a test of the plan on a CPU, with single steps, in outputs/rehearsal;
#                   meanwhile, the settings of this machine (conf/local/default.yaml) are replaced
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
HAS=${HAS:-torch torchvision lightning timm torchmetrics}
SLICE=${SLICE:-520}
SIZE=${SIZE:-full}
PHASES="tests speed best overfitting"
MORE=75
OUTPUTS=outputs
RESULTS=results/gpu
MACHINE=conf/local/default.yaml
KEPT=conf/local/default.kept.yaml
MARK="# Written by gpu_plan.sh for a test, and removed at its end."
LIMIT=$((64 * 1024 * 1024))

exec 3>&2 # messages of the plan are printed even if the output of a phase goes to a log
say() { echo "gpu_plan: $*" >&3; }
refuse() { say "$*"; exit 2; }

# --- packing ---------------------------------------------------------------------------------------------------------

pack() {
    [ $# -ge 1 ] || refuse "pack: needs the path of the archive. Run for example: scripts/gpu_plan.sh pack plan.tar"
    local out=$1 version store=${FER2013_ROOT:-data/fer2013} commit
    box=$(mktemp -d)
    trap 'rm -rf "$box"' EXIT
    version=${PYTHON_VERSION:-$($PYTHON -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
    commit=$(git rev-parse HEAD)
    [ -z "$(git status --porcelain --untracked-files=no)" ] || say "uncommitted changes are not packed"
    if [ $# -ge 2 ]; then
        store=$box/store
        $PYTHON -m fer_lightning.data.ingest source="$2" root="$store" ${3:+ferplus="$3"}
    fi
    [ -f "$store/store.json" ] \
        || refuse "$store: not a store of faces: store.json is missing. Name a CSV, or run: make data FROM=fer2013.csv"
    mkdir -p "$box/plan/wheels"
    git archive HEAD | tar -x -C "$box/plan"
    $PYTHON scripts/pack_for_gpu.py faces "$store" "$box/plan/faces.tar.xz"
    # shellcheck disable=SC2086
    $PYTHON scripts/pack_for_gpu.py missing $HAS > "$box/missing"
    while read -r library; do wheel "$library" "$version" "$box/plan/wheels"; done < "$box/missing"
    printf 'PACKED_PYTHON=%s\nexport FER_COMMIT=%s\n' "$version" "$commit" > "$box/plan/packed"
    tar -cf "$out" -C "$box/plan" .
    size=$(stat -c %s "$out")
    say "$out: $((size / 1024 / 1024)) MiB, commit ${commit:0:10}, for Python $version with $HAS"
    [ "$size" -le $LIMIT ] \
        || say "$out: larger than 64 MiB. If the GPU machine has more libraries, name them:" \
            "HAS=\"$HAS opencv-python-headless scipy matplotlib\""
}

# Download a wheel for all machines, or one for Linux and that Python version; build it here from source without such a
# wheel.
wheel() {
    local library=$1 version=$2 to=$3
    $PYTHON -m pip download -q --no-deps --only-binary=:all: --python-version "$version" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 -d "$to" "$library" 2> "$box/pip.log" \
        || $PYTHON -m pip wheel -q --no-deps -w "$to" "$library" 2>> "$box/pip.log" \
        || { cat "$box/pip.log" >&2; refuse "$library: no wheel for Python $version. Add it to HAS if it is there"; }
}

# --- running ---------------------------------------------------------------------------------------------------------

unpack() {
    [ -f packed ] || return 0 # a checkout with its own libraries and data
    . ./packed
    export PYTHONPATH=$PWD/site:$PWD FER2013_ROOT=$PWD/data/fer2013
    local version
    version=$($PYTHON -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$version" != "$PACKED_PYTHON" ] && ls wheels | grep -qv -- '-none-any.whl'; then
        refuse "Python $version: the plan was packed for $PACKED_PYTHON. Pack again with PYTHON_VERSION=$version"
    fi
    if [ ! -f site/.complete ] && compgen -G 'wheels/*.whl' > /dev/null; then
        $PYTHON -m pip install -q --no-index --no-deps --no-compile --target site wheels/*.whl
        touch site/.complete
    fi
    [ -f data/fer2013/store.json ] \
        || $PYTHON -c 'import tarfile; tarfile.open("faces.tar.xz").extractall(".", filter="data")'
    $PYTHON -c 'import cv2, hydra, lightning, matplotlib, rich, scipy, timm, torch, torchmetrics' \
        || refuse "a library that HAS named when the plan was packed is missing here. Pack again with fewer in HAS"
}

# Make every run small with the machine's settings file, which does not change the names of runs.
rehearse() {
    OUTPUTS=outputs/rehearsal RESULTS=outputs/rehearsal/results
    [ ! -f $KEPT ] || refuse "$KEPT: holds settings that another test has kept. Join it with $MACHINE, and remove it"
    [ ! -f $MACHINE ] || mv $MACHINE $KEPT
    trap restore EXIT
    mkdir -p conf/local
    cat > $MACHINE << YAML
# @package _global_
$MARK
output_dir: $OUTPUTS
threads: 1
compile: false
model: {input_size: 32}
data: {batch_size: 16, eval_batch_size: 64, train_eval_rows: 20}
trainer: {accelerator: cpu, precision: 32-true, max_epochs: 1, limit_train_batches: 1}
callbacks: {previews: null, early_stopping: null}
YAML
    SPEED=(seed=0) BEST=(seed=0,1) OVERFITTING=(seed=0 experiment=seed_plain,seed_weighted_loss) JOBS=1
}

# Put the machine's own settings back, also those that a killed test has left.
restore() {
    ! grep -qs "^$MARK" $MACHINE || rm $MACHINE
    [ ! -f $KEPT ] || [ -f $MACHINE ] || mv $KEPT $MACHINE
}

# Run a command in the rest of the slice; an interrupted command has saved what it needs to resume.
within() {
    local left=$((SLICE - SECONDS)) status=0
    [ $left -ge 20 ] || more
    timeout --foreground -k 60 "$left" "$@" || status=$?
    [ $status -ne 124 ] && [ $status -ne 137 ] || more
    return $status
}

more() { say "the slice is over. Run the same command again to resume"; exit $MORE; }
finished() { mkdir -p $OUTPUTS/gpu_plan && touch "$OUTPUTS/gpu_plan/$1" && say "$1: finished"; }

phase_tests() {
    local log=$OUTPUTS/gpu_plan/tests.log
    mkdir -p $OUTPUTS/gpu_plan
    within $PYTHON -m pytest -p no:cacheprovider -m "" -rs tests/gpu tests/augment/test_warp.py \
        tests/augment/test_pipeline.py tests/evaluation/test_predictor.py > "$log" 2>&1 && tail -5 "$log" && return
    tail -40 "$log"
    return 1
}

phase_speed() {
    within $PYTHON train.py sweep=speed "${SPEED[@]}" || return 1
    $PYTHON scripts/time_to_accuracy.py $OUTPUTS/fer2013_speed
}

# Single networks, their evaluation with several views, and the ensembles of both.
phase_best() {
    within $PYTHON train.py sweep=best "${BEST[@]}" || return 1
    for run in $OUTPUTS/fer2013_best/seed-?; do
        evaluated "$run" none val && evaluated "$run" ten_crop val && evaluated "$run" ten_crop test || return 1
    done
    within $PYTHON train.py experiment=ensemble name=fer2013_best/ensemble \
        "ensemble=[$OUTPUTS/fer2013_best/seed-?]" || return 1
    within $PYTHON train.py experiment=ensemble name=fer2013_best/ensemble_ten_crop \
        "ensemble=[$OUTPUTS/fer2013_best/seed-?/evaluation/ten_crop]"
}

evaluated() {
    local folder=$2
    [ "$3" = test ] || folder=val_$2
    [ -f "$1/evaluation/$folder/metrics.json" ] || within $PYTHON -m fer_lightning.evaluate run="$1" tta="$2" rows="$3"
}

phase_overfitting() {
    within $PYTHON train.py sweep=overfitting scale=gpu hydra.launcher.jobs="${JOBS:-4}" "${OVERFITTING[@]}"
}

run() {
    case " $PHASES " in *" $1 "*) ;; *) refuse "$1: no such phase. Allowed: ${PHASES// /, }" ;; esac
    if [ -f "$OUTPUTS/gpu_plan/$1" ]; then say "$1: finished"; return 0; fi
    "phase_$1" && finished "$1"
}

all() {
    local failed=()
    for phase in $PHASES; do run "$phase" || failed+=("$phase"); done
    collect
    [ ${#failed[@]} -eq 0 ] || { say "failed: ${failed[*]}"; exit 1; }
    say "all phases are finished: see $RESULTS"
}

# --- results to keep -------------------------------------------------------------------------------------------------

collect() {
    local out=$RESULTS sweep
    mkdir -p $out
    for sweep in fer2013_speed fer2013_best overfitting-gpu; do
        [ -d "$OUTPUTS/$sweep" ] || continue
        $PYTHON -m fer_lightning.report sweep="$OUTPUTS/$sweep" out="$out/$sweep" pictures=no
    done
    [ ! -f $OUTPUTS/fer2013_speed/time_to_accuracy.md ] \
        || cp $OUTPUTS/fer2013_speed/time_to_accuracy.{md,json} $out/fer2013_speed/
    for metrics in $OUTPUTS/fer2013_best/seed-?/evaluation/*/metrics.json; do
        name=${metrics#"$OUTPUTS"/fer2013_best/} name=${name%/metrics.json}
        [ ! -f "$metrics" ] || cp "$metrics" "$out/fer2013_best/${name/\/evaluation\//_}.json"
    done
    [ ! -f $OUTPUTS/gpu_plan/tests.log ] || tail -1 $OUTPUTS/gpu_plan/tests.log > $out/tests.txt
}

command=${1:-}
[ $# -eq 0 ] || shift
SPEED=() BEST=() OVERFITTING=()
case $command in
    pack) pack "$@" ;;
    run | all | collect)
        case $SIZE in full | tiny) ;; *) refuse "SIZE=$SIZE: must be full or tiny" ;; esac
        unpack
        restore
        [ "$SIZE" = full ] || rehearse
        "$command" "$@"
        ;;
    *) refuse "command '$command': must be pack, run PHASE, all or collect. See the first lines of $0" ;;
esac
