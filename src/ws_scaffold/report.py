"""What is printed: lines for a person, or a document for a program. Nothing else prints."""

import contextlib
import difflib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from ws_scaffold.changelog import News
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.operations import Advice, Standing, command_of
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.render import Rendering
from ws_scaffold.template import ENTRY_NAME, PATH, Answers, Ask, Question

DONE, COULD_NOT, NEWER = 0, 1, 3
"""The exit codes, but for 2: an error of usage knows that one itself."""

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


class Report(Protocol):
    """What a command has to say in the end."""

    @property
    def exit_code(self) -> int:
        """How the process ends."""

    def lines(self) -> Iterable[str]:
        """Return what a person is told; no line holds what a terminal would obey, but for colours of ours."""

    def document(self) -> Answers:
        """Return what a program is told."""


# Streams --------------------------------------------------------------------------------------------------------------


def prepare_streams() -> None:
    """Make sure that printing cannot fail for what is printed, or because a stream was closed from the start.

    A closed stream leads nowhere; left closed, the next file that is opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for all of the run
        elif mode == "w" and isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _silence(stream: TextIO) -> None:
    """Let a stream that cannot be written to lead nowhere, or the interpreter would complain of it in the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write(text: str) -> None:
    """Print a text. Who stops reading, as `head` does, has seen enough.

    Raises:
        ScaffoldError: it cannot be printed.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise ScaffoldError(
            f"The output cannot be written: {error.strerror}. Nothing else went wrong.", code=Code.OUTPUT
        ) from None


def _complain(text: str) -> None:
    """Print a text where errors go; if that cannot be, the exit code has to do."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def show(report: Report, *, as_json: bool) -> int:
    """Print a report, and return the exit code."""
    try:
        if as_json:
            write(json.dumps(report.document(), indent=2) + "\n")
        elif isinstance(report, Failure):
            _complain("".join(f"{line}\n" for line in report.lines()))
        else:
            write("".join(f"{line}\n" for line in report.lines()))
    except ScaffoldError as error:
        failure = report if isinstance(report, Failure) else Failure(error)
        _complain("".join(f"{line}\n" for line in failure.lines()))
        return report.exit_code or error.exit_code
    return report.exit_code


