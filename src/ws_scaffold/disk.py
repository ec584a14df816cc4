"""Files that are replaced as a whole, and are there although the power fails."""

import os
from pathlib import Path

OWNER_ONLY = 0o600
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def temporary(where: Path) -> Path:
    """Return where a file is before it takes its place: always the same, so that what is left there can be found."""
    return where.with_name(f".{where.name}.ws-scaffold")


def replace(where: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file as a whole: at no moment is it half-written, or readable for others than it will be.

    It has the mode of a new file, if it is given no other.
    """
    passing = temporary(where)
    passing.unlink(missing_ok=True)
    first = 0o666 if mode is None else OWNER_ONLY
    try:
        with os.fdopen(os.open(passing, NEW_FILE, first), "wb") as file:
            file.write(content)
            if mode is not None:
                passing.chmod(mode)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(where)
    finally:
        passing.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Wait until what has happened to the names in a folder is on disk, where a system can say so."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
