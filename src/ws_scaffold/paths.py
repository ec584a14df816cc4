"""Where things are that belong to no project."""

import os
import sys
from functools import cache
from pathlib import Path

from ws_scaffold.errors import Code, ScaffoldError

OWNER_ONLY = 0o700


def own_template() -> Path:
    """Return where this version's template is: in the checkout, or else in the package."""
    package = Path(__file__).parent
    checkout = package.parent.parent
    return checkout if (checkout / "copier.yml").is_file() else package / "_template"


def cache_folder(name: str) -> Path:
    """Return one of the user's folders for what can be had again; it is there, and nobody else's.

    Raises:
        ScaffoldError: there can be none.
    """
    return _private("XDG_CACHE_HOME", "~/.cache", "user_cache_path", name)


def state_folder(name: str) -> Path:
    """Return one of the user's folders for what cannot be had again; it is there, and nobody else's.

    Raises:
        ScaffoldError: there can be none.
    """
    return _private("XDG_STATE_HOME", "~/.local/state", "user_state_path", name)


def _private(variable: str, default: str, elsewhere: str, name: str) -> Path:
    if sys.platform == "linux":  # what platformdirs would say, without the time to import it
        said = Path(os.environ.get(variable, ""))
        try:
            folder = (said if said.is_absolute() else Path(default).expanduser()) / "ws-scaffold"
        except RuntimeError:
            raise ScaffoldError("There is no home folder.", f"set HOME, or {variable}", code=Code.SYSTEM) from None
    else:
        import platformdirs  # noqa: PLC0415 - see above

        folder = getattr(platformdirs, elsewhere)("ws-scaffold", appauthor=False)
    wanted: Path = folder / name
    try:
        folder.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        wanted.mkdir(OWNER_ONLY, exist_ok=True)
        if hasattr(os, "geteuid"):
            about = wanted.stat()
            if about.st_uid != os.geteuid():
                raise ScaffoldError(
                    f"{wanted} belongs to another user.", f"chown it, or set {variable}", code=Code.FOREIGN_OWNER
                )
            if about.st_mode & ~OWNER_ONLY & 0o777:
                wanted.chmod(OWNER_ONLY)
    except OSError as error:
        raise ScaffoldError(
            f"{wanted} cannot be made: {error.strerror}.", f"allow it, or set {variable}", code=Code.NO_PERMISSION
        ) from None
    return wanted


@cache
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def inside(root: Path, path: Path) -> Path:
    """Return a path of a template.

    Raises:
        ScaffoldError: a link leads out of the template.
    """
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        resolved = None
    if resolved is None or not resolved.is_relative_to(_resolved(root)):
        where = os.path.relpath(path, root)
        raise ScaffoldError(
            f"The template at {root} is refused: its {where} leads out of it; nothing was written.",
            "take a version of the template that is whole",
            code=Code.TEMPLATE_REFUSED,
        )
    return path
