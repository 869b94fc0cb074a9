"""The entry of the command line: run it, and end with one line and the right exit code whatever happens.

Little of Python and nothing beyond it is imported before `main` runs, so that a broken installation is told from a
verdict, too, and Ctrl-C at the very start is one line.
docs/guide.md has the table of exit codes.
"""

import os
import sys

from savo_bench.bench.errors import INTERNAL, INTERRUPTED, MACHINE, UserError, reason

DEBUG = "BENCH_DEBUG"  # environment variable: 1 prints tracebacks on standard error


def main() -> None:
    """Run the command line, and end this process with its exit code. No exception gets through; each is one line."""
    try:
        import warnings

        from savo_bench.bench import process

        with process.settled():
            warnings.showwarning = _show_warning
            code = _run()
    except BaseException as error:
        code = _said(error)
    sys.exit(code)


def _run() -> int:
    """Run the command line; returns the exit code."""
    try:
        from savo_bench.bench import verbs

        return verbs.execute(sys.argv[1:])
    except BaseException as error:
        return _said(error)


def _said(error: BaseException) -> int:
    """Say in one line what ended a command; returns its exit code."""
    if os.environ.get(DEBUG) and not isinstance(error, UserError | KeyboardInterrupt):
        import traceback

        traceback.print_exc()
    message, code = _explained(error)
    _line(f"error: {message}", "red")
    return code


def _explained(error: BaseException) -> tuple[str, int]:
    """A line about what ended a command, and its exit code."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        begun = "before anything was started" if sys.argv[1:2] == ["run"] else "by Ctrl-C; nothing more is written"
        return f"stopped {begun}", INTERRUPTED
    if isinstance(error, MemoryError):
        return "this machine has not enough memory", MACHINE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{reason(error)}", MACHINE
    if type(error).__name__ == "CorruptFile":
        return str(error), MACHINE
    if isinstance(error, SystemExit):
        what = f"something ended the command with exit code {error.code}"
    else:
        what = f"{type(error).__name__}: {error}"
    return f"internal error{_place(error)}: {what}; {_kept(error)}", INTERNAL


def _place(error: BaseException) -> str:
    """Where an error came from: the last line of this package, or of any other."""
    import traceback
    from pathlib import Path

    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "savo_bench" in frame.filename] or list(frames)
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _kept(error: BaseException) -> str:
    """Write the traceback to a file of its own; where that is, in words."""
    if os.environ.get(DEBUG):
        return "the traceback is above"
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".log", delete=False, encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)).encode("utf-8", "replace").decode())
        return f"the traceback is in {file.name}, and {DEBUG}=1 prints it"
    except OSError:
        return f"{DEBUG}=1 prints the traceback"


def _line(text: str, style: str) -> None:
    """Print one line on standard error, without colour where what would give it cannot be imported."""
    text = " ".join(text.split())
    try:
        from savo_bench.bench import show

        show.line(show.console(stderr=True), text, style)
    except BaseException:  # also another Ctrl-C, where there is one line to say already
        print(text, file=sys.stderr)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _line(f"warning: {message}", "yellow")


if __name__ == "__main__":
    main()
