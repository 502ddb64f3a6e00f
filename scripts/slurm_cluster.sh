#!/usr/bin/env bash
# Start a SLURM cluster of two nodes on this machine, to try sweeps and to test the launcher:
#
#   scripts/slurm_cluster.sh start DIR    start it if it is not running, and print the line to `eval`
#   scripts/slurm_cluster.sh stop DIR     cancel its jobs and end its daemons
#
# It needs root and Debian's packages: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
# It writes only to DIR. The nodes n1 and n2 are two slurmd with 4 CPUs and one simulated GPU each. Limits on CPUs and
# memory are not enforced, and accounting (sacct) is off. The machine may run another SLURM or munge at the same time.
set -euo pipefail

PATIENCE=60  # largest number of seconds for a start or an end

usage() { sed -n 's/^#   scripts/scripts/p' "$0" >&2; exit 2; }
fail() { echo "slurm_cluster.sh: $*" >&2; exit 1; }

# Wait until a command succeeds: until_true WHAT COMMAND...
until_true() {
    local what=$1 deadline=$((SECONDS + PATIENCE))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what: not done after $PATIENCE seconds. See $DIR/log"
        sleep 0.1
    done
}

require_programs() {
    [ "$(id -u)" = 0 ] || fail "needs root, because slurmd starts jobs as their owners. Run it as root"
    local missing=() program
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" > /dev/null || missing+=("$program")
    done
    [ ${#missing[@]} = 0 ] || fail "${missing[*]}: not installed. On Debian, run:" \
        "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
}

# Print the first of four successive free ports; ports from 15000 on are Lightning's.
free_ports() {
    local first port taken
    for first in $(seq $((7000 + $$ % 700 * 10)) 10 14990); do
        taken=no
        for port in $(seq "$first" $((first + 3))); do
            if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then taken=yes; fi
        done
        if [ $taken = no ]; then echo "$first"; return; fi
    done
    fail "no four free ports between 7000 and 15000. End a program that listens there"
}

# cred_expire=6 lets a requeued job start after 6 seconds instead of 120.
write_config() {
    local port
    port=$(free_ports)
    cat > "$DIR/slurm.conf" << END
ClusterName=lab
SlurmctldHost=localhost
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/socket,cred_expire=6
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=5
GresTypes=gpu
NodeName=n[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 2))] CPUs=4 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=debug Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
    echo "NodeName=n[1-2] Name=gpu File=/dev/null" > "$DIR/gres.conf"
}

start_munge() {
    munge -S "$DIR/munge/socket" -n > /dev/null 2>&1 && return
    [ -e "$DIR/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom > "$DIR/munge/key")
    # --force: accept a socket in a scratch folder that other users cannot enter
    munged --force --socket="$DIR/munge/socket" --key-file="$DIR/munge/key" --pid-file="$DIR/munge/pid" \
        --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge/seed" 2>> "$DIR/log/munged.log"
    until_true "munged" munge -S "$DIR/munge/socket" -n
}

nodes_are_ready() { [ "$(sinfo -h -N -o %T | grep -cxE 'idle|mixed|allocated')" = 2 ]; }

start() {
    require_programs
    mkdir -p "$DIR"/{state,spool/n1,spool/n2,log,munge}
    [ -e "$DIR/slurm.conf" ] || write_config
    start_munge
    if ! scontrol ping 2> /dev/null | grep -q 'is UP'; then
        slurmctld -c  # without jobs and node states of an earlier start
        slurmd -N n1
        slurmd -N n2
    fi
    until_true "the two nodes" nodes_are_ready
    echo "export SLURM_CONF=$DIR/slurm.conf"
}

no_jobs() { [ -z "$(squeue -h)" ]; }

# Succeed if the process with this id is not, or no longer, the program of this name: is_gone NAME PID
is_gone() { [ "$(cat "/proc/$2/comm" 2> /dev/null)" != "$1" ] || grep -q '^State:.Z' "/proc/$2/status"; }

# End daemons, given as NAME PIDFILE NAME PIDFILE ...
end() {
    local running=() pid
    while [ $# -gt 0 ]; do
        pid=$(cat "$2" 2> /dev/null) && ! is_gone "$1" "$pid" && kill "$pid" && running+=("$1 $pid")
        shift 2
    done
    for pid in ${running[@]+"${running[@]}"}; do
        # shellcheck disable=SC2086  # a name and a number
        until_true "the end of $pid" is_gone $pid
    done
}

stop() {
    [ -e "$DIR/slurm.conf" ] || fail "$DIR: no cluster was started there. Use the folder of the start command"
    if scontrol ping 2> /dev/null | grep -q 'is UP'; then
        scancel --partition=debug
        until_true "the end of its jobs" no_jobs  # else slurmd waits ten minutes for them
    fi
    end slurmd "$DIR/slurmd-n1.pid" slurmd "$DIR/slurmd-n2.pid" slurmctld "$DIR/slurmctld.pid"
    end munged "$DIR/munge/pid"
}

[ $# = 2 ] || usage
mkdir -p "$2"
DIR=$(cd "$2" && pwd)
export SLURM_CONF=$DIR/slurm.conf
case $1 in
    start) start ;;
    stop) stop ;;
    *) usage ;;
esac
