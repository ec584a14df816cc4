"""What a change does to files that somebody has worked on: nothing is lost, and nothing is passed over in silence."""

import errno
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from conftest import Command
from projects import handlers_of
from trees import contents

HANDLER = "src/desk/ws/chat/handler.py"
SERVICE = "src/desk/ws/chat/service.py"
ANSWER = '    """Answer a message, or report why it is invalid."""\n'
ANSWER_OF_THE_SERVICE = '        """Handle `say`: the client is sent what this returns."""\n'
MINE_OF_THE_SERVICE = '        """Answer, as I like it."""\n'
MINE = '    """Answer, as I like it."""\n'


def edit(project: Path, path: str, old: str, new: str) -> None:
    """Replace a line of a file by another."""
    text = (project / path).read_text()
    assert old in text
    (project / path).write_text(text.replace(old, new))


def test_edited_file_is_merged(command: Command, project: Path) -> None:
    edit(project, HANDLER, ANSWER, MINE)
    code, out, _ = command("change", "handler", "chat", "--transport", "binary")
    assert (code, f"merge     {HANDLER}" in out.splitlines()) == (0, True)
    text = (project / HANDLER).read_text()
    assert MINE in text
    assert 'receive_mode="binary"' in text


def test_conflict_stands_between_gits_markers_is_listed_and_is_no_success(command: Command, project: Path) -> None:
    edit(project, HANDLER, ANSWER, MINE)
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket")
    lines = out.splitlines()
    assert code == 1
    assert f"conflict  {HANDLER}" in lines
    assert "1 file with conflicts: resolve the markers" in lines
    text = (project / HANDLER).read_text()
    assert text.index("<<<<<<< ours\n") < text.index(MINE) < text.index("=======\n") < text.index(">>>>>>> theirs\n")
    assert handlers_of(project)[0]["interface"] == "websocket"


def test_conflict_that_is_not_resolved_is_never_merged_again(command: Command, project: Path) -> None:
    edit(project, HANDLER, ANSWER, MINE)
    command("change", "handler", "chat", "--interface", "websocket")
    before = contents(project)
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket")
    assert (code, out.splitlines()[:3]) == (
        1,
        [
            "already up to date",
            f"conflict  {HANDLER} (of an earlier run)",
            "1 file with conflicts: resolve the markers",
        ],
    )
    assert command("change", "handler", "chat", "--payload", "raw") == (
        1,
        "",
        (
            f"ws-scaffold: {HANDLER} holds conflict markers; nothing was written.\n"
            "  try: resolve them, then run the command again\n"
        ),
    )
    assert contents(project) == before


def test_abort_on_conflict_writes_nothing(command: Command, project: Path) -> None:
    edit(project, HANDLER, ANSWER, MINE)
    before = contents(project)
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket", "--abort-on-conflict")
    assert (code, "1 file with conflicts: nothing was written" in out.splitlines()) == (1, True)
    assert contents(project) == before


def test_force_takes_the_generated_file(command: Command, project: Path) -> None:
    edit(project, HANDLER, ANSWER, MINE)
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket", "--force")
    assert (code, f"replace   {HANDLER}" in out.splitlines()) == (0, True)
    assert "iter_data" in (project / HANDLER).read_text()


def test_file_that_is_in_the_way_stops_the_whole_operation(command: Command, project: Path) -> None:
    (project / "src/desk/ws/feed").mkdir()
    (project / "src/desk/ws/feed/handler.py").write_text("mine\n")
    before = contents(project)
    assert command("new", "handler", "feed", "--defaults") == (
        1,
        "",
        (
            "ws-scaffold: src/desk/ws/feed/handler.py is there already, with other content; nothing was written.\n"
            "  try: choose another name, or --force to overwrite what is there\n"
        ),
    )
    assert contents(project) == before
    assert command("new", "handler", "feed", "--defaults", "--force")[0] == 0


def test_file_where_a_folder_must_be_stops_the_whole_operation(command: Command, project: Path) -> None:
    (project / "src/desk/ws/feed").write_text("mine\n")
    before = contents(project)
    error = (
        "ws-scaffold: src/desk/ws/feed is there already, with other content; nothing was written.\n"
        "  try: choose another name, or --force to overwrite what is there\n"
    )
    for arguments in (["new", "handler", "feed", "--defaults"], ["rename", "handler", "chat", "feed"]):
        assert command(*arguments) == (1, "", error)
        assert command(*arguments, "--force") == (1, "", error)
    assert contents(project) == before


def test_project_is_not_made_over_another_one(command: Command, project: Path) -> None:
    edit(project, "README.md", "# desk\n", "# Mine\n")
    before = contents(project)
    os.chdir(project.parent)
    code, _, err = command("new", "project", "desk", "--defaults")
    assert (code, err) == (
        1,
        (
            "ws-scaffold: There is already a project in desk; nothing was written.\n"
            "  try: ws-scaffold -C desk new handler NAME, or another folder\n"
        ),
    )
    assert contents(project) == before


