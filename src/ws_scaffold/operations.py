"""What the commands do to a project's state, and the version of its template; the rest is one merge."""

import dataclasses
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ws_scaffold import kinds, releases
from ws_scaffold.changelog import News, news
from ws_scaffold.errors import Code, ScaffoldError, UsageError, did_you_mean
from ws_scaffold.host_config import WANTED, Settings
from ws_scaffold.merge import Versions
from ws_scaffold.render import Rendering, State, all_answers
from ws_scaffold.spelling import spelling_of
from ws_scaffold.template import ENTRY_NAME, LAYOUT, PATH, Answers, Ask, Question, Template

if TYPE_CHECKING:
    from ws_scaffold.host import Host  # it takes time to import, and is needed once


Read = Callable[[str], bytes | None]
"""Return what a file of the project holds; None where there is none."""


def spelled(name: str) -> str:
    """Return a handler's name in snake case: `chat-room`, `ChatRoom` and `chat_room_handler` are `chat_room`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", re.sub(r"[ -]", "_", name))
    return words.lower().removesuffix("_handler") or words.lower()


def flags(answers: Mapping[str, str]) -> list[str]:
    """Return answers as one would give them on the command line."""
    given = {name: value for name, value in answers.items() if name != LAYOUT}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]


def kept(entry: Answers) -> Answers:
    """Return what an entry of `handlers` says of a handler beside its name."""
    return {key: value for key, value in entry.items() if key != "name"}


def command_of(entry: Answers, brought: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the arguments that make a handler, of an entry of `handlers` and the answers that it brings along."""
    return ["new", "handler", entry["name"], *flags({**kept(entry), **brought})]


@dataclass(frozen=True)
class Change:
    """From one state to another."""

    old: Rendering | None
    new: Rendering
    again: list[str]
    """The arguments that would have prompted for nothing."""
    renamed: dict[str, str] = field(default_factory=dict)
    renamed_kind: tuple[str, str, str] | None = None
    """The handler of a kind of messages that is renamed, the kind's name, and its new one."""
    news: list[News] = field(default_factory=list)
    """What the new version of the template brings."""
    notes: tuple[str, ...] = ()
    """What the user should know of where it goes, or comes from."""
    next: str = ""
    """What to do with a project that was just made."""
    header: str = ""
    """What every file of the application that it is made in begins with."""

    def versions(self) -> Versions | None:
        """Return what there is to merge; None where the state stays as it is."""
        old, new = self.old, self.new
        if old and old.state == new.state:
            return None
        same = old.same(new) if old else set()
        return Versions(
            base=old.render(same) if old else {},
            theirs=new.render(same),
            whole_base=old.render if old else dict,
            places=new.places,
            renamed=self.renamed,
            methods=dict([self.renamed_kind[1:]]) if self.renamed_kind else {},
            respelled=self.renamed_kind[:1] if self.renamed_kind else tuple(self.renamed),
            spelling=spelling_of(old, new, self.renamed, self.renamed_kind) if old else None,
            other_template=old is not None and old.template is not new.template,
            package=new.package,
            formatters=(_formatter(old), _formatter(new)),
            header=self.header,
        )


def _formatter(project: Rendering | None) -> str:
    """Return what the state of a host says of its formatter; it has not always said it, and a project never does."""
    if project is None or project.about.get(LAYOUT) != "host":
        return ""
    formatter: str = project.about.get("formatter", "auto")
    return formatter


def new_project(template: Template, folder: Path, given: Answers, ask: Ask | None) -> Change:
    """Begin a state, with a first handler."""
    if ENTRY_NAME in given:
        given = {**given, ENTRY_NAME: spelled(given[ENTRY_NAME])}
    answers = template.resolve({LAYOUT: "project", **given}, folder=folder.resolve().name, ask=ask)
    about, entry = template.about(answers), template.entry(answers)
    state = {"_commit": releases.OWN, "_src_path": releases.SOURCE, **about, "handlers": [entry]}
    again = ["new", "project", str(folder), *flags({**about, **template.answers_of(entry)})]
    # Copier says the same when it has made a project.
    message = template.settings.get("_message_after_copy", "")
    following = template.evaluate(message, {**answers, "_copier_conf": {"dst_path": shlex.quote(str(folder))}})
    return Change(None, Rendering(template, state), again, next=following.rstrip())


