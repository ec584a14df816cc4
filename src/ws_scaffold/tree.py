"""The files of a project on disk, none of them outside its root."""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from ws_scaffold import disk
from ws_scaffold.errors import ScaffoldError

OWN_FOLDER = ".ws-scaffold"
"""Where the command keeps what a project's history need not know: git ignores it."""

CACHES = frozenset({"__pycache__"})
"""What a folder may hold and still be as good as empty."""

NOT_OURS = CACHES | {
    *(".git", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"),
    OWN_FOLDER,
}
"""Folders that nobody keeps a project's files in."""


UNSEEN = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
"""What macOS leaves out of a name."""


def is_of_git(path: str) -> bool:
    """Whether a path leads into git's own folder, or would on a system that takes other names for the same."""
    names = (name.translate(UNSEEN).casefold().partition(":")[0].rstrip(" .") for name in re.split(r"[/\\]", path))
    return not {".git", "git~1"}.isdisjoint(names)


class Tree:
    """The files of a project on disk, none of them outside its root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def at(self, path: str) -> Path:
        """Return where a file of the project is: links are followed as long as they stay inside.

        Raises:
            ScaffoldError: it is outside the project.
        """
        where = self.root / path
        resolved = where.resolve()
        if not resolved.is_relative_to(self.root) or PurePosixPath(path).is_absolute() or ".." in path.split("/"):
            raise ScaffoldError(
                f"{path} is outside of {self.root}; nothing was written.", "move it back into the project"
            )
        if is_of_git(path) or is_of_git(resolved.relative_to(self.root).as_posix()):
            raise ScaffoldError(
                f"{path} is in git's own folder, where no file of a project is; nothing was written.",
                "remove what leads there: a link of the project, or a file of the template",
            )
        return resolved

    def _holds(self, resolved: Path) -> bool:
        return resolved.is_relative_to(self.root) and not is_of_git(resolved.relative_to(self.root).as_posix())

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None where there is none."""
        where = self.at(path)
        try:
            return where.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            raise ScaffoldError(f"{path} is a folder where a file should be; nothing was written.", "move it") from None

    def obstacle(self, path: str) -> str | None:
        """Return the file that is where a folder on the way to a new file must be, if there is one."""
        for folder in PurePosixPath(path).parents:
            if (self.root / folder).is_file():
                return str(folder) if folder.name else self.root.name
        return None

    def mode(self, path: str) -> int | None:
        """Return a file's permissions, or None where there is none."""
        try:
            return stat.S_IMODE(self.at(path).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def link(self, path: str) -> str | None:
        """Return where a link leads, or None where there is none."""
        where = self.root / path
        return str(where.readlink()) if where.is_symlink() else None

    def write(self, path: str, content: bytes, mode: int | None = None) -> None:
        """Replace a file as a whole: at no moment is it half-written. It keeps its mode, if it is given no other."""
        where = self.at(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(where, content, self.mode(path) if mode is None else mode)

    def write_link(self, path: str, target: str) -> None:
        """Make a link, if there is nothing in its place."""
        where = self.root / path
        self.at(str(PurePosixPath(path).parent))
        where.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            where.symlink_to(target)

    def forget(self, path: str) -> None:
        """Remove what a killed run has left of a file that it was about to replace."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            disk.temporary(self.at(path)).unlink()

    def delete(self, path: str) -> None:
        """Remove a file, or the link to it, if it is there, and the folders that are empty without it."""
        import shutil  # noqa: PLC0415 - it takes long to import, and most runs delete nothing

        where = self.root / path
        self.at(path)
        where.unlink(missing_ok=True)
        for folder in where.parents:
            if folder == self.root or not folder.is_dir() or {child.name for child in folder.iterdir()} - CACHES:
                break
            for cache in folder.iterdir():
                shutil.rmtree(cache)
            folder.rmdir()

    def settle(self, paths: Iterable[str]) -> None:
        """Wait until it is on disk which files there are in the folders of these."""
        for folder in {self.at(path).parent for path in paths}:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                disk.settle(folder)

    def below(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder, but for what is nobody's work, and links that lead out of the project."""
        for parent, folders, names in os.walk(self.root / folder):
            folders[:] = sorted(set(folders) - NOT_OURS)
            for path in (Path(parent) / name for name in sorted(names)):
                if not path.is_symlink() or self._holds(path.resolve()):
                    yield path.relative_to(self.root).as_posix()


def executable_bits(mode: int) -> int:
    """Return the bits that make a file executable for who may read it."""
    return (mode & 0o444) >> 2


def creation_mode() -> int:
    """Return the mode that a new file has."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
