"""The command: arguments in, a report and an exit code out."""

# PYTHON_ARGCOMPLETE_OK
import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ws_scaffold import arguments, operations
from ws_scaffold.errors import Code, ScaffoldError, UsageError, did_you_mean
from ws_scaffold.failures import failure_of, writing
from ws_scaffold.formatting import PYPROJECT
from ws_scaffold.journal import apply, forget_update, interrupted, leftovers, resume, undoing
from ws_scaffold.merge import plan, unresolved
from ws_scaffold.operations import Change
from ws_scaffold.paths import own_template
from ws_scaffold.plan import Plan, Step
from ws_scaffold.project import check_state, find_root, is_of_another_template, load_state, locked, template_of
from ws_scaffold.render import ANSWERS_FILE, HOST_ANSWERS_FILE, Rendering
from ws_scaffold.report import (
    Check,
    Failure,
    Listing,
    Outcome,
    Recommendation,
    Report,
    Script,
    noting,
    prepare_streams,
    show,
    tell,
)
from ws_scaffold.template import LAYOUT, Answers, Template
from ws_scaffold.tree import Tree


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
        project, options.name, arguments.given(options, project.template), arguments.ask(options), options.tree.read
    ),
    ("change", "project"): lambda project, options: operations.change_project(
        project, arguments.given(options, project.template), arguments.ask(options)
    ),
    ("rename", "handler"): lambda project, options: operations.rename_handler(project, options.name, options.new_name),
    ("rename", "kind"): lambda project, options: operations.rename_kind(
        project, options.name, options.kind, options.new_name
    ),
    ("remove", "handler"): lambda project, options: operations.remove_handler(
        project, options.name, completed=options.completed
    ),
    ("update", None): lambda project, options: operations.update(
        options.root, project, options.to, arguments.data(options), arguments.ask(options)
    ),
}
"""What each command does to the state of a project that is there."""


def _makes_a_project(options: argparse.Namespace) -> bool:
    return (options.command, options.noun) == ("new", "project")


def _change(options: argparse.Namespace, root: Path, tree: Tree) -> Change:
    """Return what a command line does to the state of a project."""
    options.root, options.tree = root, tree
    if _makes_a_project(options):
        own: Template = options.own
        folder = options.folder / options.name
        return operations.new_project(own, folder, arguments.given(options, own), arguments.ask(options))
    if options.host and not (root / HOST_ANSWERS_FILE).is_file():  # else a run was interrupted, and is completed now
        own, host, ask, given = options.own, options.host, arguments.ask(options), arguments.given(options, options.own)
        if ask:  # who is asked is to know it before
            tell(operations.notes_about(host, {**operations.found_in(host), **given}))
        change = operations.in_an_application(own, host, options.name, given, ask)
        return dataclasses.replace(
            change,
            again=[*change.again, *(["--python", options.python] if options.python else [])],
            notes=() if ask else operations.notes_about(host, change.new.about),
        )
    if options.python is not None and not options.host:
        raise UsageError(
            "--python is for the first handler of an application, and there are handlers here already.",
            "leave it out",
            code=Code.ANSWER_UNASKED,
        )
    return CHANGES[options.command, options.noun](_open(root, options.own), options)


def _resolved(folder: Path) -> Path:
    """Return a folder without links on the way to it.

    Raises:
        ScaffoldError: there can be no such folder.
    """
    try:
        return folder.resolve()
    except RuntimeError:
        raise ScaffoldError(f"{folder} is a link that leads to itself.", "remove it", code=Code.IN_THE_WAY) from None
    except FileNotFoundError:
        raise ScaffoldError("The current folder is gone.", "change to another one", code=Code.NO_PROJECT) from None


def _new_root(options: argparse.Namespace) -> Path:
    """Return the folder that a project is to be made in.

    Raises:
        ScaffoldError: there is a file on the way to it.
    """
    root = _resolved(options.folder / options.name)
    for folder in root.parents:
        if folder.exists() and not folder.is_dir():
            raise ScaffoldError(
                f"{folder} is not a folder; nothing was written.", "choose another folder", code=Code.IN_THE_WAY
            )
    return root


