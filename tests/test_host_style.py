"""What is generated into an application that exists is written as the application is: and that is no edit."""

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import Command
from forks import run_pytest
from projects import FIRSTS, run, words_of
from trees import contents

LICENCE = "# Copyright 2026 Acme Inc.\n# SPDX-License-Identifier: MIT\n"
PYPROJECT = """
    [project]
    name = "acme"
    version = "1"
    dependencies = ["anyio", "litestar>=2.25", "msgspec"]

    [tool.pytest.ini_options]
    pythonpath = ["src"]
    filterwarnings = ["error"]

    [tool.ruff]
    line-length = 79

    [tool.ruff.format]
    quote-style = "single"
    indent-style = "tab"

    [tool.ruff.lint]
    select = ["E", "F", "I", "UP", "TID"]
    ignore = ["E501"]

    [tool.ruff.lint.flake8-tidy-imports]
    ban-relative-imports = "all"

    [tool.ruff.lint.isort]
    force-single-line = true
    required-imports = ["from __future__ import annotations"]
    """
CRLF = '[tool.ruff.format]\nline-ending = "cr-lf"'
MAIN = """
    from __future__ import annotations

    from litestar import Litestar


    def create_app() -> Litestar:
    \treturn Litestar()
    """


def make(folder: Path, *, header: str = f"{LICENCE}\n", pyproject: str = PYPROJECT) -> Path:
    """Return an application that writes Python in its own way, before any handler is there."""
    empty = "from __future__ import annotations\n"
    files = {f"src/acme/{name}.py": f"{header}{empty}" for name in ("__init__", "accounts", "billing")}
    files["src/acme/main.py"] = header + textwrap.dedent(MAIN).lstrip()
    files["pyproject.toml"] = textwrap.dedent(pyproject).lstrip()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """Return that application, which is the current folder of the command."""
    return make(tmp_path)


def assert_in_style(folder: Path, header: str = f"{LICENCE}\n") -> None:
    """Check that the application's own ruff finds nothing to say, and that each file begins as the others do."""
    for arguments in (("check",), ("format", "--check")):
        done = run(sys.executable, "-m", "ruff", *arguments, "--no-cache", ".", cwd=folder)
        assert done.returncode == 0, done.stdout
    assert [path for path in folder.rglob("*.py") if not path.read_text().startswith(header)] == []


