"""The launcher `slurm`: packs become the tasks of a throttled SLURM array, by way of submitit.

    launcher.py    what `bench run --on slurm` does
    options.py     --partition, --time and the others
    submit.py      arrays, and what sbatch is told
    records.py     what was submitted
    queue.py       what squeue says of it
    follow.py      `--wait`
    batch.py       the batch script around a task
    task.py        what a task does on its node
    nodes.py       which nodes failed
    commands.py    calling squeue and the others
    environment.py the variables that they get

What may happen to a task, and what it does:

    SIGUSR2, some time before its time limit       saves and ends; its batch script asks SLURM to requeue it
    SIGTERM: preempted, requeued, cancelled        saves and ends; whoever sent it decides whether it comes back
    its node fails                                 SLURM runs it again; it resumes from its last checkpoint
    it is killed, or crashes                       `bench status` says so, and the next `bench run` submits it again

The pickled pack names a run directory and never a checkpoint, so the first pickle stays valid.
"""
