"""The command: arguments in, lines and an exit code out. Nothing else prints."""

# PYTHON_ARGCOMPLETE_OK
import argparse
import contextlib
import dataclasses
import difflib
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jinja2

from ws_scaffold import __version__, operations
from ws_scaffold.changelog import News
from ws_scaffold.errors import ScaffoldError, UsageError
from ws_scaffold.journal import apply, forget_update, interrupted, remember, resume, undoing
from ws_scaffold.merge import unresolved
from ws_scaffold.paths import own_template
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.project import check_state, find_root, load_state, locked, template_of
from ws_scaffold.render import Rendering, State
from ws_scaffold.template import ENTRY_NAME, Answers, Ask, Template, ask_at_the_terminal
from ws_scaffold.tree import Tree

DONE, COULD_NOT, NEWER = 0, 1, 2

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
SHELLS = ("bash", "zsh", "fish")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors read like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[0].upper()}{message[1:]}.", f"{self.prog} --help")


def _add_answers(parser: argparse.ArgumentParser, template: Template, names: Sequence[str]) -> None:
    group = parser.add_argument_group("answers")
    for name in names:
        # What is recommended depends on other answers, which there are none of yet.
        text = template.questions[name]["help"].partition("?")[0] + "?"
        choices = list(template.values(name)) or None
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, choices=choices, help=text)


def _add_options(parser: argparse.ArgumentParser, *, asks: bool, writes: bool = True) -> None:
    group = parser.add_argument_group("options")
    group.add_argument("--json", action="store_true", dest="as_json", help="print one JSON document, and nothing else")
    if asks:
        group.add_argument("--defaults", action="store_true", help="ask nothing")
    if writes:
        group.add_argument("--dry-run", action="store_true", help="write nothing; show what would be, with differences")
        group.add_argument("--force", action="store_true", help="replace and delete what holds edits, too")
        group.add_argument("--abort-on-conflict", action="store_true", help="write nothing if anything conflicts")


