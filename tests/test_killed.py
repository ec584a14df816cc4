"""A run may be killed at any moment: no file is half-written, and the next run completes it."""

import functools
import gc
import itertools
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from projects import commit, copy_of_the_working_tree, run
from trees import Tree, command, tree
from ws_scaffold.arguments import parser_of
from ws_scaffold.journal import interrupted
from ws_scaffold.project import load_state
from ws_scaffold.template import Template
from ws_scaffold.tree import Tree as Files

WRITES = frozenset({"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"})
"""What the interpreter says it is about to do, of all that changes what is on disk."""

HANDLER = "src/desk/ws/chat/handler.py"
SERVICE = "src/desk/ws/chat/service.py"
OURS, SINCE = "# ours\n", "# since\n"


@pytest.fixture(scope="module", autouse=True)
def _templates() -> Iterator[None]:
    """Have templates read once: a process that is forked need not read them."""
    read = functools.cache(Template)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("cli", "operations"):
            patch.setattr(f"ws_scaffold.{module}.Template", read)
        patch.setattr("ws_scaffold.arguments.parser_of", functools.cache(parser_of))
        yield


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project that nobody has edited."""
    folder = tmp_path_factory.mktemp("fresh")
    assert command(folder, "new", "project", "desk", "--defaults").code == 0
    assert command(folder / "desk", "new", "handler", "feed", "--interface", "stream").code == 0
    state = folder / "desk/.copier-answers.yml"
    text = re.sub("_commit: .*", "_commit: v0.0.1", state.read_text())
    state.write_text(re.sub("_src_path: .*", f"_src_path: {two_versions(tmp_path_factory.mktemp('template'))}", text))
    return folder


def two_versions(folder: Path) -> Path:
    """Return a template with a version after the one that is in the working tree."""
    template = copy_of_the_working_tree(folder)
    run("git", "tag", "v0.0.1", cwd=template)
    (service,) = (template / "template/project").rglob("service.py.jinja")
    service.rename(service.with_name("logic.py.jinja"))
    (handler,) = (template / "template/project").rglob("handler.py.jinja")
    handler.write_text(f"{handler.read_text()}\n\n# A fix.\n")
    (template / "template/project/{{ package_path }}/__init__.py.jinja").unlink()
    commit(template, "Later")
    run("git", "tag", "v0.0.2", cwd=template)
    return template


class Assassin:
    """An audit hook that kills its own process when it is about to change a folder, or a record, for the n-th time.

    A file that is about to be moved to its place is cut in half first: so it looks when a write is killed half-way.
    """

    def __init__(self, folder: Path, moment: int) -> None:
        self._folders = (str(folder), os.environ["XDG_STATE_HOME"])
        self._moment = moment

    def _is_write(self, event: str, arguments: tuple[Any, ...]) -> bool:
        subject = arguments[1 if event == "os.symlink" else 0] if event in WRITES else 0
        path = b"" if isinstance(subject, int) else os.fspath(subject)
        if not isinstance(path, str) or not path.startswith(self._folders):
            return False
        match event:
            case "open":
                return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
            case "os.mkdir" | "os.symlink":
                return not os.path.lexists(path)
            case _:
                return os.path.lexists(path)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear of something that the interpreter is about to do."""
        if self._is_write(event, arguments):
            self._moment -= 1
            if self._moment == 0:
                if event == "os.rename" and str(arguments[0]).endswith(".ws-scaffold"):
                    os.truncate(arguments[0], Path(arguments[0]).stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)


def start(folder: Path, arguments: tuple[str, ...], hook: Assassin | None = None) -> int:
    """Run the command in a process of its own, forked from this one: it need not import anything; return which."""
    process = os.fork()
    if process == 0:
        code = os.EX_SOFTWARE
        gc.disable()  # it would touch all memory, which then is copied
        try:
            if hook:
                sys.addaudithook(hook)
            code = command(folder, *arguments).code
        finally:
            os._exit(code)
    return process


def ended(process: int) -> int:
    """Wait for a process, and return its exit code; or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(folder: Path, arguments: tuple[str, ...], moment: int) -> bool:
    """Run the command and kill it at a moment; return whether it came to that."""
    return ended(start(folder, arguments, Assassin(folder, moment))) == -signal.SIGKILL


def add(path: Path, text: str) -> None:
    """Add to the end of a file, which may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def no_edits(project: Path) -> None:
    """Leave everything as it was generated."""