@pytest.mark.slow
def test_every_interface_is_written_as_the_application_is_and_passes_its_tests(command: Command, acme: Path) -> None:
    for handler in FIRSTS:
        assert command("new", "handler", *words_of(handler))[0] == 0
        assert_in_style(acme)
    options = ("-q", "-p", "no:cacheprovider", "-n0", "tests")
    done = run_pytest(Path(sys.executable), acme, *options, timeout=120, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stdout


def test_style_is_no_edit(command: Command, acme: Path) -> None:
    """Through every command, up to the last handler, with which all goes that was generated."""
    before = contents(acme)
    for words in (
        "new handler chat --interface listener",
        "new handler feed --interface stream --events channel --channels-backend redis",
        "change handler chat --messages say,typing,read",
        "rename kind chat typing writing",
        "change handler chat --messages say --sends said,left",
        "change handler chat --interface duplex-websocket --transport binary --codec msgpack --work message",
        "rename handler chat talk",
        "change project --asyncapi yes --ws-route /live",
        "change project --ws-path src/acme/sockets --ws-import acme.sockets --tests-path tests/sockets",
    ):
        code, out, _ = command(*words.split())
        assert (code, " (it holds edits" in out) == (0, False), out
        assert not [line for line in out.splitlines() if line.startswith(("merge ", "keep "))], out
        assert_in_style(acme)
    assert command("remove", "handler", "talk")[0] == command("remove", "handler", "feed")[0] == 0
    assert contents(acme) == before


def test_edits_beside_the_style_stay(command: Command, acme: Path) -> None:
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    service = acme / "src/acme/ws/chat/service.py"
    assert "\tasync def" in service.read_text()
    service.write_text(service.read_text() + "\n\nMINE = 'mine'\n")
    assert command("change", "handler", "chat", "--interface", "websocket")[0] == 0
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert_in_style(acme)
    code, out, _ = command("remove", "handler", "talk")
    assert code == 0
    assert "keep      src/acme/ws/talk/service.py (it holds edits: --force deletes it, too)" in out.splitlines()
    assert (acme / "src/acme/ws/talk/service.py").read_text().endswith("MINE = 'mine'\n")


def test_comment_of_the_users_at_the_top_is_an_edit(command: Command, acme: Path) -> None:
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    service = acme / "src/acme/ws/chat/service.py"
    service.write_text(f"# Ours: ask Ada before you change it.\n{service.read_text()}")
    assert "keep      src/acme/ws/chat/service.py" in command("remove", "handler", "chat")[1]
    assert service.read_text().startswith("# Ours")


def test_commas_that_the_formatter_leaves_and_the_linter_wants_are_settled(command: Command, tmp_path: Path) -> None:
    """And are no edit, after the application's own `--fix` either."""
    make(tmp_path, pyproject=textwrap.dedent(PYPROJECT).replace('"TID"]', '"TID", "COM812"]'))
    before = contents(tmp_path)
    for handler in FIRSTS:
        assert command("new", "handler", *words_of(handler))[0] == 0
    assert_in_style(tmp_path)
    for handler in FIRSTS:
        out = command("remove", "handler", handler["name"])[1]
        assert " (it holds edits" not in out, out
    assert contents(tmp_path) == before


def test_year_in_a_header_is_no_edit(command: Command, tmp_path: Path) -> None:
    make(tmp_path, header=f"{LICENCE.replace('2026', '2021-2026')}\n")
    main = tmp_path / "src/acme/main.py"
    main.write_text(main.read_text().replace("2021-2026", "2020"))
    before = contents(tmp_path)
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    service = tmp_path / "src/acme/ws/chat/service.py"
    assert "2021-2026" in service.read_text()
    service.write_text(service.read_text().replace("2021-2026", "2021-2027"))
    assert command("change", "handler", "chat", "--interface", "stream")[0] == 0
    assert service.read_text().startswith(LICENCE.replace("2026", "2021-2027"))
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    assert "2021-2027" in (tmp_path / "src/acme/ws/feed/service.py").read_text()
    for name in ("chat", "feed"):
        out = command("remove", "handler", name)[1]
        assert " (it holds edits" not in out, out
    assert contents(tmp_path) == before


def test_note_on_settings_that_ruff_refuses_says_why(command: Command, acme: Path) -> None:
    settings = (acme / "pyproject.toml").read_text()
    (acme / "pyproject.toml").write_text(settings.replace("[tool.ruff]\n", "[tool.ruff]\nno-such-setting = 1\n"))
    code, out, _ = command("new", "handler", "chat", "--interface", "listener")
    (note,) = [line for line in out.splitlines() if line.startswith("note: ruff cannot format")]
    assert (code, "pyproject.toml" in note, "unknown field `no-such-setting`" in note) == (0, True, True), note


@pytest.mark.parametrize("header", ["", LICENCE, f"{LICENCE}\n"], ids=["none", "close", "with a blank line"])
def test_header_is_that_of_the_other_files(command: Command, tmp_path: Path, header: str) -> None:
    """Where ruff is not used, nothing else is another than in a project of our own."""
    make(tmp_path, header=header, pyproject='[project]\nname = "acme"\nversion = "1"\ndependencies = ["litestar"]\n')
    before = contents(tmp_path)
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    text = (tmp_path / "src/acme/ws/chat/service.py").read_text()
    assert text.startswith(f'{header}"""')
    assert "\n    async def" in text
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert (tmp_path / "src/acme/ws/talk/service.py").read_text().startswith(f'{header}"""')
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    assert (tmp_path / "src/acme/ws/feed/service.py").read_text().startswith(f'{header}"""')
    assert command("remove", "handler", "talk")[0] == command("remove", "handler", "feed")[0] == 0
    assert contents(tmp_path) == before


def test_what_copier_has_written_is_no_edit_either(
    command: Command, acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what was written before there was a ruff: each file counts as what it is closest to."""
    before = contents(acme)
    with monkeypatch.context() as patch:
        patch.setattr("ws_scaffold.merge.find_ruff", lambda _root: None)
        code, out, _ = command("new", "handler", "chat", "--interface", "listener")
    assert (code, out.count("and there is no ruff")) == (0, 1)
    handler = acme / "src/acme/ws/chat/handler.py"
    assert "    " in handler.read_text()
    assert command("change", "handler", "chat", "--interface", "websocket")[0] == 0
    assert command("remove", "handler", "chat")[0] == 0
    assert contents(acme) == before


def test_settings_of_ruff_run_nothing_and_apply_no_unsafe_fix(command: Command, acme: Path) -> None:
    """A clone may say what it likes: the program is ours, and what it may do as well."""
    settings = (acme / "pyproject.toml").read_text().replace('"TID"]', '"TID", "EM"]')
    more = 'fix = true\nunsafe-fixes = true\ncache-dir = "elsewhere"\n'
    (acme / "pyproject.toml").write_text(settings.replace("line-length = 79\n", f"line-length = 79\n{more}"))
    tool = acme / ".venv/bin/ruff"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\ntouch {acme}/run\n")
    tool.chmod(0o755)
    before = contents(acme)
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    assert not (acme / "run").exists()
    assert not (acme / "elsewhere").exists()
    generated = contents(acme).items() - before.items()
    assert not [path for path, content in generated if b"msg = " in content]
    done = run(sys.executable, "-m", "ruff", "check", "--no-cache", "--no-fix", ".", cwd=acme)
    assert "EM10" in done.stdout, "there is something that an unsafe fix would mend"


def test_what_the_application_lacks_is_said(command: Command, tmp_path: Path) -> None:
    make(tmp_path, pyproject='[project]\nname = "acme"\nversion = "1"\ndependencies = ["litestar>=2.20"]\n')
    lacking = "note: its dependencies do not name what the handlers need: "
    out = command("new", "handler", "chat", "--interface", "listener")[1]
    assert f"{lacking}anyio, msgspec, litestar>=2.23\n" in out
    shared = ("new", "handler", "room", "--interface", "duplex-websocket", "--events", "channel")
    assert f"{lacking}psycopg[binary]>=3.2" in command(*shared, "--channels-backend", "postgres")[1]
    assert lacking not in command("new", "handler", "feed", "--interface", "stream", "--events", "channel")[1]
    assert f"{lacking}litestar-asyncapi>=0.2,<0.3\n" in command("change", "project", "--asyncapi", "yes")[1]


def test_pytest_is_started_with_the_applications_interpreter(
    command: Command, acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as it is known where that is: it is not looked for, nor run."""
    python = acme / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    out = command("new", "handler", "chat", "--interface", "listener", "--dry-run", "--json")[1]
    assert json.loads(out)["written"] is False
    assert "\nnext: .venv/bin/python -m pytest tests/ws\n" in command("new", "handler", "chat", "--defaults")[1]


def test_lines_end_as_ruff_is_told(command: Command, tmp_path: Path) -> None:
    """The header's as well; and that is no edit."""
    make(tmp_path, pyproject=textwrap.dedent(PYPROJECT).replace("[tool.ruff.format]", CRLF))
    before = contents(tmp_path)
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    assert command("rename", "handler", "chat", "talk")[0] == 0
    content = (tmp_path / "src/acme/ws/talk/service.py").read_bytes()
    assert content.startswith(LICENCE.replace("\n", "\r\n").encode())
    assert content.count(b"\n") == content.count(b"\r\n")
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    for name in ("talk", "feed"):
        code, out, _ = command("remove", "handler", name)
        assert (code, "(it holds edits" in out) == (0, False), out
    assert contents(tmp_path) == before


def test_ruff_that_does_not_end_holds_nobody_up(command: Command, acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings may extend a pipe, from which it would read for ever."""
    monkeypatch.setattr("ws_scaffold.formatting.PATIENCE", 0.5)
    os.mkfifo(acme / "pipe.toml")
    settings = (acme / "pyproject.toml").read_text()
    (acme / "pyproject.toml").write_text(settings.replace("[tool.ruff]\n", '[tool.ruff]\nextend = "pipe.toml"\n'))
    code, out, _ = command("new", "handler", "chat", "--interface", "listener")
    assert (code, out.count("note: ruff did not end within 0.5 seconds")) == (0, 1)
    assert "there is no ruff" not in out
    assert (acme / "src/acme/ws/chat/handler.py").is_file()


NEW = ("new", "handler", "chat", "--interface", "listener")


@pytest.mark.parametrize("uses_ruff", [True, False])
def test_whether_files_are_formatted_may_be_said_and_changed(
    command: Command, tmp_path: Path, *, uses_ruff: bool
) -> None:
    """What is generated is written anew; a file that holds edits keeps the style that it has."""
    settings = PYPROJECT if uses_ruff else textwrap.dedent(PYPROJECT).partition("[tool.ruff]")[0]
    make(tmp_path, header="", pyproject=settings)
    by_default, other = ("auto", "none") if uses_ruff else ("none", "ruff")
    assert command(*NEW, "--imports", "absolute", "--formatter", by_default)[0] == 0
    first = contents(tmp_path)
    assert ("\n\tasync def" in (tmp_path / "src/acme/ws/chat/service.py").read_text()) == uses_ruff
    assert command("change", "project", "--formatter", other)[0] == 0
    second = contents(tmp_path)
    changed = {path for path, it in second.items() if first[path] != it} - {".copier-answers.ws.yml"}
    assert len(changed) > 10
    assert not any(b"\tasync def" in second[path] for path in changed)
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    done = run(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", "src/acme/ws/feed", cwd=tmp_path)
    assert (done.returncode == 0) == (other == "ruff")
    assert command("remove", "handler", "feed")[0] == 0
    assert contents(tmp_path) == second
    service = tmp_path / "src/acme/ws/chat/service.py"
    mine = service.read_text() + "\n\nMINE  = 1\n"
    service.write_text(mine)
    code = command("change", "project", "--formatter", by_default)[0]
    assert (code, service.read_text()) == (0, mine)
    service.write_text(mine.removesuffix("\n\nMINE  = 1\n"))
    assert contents(tmp_path) == first | {str(service.relative_to(tmp_path)): service.read_bytes()}


def test_files_that_ruff_has_formatted_hold_no_edits_when_nothing_is_formatted_any_more(
    command: Command, acme: Path
) -> None:
    before = contents(acme)
    assert command(*NEW)[0] == 0
    assert command("change", "project", "--formatter", "none")[0] == 0
    assert run(sys.executable, "-m", "ruff", "format", "--no-cache", "src", "tests", cwd=acme).returncode == 0
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert (code, "merge " in out) == (0, False)
    assert "\tasync def" in (acme / "src/acme/ws/talk/service.py").read_text()
    assert command("remove", "handler", "talk")[0] == 0
    assert contents(acme) == before
