"""Whatever goes wrong is a sentence with a way out, or a document, and never a traceback."""

import ast
import errno
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from projects import REPOSITORY, commit, copy_of_the_working_tree, run
from terminal import at_a_terminal, words
from trees import tree
from ws_scaffold import operations
from ws_scaffold.errors import Code
from ws_scaffold.releases import OWN
from ws_scaffold.tree import Tree

COMMAND = (sys.executable, "-m", "ws_scaffold")
ENVIRONMENT = {"PYTHONPATH": str(REPOSITORY / "src")}


# Errors as documents --------------------------------------------------------------------------------------------------


def replace(path: Path, old: str, new: str) -> None:
    """Put another text in the place of one that must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def settings(**answers: str) -> Callable[[Path], None]:
    """Return what gives a project's state other answers."""

    def change(project: Path) -> None:
        state = project / ".copier-answers.yml"
        for key, value in answers.items():
            state.write_text(re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", state.read_text()))

    return change


def handler(*arguments: str) -> Callable[[Path], None]:
    """Return what adds a handler to a project."""

    def add(project: Path) -> None:
        assert run(*COMMAND, "new", "handler", *arguments, "--defaults", cwd=project, env=ENVIRONMENT).returncode == 0

    return add


def old_application(project: Path) -> None:
    """Put an application beside a project that asks for a Litestar of long ago."""
    wrote("../old/app.py", "from litestar import Litestar\n\napp = Litestar()\n")(project)
    wrote("../old/requirements.txt", "litestar==2.16.0\n")(project)


def wrote(path: str, text: str = "mine\n") -> Callable[[Path], None]:
    """Return what puts a file into a project."""

    def write(project: Path) -> None:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)

    return write


def link_out(project: Path) -> None:
    """Make a link that leads out of a project."""
    (project / "src/desk/ws/feed").symlink_to(project.parent)


def link_to_itself(project: Path) -> None:
    """Make a link that leads to itself, beside a project."""
    (project.parent / "loop").symlink_to("loop")


def no_git(project: Path) -> None:
    """Let a project be of a version that must be fetched, and leave no program in reach."""
    settings(_src_path="/nowhere/at/all")(project)
    os.environ["PATH"] = ""


def of_the_releases(project: Path) -> None:
    """Let a project be of a template with two releases."""
    settings(_commit="v0.0.1", _src_path=str(project.parent / "releases"))(project)


def at(branch: str) -> Callable[[Path], None]:
    """Return what lets a project be of a branch of the template with releases."""

    def change(project: Path) -> None:
        settings(_commit=branch, _src_path=str(project.parent / "releases"))(project)

    return change


def without_versions(project: Path) -> None:
    """Let a project be of a folder that is under no version control."""
    settings(_src_path=str(REPOSITORY))(project)
    replace(project / ".copier-answers.yml", f"_commit: {OWN}\n", "")


def without_template(project: Path) -> None:
    """Let a project be of a folder that is not there."""
    without_versions(project)
    settings(_src_path="/nowhere/at/all")(project)


def nothing(_: Path) -> None:
    """Leave a project as it is."""


@dataclass
class Case:
    """A command line that fails, what was done before, and what a program is told."""

    words: list[str]
    code: Code
    exit_code: int
    before: Callable[[Path], None] = nothing
    paths: list[str] = field(default_factory=list)


