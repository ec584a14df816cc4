"""What must outlive a run: in the user's own folder, where nothing is that comes with a project."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ws_scaffold.disk import OWNER_ONLY, replace, settle
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.paths import state_folder

FORMAT = 1


class Record:
    """One of the records that are kept about a project, by the place where that is.

    Where one cannot be used, `hint` says how to do without it.
    """

    def __init__(self, root: Path, name: str, hint: str) -> None:
        self._hint = hint
        self._root = os.fsdecode(root)
        key = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        self._name = f"{key}.{name}.json"

    def _path(self) -> Path:
        return state_folder("projects") / self._name

    def read(self) -> Any:
        """Return what was written last, or None where nothing was.

        Raises:
            ScaffoldError: it is damaged; it is out of the way now.
        """
        try:
            path = self._path()
        except ScaffoldError:  # then none could be written, either
            return None
        try:
            with path.open("rb") as file:
                owner, content = os.fstat(file.fileno()).st_uid, file.read()
        except FileNotFoundError:
            return None
        except OSError:
            raise self.unusable("cannot be read") from None
        try:
            record = json.loads(content)
            if (record["format"], record["root"]) == (FORMAT, self._root) and owner == path.parent.stat().st_uid:
                return record["content"]
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise self.unusable("is damaged")

    def unusable(self, reason: str) -> ScaffoldError:
        """Put it out of the way, and return an error that says so."""
        path = self._path()
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        return ScaffoldError(
            f"The record of an earlier run {reason}, and was put aside as {aside}; nothing was written.",
            self._hint,
            code=Code.RECORD_DAMAGED,
        )

    def write(self, content: Any) -> None:
        """Replace it.

        Raises:
            ScaffoldError: that is not possible.
        """
        record = {"format": FORMAT, "root": self._root, "content": content}
        path = self._path()
        try:
            replace(path, json.dumps(record).encode(), OWNER_ONLY)
            settle(path.parent)
        except OSError as error:
            raise ScaffoldError(
                f"{path.parent} cannot be written to: {error.strerror}.", "allow it", code=Code.NO_PERMISSION
            ) from None

    def delete(self) -> None:
        """Remove it, if it is there."""
        with contextlib.suppress(ScaffoldError):
            self._path().unlink(missing_ok=True)
