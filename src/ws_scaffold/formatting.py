"""The project's own style: what only a formatter has changed is no edit.

Where a project's settings for ruff are not the template's, base and theirs are brought into the project's style before
they are merged. A file counts as whatever it is closest to: as it was generated, formatted, or also mended by the
rules that ruff can mend, the order of imports among them. In an application that exists, every file may begin with a
comment besides, such as a licence.
"""

import json
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any

from ws_scaffold.tree import Tree

PYPROJECT = "pyproject.toml"
SETTINGS_FILES = ("ruff.toml", ".ruff.toml")

FORMAT = ("format",)
MEND = ("check", "--fix-only", "--no-unsafe-fixes", "--exit-zero")
FORMATTED = (FORMAT,)
MENDED = (MEND, FORMAT, MEND, FORMAT)
"""Twice, as a line that the formatter has split may want a comma (COM812), which splits it again."""

NO_HEADER = re.compile(r"#\s*(!|-\*-|(ruff|type|mypy|pylint|flake8|noqa|fmt|isort|pyright|vim|coding|pragma)\b)")
YEARS = re.compile(r"\b(?:19|20)\d\d(?:\s*(?:-|–|,)\s*(?:19|20)\d\d)*\b")  # noqa: RUF001 - a dash is one of them
"""What may differ in a header from file to file."""
PATIENCE = 20
"""Seconds that ruff may take for a file."""
CAUSE = "Cause: "
LONGEST_REASON = 200
FEWEST_HEADERS = 3
NEARLY_ALL = 0.9

Style = Callable[[str, bytes], bytes]
"""Returns what a file of that path looks like in some style."""


def _as_it_is(_path: str, content: bytes) -> bytes:
    return content


def _settings(content: bytes | None) -> Any:
    """Return what a `pyproject.toml` says to ruff: nothing, where it cannot be read; then neither can ruff."""
    import tomllib  # noqa: PLC0415 - it takes time to import, and most projects are as they were made

    try:
        return tomllib.loads((content or b"").decode()).get("tool", {}).get("ruff")
    except ValueError:
        return None


def differ(tree: Tree, generated: bytes | None, paths: set[str]) -> bool:
    """Whether a project formats the files of these paths in another way than the template."""
    ours = tree.read(PYPROJECT)
    if ours != generated and _settings(ours) != _settings(generated):
        return True
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    nested = [f"{folder}/{PYPROJECT}" for folder in folders if folder != "."]
    names = [f"{folder}/{name}" for folder in folders for name in SETTINGS_FILES]
    return any((tree.root / name).is_file() for name in (*names, *nested))


def find_ruff(root: Path) -> str | None:
    """Return the ruff of the environment that is active, or that we are in, else one on the path; or None.

    None that comes with the project: it could be anything. What the project says to ruff runs nothing.
    """
    import shutil  # noqa: PLC0415 - it takes time to import, and most projects keep the settings

    active = os.environ.get("VIRTUAL_ENV", "")
    environments = [Path(place).absolute() for place in (active, sys.prefix) if place]
    programs = "Scripts" if os.name == "nt" else "bin"
    chosen = [str(place / programs) for place in environments]
    on_the_path = [
        place
        for place in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(place).is_absolute() and not Path(place).resolve().is_relative_to(root.resolve())
    ]
    return shutil.which("ruff", path=os.pathsep.join((*chosen, *on_the_path)))


def header_of(files: Iterable[bytes]) -> str:
    """Return the comment that nearly every file begins with, and the blank line below it; nothing where none does.

    Of headers that differ only in their years it is the latest.
    """
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    spaced = Counter[str]()
    for content in files:
        lines = content.decode("utf-8-sig", "replace").splitlines()
        if not any(map(str.strip, lines)):
            continue
        above = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
        header = "".join(f"{line.rstrip()}\n" for line in lines[:above] if not NO_HEADER.match(line))
        alike = YEARS.sub("", header)
        found[alike][header] += 1
        spaced[alike] += lines[above : above + 1] == [""]
    times = {alike: same.total() for alike, same in found.items()}
    alike = max(times, key=times.__getitem__, default="")
    if not alike or times[alike] < max(FEWEST_HEADERS, NEARLY_ALL * sum(times.values())):
        return ""
    latest = max(
        found[alike],
        key=lambda it: (max(re.findall(r"\d{4}", " ".join(YEARS.findall(it))), default=""), found[alike][it]),
    )
    return f"{latest}\n" if 2 * spaced[alike] > times[alike] else latest


