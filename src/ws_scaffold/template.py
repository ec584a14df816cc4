"""`copier.yml`, evaluated as Copier does: the questions, their checks, and what follows from the answers.

Importing Copier takes a second, so this reads the same file with the same Jinja settings. Copier is the judge: tests
hold the two to the same answers and the same bytes.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.bccache
import jinja2.sandbox
import yaml

from ws_scaffold import __version__
from ws_scaffold.errors import Code, ScaffoldError, UsageError, did_you_mean
from ws_scaffold.paths import OWNER_ONLY, cache_folder, inside

Answers = dict[str, Any]

TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
NEEDED = frozenset({"_envops", "_subdirectory", "guide", "interfaces", "project", "websockets"})
"""What the rest of this package relies on in `copier.yml`."""

OTHER_VERSION = "take another version of the template"

UNDEFINED = {"jinja2.StrictUndefined": jinja2.StrictUndefined, "jinja2.Undefined": jinja2.Undefined}


def _is_delimiter(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


ENVIRONMENT_OPTIONS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        (f"{what}_{end}_string" for what in ("block", "variable", "comment") for end in ("start", "end")), _is_delimiter
    ),
    **dict.fromkeys(("line_statement_prefix", "line_comment_prefix"), _is_delimiter),
    **dict.fromkeys(("trim_blocks", "lstrip_blocks", "keep_trailing_newline"), _is_flag),
    "undefined": lambda value: isinstance(value, str) and value in UNDEFINED,
}
"""The options of Jinja that a template may set, and what their values may be."""

METHODS = frozenset(dir(dict))
EXPRESSION = "expression: "
ENTRY_NAME = "handler_name"
"""The question whose answer an entry of `handlers` keeps as its name."""
PATH = "path"
"""The question whose answer only makes sense beside a handler's other answers, and beside other handlers' paths."""
LAYOUT = "layout"
"""The question whose answer follows from the command: a project of its own, or an application that exists."""


def load_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe, and the faster one
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise yaml.YAMLError(str(error)) from None  # a date that is none, a number of ten thousand digits, …


def _to_nice_yaml(value: Any, indent: int = 4, **options: Any) -> str:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    block: str = yaml.dump(value, Dumper=dumper, indent=indent, allow_unicode=True, default_flow_style=False, **options)
    return block


def _regex_replace(value: str, pattern: str, replacement: str) -> str:
    return re.sub(pattern, replacement, str(value))


def _regex_search(value: str, pattern: str) -> str:
    found = re.search(pattern, str(value))
    return found[0] if found else ""


class _Sandbox(jinja2.sandbox.SandboxedEnvironment):
    """Jinja's own, with a shorter way to what a dictionary holds: templates go it many times for every handler."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what Jinja's own does."""
        if type(obj) is dict and attribute not in METHODS:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def _expression(name: str) -> str | None:
    """Return an expression of `copier.yml` as a template: so it is compiled once, and not at every start."""
    return name.removeprefix(EXPRESSION) if name.startswith(EXPRESSION) else None


class _BytecodeCache(jinja2.FileSystemBytecodeCache):
    """Jinja's own, which is done without where it cannot be read or written."""

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Take what is there, if anything is."""
        with contextlib.suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep what was compiled, if that is possible."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _bytecode_cache(root: Path, options: Mapping[str, Any]) -> jinja2.BytecodeCache | None:
    """Return what keeps compiled templates of one version: Jinja asks only for their text, not how it was read."""
    read = json.dumps([__version__, jinja2.__version__, str(root.resolve()), options], sort_keys=True)
    try:
        folder = cache_folder("compiled") / hashlib.sha256(read.encode()).hexdigest()[:32]
        folder.mkdir(OWNER_ONLY, exist_ok=True)
    except (OSError, ScaffoldError):  # then everything is compiled, at every start
        return None
    return _BytecodeCache(str(folder))


class _Loader(jinja2.FileSystemLoader):
    """Jinja's own, which follows no link out of the template."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return what Jinja's own does.

        Raises:
            ScaffoldError: a link leads out of the template.
        """
        found = super().get_source(environment, template)
        inside(Path(self.searchpath[0]), Path(found[1]))
        return found


def _environment_options(root: Path, options: Any) -> dict[str, Any]:
    """Return how a template wants to be read: Jinja takes more options than these, and imports what some of them name.

    Raises:
        ScaffoldError: there is one that Copier refuses as well.
    """
    if not isinstance(options, dict):
        raise ScaffoldError(
            f"The template at {root} is refused: its _envops is not a mapping.",
            OTHER_VERSION,
            code=Code.TEMPLATE_REFUSED,
        )
    for name, value in options.items():
        known = ENVIRONMENT_OPTIONS.get(name)
        if known is None or not known(value):
            raise ScaffoldError(
                f'The template at {root} is refused: its _envops has an unknown "{name}".',
                OTHER_VERSION,
                code=Code.TEMPLATE_REFUSED,
            )
    return options


@dataclass(frozen=True)
class Choice:
    """An answer that a question offers."""

    label: str
    value: str
    refusal: str
    """Why it cannot be taken, given the answers so far; or nothing."""


class Question:
    """A question, in the light of the answers before it."""

    def __init__(self, template: "Template", name: str, context: Mapping[str, Any]) -> None:
        self.name = name
        self._template = template
        self._details: Mapping[str, Any] = template.questions[name]
        self._context = context
        self.suggested: Any = None
        """What to take for the default, if anything: a person's own words, and no expression."""
        self.taken: Container[str] = ()
        """What cannot be answered because it was answered before."""

    def _render(self, text: Any, **extra: Any) -> str:
        return self._template.evaluate(str(text), {**self._context, **extra})

    def _sentence(self, text: Any, **extra: Any) -> str:
        return " ".join(self._render(text, **extra).split())

    @property
    def asked(self) -> bool:
        """Whether the answers so far leave it open."""
        return self._render(self._details.get("when", True)).strip().lower() in TRUE

    @property
    def help(self) -> str:
        """What a person is asked."""
        return self._render(self._details["help"])

    @property
    def has_choices(self) -> bool:
        """Whether the answer is one of a few."""
        return "choices" in self._details

    @property
    def choices(self) -> list[Choice]:
        """What may be answered, with the reason where it may not."""
        choices = self._details.get("choices", {})
        if isinstance(choices, str):
            choices = load_yaml(self._render(choices))
        offered: list[Choice] = []
        for label, value in choices.items() if isinstance(choices, dict) else choices:
            details = value if isinstance(value, dict) else {"value": value}
            refusal = self._sentence(details.get("validator", ""))
            offered.append(Choice(self._render(label), self._render(details["value"]), refusal))
        return offered

    @property
    def default(self) -> Any:
        """The answer of somebody who does not mind."""
        if self.suggested is not None:
            return self.parse(self.suggested)
        default = self._details["default"]
        if not isinstance(default, str):
            return self.parse(default)
        if self._details["type"] == "yaml":
            return self._template.compute(default, self._context)
        return self.parse(self._render(default))

    def parse(self, answer: Any) -> Any:
        """Return an answer in the type that the question says."""
        if self._details["type"] == "str":
            return str(answer)
        if not isinstance(answer, str):
            return answer
        return load_yaml(answer)

    def refusal(self, answer: Any) -> str:
        """Return why an answer cannot be taken, in a sentence; or nothing."""
        if self.has_choices:
            offered = {choice.value: choice.refusal for choice in self.choices}
            if answer not in offered:
                fitting = ", ".join(value for value, reason in offered.items() if not reason)
                near = did_you_mean(str(answer), offered)
                return f'{self.name} "{answer}" is not one of the choices: {fitting}' + (f".{near}" if near else "")
            if offered[answer]:
                return offered[answer]
        if answer in self.taken:
            return f'"{answer}" is taken: choose another name'
        return self.contradiction(answer)

    def contradiction(self, answer: Any) -> str:
        """Return why an answer that is one of the choices, if there are any, cannot be taken beside the others."""
        return self._sentence(self._details.get("validator", ""), **{self.name: answer})