def test_project_is_not_made_where_a_file_is(command: Command, project: Path) -> None:
    os.chdir(project)
    code, out, err = command("new", "project", "README.md", "--project-name", "desk", "--defaults")
    assert (code, out) == (1, "")
    assert err.startswith("ws-scaffold: README.md is there already, with other content; nothing was written.\n")


def test_file_that_was_deleted_stays_so(command: Command, project: Path) -> None:
    (project / "README.md").unlink()
    code, out, _ = command("new", "handler", "feed", "--defaults")
    assert (code, "gone      README.md (it was deleted, and stays so)" in out.splitlines()) == (0, True)
    assert not (project / "README.md").exists()


def test_file_of_another_handler_is_not_taken_for_one_that_was_moved(command: Command, project: Path) -> None:
    command("new", "handler", "feed", "--defaults")
    (project / HANDLER).unlink()
    code, out, _ = command("change", "handler", "chat", "--transport", "binary")
    assert (code, f"gone      {HANDLER} (it was deleted, and stays so)" in out.splitlines()) == (0, True)


def test_file_that_was_moved_gets_its_changes_where_it_is(command: Command, project: Path) -> None:
    (project / "docs").mkdir()
    (project / "README.md").rename(project / "docs/manual.md")
    edit(project, "docs/manual.md", "# desk\n", "# Mine\n")
    code, out, _ = command("new", "handler", "feed", "--defaults")
    assert (code, "merge     docs/manual.md (moved here from README.md)" in out.splitlines()) == (0, True)
    text = (project / "docs/manual.md").read_text()
    assert text.startswith("# Mine\n")
    assert "`/ws/feed`" in text
    assert not (project / "README.md").exists()


def test_file_that_was_moved_stays_there_when_its_handler_is_renamed(command: Command, project: Path) -> None:
    (project / SERVICE).rename(project / "src/desk/logic.py")
    edit(project, "src/desk/logic.py", ANSWER_OF_THE_SERVICE, MINE_OF_THE_SERVICE)
    assert command("rename", "handler", "chat", "talk")[0] == 0
    text = (project / "src/desk/logic.py").read_text()
    assert MINE_OF_THE_SERVICE in text
    assert "class TalkService:" in text
    assert not (project / "src/desk/ws/talk/service.py").exists()


def test_file_that_was_moved_within_a_folder_moves_with_it(command: Command, project: Path) -> None:
    (project / SERVICE).rename(project / "src/desk/ws/chat/logic.py")
    code, out, _ = command("rename", "handler", "chat", "talk")
    moved = "move      src/desk/ws/talk/logic.py (from src/desk/ws/chat/logic.py)"
    assert (code, moved in out.splitlines()) == (0, True)
    assert "class TalkService:" in (project / "src/desk/ws/talk/logic.py").read_text()
    assert not (project / "src/desk/ws/chat").exists()


def test_file_that_was_moved_is_named_when_its_handler_goes(command: Command, project: Path) -> None:
    (project / SERVICE).rename(project / "src/desk/logic.py")
    code, out, _ = command("remove", "handler", "chat")
    kept = f"keep      src/desk/logic.py (moved here from {SERVICE}; it is generated no more)"
    assert (code, kept in out.splitlines()) == (0, True)
    assert (project / "src/desk/logic.py").is_file()


def test_file_that_may_be_in_two_places_is_changed_in_neither(command: Command, project: Path) -> None:
    content = (project / "README.md").read_bytes()
    (project / "README.md").unlink()
    for name in ("one.md", "two.md"):
        (project / name).write_bytes(content)
    code, out, _ = command("new", "handler", "feed", "--defaults")
    gone = "gone      README.md (it may have been moved to one.md or two.md; the change reaches none of them)"
    assert (code, gone in out.splitlines()) == (0, True)
    assert (project / "one.md").read_bytes() == (project / "two.md").read_bytes() == content


def test_link_to_nothing_is_no_file_that_was_moved(command: Command, project: Path) -> None:
    (project / "README.md").unlink()
    (project / "dangling.md").symlink_to(project / "nowhere.md")
    code, out, err = command("new", "handler", "feed", "--defaults")
    assert (code, err) == (0, "")
    assert "gone      README.md (it was deleted, and stays so)" in out.splitlines()
    assert (project / "dangling.md").is_symlink()


