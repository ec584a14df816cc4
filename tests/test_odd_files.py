"""Links, and what is no file to be read: nothing of it is lost, and nothing of it stops or hangs a command."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Command
from projects import handlers_of
from trees import contents

CHAT = "src/desk/ws/chat"
TALK = "src/desk/ws/talk"
HANDLER = f"{CHAT}/handler.py"
LISTENER = ("--interface", "listener")


@pytest.fixture(autouse=True)
def _in_a_minute() -> Iterator[None]:
    """End a test that hangs: a pipe that nobody writes to would be read for ever."""
    signal.alarm(60)
    yield
    signal.alarm(0)


def add(path: Path, text: str) -> None:
    """Write at the end of a file, which may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def behind_a_link(project: Path) -> None:
    """Put a handler's folder elsewhere in the project, and a link in its place."""
    (project / CHAT).rename(project / "real")
    (project / CHAT).symlink_to("../../../real")


# Links


def test_handler_whose_folder_is_a_link_can_be_removed_and_its_link_is_named(command: Command, project: Path) -> None:
    behind_a_link(project)
    add(project / "real/service.py", "# mine\n")
    code, out, err = command("remove", "handler", "chat")
    assert (code, err) == (0, "")
    assert f"keep      {CHAT} (it is a link)" in out.splitlines()
    assert "keep      real/service.py (it holds edits: --force deletes it, too)" in out.splitlines()
    assert list(contents(project / "real")) == ["service.py"]
    assert (project / CHAT).readlink() == Path("../../../real")
    assert command("new", "handler", "feed", *LISTENER)[0] == 0


def test_handler_whose_folder_is_a_link_to_a_folder_that_empties_can_be_removed(
    command: Command, project: Path
) -> None:
    behind_a_link(project)
    assert command("remove", "handler", "chat")[0] == 0
    assert (project / CHAT).is_symlink()
    assert command("new", "handler", "feed", *LISTENER)[0] == 0
    assert command("new", "handler", "chat", *LISTENER)[0] == 0
    assert (project / HANDLER).is_file()
    assert (project / CHAT).is_symlink()


def test_link_that_is_a_handlers_folder_is_renamed_and_leads_to_the_same(command: Command, project: Path) -> None:
    behind_a_link(project)
    add(project / "real/service.py", "# mine\n")
    add(project / "real/own.py", "# my own\n")
    code, out, err = command("rename", "handler", "chat", "talk")
    assert (code, err) == (0, "")
    assert f"move      {TALK} (from {CHAT})" in out.splitlines()
    assert (project / TALK).readlink() == Path("../../../real")
    assert not os.path.lexists(project / CHAT)
    text = (project / TALK / "service.py").read_text()
    assert "class TalkService" in text
    assert text.endswith("# mine\n")
    assert (project / TALK / "own.py").read_text() == "# my own\n"
    assert command("remove", "handler", "talk")[0] == 0


@pytest.mark.parametrize("command_line", ["rename handler chat talk", "change project --package-name trading"])
def test_links_and_empty_folders_move_along_and_lead_to_the_same(
    command: Command, project: Path, tmp_path: Path, command_line: str
) -> None:
    """Those of the handler's folder: each as it is, but for a way that leads through the folder that moves."""
    (tmp_path / "outside").mkdir()
    (project / CHAT / "data/deep").mkdir(parents=True)
    links = {
        "later": "not-yet.txt",
        "h.py": "handler.py",
        "folder": "data",
        "out": str(tmp_path / "outside"),
        "out.txt": "../../../../../beside.txt",
        "itself": "itself",
        "around": f"../../../../{HANDLER}",
        "whole": str(project / HANDLER),
        "readme": "../../../../README.md",
    }
    for name, target in links.items():
        (project / CHAT / name).symlink_to(target)
    code, out, err = command(*command_line.split())
    assert (code, err) == (0, "")
    moved = TALK if "talk" in command_line else "src/trading/ws/chat"
    adapted = {"around": "handler.py", "whole": str(project / moved / "handler.py")}
    for name, target in (links | adapted).items():
        assert str((project / moved / name).readlink()) == target, name
        assert f"move      {moved}/{name} (from {CHAT}/{name})" in out.splitlines()
    for name in ("h.py", "around", "whole", "readme"):
        assert (project / moved / name).is_file(), name
    assert (project / moved / "data/deep").is_dir()
    assert not os.path.lexists(project / CHAT)


