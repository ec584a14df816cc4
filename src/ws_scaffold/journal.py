"""A plan, carried out: all of it or, where the process is killed, so much that the next run can complete it.

And an update, undone: what it is about to change is kept beside it, until the next one.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from ws_scaffold.errors import ScaffoldError
from ws_scaffold.git import head
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.render import ANSWERS_FILE
from ws_scaffold.tree import OWN_FOLDER, Tree

JOURNAL = ".ws-scaffold-journal"
"""What an application still has to write. It is there only while one runs, or after one was killed."""

UNDO = f"{OWN_FOLDER}/undo.json"
"""What the last update has changed, as it was before."""

OWN_IGNORE = f"{OWN_FOLDER}/.gitignore"

ABORTED = f"{OWN_FOLDER}/aborted"
"""What was edited after an update, and is no longer in its place because the update was undone."""


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _packed(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def apply(tree: Tree, plan: Plan) -> None:
    """Write a plan, all of it or, where the process is killed, so much that `resume` can complete it."""
    todo = [
        {
            "action": step.action,
            "path": step.path,
            "before": _digest(step.before),
            "after": _packed(step.after),
            "mode": step.mode,
            "link": step.link,
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
    for path in (JOURNAL, UNDO, OWN_IGNORE):
        tree.forget(path)
    journal = tree.read(JOURNAL)
    if journal is None:
        return []
    done = [_carry_out(tree, item) for item in json.loads(journal)]
    tree.delete(JOURNAL)
    return done


def _carry_out(tree: Tree, item: dict[str, Any]) -> Step:
    path, after, mode, link = item["path"], _unpacked(item["after"]), item["mode"], item["link"]
    there = tree.read(path)
    tree.forget(path)
    if there != after and _digest(there) != item["before"]:
        return Step(Action.KEEP, path, there, there, "it was changed since the run that was interrupted")
    if link is not None:
        tree.write_link(path, link)
    elif after is None:
        tree.delete(path)  # the file may be gone, and its folder not yet
    elif there != after or mode not in {None, tree.mode(path)}:
        tree.write(path, after, mode)
    return Step(Action(item["action"]), path, there, after)


def remember(tree: Tree, plan: Plan) -> None:
    """Keep what a plan is about to change, so that it can be undone; what an earlier one has changed is forgotten."""
    files = [
        {
            "path": step.path,
            "before": _packed(step.before),
            "mode": tree.mode(step.path),
            "link": tree.link(step.path) if step.after is None else None,
            "after": _digest(step.after),
        }
        for step in plan.steps
        if step.changes
    ]
    tree.write(OWN_IGNORE, b"*\n")
    tree.write(UNDO, json.dumps({"head": head(tree.root), "files": files}).encode())


def undoing(tree: Tree) -> Plan:
    """Return what brings back the files as they were before the last update, contents and modes.

    What was edited since is kept elsewhere: a conflict that is half resolved may have taken work.

    Raises:
        ScaffoldError: there was no update, or something else has happened since: a commit, or another command.
    """
    kept = tree.read(UNDO)
    if kept is None:
        raise ScaffoldError("There is no update to abort; nothing was written.")
    record = json.loads(kept)
    files = record["files"]
    states = {file["path"]: file for file in files}
    state = tree.read(ANSWERS_FILE)
    if state == _unpacked(states[ANSWERS_FILE]["before"]):  # a run that was interrupted has undone it
        return Plan(())
    if record["head"] != (now := head(tree.root)):
        raise ScaffoldError(
            "Something was committed since the update; nothing was written.", f"git revert {(now or 'HEAD')[:7]}"
        )
    if _digest(state) != states[ANSWERS_FILE]["after"]:
        raise ScaffoldError(
            f"{ANSWERS_FILE} has changed since the update; nothing was written.",
            "undo what changed it, or bring back single files with git",
        )
    return Plan(tuple(step for file in files for step in _undone(tree, file)))


def _undone(tree: Tree, file: dict[str, Any]) -> Iterator[Step]:
    path, before, mode = file["path"], _unpacked(file["before"]), file["mode"]
    there = tree.read(path)
    if there is not None and there != before and _digest(there) != file["after"]:
        yield Step(Action.CREATE, f"{ABORTED}/{path}", tree.read(f"{ABORTED}/{path}"), there, f"{path}, as it was now")
    if file["link"] is not None:
        if there is not None and tree.link(path) != file["link"]:
            yield Step(Action.DELETE, path, there, None)
        yield Step(Action.CREATE, path, None, before, link=file["link"])
    elif before is None:
        yield Step(Action.DELETE, path, there, None)
    elif there != before or mode not in {None, tree.mode(path)}:
        yield Step(Action.CREATE if there is None else Action.UPDATE, path, there, before, mode=mode)


def forget_update(tree: Tree) -> None:
    """Drop what `remember` has kept, and the folder, unless it holds what was edited since."""
    if next(tree.below(ABORTED), None) is None:
        tree.delete(OWN_IGNORE)
    tree.delete(UNDO)
