"""The files of a project on disk, none of them outside its root."""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from ws_scaffold import disk
from ws_scaffold.errors import Code, ScaffoldError

OWN_FOLDER = ".ws-scaffold"
"""Where the command keeps what a project's history need not know: git ignores it."""

CACHES = frozenset({"__pycache__"})
"""What a folder may hold and still be as good as empty."""

NOT_OURS = CACHES | {
    *(".git", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"),
    OWN_FOLDER,
}
"""Folders that nobody keeps a project's files in."""

NO_PLACE_TO_LOOK = frozenset({"build", "data", "dist", "env", "venv"})
"""Folders at the top of a project that nobody moves a generated file to, and that may hold very much."""

READABLE = 2**28
"""How large a file may be that is still read: what is generated is a thousandth of a thousandth of it."""

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
        try:
            resolved = where.resolve()
        except (OSError, RuntimeError):
            raise ScaffoldError(
                f"{path} is a link that leads to itself; nothing was written.",
                "remove it",
                code=Code.IN_THE_WAY,
                paths=[path],
            ) from None
        if not resolved.is_relative_to(self.root) or PurePosixPath(path).is_absolute() or ".." in path.split("/"):
            raise ScaffoldError(
                f"{path} is outside of {self.root}; nothing was written.",
                "move it back into the project",
                code=Code.OUTSIDE_PROJECT,
                paths=[path],
            )
        if is_of_git(path) or is_of_git(resolved.relative_to(self.root).as_posix()):
            raise ScaffoldError(
                f"{path} is in git's own folder, where no file of a project is; nothing was written.",
                "remove what leads there: a link of the project, or a file of the template",
                code=Code.OUTSIDE_PROJECT,
                paths=[path],
            )
        return resolved

    def real(self, path: str) -> str:
        """Return the path that a file has without links on the way to it."""
        return self.at(path).relative_to(self.root).as_posix()

    def beside(self, path: str) -> str:
        """Return the path that something has without links to its folder; it may be a link itself.

        Raises:
            ScaffoldError: its folder is outside of the project, or it is in git's own.
        """
        folder, _, name = path.rpartition("/")
        real = self.real(folder) if folder else "."
        if is_of_git(name):
            self.at(path)
        return name if real == "." else f"{real}/{name}"

    def exists(self, path: str) -> bool:
        """Whether there is anything, a link to nothing too."""
        return os.path.lexists(self.root / path)

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None where there is none.

        Raises:
            ScaffoldError: it is no regular file, is very large, or may not be read.
        """
        where, code = self.at(path), Code.IN_THE_WAY
        try:
            about = where.stat()
            if stat.S_ISDIR(about.st_mode):
                reason, hint = "is a folder where a file should be", "move it"
            elif not stat.S_ISREG(about.st_mode):
                reason, hint = "is no regular file", "move it"
            elif about.st_size > READABLE:
                reason, hint = "is too large to be merged", "move it"
            else:
                return where.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            reason, hint, code = f"cannot be read ({error.strerror})", "allow it to be read", Code.NO_PERMISSION
        raise ScaffoldError(f"{path} {reason}; nothing was written.", hint, code=code, paths=[path])

    def text(self, path: str, largest: int = READABLE) -> bytes | None:
        """Return the content of a regular file that is no link, may be read, and is not too large; else None."""
        where = os.path.join(self.root, path)  # noqa: PTH118 - this runs for every file of a project
        try:
            about = os.lstat(where)
            if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
                return None
            with open(where, "rb") as file:  # noqa: PTH123 - the same
                return file.read()
        except OSError:
            return None

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
        try:
            return os.readlink(self.root / path)  # noqa: PTH115 - one that is also right where there is nothing
        except OSError:
            return None

    def write(self, path: str, content: bytes, mode: int | None = None) -> None:
        """Replace a file as a whole: at no moment is it half-written. It keeps its mode, if it is given no other."""
        where = self.at(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(where, content, self.mode(path) if mode is None else mode)

    def write_link(self, path: str, target: str) -> None:
        """Make a link, if there is nothing in its place."""
        where = self.root / self.beside(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            where.symlink_to(target)

    def relocate(self, source: str, path: str, link: str | None, *, replace: bool = False) -> bool:
        """Put anything elsewhere as it is, a link with where it leads from there; return whether it is there now.

        Whatever was done of it before is not done again.
        """
        old, new = self.root / self.beside(source), self.root / self.beside(path)
        if replace and os.path.lexists(old):
            new.unlink(missing_ok=True)
        if os.path.lexists(new):
            arrived = not os.path.lexists(old) or (link is not None and link == self.link(path) and old.is_symlink())
        elif not os.path.lexists(old):
            arrived = False
        else:
            new.parent.mkdir(parents=True, exist_ok=True)
            if link in {None, self.link(source)}:
                old.rename(new)
            else:
                new.symlink_to(str(link))
            arrived = True
        if arrived:
            if old.is_symlink():
                old.unlink()
            self.delete(source)  # its folder, that is, if nothing is left there
        return arrived

    def forget(self, path: str) -> None:
        """Remove what a killed run has left of a file that it was about to replace."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            disk.temporary(self.at(path)).unlink()

    def delete(self, path: str) -> None:
        """Remove a file, or the link to it, if it is there, and the folders that are empty without it."""
        import shutil  # noqa: PLC0415 - it takes long to import, and most runs delete nothing

        self.at(path)
        where = self.root / self.beside(path)
        where.unlink(missing_ok=True)
        for folder in where.parents:
            if folder == self.root or not folder.is_dir():
                break
            children = list(folder.iterdir())
            if any(child.name not in CACHES or child.is_symlink() or not child.is_dir() for child in children):
                break
            for cache in children:
                shutil.rmtree(cache)
            folder.rmdir()

    def settle(self, paths: Iterable[str]) -> None:
        """Wait until it is on disk which files there are in the folders of these."""
        folders: set[Path] = set()
        for path in paths:
            folders.add((self.root / self.beside(path)).parent)
            with contextlib.suppress(ScaffoldError):  # a link that leads out, or to itself
                folders.add(self.at(path).parent)
        for folder in folders:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                disk.settle(folder)

    def below(self, folder: str) -> Iterator[str]:
        """Yield the regular files below a folder, but for what is nobody's work or very much."""
        return (path for path, entry in self._walk(folder) if entry.is_file(follow_symlinks=False))

    def links(self, folder: str) -> Iterator[str]:
        """Yield the links below a folder, but for those in what is nobody's work or very much."""
        return (path for path, entry in self._walk(folder) if entry.is_symlink())

    def _walk(self, folder: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        """Yield all but folders, in an order that is always the same; what may not be looked into is passed over."""
        try:
            with os.scandir(self.root / folder) as scanned:
                children = sorted(scanned, key=lambda child: child.name)
        except OSError:
            return
        passed = NOT_OURS | NO_PLACE_TO_LOOK if folder == "." else NOT_OURS
        for child in children:
            path = child.name if folder == "." else f"{folder}/{child.name}"
            if not child.is_dir(follow_symlinks=False):
                yield path, child
            elif child.name not in passed and not os.path.exists(f"{child.path}/pyvenv.cfg"):  # noqa: PTH110
                yield from self._walk(path)

    def target(self, path: str) -> str | None:
        """Return where a link leads, as a path in the project, other links not followed; None if it leads out."""
        link = self.link(path)
        if link is None:
            return None
        where = os.path.normpath(self.root / PurePosixPath(path).parent / link)
        return os.path.relpath(where, self.root).replace(os.sep, "/") if Path(where).is_relative_to(self.root) else None

    def entries(self, folder: str) -> Iterator[str]:
        """Yield all that is below a folder, whatever it is: links, folders that are empty, and what is nobody's work.

        Caches are as good as nothing.
        """
        try:
            with os.scandir(self.root / folder) as scanned:
                children = sorted(scanned, key=lambda child: child.name)
        except OSError:  # it may not be looked into, but can be moved
            yield folder
            return
        children = [child for child in children if child.name not in CACHES or not child.is_dir(follow_symlinks=False)]
        if not children:
            yield folder
        for child in children:
            path = f"{folder}/{child.name}"
            if child.is_dir(follow_symlinks=False) and child.name not in NOT_OURS:
                yield from self.entries(path)
            else:
                yield path


def executable_bits(mode: int) -> int:
    """Return the bits that make a file executable for who may read it."""
    return (mode & 0o444) >> 2


def creation_mode() -> int:
    """Return the mode that a new file has."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