CASES = [
    *(
        Case(arguments.split(), Code.USAGE, 2)
        for arguments in (
            "",
            "neu",
            "new",
            "new song",
            "list --jsn",
            "list chat",
            "--lst list",
            "new handler",
            "new handler x --interface strem",
            "new handler x --interface",
            "new handler x --json=yes",
            "new project",
            "change handler chat",
            "change project",
            "change project --package",
            "rename handler chat",
            "remove handler",
            "update --to",
            "update --data mood",
            "update --check --force",
            "update --abort --data a=b",
            "update --to v1 --check",
            "completion csh",
        )
    ),
    Case(["new", "project", ""], Code.USAGE, 2),
    Case(["-C", "", "list"], Code.USAGE, 2),
    Case(["new", "handler", "x", "--interface", "stream", "--direction", "reply"], Code.ANSWER_REFUSED, 2),
    Case(["new", "handler", "class"], Code.ANSWER_REFUSED, 2),
    Case(["new", "handler", ""], Code.ANSWER_REFUSED, 2),
    Case(["rename", "handler", "chat", "class"], Code.ANSWER_REFUSED, 2),
    Case(["new", "project", "other", "--project-name", 'a "b"'], Code.ANSWER_REFUSED, 2),
    Case(["change", "project", "--package-name", "../x"], Code.ANSWER_REFUSED, 2),
    Case(["guide", "--payload", "raw", "--codec", "msgpack"], Code.ANSWER_REFUSED, 2),
    Case(
        ["new", "handler", "x", "--direction", "push", "--events", "channel", "--channels-backend", "redis"],
        Code.ANSWER_SETTLED,
        2,
        handler("rooms", "--direction", "push", "--events", "channel"),
    ),
    Case(["new", "handler", "x", "--channels-backend", "redis"], Code.ANSWER_UNASKED, 2),
    Case(["change", "project", "--channels-backend", "redis"], Code.ANSWER_UNASKED, 2),
    Case(["guide", "--channels-backend", "redis"], Code.ANSWER_UNASKED, 2),
    Case(["change", "handler", "caht", "--payload", "raw"], Code.UNKNOWN_HANDLER, 2),
    Case(["rename", "handler", "caht", "talk"], Code.UNKNOWN_HANDLER, 2),
    Case(["remove", "handler", "nope"], Code.UNKNOWN_HANDLER, 2),
    Case(["rename", "kind", "chat", "sya", "speak"], Code.UNKNOWN_KIND, 2),
    Case(["new", "handler", "chat", "--interface", "stream"], Code.NAME_TAKEN, 1),
    Case(["rename", "handler", "chat", "feed"], Code.NAME_TAKEN, 1, handler("feed")),
    Case(["new", "handler", "talk", "--path", "/chat"], Code.PATH_TAKEN, 2),
    Case(["-C", "..", "list"], Code.NO_PROJECT, 1),
    Case(["-C", "/nowhere", "new", "handler", "x"], Code.NO_PROJECT, 1),
    Case(["-C", "..", "new", "project", "desk", "--handler-name", "other"], Code.PROJECT_EXISTS, 1),
    Case(["-C", "../old", "new", "handler", "x"], Code.LITESTAR_TOO_OLD, 1, old_application),
    Case(
        ["new", "handler", "feed"],
        Code.IN_THE_WAY,
        1,
        wrote("src/desk/ws/feed/handler.py"),
        ["src/desk/ws/feed/handler.py"],
    ),
    Case(["-C", "../loop", "list"], Code.IN_THE_WAY, 1, link_to_itself),
    Case(["new", "handler", "feed"], Code.OUTSIDE_PROJECT, 1, link_out),
    Case(
        ["change", "project", "--project-name", "Other"],
        Code.UNRESOLVED_CONFLICTS,
        1,
        wrote("README.md", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n"),
        ["README.md"],
    ),
    Case(["list"], Code.STATE_DAMAGED, 1, wrote(".copier-answers.yml", "a: [b\n"), [".copier-answers.yml"]),
    Case(["list"], Code.STATE_LATER, 1, settings(asyncapi="'yes'\nmood: good"), [".copier-answers.yml"]),
    Case(["update", "--abort"], Code.NOTHING_TO_ABORT, 1),
    Case(["update", "--to", ""], Code.UNKNOWN_VERSION, 2),
    Case(["update", "--to", "v7"], Code.UNKNOWN_VERSION, 1, of_the_releases),
    Case(["update", "--to", "v0.0.0"], Code.OLDER_VERSION, 2, of_the_releases),
    Case(["update", "--to", "v0.0.2", "--data", "mood=bad"], Code.UNKNOWN_QUESTION, 2, of_the_releases),
    Case(["update", "--to", "v0.0.2", "--data", "asyncapi=yse"], Code.ANSWER_REFUSED, 2, of_the_releases),
    Case(["update"], Code.NO_VERSIONS, 1, without_versions),
    Case(["update", "--check"], Code.NO_VERSIONS, 1, without_versions),
    Case(["list"], Code.TEMPLATE_MISSING, 1, without_template),
    Case(["list"], Code.TEMPLATE_FOREIGN, 1, at("foreign")),
    Case(["list"], Code.TEMPLATE_REFUSED, 1, at("refused")),
    Case(["update", "--to", "v0.0.3"], Code.TEMPLATE_BROKEN, 1, of_the_releases),
    Case(["list"], Code.TEMPLATE_UNREACHABLE, 1, settings(_src_path="/nowhere/at/all")),
    Case(["update", "--check"], Code.TEMPLATE_UNREACHABLE, 1, settings(_src_path="/nowhere/at/all")),
    Case(["list"], Code.NO_GIT, 1, no_git),
    Case(["new", "project", "README.md/x/y"], Code.IN_THE_WAY, 1),
    Case(["-C", "x" * 300, "list"], Code.SYSTEM, 1),
]
ELSEWHERE = {
    Code.FOREIGN_OWNER,
    Code.RECORD_DAMAGED,
    Code.UNFINISHED_RUN,
    Code.CHANGED_SINCE,
    Code.NO_PERMISSION,
    Code.DISK_FULL,
    Code.OUTPUT,
    Code.INTERRUPTED,
    Code.BUG,
}
"""What takes more than a command line: see the other tests."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with releases: the second is the first with a file more, the third cannot be rendered."""
    template = copy_of_the_working_tree(tmp_path_factory.mktemp("releases"))
    for version in ("v0.0.0", "v0.0.1"):
        assert run("git", "tag", version, cwd=template).returncode == 0
    (template / "template/project/note.txt").write_text("new\n")
    commit(template, "A file")
    run("git", "tag", "v0.0.2", cwd=template)
    (template / "template/project/note.txt.jinja").write_text("{{ project_name|sing }}\n")
    (template / "template/project/note.txt").unlink()
    commit(template, "A filter that nobody has")
    run("git", "tag", "v0.0.3", cwd=template)
    for branch, questions in (
        ("refused", (template / "copier.yml").read_text().replace("_envops:\n", "_envops:\n  extensions: [os]\n")),
        ("foreign", "name:\n  type: str\n"),
    ):
        run("git", "checkout", "--quiet", "-b", branch, cwd=template)
        (template / "copier.yml").write_text(questions)
        commit(template, branch)
    return template


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}: {' '.join(case.words)}")
def test_error_is_one_document_and_the_same_as_a_sentence(
    case: Case, command: Command, project: Path, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.parent / "releases").symlink_to(releases)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    case.before(project)
    before = tree(project)
    code, out, err = command("--json", *case.words)
    assert (code, err) == (case.exit_code, "")
    assert command(*case.words, "--json") == (code, out, "")
    (about,) = json.loads(out).values()
    assert list(json.loads(out)) == ["error"]
    assert list(about) == ["code", "message", "hint", "paths"]
    assert (about["code"], about["paths"]) == (case.code, case.paths or about["paths"])
    assert re.fullmatch(r"\S.*[.?]", about["message"])
    said = f"ws-scaffold: {about['message']}\n" + (f"  try: {about['hint']}\n" if about["hint"] else "")
    assert command(*case.words) == (code, "", said)
    assert tree(project) == before


