"""What outlives a run is kept where no clone can put it, and does no harm where it is damaged, or of something else."""

import base64
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from projects import commit
from test_killed import Assassin, ended, start
from trees import contents, tree
from ws_scaffold import disk
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.journal import apply, interrupted, resume
from ws_scaffold.plan import Action, Plan, Step
from ws_scaffold.tree import Tree, is_of_git

FEED = ("new", "handler", "feed", "--interface", "stream")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder with the records."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/ws-scaffold/projects"


def halfway(project: Path, arguments: tuple[str, ...] = FEED) -> None:
    """Kill a run when some of it is written and some is not."""
    assert ended(start(project, arguments, Assassin(project, 8))) < 0
    assert interrupted(Tree(project))


def hook(path: str) -> list[dict[str, Any]]:
    """Return a journal of version 0.1 that makes a program."""
    content = base64.b64encode(b"#!/bin/sh\ntouch ran\n").decode()
    return [{"action": "create", "path": path, "before": None, "after": content, "mode": 0o755, "link": None}]


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Path:
    """Return a project under version control with what version 0.1 would have carried out, committed."""
    (project / ".ws-scaffold-journal").write_text(json.dumps(hook(".git/hooks/pre-commit") + hook("sitecustomize.py")))
    (project / ".ws-scaffold").mkdir()
    undo = {"head": None, "files": hook(".envrc")}
    (project / ".ws-scaffold/undo.json").write_text(json.dumps(undo))
    commit(project)
    assert not (tmp_path / "state").exists() or not list((tmp_path / "state/ws-scaffold/projects").iterdir())
    return project


def test_records_that_come_with_a_project_are_named_and_not_carried_out(command: Command, clone: Path) -> None:
    before = contents(clone)
    note = (
        "note: .ws-scaffold-journal is not carried out: version 0.1 left it, or it came with the project; delete it\n"
    )
    for more in (("--dry-run",), ()):
        code, out, _ = command(*FEED, *more)
        assert (code, note in out) == (0, True)
    assert not (clone / ".git/hooks/pre-commit").exists()
    assert not (clone / "sitecustomize.py").exists()
    for more in (("--dry-run",), ()):
        assert command("update", "--abort", *more) == (
            1,
            "",
            (
                "ws-scaffold: There is no update to abort; nothing was written.\n  try: .ws-scaffold/undo.json is of "
                "version 0.1, or came with the project: bring back the files with git\n"
            ),
        )
    assert not (clone / ".envrc").exists()
    (clone / ".ws-scaffold-journal").unlink()
    assert "note" not in command("new", "handler", "news", "--defaults")[1]
    assert contents(clone).keys() > before.keys() - {".ws-scaffold-journal"}


def test_nothing_of_a_run_is_left_in_the_project(command: Command, project: Path, state: Path) -> None:
    commit(project)
    assert command(*FEED)[0] == 0
    assert not [path for path in project.rglob("*ws-scaffold*") if path.name != "ws_scaffold"]
    assert not list(state.iterdir())


def test_records_are_their_owners_alone(project: Path, state: Path) -> None:
    mask = os.umask(0)
    try:
        halfway(project)
    finally:
        os.umask(mask)
    (record,) = state.iterdir()
    assert [path.stat().st_mode & 0o777 for path in (state.parent, state, record)] == [0o700, 0o700, 0o600]


def test_file_is_at_no_moment_readable_for_others_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        real(descriptor)

    created: list[int] = []
    opened = os.open

    def note(path: Path, flags: int, mode: int) -> int:
        descriptor = opened(path, flags, mode)
        created.append(os.fstat(descriptor).st_mode & 0o777)
        return descriptor

    (tmp_path / "secret").touch(0o600)
    monkeypatch.setattr("os.fsync", look)
    monkeypatch.setattr("os.open", note)
    mask = os.umask(0o022)
    try:
        Tree(tmp_path).write("secret", b"new")
        Tree(tmp_path).write("public", b"new")
    finally:
        os.umask(mask)
    assert (created, seen) == ([0o600, 0o644], [0o600, 0o644])
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_what_is_written_is_on_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr("os.fsync", lambda _: happened.append("on disk"))
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        happened.append("in place")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    disk.replace(tmp_path / "file", b"content")
    assert happened == ["on disk", "in place"]


def aside(record: Path) -> Path:
    """Return where a record is that cannot be used."""
    return record.with_suffix(".damaged")