def _plain(text: str) -> str:
    """Return a text on one line, in which nothing is left that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def tell(notes: Iterable[str]) -> None:
    """Print what a person is to know before questions are asked, or anything is written."""
    write("".join(f"{_plain(f'note: {note}')}\n" for note in notes))


# Reports --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """What went wrong."""

    error: ScaffoldError

    @property
    def exit_code(self) -> int:
        """How the process ends."""
        return self.error.exit_code

    def lines(self) -> Iterator[str]:
        """Yield the sentence, and the way out."""
        yield _plain(f"ws-scaffold: {self.error.message}")
        if self.error.hint:
            yield _plain(f"  try: {self.error.hint}")

    def document(self) -> Answers:
        """Return the same as data."""
        error = self.error
        about = {"code": error.code, "message": error.message, "hint": error.hint, "paths": error.paths}
        return {"error": about}


@dataclass(frozen=True)
class Script:
    """What makes a shell complete the command."""

    text: str
    exit_code: int = DONE

    def lines(self) -> list[str]:
        """Return the lines of the script."""
        return self.text.splitlines()

    def document(self) -> Answers:
        """Return the same as data."""
        return {"script": self.text}


@dataclass(frozen=True)
class Outcome:
    """What a run has done, or would do."""

    root: Path
    plan: Plan
    dry_run: bool
    written: bool
    again: list[str]
    """The command that would not have prompted, where it would do the same once more."""
    next: str
    """What to go on with, if that is obvious."""
    completed: list[Step]
    """What an interrupted run had left to do."""
    news: list[News]
    """What another version of the template has brought."""

    @property
    def conflicts(self) -> list[str]:
        """The files that hold, or would hold, conflict markers."""
        return [*self.plan.conflicts, *self.plan.unresolved]

    @property
    def exit_code(self) -> int:
        """How the process ends: a conflict is no success."""
        return COULD_NOT if self.conflicts else DONE

    def lines(self) -> Iterator[str]:
        """Yield a line a file; of a dry run, with the differences."""
        for step in self.completed:
            yield f"{_line(step)} (completes an interrupted run)"
        for step in self.plan.steps:
            if step.action is not Action.SAME:
                yield _line(step)
                if self.dry_run and step.changes and (difference := _difference(step)):
                    yield from map(_plain, difference.rstrip("\n").split("\n"))
        if not self.plan.changes and not self.completed:
            yield "already up to date"
        for path in self.plan.unresolved:
            yield _line(Step(Action.CONFLICT, path, note="of an earlier run"))
        yield from map(_plain, self._remarks())

    def _remarks(self) -> Iterator[str]:
        """Yield what is to be said about all files together."""
        yield from (f"note: {note}" for note in self.plan.notes)
        for brought in self.news:
            yield f"{brought.version} brings:"
            yield from (f"- {item}" for item in brought.items)
        if self.conflicts:
            count = "1 file" if len(self.conflicts) == 1 else f"{len(self.conflicts)} files"
            yield f"{count} with conflicts: " + ("resolve the markers" if self.written else "nothing was written")
        elif not self.written:
            yield "dry run: nothing was written"
        if self.again:
            yield f"to repeat without prompts: {shlex.join(self.again)}"
        if self.written:
            yield from self.next.splitlines()

    def document(self) -> Answers:
        """Return the same as data."""

        def shown(steps: Sequence[Step]) -> list[dict[str, str]]:
            return [
                {"action": step.action, "path": step.path, "note": step.note, "diff": _difference(step)}
                for step in steps
                if step.action is not Action.SAME
            ]

        return {
            "project": str(self.root),
            "written": self.written,
            "changed": self.plan.changes or bool(self.completed),
            "conflicts": self.conflicts,
            "completed": shown(self.completed),
            "files": shown(self.plan.steps),
            "notes": list(self.plan.notes),
            "news": [{"version": brought.version, "items": brought.items} for brought in self.news],
            "command": self.again,
        }


def _difference(step: Step) -> str:
    def split(content: bytes | None) -> list[str]:
        text = (content or b"").decode(errors="replace")
        return re.findall(r"[^\n]*\n|[^\n]+", text)  # other letters that end a line for Python end none here

    path = step.path if step.path.isprintable() else json.dumps(step.path)[1:-1]
    before = "/dev/null" if step.before is None else f"a/{path}"
    after = "/dev/null" if step.after is None else f"b/{path}"
    shown = difflib.unified_diff(split(step.before), split(step.after), before, after)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shown)


def _line(step: Step) -> str:
    action = f"{step.action:9}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and step.action in COLOURS:
        action = f"\x1b[{COLOURS[step.action]}m{action}\x1b[0m"
    return f"{action} {_plain(step.path)}" + (f" ({_plain(step.note)})" if step.note else "")


@dataclass(frozen=True)
class Listing:
    """The handlers of a project."""

    root: Path
    project: Rendering
    start: list[str]
    """How a command for this project begins."""
    switched_on: str | None
    """Where an application that exists switches the handlers on; nothing if nowhere, None in a project of its own."""
    exit_code: int = DONE

    def lines(self) -> Iterator[str]:
        """Yield two lines a handler, and in an application that exists, whether they are switched on."""
        handlers = self.project.handlers.values()
        width = max((len(it["name"]) for it in handlers), default=0)
        for it in handlers:
            about = f"{it['interface']}, {it['message']}, for {it['who']}"
            yield _plain(f"{it['name']:{width}}  {self.project.route}{it['path']}  {about}")
            yield _plain(f"{'':{width}}  {it['reason']}")
        if not handlers:
            yield "no handlers; ws-scaffold new handler NAME adds one"
        if self.switched_on is not None:
            place = f"switched on in {self.switched_on}"
            yield _plain(place if self.switched_on else "not switched on: no WebsocketPlugin() in the application")

    def document(self) -> Answers:
        """Return what is needed to show each handler, and to make it once more."""
        template, state = self.project.template, self.project.state
        questions = [name for name in template.names("handler") if name != ENTRY_NAME]
        files: dict[str | None, list[str]] = {}
        for path, file in self.project.render().items():
            files.setdefault(file.owner, []).append(path)

        def shown(it: Answers) -> Answers:
            answers = template.implied(it["state"])
            return {
                "name": it["name"],
                "path": f"{self.project.route}{it['path']}",
                **{name: answers.get(name) for name in questions if name != PATH},
                "litestar": it["litestar"],
                "reason": it["reason"],
                "files": sorted(files.get(it["name"], [])),
                "command": [*self.start, *command_of(it["state"])],
            }

        return {
            "project": str(self.root),
            "source": state["_src_path"],
            "version": state.get("_commit"),
            "answers": self.project.about,
            "switched_on": self.switched_on,
            "handlers": [shown(it) for it in self.project.handlers.values()],
        }


@dataclass(frozen=True)
class Recommendation:
    """What the guide says."""

    advice: Advice
    questions: list[Answers]
    """Those that are open, where somebody wants to know."""
    start: list[str]
    exit_code: int = DONE

    @property
    def _command(self) -> list[str]:
        return [*self.start, *self.advice.command]

    def lines(self) -> Iterator[str]:
        """Yield what, why, and how."""
        handler = self.advice.handler
        yield f"{handler['interface']}: {handler['litestar']}, {handler['message']}"
        yield handler["reason"]
        yield shlex.join(self._command)

    def document(self) -> Answers:
        """Return the same as data, with the questions."""
        handler = self.advice.handler
        return {
            **self.advice.answers,
            "litestar": handler["litestar"],
            "reason": handler["reason"],
            "questions": self.questions,
            "command": self._command,
        }


def noting(questions: list[Answers]) -> Ask:
    """Return what takes each question's default, and notes what a person would have been asked."""

    def ask(question: Question) -> Any:
        questions.append(
            {
                "name": question.name,
                "help": question.help,
                "choices": [asdict(choice) for choice in question.choices] if question.has_choices else None,
                "default": question.default,
            }
        )
        return question.default

    return ask


@dataclass(frozen=True)
class Check:
    """Whether there is a newer version."""

    found: Standing
    command: list[str]
    """What brings it."""

    @property
    def exit_code(self) -> int:
        """How the process ends."""
        return NEWER if self.found.newer else DONE

    def lines(self) -> Iterator[str]:
        """Yield whether, and the command."""
        found = self.found
        if found.newer:
            yield _plain(f"{found.newest} is available (project is at {found.project})")
        else:
            yield _plain(f"up to date (project is at {found.project})")
        if found.note:
            yield _plain(f"note: {found.note}")
        if found.newer:
            yield f"next: {shlex.join(self.command)}"

    def document(self) -> Answers:
        """Return the same as data."""
        return {**asdict(self.found), "command": self.command}
