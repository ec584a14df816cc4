"""What is on disk, to be compared; and the command, run in this process."""

import contextlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ws_scaffold.cli import main
from ws_scaffold.tree import OWN_FOLDER

Tree = dict[str, tuple[int, bytes]]
"""The mode of everything below a folder, and what a file holds, by its path."""


def tree(folder: Path) -> Tree:
    """Return what is below a folder, empty folders too, but for what git and the command keep for themselves."""
    found: Tree = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in {".git", OWN_FOLDER}]
        for path in (Path(parent, name) for name in (*folders, *names)):
            found[path.relative_to(folder).as_posix()] = (
                path.stat().st_mode,
                b"" if path.is_dir() else path.read_bytes(),
            )
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files below a folder hold."""
    return {path: content for path, (mode, content) in tree(folder).items() if stat.S_ISREG(mode)}


@dataclass(frozen=True)
class Ran:
    """A command that has run."""

    code: int
    output: str


def command(folder: Path, *arguments: str) -> Ran:
    """Run the command as if started in a folder."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
        code = main(["-C", str(folder), *arguments])
    return Ran(code, output.getvalue())