def in_an_application(template: Template, host: "Host", name: str | None, given: Answers, ask: Ask | None) -> Change:
    """Begin a state in an application that exists, with a first handler; what was found is what is suggested.

    Raises:
        ScaffoldError: the application cannot have a Litestar that is new enough.
    """
    from ws_scaffold.host import line_to_add  # noqa: PLC0415 - the same

    if name is None and ask is None:
        raise UsageError("The new handler needs a name.", "ws-scaffold new handler NAME")
    if host.too_old or host.litestar_installed:
        has = f"has Litestar {host.litestar_installed}" if host.litestar_installed else f"asks for {host.litestar}"
        raise ScaffoldError(
            f"The application {has}, and a handler needs {WANTED} or newer; nothing was written.",
            "update Litestar first",
            code=Code.LITESTAR_TOO_OLD,
        )
    settled = {LAYOUT: "host", **_names_of(template, host)}
    named = {} if name is None else {ENTRY_NAME: spelled(name)}
    answers = template.resolve(
        {**settled, **named, **given},
        preferred=found_in(host),
        folder=host.root.name,
        ask=ask and _asking_for_another(ask, []),
    )
    about, entry = template.about(answers), template.entry(answers)
    state = {"_commit": releases.OWN, "_src_path": releases.SOURCE, **about, "handlers": [entry]}
    brought = {key: value for key, value in about.items() if key not in settled and not template.always_asks(key)}
    said = dataclasses.replace(host, ws_path=answers["ws_path"], ws_import=answers["ws_import"])
    return Change(
        None,
        Rendering(template, state),
        command_of(entry, brought),
        next=f"next: {line_to_add(said)}\nnext: {_pytest(host)} {answers['tests_path']}",
        header=host.header,
    )


def found_in(host: "Host") -> Answers:
    """Return what was found out about an application, as answers."""
    return {
        "ws_path": host.ws_path,
        "ws_import": host.ws_import,
        "tests_path": host.tests_path,
        "ws_route": host.route,
        "application": host.import_path or "",
        "imports": "relative" if host.relative_imports else "absolute",
        "formatter": "auto",
    }


def notes_about(host: "Host", answers: Answers) -> tuple[str, ...]:
    """Return what was found out about an application, and where the handlers go because of it: each is a flag."""
    made, application, path = host.application, answers["application"], answers["ws_path"]
    formatted = {
        "auto": f"formatted with ruff, as {host.ruff} says" if host.ruff else "not formatted: no use of ruff was found",
        "ruff": "formatted with ruff",
        "none": "not formatted",
    }
    notes = [f"the application is in {made.module}:{made.line}{f', imported as {application}' if application else ''}"]
    for other in host.others:
        there = f"there is another one in {os.path.relpath(other.root / other.application.module, host.root)}"
        choose = f": --application '{other.import_path}' takes that one" if other.import_path else ""
        notes.append(f"{there}:{other.application.line}{choose}")
    notes += [
        f"the handlers go into {path}, imported as {answers['ws_import']}, and are served below {answers['ws_route']}",
        f"their tests go into {answers['tests_path']}, and run with {_shown(host) or 'the active interpreter'}",
        f"imports are {answers['imports']}, and files are {formatted[answers['formatter']]}",
    ]
    return (*notes, *_said(_lacking(host.lacks)))


def _lacking(requirements: Sequence[str]) -> str:
    return f"its dependencies do not name what the handlers need: {', '.join(requirements)}" if requirements else ""