def _root(options: argparse.Namespace) -> Path:
    """Return the folder of the project that a command is about.

    Raises:
        ScaffoldError: there is none; nor, where a handler is to be added, an application that it can be added to.
    """
    start = _resolved(options.folder)
    if (options.command, options.noun) != ("new", "handler"):
        return find_root(options.folder)
    project = _project_of(options.folder)
    if project and not _may_have_another_inside(project, start):
        return project
    from ws_scaffold.host import chosen, find_hosts, run_by  # noqa: PLC0415 - it takes time to import, and is needed once

    flag = getattr(options, "application", None)
    said = flag or options.loaded or ""
    meant = find_hosts(options.folder, said)
    hosts = find_hosts(options.folder) if said and not meant else meant
    if project:  # an application in a folder inside of it has handlers of its own
        hosts = [it for it in hosts if it.root != project and start.is_relative_to(it.root)]
    if not hosts:
        return project or find_root(options.folder)
    if flag and not meant:
        known = [it.import_path for it in hosts if it.import_path]
        raise UsageError(
            f'There is no application "{flag}" here.{did_you_mean(flag, known)}',
            f"one of {', '.join(known)}" if known else "leave --application out",
            code=Code.ANSWER_REFUSED,
        )
    ask = None if meant and options.loaded else arguments.ask(options)
    host = chosen(hosts, said, ask and arguments.choose_at_the_terminal)
    options.host = host if options.python is None else run_by(host, options.python, options.folder)
    root: Path = options.host.root
    return root


def _project_of(folder: Path) -> Path | None:
    """Return the folder of the project that a folder is in; None where there is none, or one of another template."""
    try:
        root = find_root(folder)
    except ScaffoldError as error:
        if error.code not in {Code.NO_PROJECT, Code.UNFINISHED_RUN}:
            raise
        return None
    return None if is_of_another_template(root) else root


def _may_have_another_inside(root: Path, start: Path) -> bool:
    """Whether a folder in a project may be in an application of its own, as in a repository with several."""
    between = [it for it in (start, *start.parents) if it != root and it.is_relative_to(root)]
    return any((folder / PYPROJECT).is_file() for folder in between)


def _start(options: argparse.Namespace) -> list[str]:
    """Return how a command for the same project begins."""
    inside = options.folder != Path() and not _makes_a_project(options)
    return ["ws-scaffold", *(["-C", str(options.folder)] if inside else [])]


@contextlib.contextmanager
def _opened(root: Path, options: argparse.Namespace) -> Iterator[tuple[Tree, list[Step]]]:
    """Give a project to one command for as long as the block runs, and complete what was interrupted before it."""
    with locked(root):
        tree = Tree(root)
        if options.dry_run and interrupted(tree):
            raise ScaffoldError(
                "An interrupted run must be completed first; nothing was written.",
                "run the same without --dry-run, or any other command that writes",
                code=Code.UNFINISHED_RUN,
            )
        with writing(tree, Plan(())):
            completed = resume(tree)
        options.completed = bool(completed)
        try:
            yield tree, completed
        except ScaffoldError as error:
            if completed:
                error.message = f"{error.message} Before that, an interrupted run was completed."
            raise


def _planned(tree: Tree, change: Change, options: argparse.Namespace) -> Plan:
    versions = change.versions()
    try:
        if versions:
            planned = plan(tree, versions, force=options.force)
        else:
            planned = Plan((), unresolved=unresolved(tree, change.new.places()))
    except ScaffoldError as error:
        if error.code is Code.IN_THE_WAY and _makes_a_project(options) and tree.read(ANSWERS_FILE) is not None:
            folder = options.folder / options.name
            raise ScaffoldError(
                f"There is already a project in {folder}; nothing was written.",
                f"ws-scaffold -C {folder} new handler NAME, or another folder",
                code=Code.PROJECT_EXISTS,
                paths=error.paths,
            ) from None
        raise
    return planned