def edits(project: Path) -> None:
    """Edit what is generated, at its end; add files, one of them executable, and what Python leaves behind."""
    for path in (HANDLER, SERVICE, "README.md"):
        add(project / path, OURS)
    add(project / "src/desk/ws/chat/own/prices.py", OURS)
    add(project / "src/desk/ws/chat/own/fetch.sh", "#!/bin/sh\n")
    (project / "src/desk/ws/chat/own/fetch.sh").chmod(0o755)
    add(project / "src/desk/ws/chat/__pycache__/handler.cpython-311.pyc", "compiled")
    add(project / "src/desk/ws/chat/own/__pycache__/prices.cpython-311.pyc", "compiled")


def links(project: Path) -> None:
    """Put links and an empty folder into a handler's folder, and one of its files elsewhere behind a link."""
    edits(project)
    folder = project / "src/desk/ws/chat"
    (project / SERVICE).rename(project / "elsewhere.py")
    (project / SERVICE).symlink_to("../../../../elsewhere.py")
    (folder / "later").symlink_to("nowhere.txt")
    (folder / "around").symlink_to(f"../../../../{HANDLER}")
    (folder / "whole").symlink_to("own")
    (folder / "empty/deep").mkdir(parents=True)


def compiled(project: Path) -> None:
    """Edit nothing, but run it: Python leaves something behind."""
    for name in ("chat", "feed"):
        add(project / f"src/desk/ws/{name}/__pycache__/handler.cpython-311.pyc", "compiled")


def contradictions(project: Path) -> None:
    """Put something else in the place of all that a change of the transport changes."""
    for path in (HANDLER, SERVICE):
        lines = (project / path).read_text().splitlines(keepends=True)
        (project / path).write_text("".join(f"{line.rstrip()}  # ours\n" for line in lines))


@dataclass(frozen=True)
class Scenario:
    """A command, and what the user has done to the project before."""

    arguments: tuple[str, ...]
    edit: Callable[[Path], None]
    code: int = 0
    folder: str = "desk"
    code_when_done: int | None = None
    """How the same command ends once more, where that differs."""


SCENARIOS = {
    "new project": Scenario(("new", "project", "other", "--defaults"), no_edits, folder=""),
    "new handler": Scenario(("new", "handler", "orders", "--interface", "duplex-websocket"), edits),
    "change, merging edits": Scenario(("change", "handler", "chat", "--transport", "binary"), edits),
    "change, deleting a file": Scenario(("change", "handler", "chat", "--payload", "raw"), no_edits),
    "change, with conflicts": Scenario(("change", "handler", "chat", "--transport", "binary"), contradictions, 1),
    "rename": Scenario(("rename", "handler", "chat", "talk"), edits),
    "rename, with links": Scenario(("rename", "handler", "chat", "talk"), links),
    "rename, with edits on every line": Scenario(("rename", "handler", "chat", "talk"), contradictions),
    "remove": Scenario(("remove", "handler", "chat"), compiled, code_when_done=2),
    "remove, keeping edits": Scenario(("remove", "handler", "chat"), edits, code_when_done=2),
    "update": Scenario(("update",), no_edits),
    "update, with conflicts": Scenario(("update",), edits, 1),
}


@dataclass(frozen=True)
class Expected:
    """A scenario's project before a command, and after one that nobody killed."""

    scenario: Scenario
    start: Path
    before: Tree
    after: Tree

    def again(self, target: Path) -> Path:
        """Return a new copy of the project as it was before."""
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.start, target, symlinks=True)) / self.scenario.folder