def _said(note: str) -> tuple[str, ...]:
    return (note,) if note else ()


def _pytest(host: "Host") -> str:
    """Return how pytest is started with the application's interpreter: by its path, unless that one is active."""
    shown = _shown(host)
    return f"{shlex.quote(shown)} -m pytest" if shown else "pytest"


def _shown(host: "Host") -> str:
    """Return how the application's interpreter is named from its root: by nothing, where it is active."""
    python = Path(host.python or "")
    active = os.environ.get("VIRTUAL_ENV")
    if not host.python or (active and python.is_relative_to(active)):
        return ""
    return str(python.relative_to(host.root) if python.is_relative_to(host.root) else python)


def with_requirements(change: Change, root: Path) -> Change:
    """Return a change with a note of what an application has to install because of it."""
    if change.new.about.get(LAYOUT) != "host":
        return change
    known = change.old.requirements if change.old else []
    lacking = Settings(root=root).lacking(it for it in change.new.requirements if it not in known)
    return dataclasses.replace(change, notes=(*change.notes, *_said(_lacking(lacking))))


def _names_of(template: Template, host: "Host") -> Answers:
    """Return what a project is called after its application, as far as that can be a name."""
    parts = [it for it in host.package.split(".") if it not in {"src", "lib"}]
    package = parts[0].lower() if parts else ""
    wanted = {"project_name": host.root.name, "package_name": package}
    return {name: value for name, value in wanted.items() if value and not template.question(name).refusal(value)}


def _with(project: Rendering, entries: Sequence[Answers], about: Mapping[str, Any] = MappingProxyType({})) -> Rendering:
    """Return a project with other handlers, and with what is asked about one that has those."""
    template, state = project.template, project.state
    where = {key: state[key] for key in ("_commit", "_src_path") if key in state}
    known: Answers = {**project.about, **about, "handlers": list(entries)}
    answers = template.resolve(known)
    new: State = where | template.about(answers) | {"handlers": list(entries)}
    # Where an answer is asked for no more, or only now, what follows from all of them may differ: resolve it anew.
    return Rendering(template, new, answers if all_answers(new) == known else None)


def _brought(template: Template, settled: Mapping[str, Any], given: Answers, answers: Answers) -> Answers:
    """Return the answers about the project that a handler brings along: those to questions that were open.

    Raises:
        UsageError: one was given that is settled otherwise, or that this handler leaves closed.
    """
    about = template.about(answers)
    for name in template.names("project"):
        if name in given and name in settled and given[name] != settled[name]:
            other = flags({name: given[name]})
            raise UsageError(
                f'The project already has {name} "{settled[name]}".',
                f"ws-scaffold change project {shlex.join(other)}",
                code=Code.ANSWER_SETTLED,
            )
        if name in given and name not in about and name not in settled:
            raise UsageError(f"{name} does not apply to this handler.", "leave it out", code=Code.ANSWER_UNASKED)
    return {name: answer for name, answer in about.items() if name not in settled}


def _find(project: Rendering, name: str) -> Answers:
    names = [entry["name"] for entry in project.entries]
    if spelled(name) in names:
        return project.entries[names.index(spelled(name))]
    hint = f"one of {', '.join(names)}" if names else "ws-scaffold new handler NAME adds one"
    raise UsageError(
        f'There is no handler "{name}".{did_you_mean(spelled(name), names)}', hint, code=Code.UNKNOWN_HANDLER
    )


def _asking_for_another(ask: Ask, names: Sequence[str]) -> Ask:
    """Return what asks for the name of a handler beside others: no default, as that is the first one's, nor theirs."""

    def asked(question: Question) -> Any:
        if question.name == ENTRY_NAME:
            question.suggested, question.taken = "", names
        return ask(question)

    return asked


