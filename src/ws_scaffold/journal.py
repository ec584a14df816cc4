"""A plan, carried out: all of it or, where the process is killed, so much that the next run can complete it.

And an update, undone: what it is about to change is kept beside it, until the next one.
"""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ws_scaffold.diff3 import holds_markers
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.git import committed, head
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.records import Record
from ws_scaffold.render import ANSWERS_FILES, answers_file_in
from ws_scaffold.tree import OWN_FOLDER, Tree

FORMER_JOURNAL = ".ws-scaffold-journal"
FORMER_UNDO = f"{OWN_FOLDER}/undo.json"
"""Where version 0.1 kept the two: in the project, so that they may have come with it."""

OWN_IGNORE = f"{OWN_FOLDER}/.gitignore"

ABORTED = f"{OWN_FOLDER}/aborted"
"""What was edited after an update, and is no longer in its place because the update was undone."""


MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What it leads to that a record is not as it was written."""


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _packed(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


@dataclass(frozen=True)
class _Item:
    """A step of a plan, as the journal keeps it."""

    action: Action
    path: str
    before: str | None
    """The digest of what was there."""
    after: bytes | None
    mode: int | None
    link: str | None
    source: str | None
    """Where it comes from, if it only changes its place."""

    @classmethod
    def of(cls, step: Step) -> "_Item":
        return cls(step.action, step.path, _digest(step.before), step.after, step.mode, step.link, step.source)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "_Item":
        return cls(
            Action(kept["action"]),
            str(kept["path"]),
            kept["before"],
            _unpacked(kept["after"]),
            kept["mode"],
            kept["link"],
            kept["source"],
        )

    def kept(self) -> dict[str, Any]:
        return {**vars(self), "after": _packed(self.after)}

    def is_done(self, tree: Tree) -> bool:
        """Whether it has been carried out, as far as one can see, or begun."""
        if self.source is not None:
            arrived = self.link is not None and tree.link(self.path) == self.link
            return tree.exists(self.path) and (arrived or not tree.exists(self.source))
        done = _digest(self.after)
        try:
            shows = self.before != done or (self.mode is not None and self.mode == tree.mode(self.path))
            return shows and _digest(tree.read(self.path)) == done
        except ScaffoldError:  # it is no file any more
            return False


def _journal(tree: Tree) -> Record:
    """Return what an application still has to write: it is there only while one runs, or after one was killed."""
    return Record(tree.root, "journal", "see with git status what is half done; then the same command again")


def _undo(tree: Tree) -> Record:
    """Return what the last update has changed, as it was before."""
    return Record(tree.root, "update", "bring back the files with git")


def apply(tree: Tree, plan: Plan, *, undoable: bool = False) -> tuple[str, ...]:
    """Write a plan, all of it or, where the process is killed, so much that `resume` can complete it.

    Return what the user should know: that it could not be recorded what is needed for that, or to undo it.
    """
    items = [_Item.of(step) for step in plan.steps if step.changes]
    if not items:
        return ()
    for item in items:
        if item.source is None and item.link is None:
            tree.at(item.path)  # nothing is written where one file cannot be
        else:
            tree.beside(item.path)
    notes: list[str] = []
    if undoable:
        try:
            _remember(tree, plan)
        except ScaffoldError as error:
            _undo(tree).delete()
            notes.append(f"this update cannot be aborted: {_without_a_stop(error)}")
    journal = _journal(tree)
    try:
        journal.write([item.kept() for item in items])
    except ScaffoldError as error:
        notes.append(f"had this run been killed, it could not have been completed: {_without_a_stop(error)}")
    if any(item.path.startswith(f"{OWN_FOLDER}/") for item in items):
        tree.write(OWN_IGNORE, b"*\n")
    _carry_out_all(tree, items)
    journal.delete()
    return tuple(notes)


def _without_a_stop(error: ScaffoldError) -> str:
    return f"{error.message.rstrip('.')} (try: {error.hint})"


def written(tree: Tree, plan: Plan) -> int:
    """Return how many files of a plan are as it wants them, as far as one can see."""
    return sum(_Item.of(step).is_done(tree) for step in plan.steps if step.changes)


def interrupted(tree: Tree) -> bool:
    """Whether an application was interrupted, and waits to be completed."""
    return any(item.is_done(tree) for item in _left(tree))


def resume(tree: Tree) -> list[Step]:
    """Complete an application that was interrupted, and return its steps: none where there was none.

    A file that was changed since is left as it is. A run that had not begun to write has not been.

    Raises:
        ScaffoldError: it cannot be completed; the next run is not asked to.
    """
    tree.forget(OWN_IGNORE)
    items = _left(tree)
    done: list[Step] = []
    if any(item.is_done(tree) for item in items):
        journal = _journal(tree)
        for item in items:
            if item.path in ANSWERS_FILES and _digest(tree.read(item.path)) not in {item.before, _digest(item.after)}:
                raise journal.unusable(f"was about another {item.path} than is here now")
        try:
            done = _carry_out_all(tree, items)
        except ScaffoldError as error:
            raise journal.unusable(f"cannot be completed ({error.message.partition(';')[0]})") from None
    for item in () if done else (item for item in items if item.source is None):
        with contextlib.suppress(ScaffoldError, OSError):
            tree.forget(item.path)
            if item.before is None and tree.read(item.path) is None and tree.link(item.path) is None:
                tree.delete(item.path)  # its folder may be there already
    _journal(tree).delete()
    return done


def leftovers(tree: Tree) -> tuple[str, ...]:
    """Return what the user should know of what is no record of ours, although it looks like one."""
    if not (tree.root / FORMER_JOURNAL).exists():
        return ()
    return (f"{FORMER_JOURNAL} is not carried out: version 0.1 left it, or it came with the project; delete it",)


def _left(tree: Tree) -> list[_Item]:
    """Return what an application that was interrupted has, or had, to do.

    Raises:
        ScaffoldError: that cannot be read.
    """
    journal = _journal(tree)
    kept = journal.read()
    if kept is None:
        return []
    try:
        items = [_Item.read(item) for item in kept]
    except MALFORMED:
        raise journal.unusable("is damaged") from None
    return items


def _carry_out_all(tree: Tree, items: Sequence[_Item]) -> list[Step]:
    done = [_carry_out(tree, item) for item in items]
    tree.settle(path for item in items for path in (item.path, item.source) if path)
    return done


def _carry_out(tree: Tree, item: _Item) -> Step:
    path, after = item.path, item.after
    try:
        if item.source is not None:
            if tree.relocate(item.source, path, item.link, replace=item.action is Action.REPLACE):
                return Step(item.action, path, note=f"from {item.source}")
            return Step(Action.KEEP, item.source, note=f"there is another {path} now")
        there = tree.read(path)
        tree.forget(path)
        if there != after and _digest(there) != item.before:
            return Step(Action.KEEP, path, there, there, "it was changed since the run that was interrupted")
        if item.link is not None:
            tree.write_link(path, item.link)
        elif after is None:
            tree.delete(path)  # the file may be gone, and its folder not yet
        elif there != after or item.mode not in {None, tree.mode(path)}:
            tree.write(path, after, item.mode)
    except (IsADirectoryError, NotADirectoryError) as error:  # no run can ever do that
        return Step(Action.KEEP, path, note=f"it was changed since: {error.strerror}")
    return Step(item.action, path, there, after)


def _remember(tree: Tree, plan: Plan) -> None:
    """Keep what a plan is about to change, so that it can be undone; what an earlier one has changed is forgotten.

    Raises:
        ScaffoldError: that is not possible.
    """
    files = [
        {
            "path": step.path,
            "before": _packed(step.before),
            "mode": tree.mode(step.path),
            "link": tree.link(step.source or step.path) if step.source or step.after is None else None,
            "after": _digest(step.after),
            "source": step.source,
        }
        for step in plan.steps
        if step.changes
    ]
    generated = [step.path for step in plan.steps]
    _undo(tree).write({"head": head(tree.root), "files": files, "generated": generated})


def undoing(tree: Tree) -> Plan:
    """Return what brings back the files as they were before the last update, contents and modes.

    What was edited since is kept elsewhere: a conflict that is half resolved may have taken work.

    Raises:
        ScaffoldError: there was no update, or something else has happened since: a commit, or another command.
    """
    undo = _undo(tree)
    record = undo.read()
    if record is None:
        former = (tree.root / FORMER_UNDO).is_file()
        hint = f"{FORMER_UNDO} is of version 0.1, or came with the project: bring back the files with git"
        raise ScaffoldError(
            "There is no update to abort; nothing was written.", hint if former else "", code=Code.NOTHING_TO_ABORT
        )
    try:
        return _undoing(tree, record)
    except MALFORMED:
        raise undo.unusable("is damaged") from None


def _undoing(tree: Tree, record: Mapping[str, Any]) -> Plan:
    files = record["files"]
    states = {file["path"]: file for file in files}
    name = answers_file_in(tree.root)
    state = tree.read(name)
    if state == _unpacked(states[name]["before"]):  # a run that was interrupted has undone it
        return Plan(())
    if record["head"] != head(tree.root):
        raise ScaffoldError(
            "Something was committed since the update; nothing was written.",
            _way_back(tree, name, state),
            code=Code.CHANGED_SINCE,
        )
    if _digest(state) != states[name]["after"]:
        raise ScaffoldError(
            f"{name} has changed since the update; nothing was written.",
            "undo what changed it, or bring back single files with git",
            code=Code.CHANGED_SINCE,
        )
    keeper = _Keeper(tree)
    steps = tuple(step for file in files for step in _undone(tree, file, keeper))
    after = {step.path: step.after for step in steps}
    texts = {path: after[path] if path in after else tree.text(path) for path in record["generated"]}
    return Plan(steps, unresolved=tuple(path for path, text in texts.items() if text and holds_markers(text)))


def _way_back(tree: Tree, name: str, state: bytes | None) -> str:
    """Return how to undo an update after a commit, which may be of something else."""
    if state is not None and committed(tree.root, name) == state:
        return f"git log -1 -- {name} shows the commit of the update: revert that one"
    return "commit the update by itself, then revert that commit"


class _Keeper:
    """Where what was edited after an update goes: a folder for each update that was undone, numbered."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        folder = tree.root / ABORTED
        names = [child.name for child in folder.iterdir()] if folder.is_dir() else []
        self._numbers = sorted(int(name) for name in names if name.isdecimal())

    def step(self, path: str, content: bytes | None) -> Step | None:
        """Return what keeps a file, unless it is kept already, with that content."""
        if any(self._tree.text(f"{ABORTED}/{number}/{path}") == content for number in self._numbers):
            return None
        number = 1 + max(self._numbers, default=0)
        return Step(Action.CREATE, f"{ABORTED}/{number}/{path}", None, content, f"{path}, as it was now")


def _undone(tree: Tree, file: dict[str, Any], keeper: _Keeper) -> Iterator[Step]:
    path, before, mode, source = file["path"], _unpacked(file["before"]), file["mode"], file["source"]
    if source is not None:
        yield Step(Action.MOVE, source, note=f"from {path}", link=file["link"], source=path)
        if before is not None:  # that was replaced
            yield Step(Action.CREATE, path, None, before, mode=mode)
        return
    there = tree.read(path)
    edited = there is not None and there != before and _digest(there) != file["after"]
    if edited and (kept := keeper.step(path, there)):
        yield kept
    if file["link"] is not None:
        if there is not None and tree.link(path) != file["link"]:
            yield Step(Action.DELETE, path, there, None)
        yield Step(Action.CREATE, path, None, before, link=file["link"])
    elif before is None:
        yield Step(Action.DELETE, path, there, None)
    elif there != before or mode not in {None, tree.mode(path)}:
        yield Step(Action.CREATE if there is None else Action.UPDATE, path, there, before, mode=mode)


def forget_update(tree: Tree) -> None:
    """Drop what was kept to undo the last update."""
    _undo(tree).delete()
