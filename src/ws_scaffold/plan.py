"""What will happen to a project: made in memory, shown, and carried out as a whole by the journal."""

from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What happens to one file."""

    CREATE = "create"
    UPDATE = "update"
    """It was as generated, and follows."""
    MERGE = "merge"
    """It holds edits, and the change beside them."""
    CONFLICT = "conflict"
    """Both versions stand in it, between markers."""
    REPLACE = "replace"
    """It held edits, and no longer does: that was forced."""
    DELETE = "delete"
    MOVE = "move"
    SAME = "same"
    KEEP = "keep"
    """It would be deleted, but is not as generated."""
    GONE = "gone"
    """It would change, but is not in its place."""
    BLOCKED = "blocked"
    """It is in the place of another one: the plan cannot be carried out."""
    UNRESOLVED = "unresolved"
    """It holds the conflicts of an earlier run: the plan cannot be carried out."""


CHANGING = frozenset(
    {
        Action.CREATE,
        Action.UPDATE,
        Action.MERGE,
        Action.CONFLICT,
        Action.REPLACE,
        Action.DELETE,
        Action.MOVE,
    }
)
"""The actions after which a file differs from what it was."""


@dataclass(frozen=True)
class Step:
    """What happens to one file."""

    action: Action
    path: str
    before: bytes | None = field(default=None, repr=False)
    """What is on disk, or None where nothing is."""
    after: bytes | None = field(default=None, repr=False)
    """What will be, or None where nothing will."""
    note: str = ""
    mode: int | None = None
    """The permissions that it will have, where they are not to stay as they are."""
    link: str | None = None
    """Where it will lead, if it is to be a link."""
    source: str | None = None
    """Where it comes from, if it only changes its place, whatever it is and holds."""

    @property
    def changes(self) -> bool:
        """Whether the file will differ from what it is."""
        return self.action in CHANGING


@dataclass(frozen=True)
class Plan:
    """What will happen to a project, in the order in which it is done."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    """What the user should know of how it came about."""
    unresolved: tuple[str, ...] = ()
    """The generated files that still hold the conflict markers of an earlier run."""

    @property
    def changes(self) -> bool:
        """Whether anything will differ from what it is."""
        return any(step.changes for step in self.steps)

    @property
    def conflicts(self) -> list[str]:
        """The files that will hold conflict markers."""
        return [step.path for step in self.steps if step.action is Action.CONFLICT]
