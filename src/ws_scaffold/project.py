"""A generated project: its state file, the version of the template that it was made with, and who may write to it."""

import contextlib
import functools
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ws_scaffold import releases
from ws_scaffold.errors import Code, ScaffoldError
from ws_scaffold.journal import interrupted
from ws_scaffold.render import ANSWERS_FILES, State, answers_file_in, answers_file_of
from ws_scaffold.template import ENTRY_NAME, LAYOUT, Template, load_yaml
from ws_scaffold.tree import Tree

SHOWN = 60
LARGEST = 2**20
"""How many bytes an answers file may have: a handler needs a hundred."""
MADE_LATER = "update ws-scaffold: a later version has written this file"
MAKE_ONE = "ws-scaffold new project DIR makes one"


def find_root(folder: Path) -> Path:
    """Return the folder of the project that a folder is in.

    As git does, it takes nobody else's word for a folder below: not in the folders of a third one, unless it is named.

    Raises:
        ScaffoldError: there is none, or it is somebody else's.
    """
    start = folder.resolve()
    for root in (start, *start.parents):
        if any((root / name).is_file() for name in ANSWERS_FILES):
            if is_believed(root / answers_file_in(root), start) or (root == start and folder != Path()):
                return root
            raise ScaffoldError(
                f"{root / answers_file_in(root)} belongs to another user; nothing was written.",
                f"ws-scaffold -C {shlex.quote(str(root))} COMMAND, if you trust whose it is",
                code=Code.FOREIGN_OWNER,
            )
    for root in (start, *start.parents):
        if interrupted(Tree(root)):
            raise ScaffoldError(
                f"The project in {root} is half made: the run that made it was interrupted.",
                "the same ws-scaffold new … again completes it",
                code=Code.UNFINISHED_RUN,
            )
    raise ScaffoldError("There is no generated project here or above.", MAKE_ONE, code=Code.NO_PROJECT)


def owner_of(path: Path) -> int:
    """Return which user something belongs to; where no users are, it is the same for everything."""
    return path.lstat().st_uid


def is_believed(path: Path, start: Path) -> bool:
    """Whether something is ours, or of whoever the folder that one stands in belongs to, as in a container."""
    if not hasattr(os, "geteuid"):
        return True
    us = os.geteuid()
    believed = {us}
    with contextlib.suppress(FileNotFoundError):
        believed.add(owner_of(start))
    if us == 0 and (sudoer := os.environ.get("SUDO_UID", "")).isdecimal():
        believed.add(int(sudoer))
    return owner_of(path) in believed


def _refused(name: str, reason: str, hint: str = "undo the last change to it, for example with git") -> ScaffoldError:
    code = Code.STATE_LATER if hint == MADE_LATER else Code.STATE_DAMAGED
    return ScaffoldError(f"{name} {reason}; nothing was written.", hint, code=code, paths=[name])


