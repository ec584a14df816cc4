"""What is said on the command line, or asked at the terminal."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ws_scaffold import __version__
from ws_scaffold.errors import Code, ScaffoldError, UsageError, did_you_mean
from ws_scaffold.project import find_root, load_state
from ws_scaffold.report import write
from ws_scaffold.template import ENTRY_NAME, Answers, Ask, Question, Template

SHELLS = ("bash", "zsh", "fish")

VERBS = {
    "new": "Make a project, or add a handler",
    "change": "Change answers about a handler or the project",
    "rename": "Rename a handler, or a kind of its messages",
    "remove": "Remove a handler",
}
"""The commands that name what they are about, and what they do to it."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors read like all others, in every version of Python."""

    def __init__(self, **options: Any) -> None:
        # What is short for one option today may be short for two tomorrow.
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[0].upper()}{message[1:]}.", f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - there is no public name for it
            problem = f'There is no command "{self.prog} {value}".'
        else:
            problem = f'"{value}" is not a choice for {"/".join(action.option_strings) or action.metavar}.'
        raise UsageError(problem + did_you_mean(str(value), known), f"one of {', '.join(known)}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what argparse does; what it leaves over is refused where it is known what would have fitted."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            word = left[0].partition("=")[0]
            if word.startswith("-"):
                problem = f'There is no option "{word}".{did_you_mean(word, self._option_string_actions)}'
            else:
                problem = f'"{word}" is one argument too many.'
            raise UsageError(problem, f"{self.prog} --help")
        return parsed, left

    def _print_message(self, message: str, file: Any = None) -> None:
        del file  # errors are raised: only help and version are printed
        write(message)


def _folder(text: str) -> Path:
    """Return a folder that is named: an empty name is no folder, but a variable of a script that is not set."""
    if not text:
        raise argparse.ArgumentTypeError('"" is not a folder')
    return Path(text)


def _add_answers(parser: argparse.ArgumentParser, template: Template, names: Sequence[str]) -> None:
    group = parser.add_argument_group("answers")
    for name in names:
        # What is recommended depends on other answers, which there are none of yet.
        text = template.questions[name]["help"].partition("?")[0] + "?"
        choices = template.values(name) or None
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, choices=choices, help=text)


def _add_json(parser: Any, text: str = argparse.SUPPRESS) -> None:
    """Let `--json` stand anywhere; no parser puts its default in the place of what another one has found."""
    parser.add_argument("--json", action="store_true", dest="as_json", default=argparse.SUPPRESS, help=text)


def _add_options(parser: argparse.ArgumentParser, *, asks: bool, writes: bool = True) -> None:
    group = parser.add_argument_group("options")
    _add_json(group, "print one JSON document, of an error too")
    if asks:
        group.add_argument("--defaults", action="store_true", help="do not prompt: take the defaults")
    if writes:
        group.add_argument("--dry-run", action="store_true", help="show what would change, and write nothing")
        group.add_argument("--force", action="store_true", help="overwrite and delete edited files, too")
        group.add_argument("--abort-on-conflict", action="store_true", help="write nothing if there are conflicts")


