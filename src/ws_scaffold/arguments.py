"""What is said on the command line, or asked at the terminal."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ws_scaffold import __version__
from ws_scaffold.errors import ScaffoldError, UsageError
from ws_scaffold.project import find_root, load_state
from ws_scaffold.template import ENTRY_NAME, Answers, Ask, Question, Template

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
        choices = template.values(name) or None
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
        state = load_state(find_root(parsed_args.folder))
        return [str(entry["name"]) for entry in state["handlers"]]
    except (ScaffoldError, TypeError, KeyError):
        return []


def given(options: argparse.Namespace, template: Template) -> Answers:
    """Return the answers that a command line gives."""
    return {name: value for name in template.questions if (value := getattr(options, name, None)) is not None}


def ask(options: argparse.Namespace) -> Ask | None:
    """Return how to ask a person, where there is one who wants to be asked."""
    if options.defaults or options.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return ask_at_the_terminal


def data(options: argparse.Namespace) -> Answers:
    """Return the answers to questions that this version may not know.

    Raises:
        UsageError: one is not of the form NAME=ANSWER.
    """
    for item in options.data:
        if "=" not in item:
            raise UsageError(f'"{item}" answers no question.', "--data NAME=ANSWER")
    return dict(item.split("=", 1) for item in options.data)


IGNORED = {
    "check": ("data", "defaults", "dry_run", "force", "abort_on_conflict"),
    "abort": ("data", "defaults", "force", "abort_on_conflict"),
}
"""What would mean nothing to an update that only looks, or only goes back."""


def refuse_what_would_be_ignored(options: argparse.Namespace) -> None:
    """Check that every option has a meaning.

    Raises:
        UsageError: one would be ignored.
    """
    for instead, names in IGNORED.items():
        if getattr(options, instead, False):
            for name in names:
                if getattr(options, name):
                    raise UsageError(f"--{name.replace('_', '-')} means nothing with --{instead}.", "leave it out")


def ask_at_the_terminal(question: Question) -> Any:
    """Return what a person answers to a question, in the words that Copier would ask it in.

    Raises:
        KeyboardInterrupt: the person does not want to.
    """
    import questionary  # noqa: PLC0415 - it takes long to import, and most runs ask nothing

    if not question.has_choices:
        return questionary.text(
            question.help,
            default=str(question.default),
            validate=lambda answer: question.refusal(answer) or True,
        ).unsafe_ask()
    choices = [
        questionary.Choice(choice.label, choice.value, disabled=choice.refusal or None) for choice in question.choices
    ]
    return questionary.select(question.help, choices, default=question.default).unsafe_ask()
