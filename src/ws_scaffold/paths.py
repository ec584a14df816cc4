"""Where things are that belong to no project."""

import os
import sys
from pathlib import Path


def own_template() -> Path:
    """Return where this version's template is: in the checkout, or else in the package."""
    package = Path(__file__).parent
    checkout = package.parent.parent
    return checkout if (checkout / "copier.yml").is_file() else package / "_template"


def cache_folder() -> Path:
    """Return the user's folder for what can be had again."""
    if sys.platform == "linux":  # what platformdirs would say, without the time to import it
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ws-scaffold"
    import platformdirs  # noqa: PLC0415 - see above

    return platformdirs.user_cache_path("ws-scaffold", appauthor=False)