def parser_of(template: Template, prog: str = "ws-scaffold") -> argparse.ArgumentParser:
    """Return the parser of the command line. What can be answered in flags is what the questions are."""
    parser = _Parser(prog=prog, description="Websocket handlers for Litestar, generated and kept up to date.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("-C", dest="folder", type=Path, default=Path(), metavar="DIR", help="run as if started there")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about_handler = [name for name in template.names("handler") if name != ENTRY_NAME]
    # Some handlers bring questions about the project along.
    brought = [name for name in template.names("project") if not template.always_asks(name)]

    verbs: dict[str, Any] = {}

    def command(verb: str, noun: str, summary: str) -> argparse.ArgumentParser:
        if verb not in verbs:
            verbs[verb] = commands.add_parser(verb, help=summary).add_subparsers(
                dest="noun", metavar="WHAT", required=True
            )
        added: argparse.ArgumentParser = verbs[verb].add_parser(noun, help=summary, description=f"{summary}.")
        return added

    new_project = command("new", "project", "Make a project, with a first handler")
    new_project.add_argument("name", metavar="DIR", type=Path, help="the folder to make it in")
    _add_answers(new_project, template, [*template.names("project"), *template.names("handler")])
    _add_options(new_project, asks=True)

    new_handler = command("new", "handler", "Add a handler")
    new_handler.add_argument("name", nargs="?", help="what it is called")
    _add_answers(new_handler, template, [*about_handler, *brought])
    _add_options(new_handler, asks=True)

    change = command("change", "handler", "Change answers about a handler")
    _add_handler(change)
    _add_answers(change, template, [*about_handler, *brought])
    _add_options(change, asks=True)

    change_project = command("change", "project", "Change answers about the project")
    _add_answers(change_project, template, template.names("project"))
    _add_options(change_project, asks=True)

    rename = command("rename", "handler", "Call a handler something else")
    _add_handler(rename)
    rename.add_argument("new_name", help="what it will be called")
    _add_options(rename, asks=False)

    remove = command("remove", "handler", "Remove a handler")
    _add_handler(remove)
    _add_options(remove, asks=False)

    update = commands.add_parser("update", help="Bring the project to a later version of the template")
    instead = update.add_mutually_exclusive_group()
    instead.add_argument("--to", metavar="VERSION", help="the version: a tag, a branch or a commit; else the newest")
    instead.add_argument("--check", action="store_true", help="only say whether there is a newer version; 2 if so")
    instead.add_argument(
        "--abort", action="store_true", help="bring back all files as they were before the last update"
    )
    update.add_argument(
        "--data", action="append", default=[], metavar="NAME=ANSWER", help="answer a question about the project"
    )
    _add_options(update, asks=True)

    _add_options(
        commands.add_parser("list", help="Show the handlers, and why they are what they are"), asks=False, writes=False
    )
    advice = commands.add_parser("guide", help="Recommend an interface, say why, and write nothing")
    _add_answers(advice, template, about_handler)
    _add_options(advice, asks=True, writes=False)
    completion = commands.add_parser("completion", help="Print what makes a shell complete this command")
    completion.add_argument("shell", choices=SHELLS)
    return parser


def _add_handler(parser: argparse.ArgumentParser) -> None:
    action: Any = parser.add_argument("name", help="the handler")
    action.completer = _complete_handlers


def _complete_handlers(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the names of the handlers of the project that one is in."""
    try:
        state = load_state(find_root(parsed_args.folder.resolve()))
        return [str(entry["name"]) for entry in state["handlers"]]
    except (ScaffoldError, TypeError, KeyError):
        return []


def _given(options: argparse.Namespace, template: Template) -> Answers:
    return {name: value for name in template.questions if (value := getattr(options, name, None)) is not None}


def _ask(options: argparse.Namespace) -> Ask | None:
    """Return how to ask a person, where there is one who wants to be asked."""
    if options.defaults or options.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return ask_at_the_terminal


def _data(options: argparse.Namespace) -> Answers:
    """Return the answers to questions that this version may not know.

    Raises:
        UsageError: one is not of the form NAME=ANSWER.
    """
    for item in options.data:
        if "=" not in item:
            raise UsageError(f'"{item}" answers no question.', "--data NAME=ANSWER")
    return dict(item.split("=", 1) for item in options.data)


def _open(root: Path, own: Template) -> tuple[Template, State]:
    state = load_state(root)
    folder = template_of(state)
    template = own if folder == own.root else Template(folder)
    check_state(state, template)
    return template, state


def _change(options: argparse.Namespace, root: Path) -> operations.Change:
    """Return what a command line does to the state of a project."""
    noun = getattr(options, "noun", None)
    if (options.command, noun) == ("new", "project"):
        return operations.new_project(options.own, options.name, _given(options, options.own), _ask(options))
    template, state = _open(root, options.own)
    match options.command, noun:
        case "new", _:
            change = operations.new_handler(template, state, options.name, _given(options, template), _ask(options))
        case "change", "project":
            change = operations.change_project(template, state, _given(options, template), _ask(options))
        case "change", _:
            change = operations.change_handler(template, state, options.name, _given(options, template), _ask(options))
        case "rename", _:
            change = operations.rename_handler(template, state, options.name, options.new_name)
        case "remove", _:
            change = operations.remove_handler(template, state, options.name)
        case _:
            change = operations.update(template, state, options.to, _data(options), _ask(options))
    return change


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
    unresolved: list[str]
    """The files that still hold the conflicts of an earlier run; known where nothing changes."""
    news: list[News]
    """What another version of the template has brought."""

    @property
    def conflicts(self) -> list[str]:
        """The files that hold, or would hold, conflict markers."""
        return [*self.plan.conflicts, *self.unresolved]


@contextlib.contextmanager
def _opened(root: Path, options: argparse.Namespace) -> Iterator[tuple[Tree, list[Step]]]:
    """Give a project to one command for as long as the block runs, and complete what was interrupted before it."""
    with locked(root):
        tree = Tree(root)
        if options.dry_run and interrupted(tree):
            raise ScaffoldError(
                "A run was interrupted here, and must be completed first; nothing was written.",
                "the same without --dry-run, or any other command that writes",
            )
        completed = resume(tree)
        try:
            yield tree, completed
        except ScaffoldError as error:
            if completed:
                error.message = f"{error.message} But before that, an interrupted run was completed."
            raise


def _again(options: argparse.Namespace, arguments: Sequence[str]) -> str:
    where = [] if options.folder == Path() else ["-C", str(options.folder)]
    return shlex.join(["ws-scaffold", *where, *arguments])


def _next(options: argparse.Namespace, planned: Plan) -> str:
    if options.command == "update" and planned.conflicts:
        return f"resolve them, or {_again(options, ['update', '--abort'])}"
    if options.command == "new" and options.noun == "project":
        return f"cd {shlex.quote(str(options.folder / options.name))} && uv run pytest"
    return ""


def _run(options: argparse.Namespace) -> Outcome:
    """Plan a change, and write it unless told not to."""
    is_new = options.command == "new" and options.noun == "project"
    root = (options.folder / options.name).resolve() if is_new else find_root(options.folder.resolve())
    with _opened(root, options) as (tree, completed):
        change = _change(options, root)
        planned = change.plan(root, force=options.force)
        if change.note:
            planned = dataclasses.replace(planned, notes=(change.note, *planned.notes))
        written = not options.dry_run and not (options.abort_on_conflict and planned.conflicts)
        if written:
            if options.command == "update" and planned.changes:
                remember(tree, planned)
            apply(tree, planned)
        left = [] if planned.changes and not completed else unresolved(tree)
    again = _again(options, change.again)
    return Outcome(root, planned, written, again, _next(options, planned), completed, left, change.news)


def _abort(options: argparse.Namespace) -> Outcome:
    """Bring back what the last update has changed, unless told not to."""
    root = find_root(options.folder.resolve())
    with _opened(root, options) as (tree, completed):
        planned = undoing(tree)
        if not options.dry_run:
            apply(tree, planned)
            forget_update(tree)
        left = unresolved(tree)
    return Outcome(root, planned, not options.dry_run, "", "", completed, left, [])


def _difference(step: Step) -> str:
    def lines(content: bytes | None) -> list[str]:
        return (content or b"").decode(errors="replace").splitlines(keepends=True)

    before = "/dev/null" if step.before is None else f"a/{step.path}"
    after = "/dev/null" if step.after is None else f"b/{step.path}"
    shown = difflib.unified_diff(lines(step.before), lines(step.after), before, after)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shown)


def _line(step: Step) -> str:
    action = f"{step.action:9}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and step.action in COLOURS:
        action = f"\x1b[{COLOURS[step.action]}m{action}\x1b[0m"
    return f"{action} {step.path}" + (f" ({step.note})" if step.note else "")


def _lines(outcome: Outcome, *, dry_run: bool) -> Iterator[str]:
    for step in outcome.completed:
        yield f"{_line(step)} (completes an interrupted run)"
    for step in outcome.plan.steps:
        if step.action is not Action.SAME:
            yield _line(step)
            if dry_run and step.changes and (difference := _difference(step)):
                yield difference.rstrip("\n")
    if not outcome.plan.changes and not outcome.completed:
        yield "nothing changes: it is so already"
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


def _document(outcome: Outcome) -> Answers:
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


def _print_json(document: Answers) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _list(options: argparse.Namespace) -> None:
    template, state = _open(find_root(options.folder.resolve()), options.own)
    handlers = Rendering(template, state).handlers.values()
    if options.as_json:
        keys = ("name", "interface", "direction", "payload", "transport", "events", "guard", "reason")
        listed = [{**{key: it[key] for key in keys}, "path": f"/ws{it['path']}"} for it in handlers]
        _print_json({"handlers": listed})
        return
    width = max((len(it["name"]) for it in handlers), default=0)
    for it in handlers:
        about = f"{it['interface']}, {it['message']}, for {it['who']}"
        sys.stdout.write(f"{it['name']:{width}}  /ws{it['path']}  {about}\n")
        sys.stdout.write(f"{'':{width}}  {it['reason']}\n")
    if not handlers:
        sys.stdout.write("no handlers; ws-scaffold new handler NAME adds one\n")


def _advise(options: argparse.Namespace) -> None:
    template = options.own
    named = [
        name
        for name in template.names("project")
        if template.always_asks(name) and not template.questions[name].get("choices")
    ]
    settled = {**dict.fromkeys(named, "demo"), ENTRY_NAME: "chat"}
    answers = template.resolve({**settled, **_given(options, template)}, ask=_ask(options))
    entry = operations.kept(template.entry(answers))
    (handler,) = answers["websockets"]
    again = shlex.join(["ws-scaffold", "new", "handler", "NAME", *operations.flags(entry)])
    if options.as_json:
        _print_json({**entry, "reason": handler["reason"], "command": again})
    else:
        chosen = f"{entry['interface']}: {handler['litestar']}, {handler['message']}"
        sys.stdout.write(f"{chosen}\n{handler['reason']}\n{again}\n")


def _check(options: argparse.Namespace) -> int:
    _, state = _open(find_root(options.folder.resolve()), options.own)
    found = operations.standing(state)
    if options.as_json:
        _print_json(dataclasses.asdict(found))
        return NEWER if found.newer else DONE
    if found.newer:
        sys.stdout.write(f"{found.newest} is there, and the project is of {found.project}\n")
    else:
        sys.stdout.write(f"the project is of {found.project}: there is nothing newer\n")
    if found.note:
        sys.stdout.write(f"note: {found.note}\n")
    if found.newer:
        sys.stdout.write(f"next: {_again(options, ['update'])}\n")
    return NEWER if found.newer else DONE


def _complete(shell: str) -> None:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - only who sets up a shell needs it

    sys.stdout.write(shellcode(["ws-scaffold"], shell=shell) + "\n")


IGNORED = {
    "check": ("data", "defaults", "dry_run", "force", "abort_on_conflict"),
    "abort": ("data", "defaults", "force", "abort_on_conflict"),
}
"""What would mean nothing to an update that only looks, or only goes back."""


def _refuse_what_would_be_ignored(options: argparse.Namespace) -> None:
    for instead, names in IGNORED.items():
        if getattr(options, instead, False):
            for name in names:
                if getattr(options, name):
                    raise UsageError(f"--{name.replace('_', '-')} means nothing with --{instead}.", "leave it out")


def _dispatch(options: argparse.Namespace) -> int:
    _refuse_what_would_be_ignored(options)
    match options.command:
        case "list":
            _list(options)
        case "guide":
            _advise(options)
        case "completion":
            _complete(options.shell)
        case "update" if options.check:
            return _check(options)
        case _:
            outcome = _abort(options) if getattr(options, "abort", False) else _run(options)
            if options.as_json:
                _print_json(_document(outcome))
            else:
                sys.stdout.write("\n".join(_lines(outcome, dry_run=options.dry_run)) + "\n")
            return COULD_NOT if outcome.conflicts else DONE
    return DONE


def main(arguments: Sequence[str] | None = None, prog: str = "ws-scaffold") -> int:
    """Run the command, and return its exit code: 0 done, 1 could not, 2 misused."""
    try:
        own = Template(own_template())
        parser = parser_of(own, prog)
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete  # noqa: PLC0415 - only a shell that completes needs it

            argcomplete.autocomplete(parser)
        return _dispatch(parser.parse_args(arguments, argparse.Namespace(own=own)))
    except ScaffoldError as error:
        sys.stderr.write(f"ws-scaffold: {error.message}\n" + (f"  try: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"ws-scaffold: {where}{error.strerror or error}.\n  try: mend that, then the same again\n")
        return COULD_NOT
    except jinja2.TemplateError as error:
        sys.stderr.write(
            f"ws-scaffold: The template cannot be rendered: {str(error).rstrip('.')}.\n  try: update ws-scaffold\n"
        )
        return COULD_NOT
    except KeyboardInterrupt:
        sys.stderr.write("ws-scaffold: interrupted; nothing was written\n")
        return COULD_NOT