def new_handler(project: Rendering, name: str | None, given: Answers, ask: Ask | None) -> Change:
    """Add an entry; it may be there already, if it is the same."""
    if name is None and ask is None:
        raise UsageError("The new handler needs a name.", "ws-scaffold new handler NAME")
    named = {} if name is None else {ENTRY_NAME: spelled(name)}
    names = [entry["name"] for entry in project.entries]
    asked = ask and _asking_for_another(ask, names)
    answers = project.template.resolve({**project.about, **named, **given}, ask=asked)
    entry = project.template.entry(answers)
    brought = _brought(project.template, project.about, given, answers)
    again = command_of(entry, brought)
    if entry in project.entries:
        return Change(project, project, again)
    if entry["name"] in names:
        raise ScaffoldError(
            f'There is already a handler "{entry["name"]}", with other answers; nothing was written.',
            f"ws-scaffold change handler {entry['name']}",
            code=Code.NAME_TAKEN,
        )
    _check_classes(project, answers)
    entries = [*project.entries, entry]
    _check_paths(project, entries, entry["name"])
    return Change(project, _with(project, entries, brought), again)


def _check_classes(project: Rendering, answers: Answers, besides: str = "") -> None:
    """Check that a handler's classes are called like no other's: `chat_1` and `chat1` would share theirs.

    Raises:
        UsageError: they are.
    """
    (new,) = answers["websockets"]
    for other in project.handlers.values():
        if other["name"] not in {new["name"], besides} and other["class_name"] == new["class_name"]:
            raise UsageError(
                f'"{new["name"]}" and the handler "{other["name"]}" would have classes of the same name, such as '
                f"{new['class_name']}Service.",
                "choose another name",
                code=Code.NAME_TAKEN,
            )


def _check_paths(project: Rendering, entries: Sequence[Answers], name: str) -> None:
    """Check that a handler has a path of its own among all.

    Raises:
        UsageError: it has another one's.
    """
    if same := project.template.same_path(project.about, entries):
        new, other = sorted(same, key=lambda it: it["name"] != name)
        raise UsageError(
            f'The paths of "{new["name"]}" and of the handler "{other["name"]}" cannot be told apart: '
            f"{new['route']} and {other['route']}.",
            f"another path for one of them: ws-scaffold change handler {other['name']} --path PATH",
            code=Code.PATH_TAKEN,
        )


@dataclass(frozen=True)
class Advice:
    """What the guide recommends."""

    handler: Answers
    """What the templates would see of it."""
    answers: Answers
    """The answers that lead to it, those about the project that it brings along among them."""
    command: list[str]
    """The arguments that would make it."""


def advise(template: Template, given: Answers, ask: Ask | None) -> Advice:
    """Recommend a handler, for whatever project."""
    whatever = {
        name: (template.values(name) or ["demo"])[0] for name in template.names("project") if template.always_asks(name)
    }
    answers = template.resolve({**whatever, ENTRY_NAME: "chat", **given}, ask=ask)
    brought = _brought(template, whatever, given, answers)
    entry = template.entry(answers)
    (handler,) = answers["websockets"]
    return Advice(handler, {**kept(entry), **brought}, command_of({**entry, "name": "NAME"}, brought))


def change_handler(project: Rendering, name: str, given: Answers, ask: Ask | None, read: Read) -> Change:
    """Put other answers into an entry; what is not answered stays, where it still fits.

    So does a kind of messages that the user has made something of: `read` returns what a file of the project holds.
    """
    template, old = project.template, _find(project, name)
    if not given and ask is None:
        raise UsageError("There is nothing to change.", "give an answer: ws-scaffold change handler --help lists them")
    settled = {**project.about, ENTRY_NAME: old["name"], **kinds.with_fields(given, old)}
    if given and not template.deciding & set(given):
        settled["interface"] = old["interface"]
    if given and PATH in old:
        settled.setdefault(PATH, old[PATH])  # clients know it: it does not change by itself
    answers = template.resolve(settled, preferred=template.implied(old), ask=None if given else ask)
    notes, entry = [], template.entry(answers)
    if any(entry.get(it) != old[it] for it in kinds.KINDS if it in old):
        files = {path: file for path, file in project.render().items() if file.owner == old["name"]}
        for answer, kind, path in list(kinds.kept(old, entry, files, read)):
            said = {**template.answers_of(entry), answer: kinds.put_back(entry[answer], old[answer], kind)}
            answers = template.resolve({**project.about, **said})
            entry = template.entry(answers)
            notes.append(f'the kind "{kind}" stays, as {path} holds edits of it: remove those first')
    brought = _brought(template, project.about, given, answers)
    entries = [entry if it is old else it for it in project.entries]
    _check_paths(project, entries, entry["name"])
    said = {**kept(entry), **({PATH: answers[PATH]} if PATH in old else {})}
    again = ["change", "handler", old["name"], *flags({**said, **brought})]
    return Change(project, _with(project, entries, brought), again, notes=tuple(notes))