def _run(options: argparse.Namespace) -> Outcome:
    """Plan a change, and write it unless told not to."""
    root = _new_root(options) if _makes_a_project(options) else _root(options)
    with _opened(root, options) as (tree, completed):
        change = operations.with_requirements(_change(options, root, tree), root)
        planned = _planned(tree, change, options)
        written = not options.dry_run and not (options.abort_on_conflict and planned.conflicts)
        known = change.notes
        if known and not options.as_json:  # before anything is written
            tell(known)
            known = ()
        told = leftovers(tree)
        if written:
            with writing(tree, planned):
                told += apply(tree, planned, undoable=options.command == "update")
        planned = dataclasses.replace(planned, notes=(*known, *planned.notes, *told))
    start, following = _start(options), change.next if planned.changes else ""
    if options.command == "update" and planned.conflicts:
        following = f"next: resolve them, or {' '.join([*start, 'update', '--abort'])}"
    again = [*start, *change.again]
    return Outcome(root, planned, options.dry_run, written, again, following, completed, change.news)


def _abort(options: argparse.Namespace) -> Outcome:
    """Bring back what the last update has changed, unless told not to."""
    root = _root(options)
    with _opened(root, options) as (tree, completed):
        planned = undoing(tree)
        if not options.dry_run:
            with writing(tree, planned):
                told = apply(tree, planned)
                forget_update(tree)
            planned = dataclasses.replace(planned, notes=(*planned.notes, *told))
    return Outcome(root, planned, options.dry_run, not options.dry_run, [], "", completed, [])


def _list(options: argparse.Namespace) -> Listing:
    root = _root(options)
    project = _open(root, options.own)
    return Listing(root, project, _start(options), _switched_on(root, project))


def _switched_on(root: Path, project: Rendering) -> str | None:
    if project.about.get(LAYOUT) != "host":
        return None
    from ws_scaffold.host import plugin_is_added  # noqa: PLC0415 - it takes time to import, and few need it

    place = plugin_is_added(root, project.about["ws_import"])
    return f"{place.path}:{place.line}" if place else ""


def _guide(options: argparse.Namespace) -> Recommendation:
    template: Template = options.own
    questions: list[Answers] = []
    ask = noting(questions) if options.as_json else arguments.ask(options)
    return Recommendation(
        operations.advise(template, arguments.given(options, template), ask), questions, _start(options)
    )


def _update(options: argparse.Namespace) -> Report:
    if options.abort:
        return _abort(options)
    if options.check:
        root = _root(options)
        found = operations.standing(root, _open(root, options.own).state)
        return Check(found, [*_start(options), "update"])
    return _run(options)


def _complete(options: argparse.Namespace) -> Script:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - only who sets up a shell needs it

    return Script(shellcode(["ws-scaffold"], shell=options.shell))


COMMANDS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "completion": _complete,
    "guide": _guide,
    "list": _list,
    "update": _update,
}
"""The commands that are more than a change of the state, or none."""


DEFAULTS = {"noun": None, "as_json": False, "host": None, "python": None}
"""What holds of a command line where nothing says otherwise."""


def _report(words: Sequence[str], prog: str, loaded: str | None) -> Report:
    own = Template(own_template())
    parser = arguments.parser_of(own, prog)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # noqa: PLC0415 - only a shell that completes needs it

        argcomplete.autocomplete(parser)
    options = parser.parse_args(words, argparse.Namespace(**DEFAULTS, own=own, loaded=loaded))
    arguments.refuse_what_would_be_ignored(options)
    return COMMANDS.get(options.command, _run)(options)


def main(words: Sequence[str] | None = None, prog: str = "ws-scaffold", loaded: str | None = None) -> int:
    """Run the command, and return its exit code: 0 done, 1 could not, 2 misused, 3 a newer version is available.

    `loaded` is the import path of the application that is to be meant, where one is known.
    """
    prepare_streams()
    words = sys.argv[1:] if words is None else words
    try:
        report = _report(words, prog, loaded)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, a person is told in a sentence
        report = Failure(failure_of(error))
    return show(report, as_json=arguments.wants_json(words))
