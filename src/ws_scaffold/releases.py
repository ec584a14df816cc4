"""The versions of the template: which there are, and where to have each of them."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ws_scaffold import __version__
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.git import git
from ws_scaffold.paths import cache_folder, own_template
from ws_scaffold.render import answers_file_in

SOURCE = "gh:org/ws-scaffold"
"""Where a project that this command makes gets its updates from."""

OWN = f"v{__version__}"
"""The version that this package ships: template and command have one number."""

SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
REFERENCE = re.compile(r"[A-Za-z0-9][\w.+/-]*")
TEMPLATES = "templates"
ANSWER_SECONDS = 60
"""How long a host may take to say which versions there are."""
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


def _address(source: str, root: Path) -> str:
    """Return what git calls a source: a project's own way to a folder begins at the project."""
    for shortcut, host in SHORTCUTS.items():
        if source.startswith(shortcut):
            return f"{host}{source.removeprefix(shortcut).removesuffix('.git')}.git"
    address = source.removeprefix("git+")
    is_path = Path(address).is_absolute() or ":" not in address.partition("/")[0]
    return str(folder_of(address, root)) if is_path else address


def folder_of(source: str, root: Path) -> Path:
    """Return the folder that a source is, where it is one: a relative one is relative to the project.

    Raises:
        ScaffoldError: it begins with the home of somebody who has none.
    """
    try:
        return (root / Path(source).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):
        raise ScaffoldError(
            f"The template's source {source} cannot be a folder.",
            f"correct _src_path in {answers_file_in(root)}",
            code=Code.TEMPLATE_MISSING,
        ) from None


class Newest(NamedTuple):
    """The newest release of a template."""

    version: str | None
    """Its tag, or None where there is no release."""
    note: str = ""
    """What keeps it from being certain."""


def newest(source: str, root: Path) -> Newest:
    """Return the newest release of a project's template, prereleases left out.

    Of our own source, the version that this package ships is one, whether the source can be reached or not.

    Raises:
        ScaffoldError: the source cannot be reached.
    """
    own = [OWN] if source == SOURCE else []
    note = ""
    address, folder = _address(source, root), cache_folder(TEMPLATES)
    try:
        listed = git(
            *("ls-remote", "--tags", "--refs", "--", address),
            folder=folder,
            otherwise=f"The template's source {source} cannot be reached",
            seconds=ANSWER_SECONDS,
        )
    except ScaffoldError:
        if not own:
            raise
        listed, note = "", f"{source} cannot be reached; the newest version known here is {OWN}"
    tags = [line.partition("refs/tags/")[2] for line in listed.splitlines()]
    ranked = [(found, tag) for tag in (*tags, *own) if (found := rank(tag)) and not _is_prerelease(found)]
    return Newest(max(ranked, key=lambda it: it[0])[1] if ranked else None, note)


def _is_prerelease(rank: Rank) -> bool:
    return bool(getattr(rank[0], "is_prerelease", False))


def is_reference(commit: object) -> bool:
    """Whether something can name a version: git would take some other texts for options."""
    return isinstance(commit, str) and REFERENCE.fullmatch(commit) is not None


def fetched(source: str, reference: str, root: Path) -> Path:
    """Return where a version of a project's template is: a tag, a branch or a commit; fetch it if need be, once.

    Raises:
        ScaffoldError: it cannot be had.
    """
    if source == SOURCE and reference == OWN:
        return own_template()
    cached = _cached(source, reference, root)
    if not _is_whole(cached):
        with _cloned(source, reference, root) as clone:
            _keep(clone, cached)
    return cached


def described(source: str, reference: str, root: Path) -> tuple[str, Path]:
    """Return a version of a project's template by the name that a project keeps of it, and where it is.

    The name is what git describes it as. A branch may have moved since it was last fetched: it is fetched again.

    Raises:
        ScaffoldError: it cannot be had.
    """
    if source == SOURCE and reference == OWN:
        return OWN, own_template()
    if rank(reference) and BETWEEN_TAGS.fullmatch(reference) is None:
        return reference, fetched(source, reference, root)
    with _cloned(source, reference, root) as clone:
        name = git(
            *("describe", "--tags", "--always"),
            folder=clone,
            otherwise=f"Version {reference} of the template cannot be described",
        ).strip()
        cached = _cached(source, name, root)
        if not _is_whole(cached):
            _keep(clone, cached)
    return name, cached


def _cached(source: str, reference: str, root: Path) -> Path:
    key = hashlib.sha256(f"{_address(source, root)}\n{reference}".encode()).hexdigest()[:32]
    return cache_folder(TEMPLATES) / key


def _files_of(cached: Path) -> Path:
    """Return where it is written down what a version consists of."""
    return cached.with_name(f"{cached.name}.files")


def _listed(folder: Path) -> str:
    """Return the names and sizes of all files below a folder."""
    lines: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)  # noqa: PTH118 - this runs for every file, at every start
            lines.append(f"{os.lstat(path).st_size} {os.path.relpath(path, folder)!r}\n")
    return "".join(lines)


def _is_whole(cached: Path) -> bool:
    """Whether a version is there as it was fetched: what cleans caches, or a full disk, leaves a part of it."""
    try:
        listed = _files_of(cached).read_text(encoding="utf-8")
        return bool(listed) and listed == _listed(cached)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _cloned(source: str, reference: str, root: Path) -> Iterator[Path]:
    """Give a clone in which a version is checked out, for as long as the block runs."""
    import tempfile  # noqa: PLC0415 - it takes long to import, and a version is fetched once

    otherwise = f"Version {reference} of the template cannot be fetched from {source}"
    run = partial(git, otherwise=otherwise, hint="connect and try again, or take a version that can be reached")
    address, folder = _address(source, root), cache_folder(TEMPLATES)
    clone = Path(tempfile.mkdtemp(prefix="passing.", dir=folder))
    try:
        options = ("--quiet", "--no-checkout", "--origin", "origin", "--template=")
        run("clone", *options, "--", address, str(clone), folder=folder)
        run("checkout", "--quiet", "--detach", _commit(clone, reference, otherwise), folder=clone)
        yield clone
    finally:
        _remove(clone)


def _keep(clone: Path, cached: Path) -> None:
    """Keep what is checked out in a clone, in the place of what is left of an earlier one."""
    _remove(clone / ".git")
    listed = _listed(clone)
    if cached.exists():
        damaged = clone.with_name(f"{clone.name}.damaged")
        with contextlib.suppress(OSError):  # another command was faster
            cached.rename(damaged)
        _remove(damaged)
    with contextlib.suppress(OSError):  # the same
        clone.rename(cached)
    _files_of(cached).write_text(listed, encoding="utf-8")


def _remove(folder: Path) -> None:
    """Remove a folder, and what may not be written to: so git leaves its objects, and so they would stay on Windows."""
    import shutil  # noqa: PLC0415 - it takes long to import

    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o600)
    shutil.rmtree(folder, ignore_errors=True)


def _commit(clone: Path, reference: str, otherwise: str) -> str:
    """Return the hash of what a reference names in a clone, which knows branches only as the origin's."""
    for name in (reference, f"origin/{reference}"):
        with contextlib.suppress(ScaffoldError):
            return git(
                *("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"), folder=clone, otherwise=otherwise
            ).strip()
    raise ScaffoldError(
        f"{otherwise}: it has no such version.", "git ls-remote lists those that it has", code=Code.UNKNOWN_VERSION
    )
