"""What the commands do to a project's state; the rest is one merge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ws_scaffold import __version__
from ws_scaffold.errors import ScaffoldError, UsageError
from ws_scaffold.guide import ENTRY_NAME, Answers, Ask, Guide
from ws_scaffold.merge import Plan, Tree, Versions, plan
from ws_scaffold.project import SOURCE
from ws_scaffold.render import Project, State

DECIDING = frozenset({"direction", "control", "interface"})
"""The answers of which each may lead to another interface."""


def spelled(name: str) -> str:
    """Return a handler's name in snake case: `chat-room`, `ChatRoom` and `chat_room_handler` are `chat_room`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", re.sub(r"[ -]", "_", name))
    return words.lower().removesuffix("_handler") or words.lower()


def flags(answers: Mapping[str, str]) -> list[str]:
    """Return answers as one would give them on the command line."""
    return [word for name, value in answers.items() for word in (f"--{name.replace('_', '-')}", value)]


def kept(entry: Answers) -> Answers:
    """Return what an entry of `handlers` says of a handler beside its name."""
    return {key: value for key, value in entry.items() if key != "name"}


@dataclass(frozen=True)
class Change:
    """From one state to another."""

    guide: Guide
    old: State | None
    new: State
    again: list[str]
    """The arguments that would have asked nothing."""
    renamed: dict[str, str] = field(default_factory=dict)

    def plan(self, root: Path, *, force: bool) -> Plan:
        """Return what it does to the files of a project."""
        if self.old == self.new:
            return Plan(())
        new = Project(self.guide, self.new)
        old = None if self.old is None else Project(self.guide, self.old)
        same = old.same(new) if old else set()
        versions = Versions(old.render(same) if old else {}, new.render(same), new.places, self.renamed)
        return plan(Tree(root), versions, force=force)


def new_project(guide: Guide, folder: Path, given: Answers, ask: Ask | None) -> Change:
    """Begin a state, with a first handler."""
    if ENTRY_NAME in given:
        given = {**given, ENTRY_NAME: spelled(given[ENTRY_NAME])}
    answers = guide.resolve(given, folder=folder.resolve().name, ask=ask)
    about = {name: answers[name] for name in answers["kept"]}
    entry = guide.entry(answers)
    state = {"_commit": f"v{__version__}", "_src_path": SOURCE, **about, "handlers": [entry]}
    return Change(guide, None, state, ["new", "project", str(folder), *flags({**about, **guide.answers_of(entry)})])


def _about(guide: Guide, state: State) -> Answers:
    return {name: state[name] for name in guide.names("project") if name in state}


def _with(state: State, entries: Sequence[Answers]) -> State:
    return {**state, "handlers": list(entries)}


def _find(state: State, name: str) -> Answers:
    for entry in state["handlers"]:
        if entry["name"] == spelled(name):
            found: Answers = entry
            return found
    there = ", ".join(entry["name"] for entry in state["handlers"]) or "none"
    raise UsageError(f'There is no handler "{name}".', f"there is {there}")


def new_handler(guide: Guide, state: State, name: str | None, given: Answers, ask: Ask | None) -> Change:
    """Add an entry; it may be there already, if it is the same."""
    if name is None and ask is None:
        raise UsageError("The new handler has no name.", "ws-scaffold new handler NAME")
    named = {} if name is None else {ENTRY_NAME: spelled(name)}
    entry = guide.entry(guide.resolve({**_about(guide, state), **named, **given}, ask=ask))
    again = ["new", "handler", entry["name"], *flags(kept(entry))]
    if entry in state["handlers"]:
        return Change(guide, state, state, again)
    if any(it["name"] == entry["name"] for it in state["handlers"]):
        raise ScaffoldError(
            f'There is a handler "{entry["name"]}" already, with other answers; nothing was written.',
            f"ws-scaffold change handler {entry['name']}",
        )
    return Change(guide, state, _with(state, [*state["handlers"], entry]), again)


def change_handler(guide: Guide, state: State, name: str, given: Answers, ask: Ask | None) -> Change:
    """Put other answers into an entry; what is not answered stays, where it still fits."""
    old = _find(state, name)
    if not given and ask is None:
        raise UsageError("There is nothing to change.", "name an answer; ws-scaffold change handler --help lists them")
    settled = {**_about(guide, state), ENTRY_NAME: old["name"], **given}
    if given and not DECIDING & set(given):
        settled["interface"] = old["interface"]
    entry = guide.entry(guide.resolve(settled, preferred=guide.implied(old), ask=None if given else ask))
    entries = [entry if it is old else it for it in state["handlers"]]
    return Change(guide, state, _with(state, entries), ["change", "handler", old["name"], *flags(kept(entry))])


def rename_handler(guide: Guide, state: State, name: str, new_name: str) -> Change:
    """Give an entry another name; it may have it already."""
    again = ["rename", "handler", spelled(name), spelled(new_name)]
    names = {entry["name"] for entry in state["handlers"]}
    if spelled(name) not in names and spelled(new_name) in names:
        return Change(guide, state, state, again)
    old = _find(state, name)
    answers = {**_about(guide, state), **guide.answers_of(old), ENTRY_NAME: spelled(new_name)}
    entry = guide.entry(guide.resolve(answers))
    if entry["name"] in names - {old["name"]}:
        raise ScaffoldError(f'There is a handler "{entry["name"]}" already; nothing was written.', "take another name")
    entries = [entry if it is old else it for it in state["handlers"]]
    return Change(guide, state, _with(state, entries), again, {old["name"]: entry["name"]})


def remove_handler(guide: Guide, state: State, name: str) -> Change:
    """Take an entry out; it may be gone already."""
    entries = [entry for entry in state["handlers"] if entry["name"] != spelled(name)]
    return Change(guide, state, _with(state, entries), ["remove", "handler", spelled(name)])