DAMAGED = ["", "{", "[]", "null", '{"format": 1}', "[" * 100_000, '{"format": 1, "root": "/", "content": []}', "\xff"]


@pytest.mark.parametrize("damage", [*DAMAGED, "content", "item"])
def test_damaged_journal_is_one_sentence_and_stops_one_run(
    command: Command, project: Path, state: Path, damage: str
) -> None:
    halfway(project)
    (record,) = state.iterdir()
    if damage in {"content", "item"}:
        content = 3 if damage == "content" else [{"path": "README.md"}]
        damage = json.dumps({"format": 1, "root": str(project), "content": content})
    record.write_text(damage, encoding="latin-1")
    before = tree(project)
    assert command(*FEED) == (
        1,
        "",
        (
            f"ws-scaffold: The record of an earlier run is damaged, and was put aside as {aside(record)}; "
            "nothing was written.\n"
            "  try: see with git status what is half done; then the same command again\n"
        ),
    )
    assert tree(project) == before
    assert command(*FEED)[0] == 0
    assert (project / "src/desk/ws/feed/handler.py").is_file()


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_record_of_an_update_is_one_sentence(command: Command, project: Path, state: Path, damage: str) -> None:
    plan = Plan((Step(Action.CREATE, "new.txt", None, b"new"),))
    apply(Tree(project), plan, undoable=True)
    (record,) = state.iterdir()
    record.write_text(damage, encoding="latin-1")
    assert command("new", "handler", "feed", "--defaults")[0] == 0, "it is nobody's business but --abort's"
    assert command("update", "--abort") == (
        1,
        "",
        (
            f"ws-scaffold: The record of an earlier run is damaged, and was put aside as {aside(record)}; "
            "nothing was written.\n"
            "  try: bring back the files with git\n"
        ),
    )
    assert command("update", "--abort")[2] == "ws-scaffold: There is no update to abort; nothing was written.\n"


def test_journal_is_not_for_another_project_in_the_same_place(command: Command, project: Path, state: Path) -> None:
    aside = project.with_name("aside")
    halfway(project)
    project.rename(aside)
    os.chdir(project.parent)
    assert command("new", "project", "desk", "--defaults", "--payload", "raw", "--asyncapi", "no")[0] == 0
    assert not list(state.iterdir())
    os.chdir(project)
    before = contents(project)
    assert command("change", "handler", "chat", "--guard", "none")[0] == 0
    assert contents(project) == before
    assert command("-C", str(aside), *FEED)[0] == 0, "the same command again leads to the same"
    assert (aside / "src/desk/ws/feed/handler.py").is_file()


def test_journal_is_not_for_an_empty_folder_in_the_same_place(command: Command, project: Path) -> None:
    os.chdir(project.parent)
    arguments = ("new", "project", "other", "--defaults")
    assert ended(start(project.parent, arguments, Assassin(project.parent / "other", 8))) < 0
    assert interrupted(Tree(project.parent / "other"))
    shutil.rmtree("other")
    assert command("new", "project", "other", "--defaults", "--payload", "raw")[0] == 0
    assert not (project.parent / "other/src/other/ws/chat/schemas.py").exists()


def test_project_that_is_half_made_is_called_so(command: Command, project: Path) -> None:
    other = project.parent / "other"
    os.chdir(project.parent)
    arguments = ("new", "project", "other", "--defaults")
    assert ended(start(project.parent, arguments, Assassin(other, 8))) < 0
    for where in (other, other / "src"):
        assert command("-C", str(where), "new", "handler", "feed") == (
            1,
            "",
            (
                f"ws-scaffold: The project in {other} is half made: the run that made it was interrupted.\n"
                "  try: the same ws-scaffold new … again completes it\n"
            ),
        )
    assert "(completes an interrupted run)" in command(*arguments)[1]
    assert command("-C", "other", "list")[0] == 0


def test_journal_is_not_for_an_answers_file_that_has_changed(command: Command, project: Path, state: Path) -> None:
    halfway(project)
    (record,) = state.iterdir()
    answers = project / ".copier-answers.yml"
    answers.write_text(f"# mine\n{answers.read_text()}")
    before = tree(project)
    code, out, err = command(*FEED)
    assert (code, out) == (1, "")
    assert err == (
        "ws-scaffold: The record of an earlier run was about another .copier-answers.yml than is here now, and was put "
        f"aside as {record.with_suffix('.damaged')}; nothing was written.\n"
        "  try: see with git status what is half done; then the same command again\n"
    )
    assert tree(project) == before
    assert command(*FEED)[0] == 0


