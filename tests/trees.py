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
"""The mode of everything below a folder, and what a file holds, or where a link leads, by its path."""

LARGE = 2**24
"""Of a file that is larger, the size says enough."""


def tree(folder: Path) -> Tree:
    """Return what is below a folder, empty folders too, but for what git and the command keep for themselves."""
    found: Tree = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in {".git", OWN_FOLDER}]
        for path in (Path(parent, name) for name in (*folders, *names)):
            about = path.lstat()
            content = b""
            if stat.S_ISLNK(about.st_mode):
                content = os.fsencode(path.readlink())
            elif stat.S_ISREG(about.st_mode) and (about.st_size > LARGE or not about.st_mode & stat.S_IRUSR):
                content = b"%d" % about.st_size
            elif stat.S_ISREG(about.st_mode):
                content = path.read_bytes()
            found[path.relative_to(folder).as_posix()] = about.st_mode, content
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
