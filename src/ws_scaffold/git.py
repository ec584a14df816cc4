"""The program git, for what only it knows: without the settings of whoever has called us, and for a limited time."""

import contextlib
import os
from pathlib import Path

from ws_scaffold.errors import Code, ScaffoldError

SECONDS = 300
"""How long git may take: a template is small, but a connection may be slow."""

PASSED_ON = (
    *("GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"),
    *("GIT_CURL_VERBOSE", "GIT_EXEC_PATH", "GIT_HTTP_", "GIT_PROTOCOL", "GIT_PROXY_", "GIT_SSH", "GIT_SSL_"),
    "GIT_TRACE",
)
"""How variables begin that say how to reach a host, and as whom.

Git tells its hooks, aliases and `rebase --exec` by others where the user's repository is: we are about to use another.
"""

SETTINGS = (
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "protocol.ext.allow=never",
    "safe.bareRepository=explicit",
)
"""What must not depend on the user's own settings: the template's files as they are, and no program that is run."""


def _environment() -> dict[str, str]:
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_ADVICE": "0", "LC_ALL": "C"}
    theirs = {key: it for key, it in os.environ.items() if not key.startswith("GIT_") or key.startswith(PASSED_ON)}
    return theirs | ours


def git(
    *arguments: str,
    folder: Path,
    otherwise: str,
    hint: str = "connect and try again",
    seconds: float = SECONDS,
) -> str:
    """Return what git prints when it is run in a folder.

    Raises:
        ScaffoldError: it fails, is not there, or takes longer than it may; the message begins with `otherwise`, and a
            way out may be given.
    """
    import subprocess  # noqa: PLC0415 - it takes long to import, and most runs need no git

    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    try:
        process = subprocess.Popen(  # noqa: S603
            ["git", *settings, *arguments],  # noqa: S607
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise ScaffoldError(f"{otherwise}, and there is no git.", "install git", code=Code.NO_GIT) from None
    with process:
        try:
            printed, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()  # so that git ends what it has started, as it does when it is interrupted
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            raise ScaffoldError(
                f"{otherwise}: git took longer than {seconds:g} seconds.", hint, code=Code.TEMPLATE_UNREACHABLE
            ) from None
    if process.returncode:
        raise ScaffoldError(f"{otherwise}: {_reason(complaint)}.", hint, code=Code.TEMPLATE_UNREACHABLE)
    return printed


def _reason(complaint: str) -> str:
    """Return why git says that it has failed: it goes on to give advice."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (fatal or lines[-1:] or ["git failed"])[0].rstrip(".")


def head(folder: Path) -> str | None:
    """Return what is committed last where a folder is; None where nothing is, or no repository."""
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder, otherwise="No commit").strip()
    except ScaffoldError:
        return None


def committed(folder: Path, path: str) -> bytes | None:
    """Return what a file below a folder holds in what is committed last; None where that is not to be had."""
    try:
        return git("show", f"HEAD:./{path}", folder=folder, otherwise="No commit").encode()
    except ScaffoldError:
        return None