def test_journal_that_leads_out_of_the_project_by_now_stops_one_run(
    command: Command, project: Path, tmp_path: Path
) -> None:
    halfway(project)
    outside = tmp_path / "outside"
    (project / "src/desk/ws").rename(outside)
    (project / "src/desk/ws").symlink_to(outside)
    before = tree(outside)
    code, out, err = command("change", "handler", "chat", "--guard", "none")
    assert (code, out) == (1, "")
    assert "cannot be completed (" in err
    assert " is outside of " in err
    assert command("change", "handler", "chat", "--guard", "none")[0] == 0
    assert tree(outside) == before


@pytest.mark.parametrize("arguments", [FEED, ("-C", "..", "new", "project", "other", "--defaults")])
def test_run_that_has_written_nothing_yet_is_forgotten(project: Path, state: Path, arguments: tuple[str, ...]) -> None:
    """Then whoever comes next decides anew; and nothing is left of it."""
    root = project if arguments == FEED else project.parent / "other"
    root.mkdir(exist_ok=True)
    before, left = tree(root), 0
    for moment in range(1, 20):
        assert ended(start(project, arguments, Assassin(root, moment))) < 0
        if interrupted(Tree(root)):
            break
        left += tree(root) != before
        assert resume(Tree(root)) == []
        assert tree(root) == before
        assert not list(state.glob("*.json"))
        for path in state.iterdir():
            path.unlink()  # so that each run has the same moments
    else:
        pytest.fail("it never begins")
    assert left > 0


@pytest.fixture(params=["no home", "read-only", "full"])
def _no_records(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    match request.param:
        case "no home":
            monkeypatch.delenv("XDG_STATE_HOME")
            monkeypatch.setenv("HOME", "~")
        case "read-only":
            (tmp_path / "state").write_text("")
        case _:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr("ws_scaffold.records.replace", full)


@pytest.mark.usefixtures("_no_records")
def test_without_a_place_for_records_what_cannot_be_done_is_said(command: Command, project: Path) -> None:
    assert command("list")[0] == 0
    code, out, err = command(*FEED, "--dry-run")
    assert (code, err, "note:" in out) == (0, "", False)
    code, out, err = command(*FEED)
    assert (code, err) == (0, "")
    assert "note: had this run been killed, it could not have been completed: " in out
    assert (project / "src/desk/ws/feed/handler.py").is_file()
    assert command("update", "--abort")[2] == "ws-scaffold: There is no update to abort; nothing was written.\n"


@pytest.mark.parametrize(
    "path",
    [
        *(".git", ".git/config", ".GIT/config", "a/.git/hooks/x", "a/b/.Git", "git~1/config", "GIT~1", ".git./config"),
        *(".git /config", ".git::$INDEX_ALLOCATION/config", ".g\u200cit/config", "a\\.git\\config", ".git. . /x"),
        *("hooks/pre-commit", "link", "deep/hooks/pre-commit", "caps", "elsewhere/.git/config"),
    ],
)
def test_nothing_is_written_into_gits_own_folder(tmp_path: Path, path: str) -> None:
    """By any of its names, anywhere below, and through links."""
    (tmp_path / ".git/hooks").mkdir(parents=True)
    (tmp_path / ".git/config").write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "hooks").symlink_to(".git/hooks")
    (tmp_path / "deep/hooks").symlink_to(tmp_path / ".git/hooks")
    (tmp_path / "link").symlink_to(".git/config")
    (tmp_path / "caps").symlink_to(".GIT/config")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.git").symlink_to("../deep")
    before = sorted(tmp_path.rglob("*"))
    files = Tree(tmp_path)
    for happens in (files.read, files.delete, files.forget, partial(files.write, content=b"x")):
        with pytest.raises(ScaffoldError, match="in git's own folder"):
            happens(path)
    with pytest.raises(ScaffoldError, match="in git's own folder"):
        files.write_link(f"{path}/x", "y")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / ".git/config").read_text() == ""
    assert not {"link", "caps", "hooks/x"} & set(files.below("."))


@pytest.mark.parametrize("path", [".github/x", ".gitignore", "git", "a.git", ".git2", "git~2", ".gitattributes"])
def test_other_names_are_free(path: str) -> None:
    assert not is_of_git(path)
