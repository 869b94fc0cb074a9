"""What can go wrong: one line, no traceback, and an exit code that says whose fault it is.

docs/guide.md has the table of exit codes. 3 to 5 are verdicts of `bench check` and
`bench compare`, in results/regression.py and head_to_head.py.
"""

NEGATIVE = 1  # an answer: seeds are not done, a regression, nothing to film
USAGE = 2  # what was typed makes no sense
INTERNAL = 70  # EX_SOFTWARE of sysexits.h: an error of this program or of a plug-in
MACHINE = 74  # EX_IOERR: a file, a folder, a disk or the scheduler refuses
INTERRUPTED = 130  # what a shell reports after Ctrl-C


class UserError(Exception):
    """A mistake of the user, or of the machine, that one line explains: the field, the value and the fix."""

    def __init__(self, message: str, *, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def reason(error: OSError) -> str:
    """Why the machine refuses something, in words."""
    return error.strerror or str(error) or type(error).__name__
