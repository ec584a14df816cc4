"""Which file is which: what the template has given another path, and what the user has put elsewhere."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from ws_scaffold.formatting import Formatter
from ws_scaffold.render import Files
from ws_scaffold.tree import Tree

SIMILAR = 0.5
"""From here on two files are one that was moved: git's own measure is that half of it is the same."""

Pair = tuple[str, str | None]
"""The path of a file of base, and its path in theirs, or None where theirs has it no more."""

Dotted = tuple[str, ...]
"""The name of a module, in parts."""


@cache
def _lines(content: bytes) -> tuple[Counter[bytes], int]:
    """Return the lines of a text with how often each is there, and how long all are; indentation does not count."""
    lines = Counter(line for line in map(bytes.strip, content.splitlines()) if line)
    return lines, sum(len(line) * count for line, count in lines.items())


def similarity(one: bytes, other: bytes) -> float:
    """Return how much of the longer of two texts is in the other one too, from 0 to 1."""
    (lines, length), (others, other_length) = _lines(one), _lines(other)
    if not length or not other_length:
        return 0.0
    return sum(len(line) * count for line, count in (lines & others).items()) / max(length, other_length)


def _matched(scores: Mapping[tuple[str, str], float]) -> Iterator[tuple[str, str]]:
    """Yield pairs, the most similar first, each path once; files of one name before others."""
    taken: set[str] = set()
    ordered = sorted(scores, key=lambda it: (-scores[it], PurePosixPath(it[0]).name != PurePosixPath(it[1]).name, it))
    for one, other in ordered:
        if not {f"<{one}", f">{other}"} & taken:
            taken |= {f"<{one}", f">{other}"}
            yield one, other


def pairs(base: Files, theirs: Files, renamed: Mapping[str, str], *, other_template: bool) -> list[Pair]:
    """Return what each file of base becomes.

    It stays where it is, or is of the same template; of another version of the template, it may also be just similar.
    """
    places = {(file.source, file.owner): path for path, file in theirs.items()}
    found: dict[str, str | None] = {}
    for path, file in base.items():
        owner = renamed.get(file.owner, file.owner) if file.owner else None
        stays = path in theirs and owner == file.owner
        found[path] = path if stays else places.get((file.source, owner))
    if other_template:
        left, new = [path for path in base if not found[path]], theirs.keys() - set(found.values())
        scores = {
            (path, new_path): score
            for path in left
            for new_path in new
            if base[path].owner == theirs[new_path].owner
            and (score := similarity(base[path].content, theirs[new_path].content)) >= SIMILAR
        }
        found |= dict(_matched(scores))
    return list(found.items())


def moved_folders(paired: Iterable[Pair]) -> dict[str, str]:
    """Return the folders, none within another, whose files all went to one other folder; and to which."""
    targets: dict[str, set[str]] = {}
    for path, new_path in paired:
        if new_path is None:
            continue
        for folder in map(str, PurePosixPath(path).parents):
            rest = path.removeprefix(f"{folder}/")
            if rest != path and new_path.endswith(f"/{rest}"):
                targets.setdefault(folder, set()).add(new_path.removesuffix(f"/{rest}"))
    moved = {folder: next(iter(to)) for folder, to in targets.items() if len(to) == 1 and to != {folder}}
    return {folder: to for folder, to in moved.items() if str(PurePosixPath(folder).parent) not in moved}


def package_of(path: str, is_file: Callable[[str], bool]) -> Dotted:
    """Return the package that a file is in; or that a folder is, given a file in it."""
    names: list[str] = []
    for folder in PurePosixPath(path).parents:
        if not is_file(f"{folder}/__init__.py"):
            break
        names.insert(0, folder.name)
    return tuple(names)


@dataclass(frozen=True)
class Modules:
    """Packages that have moved, old to new."""

    packages: Mapping[Dotted, Dotted]

    def moved(self, name: Dotted) -> Dotted | None:
        """Return what a module or something in it is called now, if it has moved."""
        for end in range(len(name), 0, -1):
            if new := self.packages.get(name[:end]):
                return new + name[end:]
        return None


@dataclass(frozen=True)
class Place:
    """Where a text is, and will be: relative imports depend on it."""

    old: Dotted
    new: Dotted
    identifiers: Mapping[str, str]
    """Identifiers with another name."""
    defines: bool
    """Whether it belongs to the handler whose identifiers they are: there they need not be imported."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """Methods of the handler's connections with another name."""


def moved_packages(
    folders: Mapping[str, str], was: Callable[[str], bool], will_be: Callable[[str], bool]
) -> dict[Dotted, Dotted]:
    """Return the packages in folders, old name to new, given what says whether a file was, and will be there."""
    moved = {package_of(f"{one}/_", was): package_of(f"{other}/_", will_be) for one, other in folders.items()}
    return {old: new for old, new in moved.items() if old and new}


class Elsewhere:
    """Generated files that are not in their place, and where they may be."""

    def __init__(self, tree: Tree, generated: Files, known: Container[str], formatter: Formatter | None) -> None:
        """Look for what is missing of `generated` among the files that are neither of it nor `known`."""
        self._formatter = formatter
        missing = {path: file.content for path, file in generated.items() if not tree.exists(path)}
        sizes = [len(content) for content in missing.values()]
        self._scores: dict[tuple[str, str], float] = {}
        for path in tree.below(".") if missing else ():
            if path in generated or path in known:
                continue
            content = tree.text(path, int(max(sizes) / SIMILAR * 2))  # formatting may add to it
            if content is None or len(content) < min(sizes) * SIMILAR / 2:
                continue
            scores = {was: score for was in missing if (score := self._alike(was, missing[was], content)) >= SIMILAR}
            # What is more like a file that is in its place is a copy of that one.
            there = generated.keys() - missing.keys() if scores else set()
            copied = max((self._alike(was, generated[was].content, content) for was in there), default=0.0)
            self._scores |= {(was, path): score for was, score in scores.items() if score >= copied}
        self._found = dict(_matched(self._scores))

    def _alike(self, path: str, generated: bytes, content: bytes) -> float:
        score = similarity(generated, content)
        if score < 1 and self._formatter:
            score = max(score, similarity(self._formatter.formatted(path, generated), content))
        return score

    def candidates(self, path: str) -> list[str]:
        """Return where a file may have been moved to: one place, none, or several of which none is more likely."""
        best = self._found.get(path)
        if best is None:
            return []
        name = PurePosixPath(path).name
        likely = [
            to
            for (was, to), score in self._scores.items()
            if was == path
            and score == self._scores[path, best]
            and (PurePosixPath(to).name == name) == (PurePosixPath(best).name == name)
        ]
        taken = {to for was, to in self._found.items() if was != path}
        return sorted(set(likely) - taken)