def test_every_code_is_tried_documented_and_given_on_purpose() -> None:
    assert {case.code for case in CASES} | ELSEWHERE == set(Code)
    text = (REPOSITORY / "docs/command.md").read_text()
    table = text.rpartition("| code | ")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(Code)
    given: set[str] = set()
    for path in (REPOSITORY / "src/ws_scaffold").glob("*.py"):
        module = ast.parse(path.read_text())
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code":
                given.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ScaffoldError":
                where = f"{path.name}:{node.lineno}"
                assert "code" in {keyword.arg for keyword in node.keywords}, f"an error without a code: {where}"
    assert given == {code.name for code in Code}


# What is interrupted, or refused by the operating system --------------------------------------------------------------


@dataclass
class Trouble:
    """What happens instead of the n-th write."""

    error: BaseException
    moment: int
    writes: int = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it happen, once."""
        write, delete = Tree.write, Tree.delete

        def happen(original: Any) -> Any:
            def changed(*arguments: Any) -> Any:
                self.writes += 1
                if self.writes == self.moment:
                    raise self.error
                return original(*arguments)

            return changed

        monkeypatch.setattr(Tree, "write", happen(write))
        monkeypatch.setattr(Tree, "delete", happen(delete))


def writes_of(command: Command, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often a command that is not disturbed writes."""
    trouble = Trouble(KeyboardInterrupt(), -1)
    with monkeypatch.context() as patch:
        trouble.install(patch)
        assert command(*arguments)[0] == 0
    return trouble.writes