def change_project(project: Rendering, given: Answers, ask: Ask | None) -> Change:
    """Put other answers about the project into a state; what is not answered stays, where it still fits."""
    if not given and ask is None:
        raise UsageError("There is nothing to change.", "give an answer: ws-scaffold change project --help lists them")
    template, old = project.template, project.about
    layout = {name: value for name, value in old.items() if name == LAYOUT}
    settled = {**(old if given else layout), **given, "handlers": project.entries}
    answers = template.resolve(settled, preferred=old, ask=None if given else ask)
    about = template.about(answers)
    if unasked := [name for name in given if name not in about]:
        raise UsageError(
            f"{unasked[0]} does not apply to this project: none of its handlers needs it.",
            "ws-scaffold list shows its handlers",
            code=Code.ANSWER_UNASKED,
        )
    return Change(project, _with(project, project.entries, about), ["change", "project", *flags(about)])


def rename_handler(project: Rendering, name: str, new_name: str) -> Change:
    """Give an entry another name; it may have it already."""
    template, again = project.template, ["rename", "handler", spelled(name), spelled(new_name)]
    names = {entry["name"] for entry in project.entries}
    if spelled(name) not in names and spelled(new_name) in names:
        return Change(project, project, again)
    old = _find(project, name)
    answers = {**project.about, **template.answers_of(old), ENTRY_NAME: spelled(new_name)}
    resolved = template.resolve(answers)
    entry = template.entry(resolved)
    if entry["name"] in names - {old["name"]}:
        raise ScaffoldError(
            f'There is already a handler "{entry["name"]}"; nothing was written.',
            "choose another name",
            code=Code.NAME_TAKEN,
        )
    _check_classes(project, resolved, besides=old["name"])
    entries = [entry if it is old else it for it in project.entries]
    _check_paths(project, entries, entry["name"])
    return Change(project, _with(project, entries), again, {old["name"]: entry["name"]})


def rename_kind(project: Rendering, name: str, old: str, new: str) -> Change:
    """Give a kind of messages of a handler another name, in what it receives and in what it sends."""
    template, entry = project.template, _find(project, name)
    again = ["rename", "kind", entry["name"], old, new]
    there = {kind for answer in kinds.KINDS if answer in entry for kind in kinds.named(entry[answer])}
    if old not in there and new in there:
        return Change(project, project, again)
    if old not in there:
        raise UsageError(
            f'The handler "{entry["name"]}" has no kind "{old}".{did_you_mean(old, sorted(there))}',
            f"one of {', '.join(sorted(there))}" if there else "a raw message is of no kind",
            code=Code.UNKNOWN_KIND,
        )
    if kinds.named(new) != {new: new}:
        raise UsageError(f'"{new}" cannot be a kind.', "take one name, such as speak_up", code=Code.ANSWER_REFUSED)
    said = {**template.answers_of(entry), **kinds.renamed(entry, old, new)}
    renamed = template.entry(template.resolve({**project.about, **said}))
    entries = [renamed if it is entry else it for it in project.entries]
    return Change(project, _with(project, entries), again, renamed_kind=(entry["name"], old, new))