def test_generated_file_that_is_a_link_stays_one(command: Command, project: Path) -> None:
    (project / HANDLER).rename(project / "elsewhere.py")
    (project / HANDLER).symlink_to("../../../../elsewhere.py")
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert (project / TALK / "handler.py").readlink() == Path("../../../../elsewhere.py")
    assert "talk_handler" in (project / "elsewhere.py").read_text()
    code, out, _ = command("remove", "handler", "talk")
    assert (code, f"keep      {TALK}/handler.py (it is a link: --force deletes it, too)" in out.splitlines()) == (
        0,
        True,
    )
    assert (project / TALK / "handler.py").is_symlink()


def test_generated_file_that_is_a_link_in_a_folder_that_stays_is_renamed(command: Command, project: Path) -> None:
    test = project / "tests/ws/test_ws_chat.py"
    test.rename(project / "tests/mine.py")
    test.symlink_to("../mine.py")
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert (code, "move      tests/ws/test_ws_talk.py (from tests/ws/test_ws_chat.py)" in out.splitlines()) == (0, True)
    assert (project / "tests/ws/test_ws_talk.py").readlink() == Path("../mine.py")
    assert 'name, path, method = "talk", PATH, "say"' in (project / "tests/mine.py").read_text()
    assert not os.path.lexists(test)


def test_generated_file_that_links_to_another_file_of_its_folder_moves_with_it(command: Command, project: Path) -> None:
    (project / HANDLER).rename(project / CHAT / "real.py")
    (project / HANDLER).symlink_to("real.py")
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert (project / TALK / "handler.py").readlink() == Path("real.py")
    assert "talk_handler" in (project / TALK / "real.py").read_text()
    assert not (project / CHAT).exists()


def test_link_elsewhere_that_leads_to_what_has_moved_is_named(command: Command, project: Path) -> None:
    (project / "docs").mkdir()
    (project / "docs/service.py").symlink_to(f"../{CHAT}/service.py")
    code, out, _ = command("rename", "handler", "chat", "talk")
    named = f"note: docs/service.py leads to {CHAT}/service.py, which is {TALK}/service.py now"
    assert (code, named in out.splitlines()) == (0, True)
    assert (project / "docs/service.py").readlink() == Path(f"../{CHAT}/service.py")


def test_package_behind_a_link_is_renamed(command: Command, project: Path) -> None:
    (project / "src/desk").rename(project / "real")
    (project / "src/desk").symlink_to("../real")
    code, _, err = command("change", "project", "--package-name", "trading")
    assert (code, err) == (0, "")
    assert (project / "src/trading").readlink() == Path("../real")
    assert (project / "src/trading/ws/chat/handler.py").is_file()
    assert command("new", "handler", "feed", *LISTENER)[0] == 0


def test_folder_above_the_package_may_be_a_link(command: Command, project: Path) -> None:
    (project / "src").rename(project / "real")
    (project / "src").symlink_to("real")
    add(project / "src/desk/own.py", "# mine\n")
    assert command("change", "project", "--package-name", "trading")[0] == 0
    assert (project / "src").is_symlink()
    assert (project / "real/trading/own.py").read_text() == "# mine\n"
    assert not (project / "real/desk").exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_only_called_like_a_cache_is_none(command: Command, project: Path, kind: str) -> None:
    cache = project / CHAT / "__pycache__"
    if kind == "link":
        cache.symlink_to("../../../../tests")
    else:
        cache.write_text("mine\n")
    code, out, err = command("remove", "handler", "chat")
    assert (code, err, f"keep      {CHAT}/__pycache__ (it is" in out) == (0, "", True)
    assert os.path.lexists(cache)
    assert (project / "tests/test_app.py").is_file()


# What is no file to be read


def unreadable(path: Path) -> None:
    """Make a file that its owner may not read."""
    path.write_text("secret\n")
    path.chmod(0)


def bound(path: Path) -> None:
    """Make a socket, under a path that may be longer than a socket's can be."""
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(here)


def huge(path: Path) -> None:
    """Make a file that is larger than any memory."""
    with path.open("wb") as file:
        file.truncate(300 * 2**30)


MAKE: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "socket": bound,
    "unreadable": unreadable,
    "huge": huge,
    "loop": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(params=MAKE)