@dataclass
class Formatter:
    """Brings base and theirs into the style that a file of the project has."""

    root: Path
    ruff: str | None
    is_used: bool = True
    """Whether the project formats with ruff, and that has ended so far; else only its header makes its style."""
    formats_new: bool = True
    """Whether files that are not there yet are to be formatted, too."""
    header: str = ""
    """What each of its files begins with, whatever the years."""
    first_party: Sequence[str] = ()
    """The packages whose imports are sorted as the project's own, where their files do not say so yet."""
    notes: dict[str, None] = field(default_factory=dict)
    """What the user should know of it, each thing once."""

    _seen: dict[tuple[str, bytes, tuple[str, ...]], bytes] = field(default_factory=dict, repr=False)

    def style_of(self, path: str, base: bytes, ours: bytes) -> Style:
        """Return the style in which base is closest to ours."""
        if base == ours or not path.endswith(".py"):
            return _as_it_is
        header = self._header_in(ours)
        ours = ours.removeprefix(header)
        styles: list[Style] = [_as_it_is, self.formatted, self._mended]
        distances: list[int] = []
        for style in styles:
            distances.append(_distance(style(path, base), ours))
            if not distances[-1]:
                break
        closest = styles[distances.index(min(distances))]
        return lambda path, content: header + closest(path, content)

    def new(self, path: str, content: bytes) -> bytes:
        """Return a file that is not there yet as the project would have it: with its header, mended and formatted."""
        if not path.endswith(".py"):
            return content
        content = self._mended(path, content) if self.formats_new else content
        return self._header_above(content) + content

    def _header_above(self, content: bytes) -> bytes:
        """Return the header with lines that end as those of a file do."""
        return _ending_as(content, self.header).encode()

    def _header_in(self, content: bytes) -> bytes:
        """Return the header that a file begins with; nothing where it begins with none."""
        parts = YEARS.split(_ending_as(content, self.header))
        found = re.match(YEARS.pattern.join(map(re.escape, parts)).encode(), content)
        return found[0] if found else b""

    def formatted(self, path: str, content: bytes) -> bytes:
        """Return a file as the project's formatter leaves it."""
        return self._styled(path, content, FORMATTED)

    def _mended(self, path: str, content: bytes) -> bytes:
        """Return a file as the project's linter and formatter leave it."""
        return self._styled(path, content, MENDED)

    def warm_up(self, there: Iterable[tuple[str, bytes]], new: Iterable[tuple[str, bytes]]) -> None:
        """Format many files at once: each takes a process of its own."""
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - the same

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waited = [pool.submit(self.formatted, *it) for it in there]
            waited += [pool.submit(self._mended, *it) for it in new]
            for it in waited:
                it.result()

    def _styled(self, path: str, content: bytes, commands: tuple[tuple[str, ...], ...]) -> bytes:
        if not path.endswith(".py"):
            return content
        for command in commands:
            asked = (path, content, command)
            if asked not in self._seen:  # one file is looked at more than once
                self._seen[asked] = self._run(*asked)
            if command is FORMAT and content == self._seen[asked]:
                break
            content = self._seen[asked]
        return content

    def _run(self, path: str, content: bytes, command: tuple[str, ...]) -> bytes:
        if not self.is_used:
            return content
        if self.ruff is None:
            self.notes["the project formats in a way of its own, and there is no ruff: formatting counts as edits"] = (
                None
            )
            return content
        import subprocess  # noqa: PLC0415 - it takes long to import, and most projects keep the settings

        told = ["--config", f"lint.isort.known-first-party={json.dumps(self.first_party)}"] if self.first_party else []
        try:
            done = subprocess.run(  # noqa: S603 - find_ruff says which one it is
                [self.ruff, *command, *told, "--quiet", "--no-cache", "--stdin-filename", str(self.root / path), "-"],
                input=content,
                capture_output=True,
                check=False,
                cwd=self.root,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:  # its settings may extend a pipe
            self.is_used = False
            self.notes[f"ruff did not end within {PATIENCE} seconds, so formatting counts as edits"] = None
            return content
        if done.returncode:
            reason = _reason(done.stderr.decode(errors="replace"))
            self.notes[f"ruff cannot format, so formatting counts as edits: {reason}"] = None
            return content
        return done.stdout


def _ending_as(content: bytes, text: str) -> str:
    return text.replace("\n", "\r\n") if b"\r\n" in content else text


def _reason(said: str) -> str:
    """Return why ruff has failed, in a line of what it said; where it names causes, the line above them says nothing.

    What it draws of a file between them is left out.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip() and "|" not in line]
    first = next((number for number, line in enumerate(lines) if line.startswith(CAUSE)), 0)
    return ": ".join(line.removeprefix(CAUSE) for line in lines[first : first + 3])[:LONGEST_REASON] or "it failed"


def _distance(one: bytes, other: bytes) -> int:
    """Return how many lines differ."""
    if one == other:
        return 0
    lines, others = one.splitlines(keepends=True), other.splitlines(keepends=True)  # ruff may be told how they end
    matched = sum(block.size for block in SequenceMatcher(None, lines, others, autojunk=False).get_matching_blocks())
    return len(lines) + len(others) - 2 * matched