def remove_handler(project: Rendering, name: str, *, completed: bool = False) -> Change:
    """Take an entry out; it may be gone already where an interrupted run was just completed."""
    gone = completed and all(entry["name"] != spelled(name) for entry in project.entries)
    old = None if gone else _find(project, name)
    entries = [entry for entry in project.entries if entry is not old]
    return Change(project, _with(project, entries), ["remove", "handler", spelled(name)])


def update(root: Path, project: Rendering, to: str | None, given: Answers, ask: Ask | None) -> Change:
    """Bring a project to another version of the template; it may be of that version already.

    Only what no answer is known to is asked.
    """
    if to == "":
        raise UsageError('"" is not a version.', "leave out --to for the newest release", code=Code.UNKNOWN_VERSION)
    source, old = project.state["_src_path"], _version(project.state)
    newest = releases.Newest(to) if to else releases.newest(source, root)
    new, folder = releases.described(source, newest.version or "HEAD", root)
    if new == old:
        return Change(project, project, ["update", "--to", new], notes=_said(newest.note))
    ranks = releases.rank(old), releases.rank(new)
    if ranks[0] and ranks[1] and ranks[1] < ranks[0]:
        raise UsageError(
            f"{new} is older than {old}, which the project is at: an update only goes forward.",
            "revert the commit of the update, for example with git revert",
            code=Code.OLDER_VERSION,
        )
    template = Template(folder)
    names = template.names("project")
    if unknown := [name for name in given if name not in names]:
        raise UsageError(
            f'{new} has no question "{unknown[0]}" about a project.{did_you_mean(unknown[0], names)}',
            f"one of {', '.join(names)}",
            code=Code.UNKNOWN_QUESTION,
        )
    known = {**{name: project.state[name] for name in (LAYOUT, *names) if name in project.state}, **given}
    try:
        answers = template.resolve({**known, "handlers": project.entries}, ask=ask)
    except UsageError as error:
        error.hint = "ws-scaffold update --data NAME=ANSWER gives another answer"
        raise
    named = template.question(ENTRY_NAME)
    for entry in project.entries:
        if refusal := named.refusal(entry["name"]):
            rename = f"ws-scaffold rename handler {entry['name']} NAME"
            raise UsageError(
                f"{new} has no room for a handler of that name: {refusal}.",
                f"{rename}, and then update",
                code=Code.ANSWER_REFUSED,
            )
    about = template.about(answers)
    entries = [it["state"] for it in answers["websockets"]]
    again = ["update", "--to", new]
    for name, answer in about.items():
        if name in given or name not in project.state:
            again += ["--data", f"{name}={answer}"]
    state = {"_commit": new, "_src_path": source, **about, "handlers": entries}
    return Change(project, Rendering(template, state), again, news=news(folder, old, new), notes=_said(newest.note))


def _version(state: State) -> str:
    commit: str | None = state.get("_commit")
    if commit is None:
        raise ScaffoldError(
            f"The template {state['_src_path']} is not under version control, so the project cannot be updated.",
            "copier recopy can switch to a template that is",
            code=Code.NO_VERSIONS,
        )
    return commit


@dataclass(frozen=True)
class Standing:
    """Which version a project is of, and which there is."""

    project: str
    newest: str
    newer: bool
    """Whether the newest one is newer."""
    note: str


def standing(root: Path, state: State) -> Standing:
    """Return how a project stands to the versions of its template.

    Raises:
        ScaffoldError: they cannot be listed, or there are none.
    """
    old = _version(state)
    source = state["_src_path"]
    newest, note = releases.newest(source, root)
    if newest is None:
        newest, _ = releases.described(source, "HEAD", root)
    ranks = releases.rank(old), releases.rank(newest)
    return Standing(old, newest, ranks[0] < ranks[1] if ranks[0] and ranks[1] else old != newest, note)
