"""The versions of the template: which there are, and where to have each of them."""

import contextlib
import hashlib
import os
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ws_scaffold import __version__
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.git import git
from ws_scaffold.paths import cache_folder, own_template

SOURCE = "gh:org/ws-scaffold"
"""Where a project that this command makes gets its updates from."""

OWN = f"v{__version__}"
"""The version that this package ships: template and command have one number."""

SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
REFERENCE = re.compile(r"[A-Za-z0-9][\w.+/-]*")
BETWEEN_TAGS = re.compile(r"(.+)-([0-9]+)-g[0-9a-f]+")

Rank = tuple[object, int]
"""What versions are ordered by: the tag, and how many commits come after it."""


def rank(version: str) -> Rank | None:
    """Return what to order a version by, as git describes it; None where it names no release, as a mere hash does."""
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - only what looks for versions needs it

    found = BETWEEN_TAGS.fullmatch(version)
    tag, commits = (found[1], int(found[2])) if found else (version, 0)
    try:
        return Version(tag), commits
    except InvalidVersion:
        return None


def _address(source: str) -> str:
    for shortcut, host in SHORTCUTS.items():
        if source.startswith(shortcut):
            return f"{host}{source.removeprefix(shortcut).removesuffix('.git')}.git"
    return str(Path(source).expanduser()) if source.startswith("~") else source.removeprefix("git+")


class Newest(NamedTuple):
    """The newest release of a template."""

    version: str | None
    """Its tag, or None where there is no release."""
    note: str = ""
    """What keeps it from being certain."""


def newest(source: str) -> Newest:
    """Return the newest release of a template, prereleases left out.

    Of our own source, the version that this package ships is one, whether the source can be reached or not.

    Raises:
        ScaffoldError: the source cannot be reached.
    """
    own = [OWN] if source == SOURCE else []
    note = ""
    try:
        listed = git(
            *("ls-remote", "--tags", "--refs", "--", _address(source)),
            otherwise=f"The versions of the template cannot be listed at {source}",
        )
    except ScaffoldError:
        if not own:
            raise
        listed, note = "", f"{source} cannot be reached: of what is known here, {OWN} is the newest"
    tags = [line.partition("refs/tags/")[2] for line in listed.splitlines()]
    ranked = [(found, tag) for tag in (*tags, *own) if (found := rank(tag)) and not _is_prerelease(found)]
    return Newest(max(ranked, key=lambda it: it[0])[1] if ranked else None, note)


def _is_prerelease(rank: Rank) -> bool:
    return bool(getattr(rank[0], "is_prerelease", False))


def is_reference(commit: object) -> bool:
    """Whether something can name a version: git would take some other texts for options."""
    return isinstance(commit, str) and REFERENCE.fullmatch(commit) is not None


def fetched(source: str, reference: str) -> Path:
    """Return where a version of the template is: a tag, a branch or a commit; fetch it if need be, once.

    Raises:
        ScaffoldError: it cannot be had.
    """
    if source == SOURCE and reference == OWN:
        return own_template()
    key = hashlib.sha256(f"{source}\n{reference}".encode()).hexdigest()[:32]
    cached = cache_folder() / "templates" / key
    if not cached.is_dir():
        _fetch(source, reference, cached)
    return cached


def described(source: str, reference: str) -> tuple[str, Path]:
    """Return a version of the template by the name that a project keeps of it, and where it is.

    The name is what git describes it as. A branch may have moved since it was last fetched: it is fetched again.

    Raises:
        ScaffoldError: it cannot be had.
    """
    if source == SOURCE and reference == OWN:
        return OWN, own_template()
    if rank(reference) and BETWEEN_TAGS.fullmatch(reference) is None:
        return reference, fetched(source, reference)
    passing = cache_folder() / "templates" / f"passing.{os.getpid()}"
    _fetch(source, reference, passing)
    try:
        name = git(
            *("-C", str(passing), "describe", "--tags", "--always"),
            otherwise=f"Version {reference} of the template cannot be described",
        ).strip()
    finally:
        import shutil  # noqa: PLC0415 - it takes long to import

        shutil.rmtree(passing, ignore_errors=True)
    return name, fetched(source, name)


def _fetch(source: str, reference: str, target: Path) -> None:
    import shutil  # noqa: PLC0415 - it takes long to import, and a version is fetched once

    otherwise = f"Version {reference} of the template cannot be fetched from {source}"
    run = partial(git, otherwise=otherwise, hint="connect and try again, or take a version that can be reached")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        run("clone", "--quiet", "--no-checkout", "--", _address(source), str(unfinished))
        run("-C", str(unfinished), "checkout", "--quiet", "--detach", _commit(unfinished, reference, otherwise))
        with contextlib.suppress(OSError):  # another command was faster
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _commit(clone: Path, reference: str, otherwise: str) -> str:
    """Return the hash of what a reference names in a clone, which knows branches only as the origin's."""
    for name in (reference, f"origin/{reference}"):
        with contextlib.suppress(ScaffoldError):
            return git(
                *("-C", str(clone), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"), otherwise=otherwise
            ).strip()
    raise ScaffoldError(f"{otherwise}: there is none of that name.", "git ls-remote lists the versions there are")
