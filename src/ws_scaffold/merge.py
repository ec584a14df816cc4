"""The one operation: what the user has made of the base, with the changes that lead from base to theirs.

Base is the old state rendered, theirs the new state rendered, ours what is on disk. Nothing is written here: a `Plan`
comes out.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ws_scaffold import diff3
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.formatting import PYPROJECT, Formatter, differ, find_ruff
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.renames import SIMILAR, Elsewhere, moved_folders, pairs, respelling, similarity
from ws_scaffold.render import ANSWERS_FILE, Files, Rendered
from ws_scaffold.tree import Tree, creation_mode, executable_bits

WORD = re.compile(rb"\w+")


def _renaming(old: Rendered, new: Rendered) -> Callable[[bytes], bytes]:
    """Return what gives the names that are made of a handler's name their new spelling, wherever they stand.

    Edits that use `ChatReply` so become edits that use `TalkReply`. The bare name is left alone: it may be any word.
    """
    if old.owner == new.owner:
        return lambda text: text

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
    whole_base: Callable[[], Files]
    """Returns all files that were generated."""
    places: Callable[[], Container[str]]
    """Returns the paths of all files that it is to have."""
    renamed: Mapping[str, str]
    """Handlers with another name, old to new: their files, and the edits in them, move along."""
    other_template: bool = False
    """Whether theirs is of another version of the template: then it is not by a name of the user's choice that a file
    of theirs meets another one, and the two are merged."""


def plan(tree: Tree, versions: Versions, *, force: bool = False) -> Plan:
    """Return what leads from base to theirs, on top of what is on disk.

    Raises:
        ScaffoldError: a file that must be created is there, with other content, or one that must be merged still
            holds conflict markers; and nothing is forced.
    """
    planner = _Planner(tree, versions, force=force)
    steps = list(planner.steps())
    if unresolved := [step.path for step in steps if step.action == Action.UNRESOLVED]:
        hold = "holds" if len(unresolved) == 1 else "hold"
        raise ScaffoldError(
            f"{', '.join(unresolved)} {hold} conflict markers; nothing was written.", "resolve them, then try again"
        )
    if blocked := list(dict.fromkeys(step.path for step in steps if step.action == Action.BLOCKED)):
        there = "is there already" if len(blocked) == 1 else "are there already"
        raise ScaffoldError(
            f"{', '.join(blocked)} {there}, with other content; nothing was written.",
            "move it away" if versions.other_template else "take another name, or --force to replace what is there",
        )
    # The state comes last: it says that all the rest is so.
    return Plan(tuple(sorted(steps, key=lambda step: step.path == ANSWERS_FILE)), planner.notes)


@dataclass(frozen=True)
class _Place:
    """Where a file of base is now."""

    path: str
    ours: bytes
    note: str = ""


class _Planner:
    """Decides file by file."""

    def __init__(self, tree: Tree, versions: Versions, *, force: bool) -> None:
        self._tree = tree
        self._versions = versions
        self._force = force
        self._folders: dict[str, str] = {}
        self._respell: Callable[[bytes], bytes] = bytes
        self._notes: list[str] = []
        self._followed: set[str] = set()  # files that the user has moved, and that have a step
        self._formatter: Formatter | None = None
        generated = versions.base.get(PYPROJECT)
        if generated and differ(tree, generated.content, {*versions.base, *versions.theirs}):
            self._formatter = Formatter(tree.root, find_ruff(tree.root))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return (*self._notes, *(self._formatter.notes if self._formatter else ()))

    @cached_property
    def _whole_base(self) -> Files:
        return self._versions.whole_base()

    @cached_property
    def _owners(self) -> set[str | None]:
        """Whose files there were."""
        return {file.owner for file in self._versions.base.values()}

    @cached_property
    def _elsewhere(self) -> Elsewhere:
        return Elsewhere(self._tree, self._whole_base, self._versions.places(), self._formatter)

    def steps(self) -> Iterator[Step]:
        base, theirs = self._versions.base, self._versions.theirs
        paired = pairs(base, theirs, self._versions.renamed, other_template=self._versions.other_template)
        self._folders = moved_folders(paired)
        self._respell = respelling(self._folders, base)
        if self._formatter:
            self._formatter.warm_up(self._to_be_formatted(paired))
        for path, new_path in paired:
            if new_path is None:
                yield self._deleted(path, base[path])
            elif path == new_path:
                yield from self._changed(path, base[path], theirs[path])
            else:
                yield from self._moved(path, new_path, base[path], theirs[new_path])
        old_paths = {new_path for _, new_path in paired}
        for path, new in theirs.items():
            if path not in old_paths:
                yield self._created(self._followed_folder(path, new), new)
        yield from self._unknown_files_of_who_goes()
        for folder, target in self._folders.items():
            yield from self._unknown_files_of_what_moves(folder, target)
        self._notes += self._files_with_old_names() if self._folders else []

    def _to_be_formatted(self, paired: list[tuple[str, str | None]]) -> Iterator[tuple[str, bytes]]:
        for path, new_path in paired:
            old, new = self._versions.base[path], self._versions.theirs.get(new_path or "")
            ours = self._tree.read(path)
            if ours not in {None, old.content} and (new is None or new.content != old.content):
                yield path, old.content
                if new:
                    yield new_path or path, new.content

    def _in_our_style(self, path: str, old: Rendered, ours: bytes, new: Rendered | None = None) -> tuple[bytes, bytes]:
        """Return base and theirs as the project would format them, if that is how it formats ours."""
        theirs = new.content if new else b""
        if self._formatter is None:
            return old.content, theirs
        style = self._formatter.style_of(path, old.content, ours)
        return style(path, old.content), style(path, theirs)

    def _new_content(self, path: str, new: Rendered) -> bytes:
        return self._formatter.mended(path, new.content) if self._formatter else new.content

    def _place(self, path: str) -> _Place | Step:
        """Return where a file of base is, or what is to be said if it is nowhere."""
        ours = self._tree.read(path)
        if ours is not None:
            return _Place(path, ours)
        candidates = self._elsewhere.candidates(path)
        if len(candidates) == 1:
            (found,) = candidates
            self._followed.add(found)
            return _Place(found, self._tree.read(found) or b"", f"moved here from {path}")
        if candidates:
            there = " or ".join(candidates)
            return Step(Action.GONE, path, note=f"it may have been moved to {there}; the change reaches none of them")
        return Step(Action.GONE, path, note="it was deleted, and stays so")

    def _followed_folder(self, path: str, new: Rendered) -> str:
        """Return where a new file goes: with its folder, if the user has moved all that was generated in it."""
        folder = PurePosixPath(path).parent
        if new.owner not in self._owners or (self._tree.root / folder).is_dir():
            return path
        targets: set[str] = set()
        for sibling in self._whole_base:
            if PurePosixPath(sibling).parent == folder:
                candidates = [PurePosixPath(it) for it in self._elsewhere.candidates(sibling)]
                if [it.name for it in candidates] != [PurePosixPath(sibling).name]:
                    return path
                targets.add(str(candidates[0].parent))
        return f"{targets.pop()}/{PurePosixPath(path).name}" if len(targets) == 1 else path

    def _created(self, path: str, new: Rendered) -> Step:
        ours = self._tree.read(path)
        if ours == new.content:
            return Step(Action.SAME, path, ours, ours)
        after = self._new_content(path, new)
        if ours is not None:
            return self._met(path, ours, after)
        if obstacle := self._tree.obstacle(path):
            return Step(Action.BLOCKED, obstacle)
        mode = creation_mode() | executable_bits(creation_mode()) if new.executable else None
        return Step(Action.CREATE, path, None, after, mode=mode)

    def _met(self, path: str, ours: bytes, after: bytes) -> Step:
        """Say what happens where the user has made a file that is now generated, too."""
        if self._force:
            return Step(Action.REPLACE, path, ours, after)
        if not self._versions.other_template:
            return Step(Action.BLOCKED, path, ours, after)
        if diff3.holds_markers(ours):
            return Step(Action.UNRESOLVED, path, ours, ours)
        merged = diff3.merge(b"", ours, after)
        action = Action.CONFLICT if merged.conflicts else Action.SAME
        return Step(action, path, ours, merged.content, "there was one of that name already")

    def _deleted(self, path: str, old: Rendered) -> Step:
        ours = self._tree.read(path)
        if ours is None:
            place = self._place(path)
            if isinstance(place, _Place):
                return Step(Action.KEEP, place.path, place.ours, place.ours, f"{place.note}; it is generated no more")
            return Step(Action.SAME, path)
        base, _ = self._in_our_style(path, old, ours)
        if ours in {old.content, base} or self._force:
            return Step(Action.DELETE, path, ours, None)
        return Step(Action.KEEP, path, ours, ours, "it holds edits: --force deletes it, too")

    def _changed(self, path: str, old: Rendered, new: Rendered) -> Iterator[Step]:
        if path != ANSWERS_FILE and old.content == new.content and old.executable == new.executable:
            yield Step(Action.SAME, path)
            return
        place = self._place(path)
        if isinstance(place, Step):
            yield place
            return
        action, after = self._merged(path, old, place.ours, new)
        mode = self._mode(place.path, old, new)
        if mode is not None and action == Action.SAME:
            action = Action.UPDATE
        yield from self._where_it_is(Step(action, place.path, place.ours, after, place.note, mode))

    def _where_it_is(self, step: Step) -> Iterator[Step]:
        """Yield what happens to a file that may be where the user has put it: in a folder that moves, say."""
        for folder, target in self._folders.items():
            if step.path in self._followed and step.path.startswith(f"{folder}/"):
                yield from self._move(step, f"{target}{step.path[len(folder) :]}")
                return
        yield step

    def _move(self, step: Step, new_path: str) -> Iterator[Step]:
        """Yield what a step does, in another place."""
        there = self._tree.read(new_path)
        if obstacle := self._tree.obstacle(new_path):
            yield Step(Action.BLOCKED, obstacle)
        elif there is not None and there != step.after:
            yield Step(Action.REPLACE if self._force else Action.BLOCKED, new_path, there, step.after)
        elif step.action == Action.UNRESOLVED:
            yield step
        else:
            action = Action.CONFLICT if step.action == Action.CONFLICT else Action.MOVE
            mode = self._tree.mode(step.path) if step.mode is None else step.mode
            yield Step(action, new_path, there, step.after, f"from {step.path}", mode)
        yield Step(Action.DELETE, step.path, step.before, None, f"moved to {new_path}")

    def _mode(self, path: str, old: Rendered, new: Rendered) -> int | None:
        """Return the mode that a file is to have, if the template has changed whether it is executable."""
        mode = self._tree.mode(path)
        if mode is None or old.executable == new.executable:
            return None
        changed = mode | executable_bits(mode) if new.executable else mode & ~0o111
        return None if changed == mode else changed

    def _merged(
        self, path: str, old: Rendered, ours: bytes, new: Rendered, rename: Callable[[bytes], bytes] = bytes
    ) -> tuple[Action, bytes]:
        if ours == new.content:
            return Action.SAME, ours
        if path == ANSWERS_FILE:
            return Action.UPDATE, new.content
        base, theirs = self._in_our_style(path, old, ours, new)
        if ours == base or self._force:
            return (Action.SAME if ours == theirs else Action.UPDATE if ours == base else Action.REPLACE), theirs
        if diff3.holds_markers(ours):
            return Action.UNRESOLVED, ours
        ours = self._respell(rename(ours))
        merged = diff3.merge(self._respell(rename(base)), ours, theirs)
        if merged.conflicts:
            return Action.CONFLICT, merged.content
        return (Action.SAME if merged.content == ours else Action.MERGE), merged.content

    def _moved(self, path: str, new_path: str, old: Rendered, new: Rendered) -> Iterator[Step]:
        rename = _renaming(old, new)
        there = self._tree.read(new_path)
        if self._tree.read(path) is None and there and similarity(there, rename(old.content)) >= SIMILAR:
            action, after = self._merged(new_path, old, there, new, rename)  # the user was faster
            yield Step(action, new_path, there, after, f"moved here from {path}")
            return
        place = self._place(path)
        if isinstance(place, Step):
            yield place
            return
        action, after = self._merged(path, old, place.ours, new, rename)
        step = Step(action, place.path, place.ours, after, place.note, self._mode(place.path, old, new))
        yield from self._move(step, new_path) if place.path == path else self._where_it_is(step)

    def _unknown_files_of_who_goes(self) -> Iterator[Step]:
        """Yield what happens to files of the user's in the folder of a handler that is removed."""
        base = self._versions.base
        remaining = {file.owner for file in self._versions.theirs.values()}
        for owner in dict.fromkeys(file.owner for file in base.values()):
            if owner is not None and owner not in remaining and owner not in self._versions.renamed:
                for path in self._unknown_files(sorted(_folders(base, owner))):
                    content = self._tree.read(path)
                    yield Step(Action.KEEP, path, content, content, "it is not generated")

    def _unknown_files_of_what_moves(self, folder: str, target: str) -> Iterator[Step]:
        """Yield what happens to files of the user's in a folder whose generated files all move to another one."""
        for path in self._unknown_files([folder]):
            content = self._tree.read(path)
            after = None if content is None else self._respell(content)
            yield from self._move(Step(Action.MOVE, path, content, after), f"{target}{path[len(folder) :]}")

    def _files_with_old_names(self) -> list[str]:
        """Return a word about each file of the user's that stays where it is, and imports what does not."""
        known = {*self._whole_base, *self._followed}
        moved = tuple(f"{folder}/" for folder in self._folders)
        return [
            f"{path} imports what has moved"
            for path in self._tree.below(".")
            if path.endswith(".py") and path not in known and not path.startswith(moved)
            if (content := self._tree.read(path)) and self._respell(content) != content
        ]

    def _unknown_files(self, folders: list[str]) -> Iterator[str]:
        for folder in folders:
            known = self._versions.base.keys() | self._followed
            yield from (path for path in self._tree.below(folder) if path not in known)


def unresolved(tree: Tree) -> list[str]:
    """Return the files of a project that hold conflict markers of an earlier run."""
    return [path for path in tree.below(".") if diff3.holds_markers(tree.read(path) or b"")]
