"""What is printed of a run: lines for a person, or a document for a program."""

import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ws_scaffold.changelog import News
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.template import Answers

GREEN, YELLOW, RED = 32, 33, 31
COLOURS = {
    Action.CREATE: GREEN,
    Action.UPDATE: GREEN,
    Action.MOVE: GREEN,
    Action.MERGE: YELLOW,
    Action.REPLACE: RED,
    Action.DELETE: RED,
    Action.CONFLICT: RED,
}


@dataclass(frozen=True)
class Outcome:
    """What a run has done, or would do."""

    root: Path
    plan: Plan
    written: bool
    again: str
    """The command that would have asked nothing, where it would do the same once more."""
    next: str
    """The command to go on with, if there is an obvious one."""
    completed: list[Step]
    """What an interrupted run had left to do."""
    news: list[News]
    """What another version of the template has brought."""

    @property
    def conflicts(self) -> list[str]:
        """The files that hold, or would hold, conflict markers."""
        return [*self.plan.conflicts, *self.plan.unresolved]


def _difference(step: Step) -> str:
    def split(content: bytes | None) -> list[str]:
        return (content or b"").decode(errors="replace").splitlines(keepends=True)

    before = "/dev/null" if step.before is None else f"a/{step.path}"
    after = "/dev/null" if step.after is None else f"b/{step.path}"
    shown = difflib.unified_diff(split(step.before), split(step.after), before, after)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shown)


def _line(step: Step) -> str:
    action = f"{step.action:9}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and step.action in COLOURS:
        action = f"\x1b[{COLOURS[step.action]}m{action}\x1b[0m"
    return f"{action} {step.path}" + (f" ({step.note})" if step.note else "")


def lines(outcome: Outcome, *, dry_run: bool) -> Iterator[str]:
    """Yield what a person is told of a run; of a dry run, with the differences."""
    for step in outcome.completed:
        yield f"{_line(step)} (completes an interrupted run)"
    for step in outcome.plan.steps:
        if step.action is not Action.SAME:
            yield _line(step)
            if dry_run and step.changes and (difference := _difference(step)):
                yield difference.rstrip("\n")
    if not outcome.plan.changes and not outcome.completed:
        yield "nothing changes: it is so already"
    for path in outcome.plan.unresolved:
        yield _line(Step(Action.CONFLICT, path, note="of an earlier run"))
    yield from _remarks(outcome)
    if outcome.next and outcome.written:
        yield f"next: {outcome.next}"
    if outcome.again:
        yield f"the same, without being asked: {outcome.again}"


def _remarks(outcome: Outcome) -> Iterator[str]:
    """Yield what is to be said about all files together."""
    yield from (f"note: {note}" for note in outcome.plan.notes)
    for brought in outcome.news:
        yield f"{brought.version} brings:"
        yield from (f"- {item}" for item in brought.items)
    if outcome.conflicts:
        count = "1 file" if len(outcome.conflicts) == 1 else f"{len(outcome.conflicts)} files"
        yield f"{count} with conflicts: " + ("resolve the markers" if outcome.written else "nothing was written")
    elif not outcome.written:
        yield "nothing was written: a dry run"


def document(outcome: Outcome) -> Answers:
    """Return what a program is told of a run: the same, as data."""

    def shown(steps: Sequence[Step]) -> list[dict[str, str]]:
        return [
            {"action": step.action, "path": step.path, "note": step.note, "diff": _difference(step)}
            for step in steps
            if step.action is not Action.SAME
        ]

    return {
        "project": str(outcome.root),
        "written": outcome.written,
        "changed": outcome.plan.changes or bool(outcome.completed),
        "conflicts": outcome.conflicts,
        "completed": shown(outcome.completed),
        "files": shown(outcome.plan.steps),
        "notes": list(outcome.plan.notes),
        "news": [{"version": brought.version, "items": brought.items} for brought in outcome.news],
        "command": outcome.again,
    }