@pytest.fixture(scope="module", params=list(SCENARIOS.values()), ids=list(SCENARIOS))
def expected(request: pytest.FixtureRequest, fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """Return what a scenario leads to."""
    scenario: Scenario = request.param
    folder = tmp_path_factory.mktemp("scenario")
    shutil.copytree(fresh, folder / "before")
    scenario.edit(folder / "before/desk")
    shutil.copytree(folder / "before", folder / "after", symlinks=True)
    assert ended(start(folder / "after" / scenario.folder, scenario.arguments)) == scenario.code
    return Expected(
        scenario,
        folder / "before",
        tree(folder / "before" / scenario.folder),
        tree(folder / "after" / scenario.folder),
    )


def assert_nothing_is_half_written(now: Tree, expected: Expected) -> None:
    for path in expected.before.keys() | expected.after.keys():
        assert now.get(path) in {expected.before.get(path), expected.after.get(path)}, path


def test_the_next_run_completes_one_that_was_killed(tmp_path: Path, expected: Expected) -> None:
    """At every moment that there is. Every third of the runs that would complete one is killed as well."""
    arguments, moment = expected.scenario.arguments, 1
    while killed(folder := expected.again(tmp_path / "project"), arguments, moment):
        is_done = moment % 3 == 0 and not killed(folder, arguments, moment)  # a run that completes has less to do
        assert not is_done or tree(folder) == expected.after, moment
        assert_nothing_is_half_written(tree(folder), expected)
        scenario = expected.scenario
        code = scenario.code_when_done if is_done and scenario.code_when_done is not None else scenario.code
        assert ended(start(folder, arguments)) == code, moment
        assert tree(folder) == expected.after, moment
        moment += 1
    assert tree(folder) == expected.after
    assert moment > 10


def test_what_was_edited_since_a_run_was_killed_is_kept(tmp_path: Path, expected: Expected) -> None:
    """And nothing is left of that run, whatever the next command is: here, one that has nothing to do."""
    arguments, moment = expected.scenario.arguments, 1
    while killed(folder := expected.again(tmp_path / "project"), arguments, moment):
        edited = [path for path in folder.rglob("*.py") if not path.is_symlink()]
        for path in edited:
            add(path, SINCE)
        next_arguments = ("remove", "handler", "nobody") if folder.name == "desk" else arguments
        assert ended(start(folder, next_arguments)) in {0, 1, 2}
        there = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert sum(SINCE in path.read_text() for path in there) >= len(edited), moment
        assert not [path.name for path in there if "ws-scaffold" in path.name], moment
        moment += 2


def test_update_that_was_killed_can_be_aborted_even_if_that_is_killed_too(tmp_path: Path, fresh: Path) -> None:
    shutil.copytree(fresh, tmp_path / "before")
    edits(tmp_path / "before/desk")
    before, moment = tree(tmp_path / "before"), 0
    while True:
        moment += 1
        folder = tmp_path / "project"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "before", folder)
        was_killed = killed(folder / "desk", ("update",), moment)
        abort_was_killed = killed(folder / "desk", ("update", "--abort"), moment)
        command(folder / "desk", "update", "--abort")
        assert tree(folder) == before, moment
        if not was_killed and not abort_was_killed:
            break
    assert moment > 10


def test_run_that_is_interrupted_says_what_it_has_done(
    tmp_path: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment: before anything is written nothing happens, and after that all, at the next command."""
    shutil.copytree(fresh, tmp_path / "after")
    rename = ("rename", "handler", "chat", "talk")
    assert command(tmp_path / "after/desk", *rename).code == 0
    before, after = tree(fresh / "desk"), tree(tmp_path / "after/desk")
    said: set[str] = set()
    for moment in range(1, 12):
        project = Path(shutil.copytree(fresh, tmp_path / str(moment))) / "desk"
        writes = itertools.count(1)

        def write(source: Path, target: Path, moment: int = moment, writes: Iterator[int] = writes) -> Path:
            if next(writes) == moment:
                raise KeyboardInterrupt
            os.replace(source, target)  # noqa: PTH105 - what is replaced is pathlib's own
            return target

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", write)
            ran = command(project, *rename)
        assert ran.code == 1
        said.add(re.sub(r"\d+ of \d+", "some", ran.output))
        if "nothing was written" in ran.output:
            assert tree(project) == before
        assert command(project, *rename).code == 0
        assert tree(project) == after
    assert said == {
        "ws-scaffold: Interrupted; nothing was written.\n",
        "ws-scaffold: Interrupted while writing: some files were written.\n  try: the same command completes it\n",
    }


def test_two_commands_at_once_both_happen(tmp_path: Path, fresh: Path) -> None:
    adding = [("new", "handler", name, "--interface", "listener") for name in ("orders", "prices")]
    shutil.copytree(fresh, tmp_path / "one after the other")
    for arguments in adding:
        assert command(tmp_path / "one after the other/desk", *arguments).code == 0
    for attempt in range(10):
        project = Path(shutil.copytree(fresh, tmp_path / str(attempt))) / "desk"
        processes = [start(project, arguments) for arguments in adding]
        assert [ended(process) for process in processes] == [0, 0]
        assert [entry["name"] for entry in load_state(project)["handlers"]] == ["chat", "feed", "orders", "prices"]
        assert tree(project) == tree(tmp_path / "one after the other/desk")
        assert not interrupted(Files(project))