def parser_of(template: Template, prog: str = "ws-scaffold") -> argparse.ArgumentParser:
    """Return the parser of the command line. What can be answered in flags is what the questions are."""
    parser = _Parser(prog=prog, description="Generate WebSocket handlers for Litestar, and keep them up to date.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("-C", dest="folder", type=_folder, default=Path(), metavar="DIR", help="run in this folder")
    _add_json(parser, "print one JSON document; may stand anywhere")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about_handler = [name for name in template.names("handler") if name != ENTRY_NAME]
    # Some handlers bring questions about the project along.
    brought = [name for name in template.names("project") if not template.always_asks(name)]

    verbs: dict[str, Any] = {}

    def command(verb: str, noun: str, summary: str) -> argparse.ArgumentParser:
        if verb not in verbs:
            parent = commands.add_parser(verb, help=VERBS[verb], description=f"{VERBS[verb]}.")
            _add_json(parent)
            verbs[verb] = parent.add_subparsers(dest="noun", metavar="WHAT", required=True)
        added: argparse.ArgumentParser = verbs[verb].add_parser(noun, help=summary, description=f"{summary}.")
        return added

    new_project = command("new", "project", "Make a project with a first handler")
    new_project.add_argument("name", metavar="DIR", type=_folder, help="the folder to make it in")
    _add_answers(new_project, template, [*template.names("project"), *template.names("handler")])
    _add_options(new_project, asks=True)

    new_handler = command("new", "handler", "Add a handler")
    new_handler.add_argument("name", metavar="NAME", nargs="?", help="the handler's name")
    _add_answers(new_handler, template, [*about_handler, *brought])
    _add_options(new_handler, asks=True)
    new_handler.add_argument(
        "--python",
        metavar="PROGRAM",
        default=argparse.SUPPRESS,
        help="the interpreter of an application that exists; default: that of its .venv, else the active one",
    )

    change = command("change", "handler", "Change answers about a handler")
    _add_handler(change)
    _add_answers(change, template, [*about_handler, *brought])
    _add_options(change, asks=True)

    change_project = command("change", "project", "Change answers about the project")
    _add_answers(change_project, template, template.names("project"))
    _add_options(change_project, asks=True)

    for noun, summary in (("handler", "Rename a handler"), ("kind", "Rename a kind of messages of a handler")):
        rename = command("rename", noun, summary)
        _add_handler(rename)
        if noun == "kind":
            rename.add_argument("kind", metavar="KIND", help="the kind")
        rename.add_argument("new_name", metavar="NEW_NAME", help="its new name")
        _add_options(rename, asks=False)

    remove = command("remove", "handler", "Remove a handler")
    _add_handler(remove)
    _add_options(remove, asks=False)

    _add_update(commands)

    listing = commands.add_parser("list", help="List the handlers, and why each has its interface")
    _add_options(listing, asks=False, writes=False)
    advice = commands.add_parser("guide", help="Recommend an interface and say why; write nothing")
    _add_answers(advice, template, [*about_handler, *brought])
    _add_options(advice, asks=True, writes=False)
    completion = commands.add_parser("completion", help="Print the completion script for a shell")
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")
    _add_options(completion, asks=False, writes=False)
    return parser


def _add_update(commands: Any) -> None:
    update = commands.add_parser("update", help="Update the project to a later version of the template")
    instead = update.add_mutually_exclusive_group()
    instead.add_argument("--to", metavar="VERSION", help="a tag, branch or commit; default: the newest release")
    instead.add_argument("--check", action="store_true", help="only look for a newer version; exit code 3 if there is")
    instead.add_argument("--abort", action="store_true", help="restore all files as they were before the last update")
    update.add_argument(
        "--data", action="append", default=[], metavar="NAME=ANSWER", help="answer a question; may be repeated"
    )
    _add_options(update, asks=True)


def _add_handler(parser: argparse.ArgumentParser) -> None:
    action: Any = parser.add_argument("name", metavar="NAME", help="the handler")
    action.completer = _complete_handlers


def _complete_handlers(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the names of the handlers of the project that one is in."""
    try:
        state = load_state(find_root(parsed_args.folder))
        return [str(entry["name"]) for entry in state["handlers"]]
    except (ScaffoldError, TypeError, KeyError):
        return []


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line that may make no sense asks for a document."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


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
            raise UsageError(f'"{item}" is not NAME=ANSWER.', f"--data {item}=ANSWER")
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
                    option = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{option} cannot be combined with --{instead}.", f"leave out {option}")


def ask_at_the_terminal(question: Question) -> Any:
    """Return what a person answers to a question, in the words that Copier would ask it in.

    Raises:
        KeyboardInterrupt: the person does not want to.
        ScaffoldError: there is nobody any more.
    """
    import questionary  # noqa: PLC0415 - it takes long to import, and most runs ask nothing

    if question.has_choices:
        choices = [
            questionary.Choice(choice.label, choice.value, disabled=choice.refusal or None)
            for choice in question.choices
        ]
        prompt = questionary.select(question.help, choices, default=question.default)
    else:
        prompt = questionary.text(
            question.help,
            default=str(question.default),
            validate=lambda answer: question.refusal(answer) or True,
        )
    return _answered(prompt)


def choose_at_the_terminal(question: str, labels: list[str]) -> int:
    """Return the number of what a person chooses.

    Raises:
        KeyboardInterrupt: the person does not want to.
        ScaffoldError: there is nobody any more.
    """
    import questionary  # noqa: PLC0415 - the same

    choices = [questionary.Choice(label, number) for number, label in enumerate(labels)]
    number: int = _answered(questionary.select(question, choices))
    return number


def _answered(prompt: Any) -> Any:
    try:
        return prompt.unsafe_ask()
    except EOFError:
        raise ScaffoldError(
            "The input ended before all questions were answered; nothing was written.",
            "--defaults does not prompt",
            code=Code.INTERRUPTED,
        ) from None
