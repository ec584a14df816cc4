"""The one operation: what the user has made of the base, with the changes that lead from base to theirs.

Base is the old state rendered, theirs the new state rendered, ours what is on disk. Nothing is written here: a `Plan`
comes out.
"""

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ws_scaffold import diff3
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.formatting import PYPROJECT, Formatter, differ, find_ruff, header_of
from ws_scaffold.host_config import Settings
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.renames import (
    SIMILAR,
    Dotted,
    Elsewhere,
    Modules,
    Place,
    moved_folders,
    moved_packages,
    package_of,
    pairs,
    similarity,
)
from ws_scaffold.render import ANSWERS_FILES, Files, Rendered
from ws_scaffold.spelling import Edit, Spelling, edited, text_of
from ws_scaffold.tree import Tree, creation_mode, executable_bits

if TYPE_CHECKING:
    from ws_scaffold.mentions import Mentions


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
    places: Callable[[], Collection[str]]
    """Returns the paths of all files that it is to have."""
    renamed: Mapping[str, str]
    """Handlers with another name, old to new: their files, and the edits in them, move along."""
    respelled: Collection[str] = ()
    """The handlers whose identifiers are others in theirs, by their old names."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """Methods of that handler's connections that have another name in theirs."""
    spelling: Spelling | None = None
    """Where base has names that are others in theirs, if there are any."""
    other_template: bool = False
    """Whether theirs is of another version of the template: then it is not by a name of the user's choice that a file
    of theirs meets another one, and the two are merged."""
    package: tuple[str, str] = ("", "")
    """Where the handlers are to be, and how that is imported."""
    formatters: tuple[str, str] = ("", "")
    """What base and theirs are formatted with, as the state says it of an application that exists: `auto`, `ruff` or
    `none`. A project of its own formats as its settings say."""
    header: str = ""
    """What every file of the application begins with; if nothing is said, what all that was generated begins with."""