def odd(request: pytest.FixtureRequest, project: Path) -> str:
    """Return the name of something that is in a project's root, and in the folder of a handler."""
    if request.param == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    for folder in (project, project / CHAT):
        MAKE[request.param](folder / "odd.py")
    return "odd.py"


def test_odd_files_are_in_nobodys_way(command: Command, project: Path, odd: str) -> None:
    """Not of a command that does nothing, of one that looks for moved files, and of those that move what is there."""
    about = os.lstat(project / CHAT / odd)
    assert command("new", "handler", "chat", *LISTENER)[0] == 0
    (project / "README.md").unlink()
    for command_line in (
        "new handler feed --interface stream",
        "rename handler chat talk",
        "change project --package-name trading",
    ):
        code, _, err = command(*command_line.split())
        assert (code, err) == (0, ""), command_line
    moved = os.lstat(project / "src/trading/ws/talk" / odd)
    assert (moved.st_mode, moved.st_size) == (about.st_mode, about.st_size)
    code, out, _ = command("remove", "handler", "talk")
    assert (code, f"keep      src/trading/ws/talk/{odd} (it is" in out) == (0, True)
    assert os.path.lexists(project / "src/trading/ws/talk" / odd)


@pytest.mark.parametrize("kind", MAKE)
def test_odd_thing_in_the_place_of_a_generated_file_is_named_where_it_matters(
    command: Command, project: Path, kind: str
) -> None:
    if kind == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    (project / HANDLER).unlink()
    MAKE[kind](project / HANDLER)
    before = sorted(path.relative_to(project) for path in project.rglob("*"))
    assert command("new", "handler", "feed", *LISTENER)[0] == 0
    assert command("remove", "handler", "feed")[0] == 0
    code, out, err = command("change", "handler", "chat", "--transport", "binary")
    reasons = {
        "fifo": "is no regular file",
        "socket": "is no regular file",
        "huge": "is too large to be merged",
        "unreadable": "cannot be read (Permission denied)",
        "loop": "is a link that leads to itself",
    }
    assert (code, out) == (1, "")
    assert err.startswith(f"ws-scaffold: {HANDLER} {reasons[kind]}; nothing was written.\n  try: ")
    assert sorted(path.relative_to(project) for path in project.rglob("*")) == before


# Conflict markers


ABOUT_GIT = "<<<<<<< HEAD\nyours\n=======\ntheirs\n>>>>>>> branch\n"


def test_text_about_conflicts_is_none(command: Command, project: Path) -> None:
    add(project / "docs/git.md", ABOUT_GIT)
    add(project / CHAT / "notes.md", ABOUT_GIT)
    assert command("new", "handler", "chat", *LISTENER)[0] == 0
    assert command("rename", "handler", "chat", "talk", "--abort-on-conflict")[0] == 0
    assert (project / TALK / "notes.md").read_text() == ABOUT_GIT


def test_conflict_that_is_left_is_named_by_commands_that_do_not_touch_it(command: Command, project: Path) -> None:
    add(project / "pyproject.toml", ABOUT_GIT)
    code, out, _ = command("new", "handler", "feed", *LISTENER)
    assert code == 1
    assert "conflict  pyproject.toml (of an earlier run)" in out.splitlines()
    assert "1 file with conflicts: resolve the markers" in out.splitlines()
    assert [it["name"] for it in handlers_of(project)] == ["chat", "feed"]


# Where nobody moves a file to


def test_environments_and_data_are_not_searched(command: Command, project: Path) -> None:
    """But a handler may be called like one."""
    content = (project / "README.md").read_bytes()
    for folder in ("venv", "data", "build", "my-environment/lib", "node_modules/x"):
        (project / folder).mkdir(parents=True)
        (project / folder / "README.md").write_bytes(content)
    (project / "my-environment/pyvenv.cfg").touch()
    (project / "README.md").unlink()
    code, out, _ = command("new", "handler", "build", *LISTENER)
    assert (code, "gone      README.md (it was deleted, and stays so)" in out.splitlines()) == (0, True)
    (project / "src/desk/ws/build/service.py").rename(project / "src/desk/ws/build/logic.py")
    assert command("rename", "handler", "build", "dist")[0] == 0
    assert "class DistService" in (project / "src/desk/ws/dist/logic.py").read_text()
