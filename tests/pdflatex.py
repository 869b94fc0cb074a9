"""LaTeX, where it is installed."""

import shutil
import subprocess

COMPILER = shutil.which("pdflatex")


def compiled(tex, folder):
    """Run LaTeX and return its log; it must have ended well."""
    (folder / "main.tex").write_text(tex)
    command = [str(COMPILER), "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "main.log").read_text(errors="replace")
