"""Where something that has moved is still called by its old name: for a person to see to."""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from ws_scaffold.imports import names_in, uses
from ws_scaffold.renames import Modules, Place, package_of
from ws_scaffold.spelling import text_of
from ws_scaffold.tree import Tree

LARGE = 2**20
"""Nobody reads a file of that size, or writes it by hand."""

MANY = 20
"""So many files are named; of the others, only how many there are."""


class Mentions:
    """What has moved, and who still says so."""

    def __init__(
        self,
        tree: Tree,
        folders: Mapping[str, str],
        modules: Modules,
        identifiers: Mapping[str, str],
        renamed: Mapping[str, str],
    ) -> None:
        self._tree = tree
        self._folders = folders
        self._modules = modules
        self._identifiers = identifiers
        self._found: dict[tuple[str, str, str], list[int]] = {}
        self._unparsed: list[str] = []
        self._words = [word.encode() for word in (*(old[-1] for old in modules.packages), *identifiers)]
        patterns = dict(self._patterns(renamed))
        self._names = list(patterns)
        self._pattern = re.compile("|".join(f"({pattern})" for pattern in patterns.values()), re.MULTILINE)

    def _patterns(self, renamed: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield old and new names, and what finds the old one."""
        for folder, target in self._folders.items():
            yield (folder, target), rf"(?<![\w-]){re.escape(folder)}(?![\w-])"
        for old, new in self._modules.packages.items():
            name = re.escape(".".join(old))
            if len(old) == 1:  # any word, unless it is the name of a package
                inside = "|".join(map(re.escape, sorted(self._modules_in(old)))) or "$."
                imported = rf"^[ \t]*(?:from|import)[ \t]+{name}(?!\w)|(?<=-m ){name}(?!\w)"
                name = rf"{imported}|(?<![\w./@-]){name}(?=\.(?:{inside})\b)"
            else:
                name = rf"(?<![\w./@-]){name}(?!\w)"
            yield (".".join(old), ".".join(new)), name
        for one, other in self._identifiers.items():
            yield (one, other), rf"\b{one}\b"
        for one, other in renamed.items():
            paths = [f"/{name.replace('_', '-')}" for name in (one, other)]
            yield (paths[0], paths[1]), rf"(?<=[\w\"'`\s]){paths[0]}(?![\w-])"

    def _modules_in(self, package: tuple[str, ...]) -> set[str]:
        """Return the modules and packages in one that moves, those of the user's too."""
        names: set[str] = set()
        for folder in self._folders:
            if PurePosixPath(folder).name == package[-1] and (self._tree.root / folder).is_dir():
                children = (self._tree.root / folder).iterdir()
                names |= {child.stem for child in children if child.suffix == ".py" or child.is_dir()}
        return names

    def may_be_in(self, content: bytes) -> bool:
        """Whether a file may use what has moved: whether the last part of an old name is in it at all."""
        return any(word in content for word in self._words)

    def look(self, path: str, text: str, passed: Collection[str] = ()) -> None:
        """Look for old names in a text, but for the lines that are `passed`: the template has written those."""
        if not self._pattern.search(text):
            return
        # In a file that is followed, what Python knows by that name is another thing.
        names = names_in(text) if passed and path.endswith(".py") else frozenset()
        lines = text.split("\n")
        for found in self._pattern.finditer(text):
            number = text.count("\n", 0, found.end()) + 1
            if found.start() not in names and lines[number - 1].rstrip("\r") not in passed:
                self._take(path, number, *self._names[int(found.lastindex or 1) - 1])

    def unsure(self, path: str, text: str, places: Iterable[tuple[int, str]]) -> None:
        """Take note of what could not be followed in a file that otherwise is."""
        for place, name in places:
            new = self._modules.moved(tuple(name.split(".")))
            self._take(path, text.count("\n", 0, place) + 1, name, ".".join(new) if new else "another module")

    def unparsed(self, path: str, text: str) -> None:
        """Take note of a file that is no Python, and so cannot be followed."""
        if self._pattern.search(text):
            self._unparsed.append(path)

    def _take(self, path: str, line: int, old: str, new: str) -> None:
        lines = self._found.setdefault((path, old, new), [])
        if line not in lines:
            lines.append(line)

    def look_elsewhere(self, known: Container[str]) -> None:
        """Look for old names in the files of the project that are not known."""
        for path in self._tree.below("."):
            content = None if path in known else self._tree.text(path, LARGE)
            if content and b"\0" not in content:
                text, _ = text_of(content)
                self.look(self._new_path(path), text)
                if path.endswith(".py"):
                    self._look_at_imports(path, text)
        for path in self._tree.links("."):
            target = self._tree.target(path)
            if target and self._new_path(target) != target and self._new_path(path) == path:
                self._take(path, 0, target, self._new_path(target))

    def _new_path(self, path: str) -> str:
        for folder, target in self._folders.items():
            if path == folder or path.startswith(f"{folder}/"):
                return target + path[len(folder) :]
        return path

    def _look_at_imports(self, path: str, text: str) -> None:
        """Look for imports that no name in full shows: relative ones, say."""
        if not any(old[-1] in text for old in self._modules.packages):
            return
        here = package_of(path, self._tree.exists)
        there = self._modules.moved(here) or here
        place = Place(here, there, self._identifiers, defines=False)
        found = uses(text, place, self._modules)
        seen = {(name, line) for (name, _, _), lines in self._found.items() for line in lines}
        for start, end, new in found.edits if found else ():
            line = text.count("\n", 0, start) + 1
            if (self._new_path(path), line) not in seen:
                self._take(self._new_path(path), line, text[start:end], new.partition(" ")[0])

    def notes(self) -> list[str]:
        """Return a sentence about every file, and every name in it."""
        notes = [f"{path} is no Python: its imports are not followed" for path in self._unparsed]
        for (path, old, new), lines in self._found.items():
            if lines == [0]:
                notes.append(f"{path} leads to {old}, which is {new} now")
            else:
                shown = ", ".join(map(str, lines[:5])) + (" and more" if len(lines) > 5 else "")  # noqa: PLR2004
                notes.append(f"{path}:{shown} still says {old}: it is {new} now")
        return [*notes[:MANY], *([f"and {len(notes) - MANY} more like these"] if len(notes) > MANY else [])]
