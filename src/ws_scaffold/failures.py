"""What goes wrong elsewhere, in our words: with the disk, the template, the person who interrupts, or ourselves."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import jinja2
import yaml

from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.journal import interrupted, written
from ws_scaffold.plan import Plan
from ws_scaffold.tree import Tree

ISSUES = "https://github.com/org/ws-scaffold/issues"
DEBUG = "WS_SCAFFOLD_DEBUG"
"""The variable that shows where an error was raised, in the interpreter's own words."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
AGAIN = "then run the command again"


def _way_out(error: OSError) -> tuple[Code, str]:
    """Return what to do about what the operating system refuses."""
    if error.errno in FULL:
        return Code.DISK_FULL, "free some space"
    if error.errno in FORBIDDEN:
        return Code.NO_PERMISSION, "allow it, for example with chmod or chown"
    return Code.SYSTEM, "fix the problem"


def _said(error: OSError) -> str:
    """Return the operating system's reason, and what it is about."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


@contextlib.contextmanager
def writing(tree: Tree, plan: Plan) -> Iterator[None]:
    """Carry out a plan in the block; if that is cut short, say how far it came.

    Raises:
        ScaffoldError: it was interrupted, or the operating system refused something.
    """
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        total = sum(step.changes for step in plan.steps)
        done, begun = written(tree, plan), interrupted(tree)
        count = f"{done} of {total} files were written" if total else "an earlier run is half completed"
        if isinstance(error, KeyboardInterrupt):
            if begun:
                raise ScaffoldError(
                    f"Interrupted while writing: {count}.", "the same command completes it", code=Code.INTERRUPTED
                ) from None
            so_far = "everything was written" if 0 < done == total else "nothing was written"
            raise ScaffoldError(f"Interrupted; {so_far}.", code=Code.INTERRUPTED) from None
        code, hint = _way_out(error)
        what = "The disk is full" if code is Code.DISK_FULL else _said(error)
        if code is Code.NO_PERMISSION:
            what = f"{Path(os.fsdecode(error.filename or tree.root)).parent} may not be written to"
        if begun:
            raise ScaffoldError(f"{what}: {count}.", f"{hint}, {AGAIN}: it completes the rest", code=code) from None
        raise ScaffoldError(f"{what}; nothing was written.", f"{hint}, {AGAIN}", code=code) from None


def failure_of(error: BaseException) -> ScaffoldError:
    """Return an error of whatever kind as one of ours."""
    import traceback  # noqa: PLC0415 - only what goes wrong needs it

    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    if isinstance(error, ScaffoldError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return ScaffoldError("Interrupted; nothing was written.", code=Code.INTERRUPTED)
    if isinstance(error, OSError):
        code, hint = _way_out(error)
        return ScaffoldError(f"{_said(error)}.", f"{hint}, {AGAIN}", code=code)
    if isinstance(error, (jinja2.TemplateError, yaml.YAMLError)):
        reason = " ".join(str(error).split()).rstrip(".")
        return ScaffoldError(
            f"The template cannot be rendered: {reason}.", "update ws-scaffold", code=Code.TEMPLATE_BROKEN
        )
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return ScaffoldError(
        f"This should not have happened: {type(error).__name__}: {error} ({place}).",
        f"report it at {ISSUES}, with what {DEBUG}=1 shows",
        code=Code.BUG,
    )
