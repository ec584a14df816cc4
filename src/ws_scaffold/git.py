"""The program git, for what only it knows."""

import os
from pathlib import Path

from ws_scaffold.errors import ScaffoldError


def git(*arguments: str, otherwise: str, hint: str = "connect and try again") -> str:
    """Return what git prints.

    Raises:
        ScaffoldError: it fails, or is not there; the message begins with `otherwise`, and a way out may be given.
    """
    import subprocess  # noqa: PLC0415 - it takes long to import, and most runs need no git

    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            capture_output=True,
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ADVICE": "0"},
            stdin=subprocess.DEVNULL,
            text=True,
        )
    except FileNotFoundError:
        raise ScaffoldError(f"{otherwise}, and there is no git.", "install git") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["git failed"]
        raise ScaffoldError(f"{otherwise}: {reason[0].rstrip('.')}.", hint)
    return done.stdout


def head(folder: Path) -> str | None:
    """Return what is committed last where a folder is; None where nothing is, or no repository."""
    try:
        return git("-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD", otherwise="No commit").strip()
    except ScaffoldError:
        return None