FEED = ["new", "handler", "feed", "--defaults"]
FULL = OSError(errno.ENOSPC, "No space left on device")
FORBIDDEN = PermissionError(errno.EACCES, "Permission denied", "/some/where/file.py")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL, FORBIDDEN], ids=["interrupt", "full", "forbidden"])
def test_run_that_is_cut_short_says_how_far_it_came_and_can_be_completed(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    writes = writes_of(command, FEED, monkeypatch)
    done = tree(project)
    assert command("remove", "handler", "feed")[0] == 0
    before = tree(project)
    said = []
    for moment in range(1, writes + 1):
        with monkeypatch.context() as patch:
            Trouble(error, moment).install(patch)
            code, out, err = command(*FEED)
        assert (code, out) == (1, "")
        said.append(err)
        if "nothing was written" in err:
            assert tree(project) == before
        else:
            documented = command(*FEED, "--dry-run", "--json")
            assert json.loads(documented[1])["error"]["code"] == Code.UNFINISHED_RUN
            assert command(*FEED)[0] == 0
        assert command(*FEED)[0] == 0
        assert tree(project) == done
        assert command("remove", "handler", "feed")[0] == 0
    start = {
        "KeyboardInterrupt": (
            "Interrupted; nothing was written.\n",
            "Interrupted while writing: {}.\n  try: the same ",
        ),
        "OSError": ("The disk is full; nothing was written.\n", "The disk is full: {}.\n  try: free some space, then "),
        "PermissionError": ("/some/where may not be written to; nothing", "/some/where may not be written to: {}.\n"),
    }[type(error).__name__]
    assert said[0].startswith(f"ws-scaffold: {start[0]}")
    counts = [int(re.findall(r"(\d+) of \d+ files were written", text)[0]) for text in said[1:]]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] > 5
    for text, count in zip(said[1:], counts, strict=True):
        total = re.findall(r"of (\d+) files", text)[0]
        assert text.startswith(f"ws-scaffold: {start[1].format(f'{count} of {total} files were written')}")


