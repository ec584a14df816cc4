"""What goes wrong, in words for the user, and by a name for a program."""

import difflib
from collections.abc import Iterable, Sequence
from enum import StrEnum


class Code(StrEnum):
    """What went wrong, by a name that stays: `docs/command.md` says what each one means."""

    USAGE = "usage"
    ANSWER_REFUSED = "answer-refused"
    ANSWER_SETTLED = "answer-settled"
    ANSWER_UNASKED = "answer-unasked"
    UNKNOWN_HANDLER = "unknown-handler"
    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_QUESTION = "unknown-question"
    UNKNOWN_VERSION = "unknown-version"
    OLDER_VERSION = "older-version"
    NO_VERSIONS = "no-versions"
    NAME_TAKEN = "name-taken"
    PATH_TAKEN = "path-taken"
    NO_PROJECT = "no-project"
    PROJECT_EXISTS = "project-exists"
    LITESTAR_TOO_OLD = "litestar-too-old"
    IN_THE_WAY = "in-the-way"
    FOREIGN_OWNER = "foreign-owner"
    OUTSIDE_PROJECT = "outside-project"
    UNRESOLVED_CONFLICTS = "unresolved-conflicts"
    STATE_DAMAGED = "state-damaged"
    STATE_LATER = "state-later"
    RECORD_DAMAGED = "record-damaged"
    UNFINISHED_RUN = "unfinished-run"
    NOTHING_TO_ABORT = "nothing-to-abort"
    CHANGED_SINCE = "changed-since"
    TEMPLATE_MISSING = "template-missing"
    TEMPLATE_FOREIGN = "template-foreign"
    TEMPLATE_REFUSED = "template-refused"
    TEMPLATE_BROKEN = "template-broken"
    TEMPLATE_UNREACHABLE = "template-unreachable"
    NO_GIT = "no-git"
    NO_PERMISSION = "no-permission"
    DISK_FULL = "disk-full"
    SYSTEM = "system"
    OUTPUT = "output"
    INTERRUPTED = "interrupted"
    BUG = "bug"


class ScaffoldError(Exception):
    """The command could not do it: `message` says why, with the user's own value, and `hint` names a way out.

    Nothing was written, unless the message says so. `paths` are the files that it is about, where it is about some.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, code: Code = Code.SYSTEM, paths: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.paths = list(paths)


class UsageError(ScaffoldError):
    """What was asked for makes no sense: an unknown answer, a contradiction, a name that cannot be one."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "", *, code: Code = Code.USAGE, paths: Sequence[str] = ()) -> None:
        super().__init__(message, hint, code=code, paths=paths)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question about the nearest of the words that would have been right; nothing if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""
