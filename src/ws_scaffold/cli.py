"""The command: arguments in, lines and an exit code out. Nothing else prints."""

# PYTHON_ARGCOMPLETE_OK
import argparse
import contextlib
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jinja2

from ws_scaffold import arguments, operations
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.journal import apply, forget_update, interrupted, leftovers, resume, undoing
from ws_scaffold.merge import plan, unresolved
from ws_scaffold.operations import Change
from ws_scaffold.paths import own_template
from ws_scaffold.plan import Plan, Step
from ws_scaffold.project import check_state, find_root, load_state, locked, template_of
from ws_scaffold.render import Rendering
from ws_scaffold.report import Outcome, document, lines
from ws_scaffold.template import ENTRY_NAME, Answers, Template
from ws_scaffold.tree import Tree

DONE, COULD_NOT, NEWER = 0, 1, 2


def _open(root: Path, own: Template) -> Rendering:
    state = load_state(root)
    folder = template_of(root, state)
    template = own if folder == own.root else Template(folder)
    check_state(state, template)
    return Rendering(template, state)


CHANGES: dict[tuple[str, str | None], Callable[[Rendering, argparse.Namespace], Change]] = {
    ("new", "handler"): lambda project, options: operations.new_handler(
        project, options.name, arguments.given(options, project.template), arguments.ask(options)
    ),
    ("change", "handler"): lambda project, options: operations.change_handler(
        project, options.name, arguments.given(options, project.template), arguments.ask(options)
    ),
    ("change", "project"): lambda project, options: operations.change_project(
        project, arguments.given(options, project.template), arguments.ask(options)
    ),
    ("rename", "handler"): lambda project, options: operations.rename_handler(project, options.name, options.new_name),
    ("remove", "handler"): lambda project, options: operations.remove_handler(project, options.name),
    ("update", None): lambda project, options: operations.update(
        options.root, project, options.to, arguments.data(options), arguments.ask(options)
    ),
}
"""What each command does to the state of a project that is there."""


def _change(options: argparse.Namespace, root: Path) -> Change:
    """Return what a command line does to the state of a project."""
    if options.noun == "project" and options.command == "new":
        own: Template = options.own
        return operations.new_project(own, options.name, arguments.given(options, own), arguments.ask(options))
    options.root = root
    return CHANGES[options.command, options.noun](_open(root, options.own), options)


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


def _again(options: argparse.Namespace, words: Sequence[str]) -> str:
    where = [] if options.folder == Path() else ["-C", str(options.folder)]
    return shlex.join(["ws-scaffold", *where, *words])


def _next(options: argparse.Namespace, planned: Plan) -> str:
    if options.command == "update" and planned.conflicts:
        return f"resolve them, or {_again(options, ['update', '--abort'])}"
    if options.command == "new" and options.noun == "project":
        return f"cd {shlex.quote(str(options.folder / options.name))} && uv run pytest"
    return ""


def _run(options: argparse.Namespace) -> Outcome:
    """Plan a change, and write it unless told not to."""
    is_new = options.command == "new" and options.noun == "project"
    root = (options.folder / options.name).resolve() if is_new else find_root(options.folder)
    with _opened(root, options) as (tree, completed):
        change = _change(options, root)
        versions = change.versions()
        if versions:
            planned = plan(tree, versions, force=options.force)
        else:
            planned = Plan((), unresolved=unresolved(tree, change.new.places()))
        if change.note:
            planned = dataclasses.replace(planned, notes=(change.note, *planned.notes))
        written = not options.dry_run and not (options.abort_on_conflict and planned.conflicts)
        told = leftovers(tree)
        if written:
            told += apply(tree, planned, undoable=options.command == "update")
        planned = dataclasses.replace(planned, notes=(*planned.notes, *told))
    again = _again(options, change.again)
    return Outcome(root, planned, written, again, _next(options, planned), completed, change.news)


def _abort(options: argparse.Namespace) -> Outcome:
    """Bring back what the last update has changed, unless told not to."""
    root = find_root(options.folder)
    with _opened(root, options) as (tree, completed):
        planned = undoing(tree)
        if not options.dry_run:
            told = apply(tree, planned)
            planned = dataclasses.replace(planned, notes=(*planned.notes, *told))
            forget_update(tree)
    return Outcome(root, planned, not options.dry_run, "", "", completed, [])


def _print_json(document: Answers) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _list(options: argparse.Namespace) -> None:
    handlers = _open(find_root(options.folder), options.own).handlers.values()
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
    answers = template.resolve({**settled, **arguments.given(options, template)}, ask=arguments.ask(options))
    entry = operations.kept(template.entry(answers))
    (handler,) = answers["websockets"]
    again = shlex.join(["ws-scaffold", "new", "handler", "NAME", *operations.flags(entry)])
    if options.as_json:
        _print_json({**entry, "reason": handler["reason"], "command": again})
    else:
        chosen = f"{entry['interface']}: {handler['litestar']}, {handler['message']}"
        sys.stdout.write(f"{chosen}\n{handler['reason']}\n{again}\n")


def _check(options: argparse.Namespace) -> int:
    root = find_root(options.folder)
    found = operations.standing(root, _open(root, options.own).state)
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


def _dispatch(options: argparse.Namespace) -> int:
    arguments.refuse_what_would_be_ignored(options)
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
            outcome = _abort(options) if options.abort else _run(options)
            if options.as_json:
                _print_json(document(outcome))
            else:
                sys.stdout.write("\n".join(lines(outcome, dry_run=options.dry_run)) + "\n")
            return COULD_NOT if outcome.conflicts else DONE
    return DONE


def main(words: Sequence[str] | None = None, prog: str = "ws-scaffold") -> int:
    """Run the command, and return its exit code: 0 done, 1 could not, 2 misused."""
    try:
        own = Template(own_template())
        parser = arguments.parser_of(own, prog)
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete  # noqa: PLC0415 - only a shell that completes needs it

            argcomplete.autocomplete(parser)
        return _dispatch(parser.parse_args(words, argparse.Namespace(own=own, noun=None, abort=False)))
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
    except KeyboardInterrupt as interrupt:
        said = interrupt.args[0] if interrupt.args else "interrupted; nothing was written"
        sys.stderr.write(f"ws-scaffold: {said}\n")
        return COULD_NOT