def test_errors_of_the_operating_system_have_codes(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del project
    for error, code in ((FULL, Code.DISK_FULL), (FORBIDDEN, Code.NO_PERMISSION), (KeyboardInterrupt(), "interrupted")):
        with monkeypatch.context() as patch:
            Trouble(error, 1).install(patch)
            assert json.loads(command(*FEED, "--json")[1])["error"]["code"] == code
        assert command(*FEED)[0] == 0
        assert command("remove", "handler", "feed")[0] == 0


def test_interrupt_before_anything_is_written(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operations, "advise", interrupt)
    assert command("guide") == (1, "", "ws-scaffold: Interrupted; nothing was written.\n")


def test_bug_is_a_sentence_too_and_shows_where_it_is_to_those_who_want_to_know(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("mood")

    monkeypatch.setattr(operations, "advise", fail)
    code, out, err = command("guide")
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"ws-scaffold: This should not have happened: KeyError: 'mood' \(test_failures\.py, line \d+\)\.\n"
        r"  try: report it at https://\S+, with what WS_SCAFFOLD_DEBUG=1 shows\n",
        err,
    )
    assert json.loads(command("guide", "--json")[1])["error"]["code"] == Code.BUG
    monkeypatch.setenv("WS_SCAFFOLD_DEBUG", "1")
    assert command("guide")[2].startswith("Traceback (most recent call last):\n")


# Streams --------------------------------------------------------------------------------------------------------------


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell, in which `ws` is the command."""
    start = f'ws() {{ "{sys.executable}" -m ws_scaffold "$@"; }}; '
    return subprocess.run(
        ["bash", "-c", start + line],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("closed", [it for count in range(4) for it in itertools.combinations("012", count)])
def test_streams_that_are_closed_are_no_error(project: Path, closed: tuple[str, ...]) -> None:
    streams = "".join(f" {number}{'<' if number == '0' else '>'}&-" for number in closed)
    for line, code in (("ws list", 0), ("ws list --json", 0), ("ws nope", 2), ("ws nope --json", 2), ("ws --help", 0)):
        done = shell(f"{line}{streams}", project)
        assert done.returncode == code, (line, done.stderr)
        assert "Traceback" not in done.stderr
        assert ("2" in closed or line != "ws nope") == (done.stderr == "")
        assert ("1" in closed or line == "ws nope") == (done.stdout == "")
    name = f"closed_{'_'.join(closed)}".strip("_")
    assert shell(f"ws new handler {name}{streams}", project).returncode == 0
    assert (project / f"src/desk/ws/{name}/handler.py").is_file()


@pytest.mark.parametrize(
    ("line", "code"),
    [("ws list", 0), ("ws --help", 0), ("ws new handler feed", 0), ("ws list --json", 0), ("ws nope --json", 2)],
)
def test_reader_who_has_seen_enough_is_no_error(project: Path, line: str, code: int) -> None:
    done = shell(f"{{ sleep 0.5; {line}; }} | true; exit ${{PIPESTATUS[0]}}", project)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_output_that_cannot_be_written_is_said(project: Path) -> None:
    error = "ws-scaffold: The output cannot be written: No space left on device. Nothing else went wrong.\n"
    for line in ("ws list", "ws list --json", "ws new handler feed", "ws --help"):
        done = shell(f"{line} > /dev/full", project)
        assert (done.returncode, done.stderr) == (1, error), line
    assert (project / "src/desk/ws/feed/handler.py").is_file()
    done = shell("ws nope --json > /dev/full", project)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, 'ws-scaffold: There is no command "ws-scaffold nope".')
    assert shell("ws nope 2> /dev/full", project).returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252:strict", "utf-8"])
def test_what_a_stream_cannot_encode_is_escaped(tmp_path: Path, encoding: str) -> None:
    name = "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}ber \N{CJK UNIFIED IDEOGRAPH-6F22}"
    line = f"ws new project desk --project-name '{name}' --package-name desk --defaults"
    done = shell(line, tmp_path, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("\\u6f22 is ready" in done.stdout) == (encoding != "utf-8")
    done = shell("ws -C desk list --json", tmp_path, PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["answers"]["project_name"] == name


def test_nothing_that_is_printed_is_obeyed_by_a_terminal(command: Command, project: Path) -> None:
    name = "src/desk/ws/chat/a\nupdate    forged.py\x1b[2J"
    (project / name).write_text("")
    (project / "src/desk/ws/chat/notes.txt").write_text("\x1b]0;title\x07\n")
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert code == 0
    assert "\x1b" not in out
    assert "a\\nupdate    forged.py\\x1b[2J" in out
    code, _, err = command("change", "handler", "a\x1b[2Jb\n", "--payload", "raw")
    assert (code, err.splitlines()[0]) == (2, 'ws-scaffold: There is no handler "a\\x1b[2Jb\\n".')


# At the terminal ------------------------------------------------------------------------------------------------------


def shown(arguments: list[str], folder: Path, keys: bytes) -> str:
    """Run the command at a terminal, press the keys where it waits, and return what a person reads."""
    return words(at_a_terminal([*COMMAND, *arguments], folder, keys, **ENVIRONMENT))


def test_end_of_the_input_at_a_question_is_one_sentence(project: Path) -> None:
    before = tree(project)
    text = shown(["new", "handler"], project, b"\x04")
    assert text.endswith(
        "ws-scaffold: The input ended before all questions were answered; nothing was written. "
        "try: --defaults does not prompt"
    )
    assert tree(project) == before


def test_name_of_another_handler_is_not_suggested_and_a_taken_one_is_refused(project: Path) -> None:
    text = shown(["new", "handler", "--interface", "stream", "--payload", "raw"], project, b"chat\r")
    assert '"chat" is taken: choose another name' in text
    assert "create src/desk/ws/chatchat/handler.py" in text


def test_name_of_the_project_is_no_expression(project: Path) -> None:
    (project / ".copier-answers.yml").write_text(
        (project / ".copier-answers.yml").read_text().replace("project_name: desk", 'project_name: "A {{ b }} {% x"')
    )
    text = shown(["change", "project", "--dry-run"], project, b"\r")
    assert "What is the project called? A {{ b }} {% x" in text
    assert "already up to date" in text