def plan(tree: Tree, versions: Versions, *, force: bool = False) -> Plan:
    """Return what leads from base to theirs, on top of what is on disk.

    Raises:
        ScaffoldError: a file that must be created is there, with other content, or one that must be merged still
            holds conflict markers; and nothing is forced.
    """
    planner = _Planner(tree, versions, force=force)
    steps = list(planner.steps())
    left = unresolved(tree, {*versions.places(), *planner.followed})
    # Of two updates one after the other, only the second could be undone.
    touched = [step.path for step in steps if step.action == Action.UNRESOLVED]
    if in_the_way := list(dict.fromkeys((*touched, *(left if versions.other_template else ())))):
        hold = "holds" if len(in_the_way) == 1 else "hold"
        raise ScaffoldError(
            f"{', '.join(in_the_way)} {hold} conflict markers; nothing was written.",
            "resolve them, then run the command again",
            code=Code.UNRESOLVED_CONFLICTS,
            paths=in_the_way,
        )
    if blocked := list(dict.fromkeys(step.path for step in steps if step.action == Action.BLOCKED)):
        there = "is there already" if len(blocked) == 1 else "are there already"
        raise ScaffoldError(
            f"{', '.join(blocked)} {there}, with other content; nothing was written.",
            "move it away" if versions.other_template else "choose another name, or --force to overwrite what is there",
            code=Code.IN_THE_WAY,
            paths=blocked,
        )
    # The state comes last: it says that all the rest is so.
    return Plan(tuple(sorted(steps, key=lambda step: step.path in ANSWERS_FILES)), planner.notes, left)


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
        self._modules = Modules({})
        self._mentions: Mentions | None = None  # of what has moved
        self._notes: list[str] = []
        self.followed: set[str] = set()
        """Files that the user has moved, and that have a step."""
        self._formatter = self._formatter_of_the_project()

    def _formatter_of_the_project(self) -> Formatter | None:
        """Return what formats as the project does, where that is not how the template does."""
        base, theirs, root = self._versions.base, self._versions.theirs, self._tree.root
        header, uses_ruff, formats_new = "", False, True
        settings, folder = Settings(root=root), root / self._versions.package[0]
        if formatter := self._versions.formatters[1]:
            uses_ruff = settings.ruff(folder) is not None
            formats_new = uses_ruff if formatter == "auto" else formatter == "ruff"
            uses_ruff = uses_ruff or "ruff" in self._versions.formatters
            there = (self._tree.read(path) for path in self._whole_base if path.endswith(".py"))
            header = self._versions.header or header_of(filter(None, there))
        elif generated := base.get(PYPROJECT):
            uses_ruff = differ(self._tree, generated.content, {*base, *theirs})
        if not uses_ruff and not header:
            return None
        ruff = find_ruff(root) if uses_ruff else None
        own = settings.first_party(folder, self._versions.package[1]) if ruff else []
        return Formatter(root, ruff, uses_ruff, formats_new, header, own)

    @property
    def _restyles(self) -> bool:
        """Whether files that hold no edits are to be formatted in another way."""
        old, new = self._versions.formatters
        return old not in {"", new}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return (*self._notes, *(self._formatter.notes if self._formatter else ()))

    @cached_property
    def _whole_base(self) -> Files:
        return self._versions.whole_base()

    @cached_property
    def _places(self) -> Collection[str]:
        return self._versions.places()

    @cached_property
    def _owners(self) -> set[str | None]:
        """Whose files there were."""
        return {file.owner for file in self._versions.base.values()}

    @cached_property
    def _elsewhere(self) -> Elsewhere:
        return Elsewhere(self._tree, self._whole_base, self._places, self._formatter)

    def steps(self) -> Iterator[Step]:
        base, theirs = self._versions.base, self._versions.theirs
        paired = pairs(base, theirs, self._versions.renamed, other_template=self._versions.other_template)
        self._follow(moved_folders(paired))
        if self._formatter:
            self._formatter.warm_up(self._to_be_formatted(paired), self._to_be_created(paired))
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
        if self._mentions:
            for path in self._whole_base.keys() - base.keys():
                yield self._used(path, self._whole_base[path])
            for folder, target in self._folders.items():
                yield from self._unknown_files_of_what_moves(folder, target)
            self._mentions.look_elsewhere({*self._whole_base, *self.followed})
            self._notes += self._mentions.notes()

    def _follow(self, folders: Mapping[str, str]) -> None:
        """Take note of what moves, and of the names that are others now: what uses them is to follow."""
        self._folders = {self._tree.beside(one): self._tree.beside(other) for one, other in folders.items()}
        moved: dict[Dotted, Dotted] = {}
        if folders:
            packages = self._packages(folders)
            moved = {old: new for old, new in packages.items() if old != new}
        stays = {folder: folder for owner in self._kinds_of for folder in _folders(self._versions.base, owner)}
        self._modules = Modules(moved | self._packages(stays))
        if moved or self._versions.spelling:
            from ws_scaffold.mentions import Mentions  # noqa: PLC0415 - to read Python takes long to import

            self._mentions = Mentions(
                self._tree, self._folders, Modules(moved), self._identifiers, self._versions.renamed
            )

    @property
    def _kinds_of(self) -> list[str]:
        """The handlers whose identifiers are others, and that have their name."""
        return [owner for owner in self._versions.respelled if owner not in self._versions.renamed]

    def _packages(self, folders: Mapping[str, str]) -> dict[Dotted, Dotted]:
        return moved_packages(folders, self._whole_base.__contains__, self._places.__contains__)

    @cached_property
    def _identifiers(self) -> dict[str, str]:
        spelling, owners = self._versions.spelling, self._versions.respelled
        return {old: new for owner in owners for old, new in spelling.identifiers(owner).items()} if spelling else {}

    def _respelled(self, old: Rendered, base: bytes, ours: bytes, here: str, there: str) -> bytes:
        """Return a file with what it uses of all that has moved under its new name, and say what does not follow."""
        if not self._mentions:
            return ours
        text, encoding = text_of(ours)
        edits: list[Edit] = []
        if spelling := self._versions.spelling:
            edits += spelling.edits(text_of(base)[0], text, spelling.lines(old.source, old.owner))
        if here.endswith(".py"):
            from ws_scaffold.imports import uses  # noqa: PLC0415 - the same

            found = uses(text, self._place_of(old, here, there), self._modules)
            if found:
                edits += found.edits
                self._mentions.unsure(there, text, found.unsure)
            else:
                self._mentions.unparsed(there, text)
        return edited(text, edits).encode(encoding)

    def _place_of(self, old: Rendered, here: str, there: str) -> Place:

        def was(path: str) -> bool:
            return path in self._whole_base or self._tree.exists(path)

        def will_be(path: str) -> bool:
            return path in self._places or self._tree.exists(path)

        defines = old.owner in self._versions.respelled
        return Place(
            package_of(here, was), package_of(there, will_be), self._identifiers, defines, self._versions.methods
        )

    def _to_be_formatted(self, paired: list[tuple[str, str | None]]) -> Iterator[tuple[str, bytes]]:
        for path, new_path in paired:
            old, new = self._versions.base[path], self._versions.theirs.get(new_path or "")
            ours = self._tree.read(path)
            if ours not in {None, old.content} and (new is None or new.content != old.content):
                yield path, old.content
                if new:
                    yield new_path or path, new.content

    def _to_be_created(self, paired: list[tuple[str, str | None]]) -> Iterator[tuple[str, bytes]]:
        there = {new_path for _, new_path in paired}
        for path, new in self._versions.theirs.items():
            if path not in there:
                yield path, new.content

    def _in_our_style(self, path: str, old: Rendered, ours: bytes, new: Rendered | None = None) -> tuple[bytes, bytes]:
        """Return base and theirs as the project would format them, if that is how it formats ours."""
        theirs = new.content if new else b""
        if self._formatter is None:
            return old.content, theirs
        style = self._formatter.style_of(path, old.content, ours)
        return style(path, old.content), style(path, theirs)

    def _new_content(self, path: str, new: Rendered) -> bytes:
        return self._formatter.new(path, new.content) if self._formatter else new.content

    def _place(self, path: str) -> _Place | Step:
        """Return where a file of base is, or what is to be said if it is nowhere."""
        ours = self._tree.read(path)
        if ours is not None:
            return _Place(path, ours)
        candidates = self._elsewhere.candidates(path)
        if len(candidates) == 1:
            (found,) = candidates
            self.followed.add(found)
            return _Place(found, self._tree.read(found) or b"", f"moved here from {path}")
        if candidates:
            there = " or ".join(candidates)
            return Step(Action.GONE, path, note=f"it may have been moved to {there}; the change reaches none of them")
        return Step(Action.GONE, path, note="it was deleted, and stays so")

    def _destination(self, path: str, new_path: str) -> str:
        """Return where a file is to be, links on the way to it resolved: one that moves leads to where it led."""
        for folder in map(str, PurePosixPath(path).parents):
            if self._tree.link(folder) is not None:
                link = self._tree.beside(folder)
                moved = self._folders.get(link) or self._target(link)
                if moved and self._tree.beside(new_path).startswith(f"{moved}/"):
                    return self._tree.real(folder) + self._tree.beside(new_path)[len(moved) :]
        return self._tree.beside(new_path)

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
        after = self._new_content(path, new)
        if ours in {new.content, after}:
            return Step(Action.SAME, path, ours, ours)
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
        if self._tree.link(path) is not None and not self._force:
            return Step(Action.KEEP, path, note="it is a link: --force deletes it, too")
        ours = self._tree.read(path)
        if ours is None:
            place = self._place(path)
            if isinstance(place, _Place):
                return Step(Action.KEEP, place.path, place.ours, place.ours, f"{place.note}; it is generated no more")
            return Step(Action.SAME, path)
        base, _ = self._in_our_style(path, old, ours)
        path = self._tree.beside(path)
        if ours in {old.content, base} or self._force:
            return Step(Action.DELETE, path, ours, None)
        return Step(Action.KEEP, path, ours, ours, "it holds edits: --force deletes it, too")

    def _changed(self, path: str, old: Rendered, new: Rendered) -> Iterator[Step]:
        same = old.content == new.content and old.executable == new.executable
        if path not in ANSWERS_FILES and same and not self._restyles:
            yield self._used(path, old) if self._mentions else Step(Action.SAME, path)
            return
        place = self._place(path)
        if isinstance(place, Step):
            yield place
            return
        yield from self._where_it_is(self._merged(path, path, old, place, new))

    def _used(self, path: str, old: Rendered) -> Step:
        """Say what happens to a file that stays as it is, unless it uses what has moved."""
        ours = self._tree.text(path)
        if self._mentions is None or ours is None or not self._mentions.may_be_in(ours) or ours == old.content:
            return Step(Action.SAME, path)
        if diff3.holds_markers(ours):
            return Step(Action.SAME, path, ours, ours)
        after = self._respelled(old, old.content, ours, path, path)
        self._look(path, after, old.content)
        return Step(Action.SAME if after == ours else Action.MERGE, path, ours, after)

    def _look(self, path: str, after: bytes, generated: bytes) -> None:
        """Take note of the old names in what the user has written."""
        if self._mentions:
            lines = {line.rstrip("\r") for line in text_of(generated)[0].split("\n")}
            self._mentions.look(path, text_of(after)[0], lines)

    def _where_it_is(self, step: Step) -> Iterator[Step]:
        """Yield what happens to a file that may be where the user has put it: in a folder that moves, say."""
        if step.path in self.followed and (target := self._target(step.path)):
            yield from self._move(step, target)
        else:
            yield step

    def _target(self, path: str) -> str | None:
        """Return where a path in a folder that moves will be; None for all others."""
        for folder, target in self._folders.items():
            if path.startswith(f"{folder}/"):
                return f"{target}{path[len(folder) :]}"
        return None

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

    def _relocated(self, path: str, new_path: str) -> Step:
        """Say where something goes that stays what it is: a file that is not generated, a link, a folder."""
        if obstacle := self._tree.obstacle(new_path):
            return Step(Action.BLOCKED, obstacle)
        action = Action.MOVE
        if self._tree.exists(new_path):
            action = Action.REPLACE if self._force and self._tree.text(new_path) is not None else Action.BLOCKED
        there = self._tree.text(new_path)
        link = self._link(path, new_path)
        return Step(action, new_path, there, there, note=f"from {path}", link=link, source=path)

    def _link(self, path: str, new_path: str) -> str | None:
        """Return where a link leads from its new place, if it is one: to the same, wherever that is then."""
        link = self._tree.link(path)
        target = self._tree.target(path)
        if link is None or target is None:
            return link
        new_target = next(
            (to for folder, to in self._folders.items() if target == folder), self._target(target) or target
        )
        if PurePosixPath(link).is_absolute():
            return link if new_target == target else str(self._tree.root / new_target)
        folder = PurePosixPath(new_path).parent
        stays = posixpath.normpath(folder / link) == new_target
        return link if stays else posixpath.relpath(new_target, folder)

    def _mode(self, path: str, old: Rendered, new: Rendered) -> int | None:
        """Return the mode that a file is to have, if the template has changed whether it is executable."""
        mode = self._tree.mode(path)
        if mode is None or old.executable == new.executable:
            return None
        changed = mode | executable_bits(mode) if new.executable else mode & ~0o111
        return None if changed == mode else changed

    def _merged(self, path: str, new_path: str, old: Rendered, place: _Place, new: Rendered) -> Step:
        """Return what happens to a file where it is: it holds what it will hold where it will be."""
        ours = place.ours
        there = self._target(place.path) or place.path if place.path in self.followed else new_path
        mode = self._mode(place.path, old, new)

        def step(action: Action, after: bytes) -> Step:
            if mode is not None and action == Action.SAME:
                action = Action.UPDATE
            return Step(action, place.path, ours, after, place.note, mode)

        if ours == new.content and not self._restyles:
            return step(Action.SAME, ours)
        if path in ANSWERS_FILES:
            return step(Action.UPDATE, new.content)
        base, theirs = self._in_our_style(path, old, ours, new)
        if ours == base and self._restyles:
            theirs = self._new_content(new_path, new)
        if ours == base or self._force:
            return step(Action.SAME if ours == theirs else Action.UPDATE if ours == base else Action.REPLACE, theirs)
        if diff3.holds_markers(ours):
            return step(Action.UNRESOLVED, ours)
        respelled = self._respelled(old, base, ours, place.path, there)
        merged = diff3.merge(self._renamed(path, new_path, old, base), respelled, theirs)
        self._look(there, merged.content, theirs)
        if merged.conflicts:
            return step(Action.CONFLICT, merged.content)
        return step(Action.SAME if merged.content == ours else Action.MERGE, merged.content)

    def _renamed(self, path: str, new_path: str, old: Rendered, base: bytes) -> bytes:
        """Return base, as it would have been with the new names."""
        return self._respelled(old, base, base, path, new_path)

    def _moved(self, path: str, new_path: str, old: Rendered, new: Rendered) -> Iterator[Step]:
        if not self._tree.exists(path):
            there = self._tree.read(new_path)
            if there and similarity(there, self._renamed(path, new_path, old, old.content)) >= SIMILAR:
                # The user was faster.
                yield self._merged(path, new_path, old, _Place(new_path, there, f"moved here from {path}"), new)
                return
        place = self._place(path)
        if isinstance(place, Step):
            yield place
            return
        step = self._merged(path, new_path, old, place, new)
        if place.path != path:
            yield from self._where_it_is(step)
        elif self._tree.link(path) is not None:  # it moves, and leads to the same file
            yield from self._where_it_is(self._behind_links(step))
            link = self._tree.beside(path)
            if not self._target(link):
                yield self._relocated(link, self._destination(path, new_path))
        else:
            step = self._behind_links(step)
            target = self._destination(path, new_path)
            yield from [step] if step.path == target else self._move(step, target)

    def _behind_links(self, step: Step) -> Step:
        """Return what a step does, where the file really is that links lead to."""
        real = self._tree.real(step.path)
        if real == step.path:
            return step
        self.followed.add(real)
        return replace(step, path=real, note=f"{step.path} leads here")

    def _unknown_files_of_who_goes(self) -> Iterator[Step]:
        """Yield what happens to files of the user's in the folder of a handler that is removed."""
        base = self._versions.base
        remaining = {file.owner for file in self._versions.theirs.values()}
        for owner in dict.fromkeys(file.owner for file in base.values()):
            if owner is not None and owner not in remaining and owner not in self._versions.renamed:
                for folder in sorted(_folders(base, owner)):
                    for path in self._unknown_files(folder):
                        link = self._tree.link(path) is not None
                        yield Step(Action.KEEP, path, note="it is a link" if link else "it is not generated")

    def _unknown_files_of_what_moves(self, folder: str, target: str) -> Iterator[Step]:
        """Yield what happens to all else in a folder whose generated files all move to another one."""
        for path in self._unknown_files(folder):
            yield self._relocated(path, f"{target}{path[len(folder) :]}")

    def _unknown_files(self, folder: str) -> Iterator[str]:
        """Yield what is in a folder beside what is generated; only the folder itself, if that is a link."""
        if self._tree.link(folder) is not None:
            yield folder
        elif self._tree.exists(folder):
            for path in self._tree.entries(folder):
                generated = path in self._versions.base and self._tree.link(path) is None
                if path != folder and path not in self.followed and not generated:
                    yield path


def unresolved(tree: Tree, paths: Iterable[str]) -> tuple[str, ...]:
    """Return which of some files hold conflict markers of an earlier run."""

    def text(path: str) -> bytes:
        try:
            return tree.text(path if tree.link(path) is None else tree.real(path)) or b""
        except ScaffoldError:  # it leads out of the project, or to itself
            return b""

    return tuple(path for path in sorted(paths) if diff3.holds_markers(text(path)))