def test_copy_of_one_file_is_not_taken_for_another_that_is_gone(command: Command, project: Path) -> None:
    command("new", "handler", "feed", "--defaults")
    (project / "src/desk/ws/copied.py").write_bytes((project / HANDLER).read_bytes())
    (project / "src/desk/ws/feed/handler.py").unlink()
    code, out, _ = command("change", "handler", "feed", "--transport", "binary")
    gone = "gone      src/desk/ws/feed/handler.py (it was deleted, and stays so)"
    assert (code, gone in out.splitlines()) == (0, True)


def test_rename_takes_along_edits_of_lines_that_it_changes(command: Command, project: Path) -> None:
    edit(project, SERVICE, "text=message.text)", "text=message.text.upper())")
    edit(
        project,
        SERVICE,
        "class ChatService:\n",
        "last: ChatConnection | None = None  # of any chat\n\n\nclass ChatService:\n",
    )
    assert command("rename", "handler", "chat", "room_talk")[0] == 0
    text = (project / "src/desk/ws/room_talk/service.py").read_text()
    assert "return SaidEvent(text=message.text.upper())" in text
    assert "last: RoomTalkConnection | None = None  # of any chat\n" in text
    assert "Chat" not in text


def test_line_ends_stay(command: Command, project: Path) -> None:
    for path in (HANDLER, SERVICE, "README.md", "src/desk/ws/handlers.py"):
        (project / path).write_bytes((project / path).read_bytes().replace(b"\n", b"\r\n"))
    code, _, _ = command("change", "handler", "chat", "--transport", "binary")
    assert code == 0
    for path in (HANDLER, "README.md"):
        content = (project / path).read_bytes()
        assert b"binary" in content
        assert content.count(b"\n") == content.count(b"\r\n"), path


def test_file_without_a_final_newline_stays_so(command: Command, project: Path) -> None:
    (project / HANDLER).write_bytes((project / HANDLER).read_bytes().rstrip(b"\n"))
    assert command("change", "handler", "chat", "--transport", "binary")[0] == 0
    content = (project / HANDLER).read_bytes()
    assert b'receive_mode="binary"' in content
    assert not content.endswith(b"\n")


def test_mode_stays(command: Command, project: Path) -> None:
    (project / HANDLER).chmod(0o750)
    command("change", "handler", "chat", "--transport", "binary")
    assert stat.S_IMODE((project / HANDLER).stat().st_mode) == 0o750
    command("rename", "handler", "chat", "talk")
    assert (project / "src/desk/ws/talk/handler.py").stat().st_mode & 0o111


def test_link_within_the_project_stays_one(command: Command, project: Path) -> None:
    (project / "elsewhere.py").write_bytes((project / HANDLER).read_bytes())
    (project / HANDLER).unlink()
    (project / HANDLER).symlink_to(project / "elsewhere.py")
    assert command("change", "handler", "chat", "--transport", "binary")[0] == 0
    assert (project / HANDLER).is_symlink()
    assert 'receive_mode="binary"' in (project / "elsewhere.py").read_text()


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_nothing_is_written_through_a_link_out_of_the_project(
    command: Command, project: Path, tmp_path: Path, *, folder: bool
) -> None:
    linked = project / ("src/desk/ws/chat" if folder else HANDLER)
    outside = tmp_path / "outside"
    linked.rename(outside)
    linked.symlink_to(outside)
    before = contents(outside) if folder else {"": outside.read_bytes()}
    project_before = contents(project)
    code, out, err = command("change", "handler", "chat", "--transport", "binary", "--force")
    assert (code, out) == (1, "")
    assert err.startswith("ws-scaffold: src/desk/ws/chat/")
    assert f" is outside of {project}; nothing was written.\n" in err
    assert (contents(outside) if folder else {"": outside.read_bytes()}) == before
    assert contents(project) == project_before


def test_dirty_work_tree_and_project_in_a_subfolder_of_a_repository(
    command: Command, project: Path, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "desk/README.md"], cwd=tmp_path, check=True)
    edit(project, HANDLER, ANSWER, MINE)
    assert command("change", "handler", "chat", "--transport", "binary")[0] == 0
    assert MINE in (project / HANDLER).read_text()


def test_what_the_system_refuses_is_one_sentence_and_is_completed_once_it_is_mended(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def refuse(path: Path, *_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        patch.setattr(Path, "mkdir", refuse)
        code, out, err = command("new", "handler", "feed", "--defaults")
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"ws-scaffold: /.* may not be written to; nothing was written\.\n"
        r"  try: allow it, for example with chmod or chown, then run the command again\n",
        err,
    )
    assert command("new", "handler", "feed", "--defaults")[0] == 0
    assert [it["name"] for it in handlers_of(project)] == ["chat", "feed"]


def test_without_git(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    edit(project, HANDLER, ANSWER, MINE)
    assert command("change", "handler", "chat", "--transport", "binary")[0] == 0
    assert MINE in (project / HANDLER).read_text()
