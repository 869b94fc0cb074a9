"""The shell lines of a task's batch script around the training.

They run on the node, outside of a container, and also where Python does not start. They note how every attempt ended
(see nodes.py), ask SLURM to requeue the task if it left for its time limit, and keep the waiting tasks of the array
away from a node that cannot be used. A file of the user's in the folder of the submission, say random.py, must not
stand for a module of Python: PYTHONSAFEPATH keeps that folder off the import path.
"""

import shlex
from pathlib import Path

from savo_bench.bench import grammar
from savo_bench.bench.errors import UserError

BAD_NODE = 76  # exit code of a task on whose node the first computation failed; EX_PROTOCOL, which nothing here uses
COME_BACK = 77  # exit code of a task that saved before its time limit; EX_NOPERM, which nothing here uses
# Ends that are the node's fault: that code; the shell's two for a command that is not there or cannot be run; SIGALRM,
# which ends a first computation that hangs.
OF_THE_NODE = (BAD_NODE, 126, 127, 142)
FAILURES = 2  # in a row until a node is left out; ours: one may be chance

APPTAINER = (".sif", ".img", ".simg")  # images that Apptainer and Singularity run

_SCRIPT = """\
export PYTHONSAFEPATH=1
bench_node=${SLURMD_NODENAME:-$(uname -n)}
bench_task=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
bench_task=${bench_task:-$SLURM_JOB_ID}
bench_ended() {
    local code=$? excluded
    trap - EXIT
    printf '{"node": "%s", "job": "%s", "submission": "%s", "index": %d, "ended": %d, "seconds": %d, "code": %d}\\n' \\
        "$bench_node" "$bench_task" @TOKEN@ "${SLURM_ARRAY_TASK_ID:-0}" "$(date +%s)" "$SECONDS" "$code" >> @NODES@
    case $code in
        @COME_BACK@)
            scontrol requeue "$bench_task" ||
                echo "saved, but not requeued from node $bench_node: the next \\`bench run\\` submits it again" >&2 ;;
        @OF_THE_NODE@)
            excluded=$(awk -F '"' '
                /"code": (@OF_THE_NODE@)}$/ { failed[$4]++ }
                /"code": (@FINE@)}$/ { failed[$4] = 0 }
                END { for (node in failed) if (failed[node] >= @FAILURES@) printf ",%s", node }' @NODES@)
            case $excluded, in
                *",$bench_node,"*) ;;
                *) exit "$code" ;;
            esac
            echo "node $bench_node failed @FAILURES@ times: the waiting tasks leave it out" >&2
            excluded=@EXCLUDED@$excluded
            [ -z "$SLURM_ARRAY_JOB_ID" ] || scontrol update "JobId=$SLURM_ARRAY_JOB_ID" "ExcNodeList=${excluded#,}" ;;
    esac
    exit "$code"
}
trap bench_ended EXIT"""


def script(token: str, nodes: Path, excluded: str) -> list[str]:
    """Shell lines to run first.

    Args:
        token: the name of the submission's folder
        nodes: the file that notes attempts
        excluded: nodes that the array leaves out already, with commas between them
    """
    codes = "|".join(map(str, OF_THE_NODE))
    values = {
        "TOKEN": token,
        "NODES": shlex.quote(str(nodes)),
        "COME_BACK": str(COME_BACK),
        "OF_THE_NODE": codes,
        "FINE": f"0|75|{COME_BACK}",
        "FAILURES": str(FAILURES),
        "EXCLUDED": shlex.quote(excluded),
    }
    text = _SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.splitlines()


def container(image: str, device: str, root: Path) -> tuple[list[str], list[str], str]:
    """What runs a task in a container: shell lines to run first, arguments of srun, the shell's words for Python.

    Args:
        image: a file or a folder of Apptainer's; else what Pyxis takes, a file of enroot or the name of an image. A
            name has no path in front, and nothing in it is expanded
        device: "cpu" or "cuda"
        root: runs/<name>, which the container is to see

    Raises:
        UserError: the image is named as a file and is not there, or its path cannot be expanded.
    """
    path = Path(image)
    is_file = path.suffix in (*APPTAINER, ".sqsh") or image.startswith((".", "/", "~", "$"))
    if is_file:
        try:
            path = grammar.path(image)
        except ValueError as error:
            raise UserError(f"--container {image}: {error}") from None
    if is_file and not path.exists():
        raise UserError(f"--container {image}: there is no such file")
    setup = ["unset PYTHONPATH PYTHONHOME"]  # those of the login node's Python
    if path.suffix in APPTAINER or (is_file and path.is_dir()):
        find = "bench_apptainer=$(command -v apptainer || command -v singularity) || "
        complain = '{ echo "neither apptainer nor singularity is installed on node $bench_node" >&2; exit 127; }'
        nv = "--nv " if device == "cuda" else ""
        bind, file = shlex.quote(str(root)), shlex.quote(str(path.absolute()))
        return [*setup, find + complain], [], f'"$bench_apptainer" exec {nv}--bind {bind} {file} python'
    named = str(path.absolute()) if is_file else image
    return setup, [f"--container-image={named}", f"--container-mounts={root}:{root}"], "python"
