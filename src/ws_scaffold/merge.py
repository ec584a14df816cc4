"""The one operation: what the user has made of the base, with the changes that lead from base to theirs.

Base is the old state rendered, theirs the new state rendered, ours what is on disk. A `Plan` is made in memory, shown,
and applied as a whole; an application that was interrupted is completed by the next command.
"""

import base64
import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ws_scaffold import diff3
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.render import ANSWERS_FILE, Files, Rendered

JOURNAL = ".ws-scaffold-journal"
"""What an application still has to write. It is there only while one runs, or after one was killed."""

CACHES = frozenset({"__pycache__"})
"""What a folder may hold and still be as good as empty."""

NOT_OURS = CACHES | {".git", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "node_modules"}
"""Folders that nobody keeps a project's files in."""

SIMILAR = 0.5
WORD = re.compile(rb"\w+")

CHANGING = frozenset({"create", "update", "merge", "conflict", "replace", "delete", "move"})


@dataclass(frozen=True)
class Step:
    """What happens to one file.

    `action` is one of: create, update (it was as generated), merge (with edits), conflict (both versions stand between
    markers), replace (forced), delete, move; and, where nothing is done: same, keep, gone.
    """

    action: str
    path: str
    before: bytes | None = field(default=None, repr=False)
    """What is on disk, or None where nothing is."""
    after: bytes | None = field(default=None, repr=False)
    """What will be, or None where nothing will."""
    note: str = ""
    executable: bool = False

    @property
    def changes(self) -> bool:
        """Whether the file will differ from what it is."""
        return self.action in CHANGING


@dataclass(frozen=True)
class Plan:
    """What will happen to a project, in the order in which it is done."""

    steps: tuple[Step, ...]

    @property
    def changes(self) -> bool:
        """Whether anything will differ from what it is."""
        return any(step.changes for step in self.steps)

    @property
    def conflicts(self) -> list[str]:
        """The files that will hold conflict markers."""
        return [step.path for step in self.steps if step.action == "conflict"]


def _temporary(where: Path) -> Path:
    """Return where a file is before it takes its place: always the same, so that what is left there can be found."""
    return where.with_name(f".{where.name}.ws-scaffold")


