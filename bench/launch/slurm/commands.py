"""Calling the commands of SLURM."""

import os
import re
import subprocess
from typing import Any

from savo_bench.bench.launch.slurm import environment

PATIENCE = 30.0  # seconds until a command of SLURM counts as hung; ours


class SlurmProblem(Exception):
    """A command of SLURM failed, or is not there; the message is one line."""


class Refused(SlurmProblem):
    """SLURM answered, and does not do what it was asked for."""


def call(*command: str) -> str:
    """Run a command of SLURM; returns what it prints.

    Raises:
        SlurmProblem: it is not there, fails or hangs.
    """
    try:
        done: Any = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment.of_commands(os.environ),
        )
    except FileNotFoundError:
        raise SlurmProblem(f"{command[0]} is not installed here") from None
    except OSError as error:
        raise SlurmProblem(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SlurmProblem(f"{command[0]} gave no answer within {PATIENCE:g} seconds") from None
    if done.returncode:
        raise SlurmProblem(one_line(command[0], done.stderr) or f"{command[0]} failed with code {done.returncode}")
    return done.stdout


def one_line(command: str, said: str) -> str:
    """What a command of SLURM complained of, in one line with its name once."""
    lines = [re.sub(rf"^{re.escape(command)}: (error|fatal): ", "", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    return f"{command}: {'; '.join(lines)}" if lines else ""
