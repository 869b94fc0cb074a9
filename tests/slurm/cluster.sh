#!/usr/bin/env bash
# A real SLURM of two nodes on this machine, for the tests: its files, keys and ports are its own, so that it gets in the
# way of no other SLURM, and it forgets everything when it is stopped.
#
#   cluster.sh start FOLDER    install what is missing, start on free ports, wait until the nodes are idle
#   cluster.sh stop FOLDER     stop the daemons of that folder
#   cluster.sh lend FOLDER     start, print a line, and stop at the end of standard input, whatever ends its owner
#   . FOLDER/env               afterwards sbatch, squeue and scontrol of this shell speak to it
#
# Several of them may run on one machine, each in a folder of its own.
#
# Needs root and, where SLURM is not installed, apt-get (Debian, Ubuntu: packages slurm-wlm and munge). A node claims four
# CPUs and two GPUs (/dev/null and /dev/zero). The default partition, test, has the first node; the partition both has
# the other, called second, as well and prefers it. It keeps no accounting and takes arrays of at most 5 tasks.
# Exit codes: 0 it runs, 77 it cannot on this machine (one line says why), 1 it should but did not.
set -euo pipefail

cannot() {
    echo "no SLURM here: $1" >&2
    exit 77
}

failed() {
    echo "SLURM did not start: $1; the logs are in $folder" >&2
    tail -n 5 "$folder"/*.log >&2 || true
    stop
    exit 1
}

install() {
    local each missing=
    for each in slurmctld slurmd munged sbatch squeue; do
        command -v "$each" > /dev/null || missing=$each
    done
    [ "$missing" ] || return 0
    command -v apt-get > /dev/null || cannot "$missing is not installed and there is no apt-get"
    # Recommended packages would start a munged of their own.
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update > "$folder/apt.log" 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends -y \
            slurm-wlm munge >> "$folder/apt.log" 2>&1 ||
        cannot "apt-get could not install slurm-wlm and munge: $(tail -n 1 "$folder/apt.log")"
}

is_free() {
    ! (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

configure() {
    local host port
    host=$(hostname -s)
    port=16817
    until is_free $port && is_free $((port + 1)) && is_free $((port + 2)); do
        port=$((port + 3))
    done
    cat > "$folder/slurm.conf" << CONF
ClusterName=savo-bench-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until the credential of its former life has expired; no launch may take longer than that.
AuthInfo=socket=$folder/munge.socket,cred_expire=10
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
# a node that was set down stays so until it is resumed
ReturnToService=1
GresTypes=gpu
MaxArraySize=5
KillWait=20
SchedulerParameters=sched_interval=2,batch_sched_delay=0
# believe the line below, on whatever machine this is
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 Gres=gpu:2 Weight=2
NodeName=second NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=4 RealMemory=1000 Gres=gpu:2
PartitionName=test Nodes=$host Default=YES State=UP
PartitionName=both Nodes=$host,second State=UP
CONF
    printf 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n' > "$folder/gres.conf"
    printf 'export SLURM_CONF=%q\n' "$folder/slurm.conf" > "$folder/env"
}

start() {
    mkdir -p "$folder"/state
    install
    configure
    . "$folder/env"
    head -c 1024 /dev/urandom > "$folder/munge.key"
    chmod 600 "$folder/munge.key"
    # --force: it need not mind who else could write to the folder
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" || failed "munged ended"
    slurmctld -f "$folder/slurm.conf" || failed "slurmctld ended"
    slurmd -f "$folder/slurm.conf" -N "$(hostname -s)" || failed "slurmd ended"
    slurmd -f "$folder/slurm.conf" -N second || failed "the second slurmd ended"
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --partition=both --format=%D%t 2> "$folder/sinfo.log")" = 2idle ] && return
        sleep 0.5
    done
    failed "its nodes are not idle after 30 seconds"
}

stop() {
    local daemon pid process
    if [ -e "$folder/slurmctld.pid" ]; then
        SLURM_CONF=$folder/slurm.conf timeout 10 scancel --full --signal=KILL --user=root 2> /dev/null || true
        SLURM_CONF=$folder/slurm.conf timeout 10 scancel --user=root 2> /dev/null || true
    fi
    for daemon in "slurmd-$(hostname -s)" slurmd-second slurmctld munged; do
        pid=$(cat "$folder/$daemon.pid" 2> /dev/null) || continue
        kill "$pid" 2> /dev/null || continue
        for _ in $(seq 50); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2> /dev/null || true
    done
    # What the controller did not end in time: its jobs, and the daemons of their steps.
    for process in /proc/[0-9]*; do
        grep -qzxF "SLURM_CONF=$folder/slurm.conf" "$process/environ" 2> /dev/null || continue
        grep -qz '^SLURM_JOB_ID=' "$process/environ" || [ "$(cat "$process/comm")" = slurmstepd ] || continue
        kill -9 "${process#/proc/}" 2> /dev/null || true
    done
}

[ $# = 2 ] || {
    echo "usage: $0 start|stop|lend FOLDER" >&2
    exit 2
}
folder=$(realpath -m "$2")
case $1 in
    start)
        [ "$(id -u)" = 0 ] || cannot "starting its daemons takes root"
        command -v flock > /dev/null || cannot "flock is not installed"
        # One after the other, so that no two take the same ports, or call apt-get.
        exec flock --close "${TMPDIR:-/tmp}/savo-bench-slurm.lock" "$0" start-alone "$folder"
        ;;
    start-alone) start ;;
    stop) stop ;;
    lend)
        "$0" start "$folder" || exit
        echo started
        cat > /dev/null
        stop
        ;;
    *)
        echo "usage: $0 start|stop|lend FOLDER" >&2
        exit 2
        ;;
esac