class Tree:
    """The files of a project on disk, none of them outside its root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def at(self, path: str) -> Path:
        """Return where a file of the project is: links are followed as long as they stay inside.

        Raises:
            ScaffoldError: it is outside the project.
        """
        where = self.root / path
        resolved = where.resolve()
        if not resolved.is_relative_to(self.root) or PurePosixPath(path).is_absolute() or ".." in path.split("/"):
            raise ScaffoldError(
                f"{path} is outside of {self.root}; nothing was written.", "move it back into the project"
            )
        return resolved

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None where there is none."""
        where = self.at(path)
        try:
            return where.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            raise ScaffoldError(f"{path} is a folder where a file should be; nothing was written.", "move it") from None

    def obstacle(self, path: str) -> str | None:
        """Return the file that is where a folder on the way to a new file must be, if there is one."""
        for folder in PurePosixPath(path).parents:
            if (self.root / folder).is_file():
                return str(folder) if folder.name else self.root.name
        return None

    def write(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Replace a file as a whole: at no moment is it half-written. It keeps its mode."""
        where = self.at(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(where)
        try:
            with temporary.open("wb") as file:
                file.write(content)
            with contextlib.suppress(FileNotFoundError):
                temporary.chmod(where.stat().st_mode & 0o7777)
                executable = False
            if executable:
                temporary.chmod(temporary.stat().st_mode | 0o111)
            temporary.replace(where)
        finally:
            temporary.unlink(missing_ok=True)

    def forget(self, path: str) -> None:
        """Remove what a killed run has left of a file that it was about to replace."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            _temporary(self.at(path)).unlink()

    def delete(self, path: str) -> None:
        """Remove a file, or the link to it, if it is there, and the folders that are empty without it."""
        import shutil  # noqa: PLC0415 - it takes long to import, and most runs delete nothing

        where = self.root / path
        self.at(path)
        where.unlink(missing_ok=True)
        for folder in where.parents:
            if folder == self.root or not folder.is_dir() or {child.name for child in folder.iterdir()} - CACHES:
                break
            for cache in folder.iterdir():
                shutil.rmtree(cache)
            folder.rmdir()

    def below(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder, but for what is nobody's work, and links that lead out of the project."""
        for parent, folders, names in os.walk(self.root / folder):
            folders[:] = sorted(set(folders) - NOT_OURS)
            for path in (Path(parent) / name for name in sorted(names)):
                if not path.is_symlink() or path.resolve().is_relative_to(self.root):
                    yield path.relative_to(self.root).as_posix()


def _pairs(base: Files, theirs: Files, renamed: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield the path of each file of base, and what it becomes: a renamed handler's files are of the same templates."""
    places = {(file.source, file.owner): path for path, file in theirs.items()}
    for path, file in base.items():
        owner = renamed.get(file.owner, file.owner) if file.owner else None
        yield path, path if path in theirs and owner == file.owner else places.get((file.source, owner))


def _similar(one: bytes, other: bytes) -> bool:
    """Whether two files are one that was moved: git's own measure is that half of it is the same."""
    matcher = difflib.SequenceMatcher(None, one.splitlines(), other.splitlines(), autojunk=False)
    return matcher.quick_ratio() >= SIMILAR and matcher.ratio() >= SIMILAR


def _renaming(old: Rendered, new: Rendered) -> Callable[[bytes], bytes]:
    """Return what gives the names that are made of a handler's name their new spelling, wherever they stand.

    Edits that use `ChatReply` so become edits that use `TalkReply`. The bare name is left alone: it may be any word.
    """

    def names(file: Rendered) -> dict[tuple[bytes, bool, bool], bytes]:
        bare = (file.owner or "").replace("_", "").encode()
        words = dict.fromkeys(WORD.findall(file.content))
        spelled = ((word, word.replace(b"_", b"").lower()) for word in words)
        return {
            (letters.removeprefix(bare), word.islower(), word.isupper()): word
            for word, letters in spelled
            if letters.startswith(bare) and letters != bare
        }

    # What has no like is no name, even if it starts like one: "self", for a handler called "s".
    new_names = names(new)
    spellings = {word: new_names[rest] for rest, word in names(old).items() if rest in new_names}
    return lambda text: WORD.sub(lambda word: spellings.get(word[0], word[0]), text)


def _folders(files: Files, owner: str) -> set[str]:
    """Return the folders of which all files are one handler's."""
    owners: dict[str, set[str | None]] = {}
    for path, file in files.items():
        for folder in PurePosixPath(path).parents:
            owners.setdefault(str(folder), set()).add(file.owner)
    own = {folder for folder, names in owners.items() if names == {owner}}
    return {folder for folder in own if str(PurePosixPath(folder).parent) not in own}


@dataclass(frozen=True)
class Versions:
    """A project as it was generated, and as it is to be; what is the same in both may be left out."""

    base: Files
    theirs: Files
    places: Callable[[], Container[str]]
    """Returns the paths of all files that it is to have."""
    renamed: Mapping[str, str]
    """Handlers with another name, old to new: their files, and the edits in them, move along."""


def plan(tree: Tree, versions: Versions, *, force: bool = False) -> Plan:
    """Return what leads from base to theirs, on top of what is on disk.

    Raises:
        ScaffoldError: a file that must be created is there, with other content, or one that must be merged still
            holds conflict markers; and nothing is forced.
    """
    steps = list(_Planner(tree, versions, force=force).steps())
    if unresolved := [step.path for step in steps if step.action == "unresolved"]:
        hold = "holds" if len(unresolved) == 1 else "hold"
        raise ScaffoldError(
            f"{', '.join(unresolved)} {hold} conflict markers; nothing was written.", "resolve them, then try again"
        )
    if blocked := list(dict.fromkeys(step.path for step in steps if step.action == "blocked")):
        there = "is there already" if len(blocked) == 1 else "are there already"
        raise ScaffoldError(
            f"{', '.join(blocked)} {there}, with other content; nothing was written.",
            "take another name, or --force to replace what is there",
        )
    # The state comes last: it says that all the rest is so.
    return Plan(tuple(sorted(steps, key=lambda step: step.path == ANSWERS_FILE)))


class _Planner:
    """Decides file by file."""

    def __init__(self, tree: Tree, versions: Versions, *, force: bool) -> None:
        self._tree = tree
        self._versions = versions
        self._force = force

    def steps(self) -> Iterator[Step]:
        base, theirs, renamed = self._versions.base, self._versions.theirs, self._versions.renamed
        new_paths = set(theirs)
        for path, new_path in _pairs(base, theirs, renamed):
            new_paths.discard(new_path or "")
            if new_path is None:
                yield self._deleted(path, base[path])
            elif path == new_path:
                yield self._changed(path, base[path], theirs[path])
            else:
                yield from self._moved(path, new_path, base[path], theirs[new_path])
        for path in theirs:
            if path in new_paths:
                yield self._created(path, theirs[path])
        yield from self._unknown_files(base, theirs, renamed)

    def _created(self, path: str, new: Rendered) -> Step:
        ours = self._tree.read(path)
        if ours == new.content:
            return Step("same", path, ours, ours)
        if ours is None and (obstacle := self._tree.obstacle(path)):
            return Step("blocked", obstacle)
        if ours is None:
            return Step("create", path, None, new.content, executable=new.executable)
        return Step("replace" if self._force else "blocked", path, ours, new.content)

    def _deleted(self, path: str, old: Rendered) -> Step:
        ours = self._tree.read(path)
        if ours is None:
            return Step("same", path)
        if ours == old.content or self._force:
            return Step("delete", path, ours, None)
        return Step("keep", path, ours, ours, "it holds edits: --force deletes it, too")

    def _changed(self, path: str, old: Rendered, new: Rendered) -> Step:
        if path != ANSWERS_FILE and old.content == new.content:
            return Step("same", path)
        ours = self._tree.read(path)
        if ours is None:
            return self._gone(path, old)
        action, after = self._merged(path, old, ours, new)
        return Step(action, path, ours, after)

    def _merged(self, path: str, old: Rendered, ours: bytes, new: Rendered) -> tuple[str, bytes]:
        if ours == new.content:
            return "same", ours
        if path == ANSWERS_FILE or ours == old.content:
            return "update", new.content
        if self._force:
            return "replace", new.content
        if diff3.holds_markers(ours):
            return "unresolved", ours
        merged = diff3.merge(old.content, ours, new.content)
        if merged.conflicts:
            return "conflict", merged.content
        return ("same" if merged.content == ours else "merge"), merged.content

    def _gone(self, path: str, old: Rendered) -> Step:
        """Say where a file is that is not in its place: the template's change does not reach it there."""
        places = self._versions.places()
        for found in self._tree.below("."):
            if found not in places:
                content = self._tree.read(found)
                if content and _similar(content, old.content):
                    return Step("gone", path, note=f"it was moved to {found}, which this change does not reach")
        return Step("gone", path, note="it was deleted, and stays so")

    def _moved(self, path: str, new_path: str, old: Rendered, new: Rendered) -> Iterator[Step]:
        ours = self._tree.read(path)
        if ours is None:
            there = self._tree.read(new_path)
            if there is None:
                yield Step("gone", path, note="it was deleted, and stays so")
            else:
                yield Step("same", new_path, there, there)
            return
        rename = _renaming(old, new)
        action, after = self._merged(path, replace(old, make=lambda: rename(old.content)), rename(ours), new)
        there = self._tree.read(new_path)
        if obstacle := self._tree.obstacle(new_path):
            yield Step("blocked", obstacle)
        elif there is not None and there != after:
            yield Step("replace" if self._force else "blocked", new_path, there, after)
        elif action == "unresolved":
            yield Step(action, path, ours, ours)
        else:
            executable = os.access(self._tree.at(path), os.X_OK)
            yield Step(
                "conflict" if action == "conflict" else "move", new_path, there, after, f"from {path}", executable
            )
        yield Step("delete", path, ours, None, f"moved to {new_path}")

    def _unknown_files(self, base: Files, theirs: Files, renamed: Mapping[str, str]) -> Iterator[Step]:
        """Yield what happens to files of the user's in the folder of a handler that goes, or is renamed."""
        remaining = {file.owner for file in theirs.values()}
        for owner in dict.fromkeys(file.owner for file in base.values()):
            if owner is None or owner in remaining:
                continue
            targets = _folders(theirs, renamed[owner]) if owner in renamed else set()
            for folder in _folders(base, owner):
                for path in self._tree.below(folder):
                    if path in base:
                        continue
                    content = self._tree.read(path)
                    if len(targets) == 1:
                        (target,) = targets
                        new_path = f"{target}{path[len(folder) :]}"
                        executable = os.access(self._tree.at(path), os.X_OK)
                        blocked = self._tree.read(new_path) not in {None, content}
                        action = "blocked" if blocked else "move"
                        yield Step(action, new_path, None, content, f"from {path}", executable)
                        yield Step("delete", path, content, None, f"moved to {new_path}")
                    else:
                        yield Step("keep", path, content, content, "it is not generated")


def unresolved(tree: Tree) -> list[str]:
    """Return the files of a project that hold conflict markers of an earlier run."""
    return [path for path in tree.below(".") if diff3.holds_markers(tree.read(path) or b"")]


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def apply(tree: Tree, plan: Plan) -> None:
    """Write a plan, all of it or, where the process is killed, so much that `resume` can complete it."""
    todo = [
        {
            "action": step.action,
            "path": step.path,
            "before": _digest(step.before),
            "after": None if step.after is None else base64.b64encode(step.after).decode(),
            "executable": step.executable,
        }
        for step in plan.steps
        if step.changes
    ]
    if not todo:
        return
    for step in plan.steps:
        tree.at(step.path)
    tree.write(JOURNAL, json.dumps(todo).encode())
    resume(tree)


def interrupted(tree: Tree) -> bool:
    """Whether an application was interrupted, and waits to be completed."""
    return tree.read(JOURNAL) is not None


def resume(tree: Tree) -> list[Step]:
    """Complete an application that was interrupted, and return its steps: none where there was none.

    A file that was changed since is left as it is.
    """
    tree.forget(JOURNAL)
    journal = tree.read(JOURNAL)
    if journal is None:
        return []
    done: list[Step] = []
    for item in json.loads(journal):
        path, after = item["path"], None if item["after"] is None else base64.b64decode(item["after"])
        there = tree.read(path)
        tree.forget(path)
        if there != after and _digest(there) != item["before"]:
            done.append(Step("keep", path, there, there, "it was changed since the run that was interrupted"))
            continue
        done.append(Step(item["action"], path, there, after))
        if after is None:
            tree.delete(path)  # the file may be gone, and its folder not yet
        elif there != after:
            tree.write(path, after, executable=item["executable"])
    tree.delete(JOURNAL)
    return done