def load_state(root: Path) -> State:
    """Return a project's state.

    Raises:
        ScaffoldError: the file cannot be read, or holds no state.
    """
    file = answers_file_in(root)
    try:
        if (root / file).stat().st_size > LARGEST:
            raise _refused(file, "is too large: no project has so many handlers")
        text = (root / file).read_bytes()
    except OSError as error:
        raise _refused(file, f"cannot be read ({error.strerror})", "allow it to be read") from None
    try:
        state = load_yaml(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise _refused(file, "is not YAML" + ("" if line is None else f": see line {line + 1}")) from None
    if not isinstance(state, dict) or "handlers" not in state or not isinstance(state.get("_src_path"), str):
        raise _refused(file, "holds no handlers: ws-scaffold did not make this project", MAKE_ONE)
    return state


def is_of_another_template(root: Path) -> bool:
    """Whether the answers in a folder are those of a template that has nothing to do with ours."""
    try:
        answers = load_yaml((root / answers_file_in(root)).read_bytes()[:LARGEST])
    except (OSError, yaml.YAMLError):
        return False
    if not isinstance(answers, dict) or "handlers" in answers:
        return False
    return "ws-scaffold" not in str(answers.get("_src_path", "ws-scaffold"))  # else it is ours, and damaged


def check_state(state: State, template: Template) -> None:
    """Check a state against the questions of its version of the template.

    Raises:
        ScaffoldError: it holds what no answers can lead to; the message says what, and where.
    """
    file = answers_file_of(state)
    known = {"_commit", "_src_path", "handlers", *({LAYOUT} & template.questions.keys()), *template.names("project")}
    if unknown := [_shown(key) for key in state if key not in known]:
        raise _refused(file, f'has a key "{unknown[0]}" that this version does not know', MADE_LATER)
    for name in template.names("project"):
        if name in state:
            if not isinstance(state[name], str):
                raise _refused(file, f'has a "{name}" that is not text')
        elif template.always_asks(name):
            raise _refused(file, f'has no "{name}"')
    if not isinstance(state["handlers"], list):
        raise _refused(file, "has handlers that are not a list")
    _check_handlers(file, state["handlers"], template)
    about = {name: state[name] for name in (LAYOUT, *template.names("project")) if name in state}
    _check_paths(file, about, state["handlers"], template)


def _check_handlers(file: str, entries: list[Any], template: Template) -> None:
    named, lacking = template.question(ENTRY_NAME), functools.cache(template.lacking)
    contradiction = functools.cache(lambda entry: template.contradiction(dict(entry)))
    names: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        _check_entry(file, entry, f"handler {number}", template.entry_values, lacking)
        if refusal := named.refusal(_shown(entry["name"])):
            raise _refused(file, f"has a handler {number} with a name that cannot be one: {refusal}")
        if entry["name"] in names:
            raise _refused(file, f'has two handlers called "{entry["name"]}"')
        names.add(entry["name"])
        if refusal := contradiction(frozenset((key, value) for key, value in entry.items() if key != "name")):
            raise _refused(file, f"has a handler {number} that cannot be: {_shown(refusal, 2 * SHOWN)}")


def _check_paths(file: str, about: Mapping[str, Any], entries: list[Any], template: Template) -> None:
    if same := template.same_path(about, entries):
        one, other = same
        raise _refused(
            file, f'has two handlers, "{one["name"]}" and "{other["name"]}", whose paths cannot be told apart'
        )


def _shown(value: Any, most: int = SHOWN) -> str:
    """Return what a value is, in a few words: one of a thousand lists may be very long."""
    text = str(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}…"


def _check_entry(
    file: str, entry: Any, place: str, values: Mapping[str, list[str]], lacking: Callable[[frozenset[str]], list[str]]
) -> None:
    if not isinstance(entry, dict):
        raise _refused(file, f"has a {place} that is not a mapping")
    if unknown := [_shown(key) for key in entry if key not in values]:
        raise _refused(file, f'has a {place} with a key "{unknown[0]}" that this version does not know', MADE_LATER)
    if missing := lacking(frozenset(entry)):
        raise _refused(file, f'has a {place} without "{missing[0]}"')
    for key, value in entry.items():
        if not isinstance(value, str):
            raise _refused(file, f'has a {place} with a {key} that is not text: "{_shown(value)}"')
        if values[key] and value not in values[key]:
            raise _refused(file, f'has a {place} with an unknown {key}: "{_shown(value)}"')


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other commands out of a project for as long as the block runs; wait for them first."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has none; there, two commands at once are the user's to avoid
    except ImportError:
        yield
        return
    while not root.is_dir():  # a project that is to be made: who makes its folder is the question
        root = root.parent
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def template_of(root: Path, state: State) -> Path:
    """Return where the version of the template is that a project was made with; fetch it if need be, once.

    Raises:
        ScaffoldError: it cannot be had.
    """
    source, commit = state["_src_path"], state.get("_commit")
    if commit is None:
        folder = releases.folder_of(source, root)
        if (folder / "copier.yml").is_file():
            return folder
        raise ScaffoldError(
            f"The project's template {source} is no longer there.",
            "copier recopy can switch to another one",
            code=Code.TEMPLATE_MISSING,
        )
    if not releases.is_reference(commit):
        file = answers_file_of(state)
        raise _refused(file, f'has a "_commit" that cannot be one: "{_shown(commit)}"')
    return releases.fetched(source, commit, root)