Ask = Callable[[Question], Any]
"""Return a person's answer to a question."""


class Template:
    """One version of the template: what it asks, and the Jinja environment that its files are rendered with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            content = load_yaml(inside(root, root / "copier.yml").read_bytes())
        except FileNotFoundError:
            raise ScaffoldError(
                f"{root} holds no template: there is no copier.yml.",
                "remove that folder, then run the command again",
                code=Code.TEMPLATE_MISSING,
            ) from None
        except yaml.YAMLError:
            raise ScaffoldError(
                f"The copier.yml of the template at {root} is not YAML.", OTHER_VERSION, code=Code.TEMPLATE_BROKEN
            ) from None
        if not isinstance(content, dict) or not content.keys() >= NEEDED:
            raise ScaffoldError(
                f"{root} holds a template that is not ws-scaffold's.",
                "copier update is for those",
                code=Code.TEMPLATE_FOREIGN,
            )
        self._values: list[Any] | None = None  # those that an expression has written as JSON, while one is computed
        self.settings: dict[str, Any] = {name: value for name, value in content.items() if name.startswith("_")}
        self.questions: dict[str, Any] = {name: value for name, value in content.items() if not name.startswith("_")}

    @cached_property
    def jinja(self) -> jinja2.Environment:
        """The environment that Copier would use."""
        said = _environment_options(self.root, self.settings["_envops"])
        options = {**said, "undefined": UNDEFINED[said["undefined"]]} if "undefined" in said else said
        loader = jinja2.ChoiceLoader([jinja2.FunctionLoader(_expression), _Loader(self.root)])
        environment = _Sandbox(loader=loader, bytecode_cache=_bytecode_cache(self.root, said), cache_size=-1, **options)
        # Of the filters that Copier adds, those that our templates use; all of them take long to import.
        environment.filters |= {
            "regex_replace": _regex_replace,
            "regex_search": _regex_search,
            "to_json": self._to_json,
            "to_nice_yaml": _to_nice_yaml,
        }
        return environment

    def evaluate(self, source: str, context: Mapping[str, Any]) -> str:
        """Return a Jinja expression's text."""
        if "{" not in source:
            return source
        return self.jinja.get_template(EXPRESSION + source).render(context)

    def excluded(self, context: Mapping[str, Any]) -> frozenset[str]:
        """Return the paths that a project with these answers has nothing at, and below."""
        patterns = self.evaluate("\n".join(self.settings.get("_exclude", ())), context).split("\n")
        return frozenset(pattern.removeprefix("/") for pattern in patterns if pattern)

    def compute(self, source: str, context: Mapping[str, Any]) -> Any:
        """Return what the YAML says that a Jinja expression gives."""
        self._values = []
        try:
            text = self.evaluate(source, context)
        finally:
            values, self._values = self._values, None
        if len(values) == 1 and not text.strip():
            return values[0]
        return load_yaml(self.evaluate(source, context) if values else text)

    @jinja2.pass_context  # or what is constant would be written when it is compiled
    def _to_json(self, _: jinja2.runtime.Context, value: Any) -> str:
        """Return a value as Copier has to be told it; where the whole expression is that value, it is kept instead.

        Of many handlers, writing and reading JSON takes long.
        """
        if self._values is None:
            return json.dumps(value)
        self._values.append(value)
        return ""

    def names(self, about: str) -> list[str]:
        """Return the questions that are asked about a `handler`, or about the `project`."""
        listed: list[str] = self.questions["guide" if about == "handler" else about]["default"]
        return listed

    def resolve(
        self,
        given: Mapping[str, Any],
        *,
        preferred: Mapping[str, Any] | None = None,
        folder: str = "",
        ask: Ask | None = None,
        until: str | None = None,
    ) -> Answers:
        """Return every answer: given, else asked for, else preferred where it fits, else the default, or computed.

        With `until`, leave out what comes after that question.

        Raises:
            UsageError: an answer is refused; the message is the question's own.
        """
        context: Answers = {"_folder_name": folder, **given}
        for name in self.questions:
            question = Question(self, name, context)
            open_ = question.asked
            if open_ and preferred and name in preferred and not question.refusal(preferred[name]):
                question.suggested = preferred[name]
            if name in given:
                answer = question.parse(given[name])
            else:
                answer = ask(question) if open_ and ask else question.default
            if (open_ or name in given) and (refusal := question.refusal(answer)):
                end = "" if refusal.endswith("?") else "."
                raise UsageError(f"{refusal}{end}", code=Code.ANSWER_REFUSED)
            context[name] = answer
            if name == until:
                break
        return context

    def always_asks(self, name: str) -> bool:
        """Whether a question is asked whatever the other answers are."""
        return "when" not in self.questions[name]

    def about(self, context: Answers) -> Answers:
        """Return what a state keeps of the answers about the project: those to questions that are not left out."""
        names = [name for name in (LAYOUT, *self.names("project")) if name in self.questions]
        return {name: context[name] for name in names if Question(self, name, context).asked}

    def entry(self, context: Answers) -> Answers:
        """Return what `handlers` keeps of the answers about one handler."""
        (only,) = context["websockets"]
        entry: Answers = only["state"]
        return entry

    @staticmethod
    def answers_of(entry: Mapping[str, str]) -> Answers:
        """Return the answers that an entry of `handlers` keeps."""
        return {ENTRY_NAME if key == "name" else key: value for key, value in entry.items()}

    def contradiction(self, entry: Mapping[str, str]) -> str:
        """Return why no answers lead to an entry of `handlers`, whatever its name is; or nothing.

        What each of its answers may be by itself is another question.
        """
        context = {**self._usual, **self.implied(entry)}
        refusals = (Question(self, key, context).contradiction(value) for key, value in entry.items())
        return next(filter(None, refusals), "")

    @cached_property
    def _usual(self) -> Answers:
        return self.resolve({}, folder="project", until="websockets")

    @cached_property
    def deciding(self) -> set[str]:
        """The questions of which each may lead to another interface: those that the table answers, and itself."""
        table = self.questions["interfaces"]["default"].values()
        return {"interface", *(name for name in self.names("handler") if any(name in decided for decided in table))}

    def implied(self, entry: Mapping[str, str]) -> Answers:
        """Return the answers that lead to an entry of `handlers`, those that it does not keep among them."""
        decided = self.questions["interfaces"]["default"][entry["interface"]]
        return {**{name: decided[name] for name in self.names("handler") if name in decided}, **self.answers_of(entry)}

    def values(self, name: str) -> list[str]:
        """Return what can be answered to a question, whatever the other answers are; nothing where that is open."""
        choices = self.questions[name].get("choices", {})
        if isinstance(choices, dict):
            return list(choices.values())
        return [choice.value for choice in self.question(name).choices]

    def question(self, name: str) -> Question:
        """Return a question as it is when all before it have their defaults."""
        return Question(self, name, self.resolve({}, folder="project", until=name))

    def same_path(
        self, about: Mapping[str, Any], entries: Sequence[Mapping[str, str]]
    ) -> tuple[Answers, Answers] | None:
        """Return what the templates see of two handlers whose paths cannot be told apart; None where there are none.

        What parameters are called makes no difference, and one that takes the rest of a path leaves nothing below.
        """
        if not any(PATH in entry for entry in entries):
            return None  # each has that of its name
        answers = self.resolve({**about, "handlers": list(entries)}, until="websockets")
        handlers = answers["websockets"]
        known: dict[str, Answers] = {}
        for it in handlers:
            if it["place"] in known:
                return known[it["place"]], it
            known[it["place"]] = it
        for it in handlers:
            if it["place"].endswith("/**"):
                for place, other in known.items():
                    if other is not it and place.startswith(it["place"][:-1]):
                        return other, it
        return None

    @cached_property
    def entry_values(self) -> dict[str, list[str]]:
        """What an entry of `handlers` may have, and the values that each of it may take; none where that is open."""
        return {"name" if name == ENTRY_NAME else name: self.values(name) for name in self.names("handler")}

    def lacking(self, keys: frozenset[str]) -> list[str]:
        """Return what an entry of `handlers` with these keys lacks: without it, what follows is undefined."""
        whole = {key: values[0] if values else "x" for key, values in self.entry_values.items()}
        context = self.resolve({"handlers": []}, folder="project", until="websockets")

        def suffice(keys: frozenset[str]) -> bool:
            entry = {key: value for key, value in whole.items() if key in keys}
            try:
                self.compute(self.questions["websockets"]["default"], {**context, "handlers": [entry]})
            except jinja2.UndefinedError:
                return False
            return True

        if suffice(keys):
            return []
        return [key for key in whole if key not in keys and not suffice(frozenset(whole) - {key})]
