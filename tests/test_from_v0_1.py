"""A project of the first release is brought to this version, and nothing of its owner's is lost on the way."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import copier
import pytest

from conftest import Environment
from projects import PYTHONS, REPOSITORY, Handler, commit, handlers_of, run, run_own_tests
from trees import command, contents
from ws_scaffold import releases

FIRST = "807fa7a36a9234e453338640076684a1d9a53a00"
"""The commit of the first release, v0.1.0."""

STREAM = {"interface": "stream", "payload": "typed", "transport": "text", "events": "own"}
LISTENER = {"interface": "listener", "payload": "typed", "transport": "text"}
ROOMS = {"interface": "duplex-listener", "payload": "typed", "transport": "text", "events": "channel"}

PROJECTS: dict[str, tuple[Handler, Mapping[str, str]]] = {
    "stream": (STREAM, {}),
    "listener": (LISTENER, {}),
    "listener-class": (LISTENER | {"interface": "listener-class", "payload": "raw"}, {}),
    "websocket": (LISTENER | {"interface": "websocket", "transport": "binary", "codec": "msgpack"}, {}),
    "duplex-listener": (ROOMS | {"payload": "raw", "events": "own"}, {}),
    "duplex-websocket": (ROOMS | {"interface": "duplex-websocket", "transport": "binary", "codec": "json"}, {}),
    "guarded": (LISTENER | {"guard": "token"}, {"asyncapi": "no"}),
    "redis": (ROOMS, {"channels_backend": "redis", "channels_history": "20"}),
    "postgres": (STREAM | {"payload": "raw", "events": "channel"}, {"channels_backend": "postgres"}),
}
"""The handler of a project, called chat, and what is answered about the project besides."""

each_project = pytest.mark.parametrize("kind", PROJECTS)

OLD_TEST = "tests/ws/test_chat.py"

METHOD = '''
    def ours(self) -> int:
        """Return what has been counted."""
        return self.counted
'''

TEST = """

def test_of_ours() -> None:
    service = WatchedService.__new__(WatchedService)
    service.counted = 3
    assert service.ours() == 3
"""


@pytest.fixture(scope="module")
def versions(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with both: the first release and, released, the working tree."""
    archived = subprocess.run(["git", "archive", FIRST], cwd=REPOSITORY, capture_output=True, check=False)
    if archived.returncode:
        assert not os.environ.get("CI"), "the first release is not in this history: fetch all of it"
        pytest.skip("the first release is not in this history: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("versions") / "org" / "ws-scaffold.git"
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    commit(folder)
    assert run("git", "tag", "v0.1.0", cwd=folder).returncode == 0
    for path in folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True)
    commit(folder)
    assert run("git", "tag", releases.OWN, cwd=folder).returncode == 0
    return folder


def made(source: Path, project: Path, kind: str, version: str = "v0.1.0") -> Path:
    """Make a project of a version, and return it, committed."""
    handler, about = PROJECTS[kind]
    answers = {"project_name": "Desk", "package_name": "desk", "handler_name": "chat", **handler, **about}
    copier.run_copy(str(source), project, data=answers, defaults=True, quiet=True, vcs_ref=version)
    commit(project)
    return project


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Put something into a file, at the one place that a pattern finds."""
    text, found = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    assert found == 1, f"{pattern} is {found} times in {path}"
    path.write_text(text)


def edited(project: Path) -> Path:
    """Edit the handler as its owner would, and return the project, committed."""
    folder = project / "src/desk/ws/chat"
    service = folder / "service.py"
    edit(service, r"^from contextlib import .*\n", r"\g<0>from fractions import Fraction\n")
    edit(service, r"^( *)self\.connections: .*\n", r"\g<0>\1self.counted = 0\n\1self.share = Fraction(1, 3)\n")
    service.write_text(service.read_text() + METHOD)
    edit(folder / "handler.py", r"^( *)dependencies ?= ?\{.*\n", r"\1# Ours, too.\n\g<0>")
    test = project / OLD_TEST
    test.write_text(test.read_text() + TEST)
    commit(project)
    return project


def lines_of_ours(project: Path) -> list[str]:
    """Return what the owner has added, in the order of the files."""
    done = run("git", "show", "--format=", "--unified=0", "HEAD", cwd=project)
    return [line[1:] for line in done.stdout.splitlines() if line.startswith("+") and not line.startswith("+++")]


def assert_own_tests_pass(project: Path, kind: str, environment: Environment) -> None:
    """Check that an updated project passes its own tests, where there is what it declares."""
    broker = "channels_backend" in PROJECTS[kind][1]
    done = run_own_tests(Path(sys.executable) if broker else environment(PYTHONS[0]), project)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@each_project
def test_edits_survive_and_the_updated_project_passes_its_own_tests(
    versions: Path, tmp_path: Path, environment: Environment, kind: str
) -> None:
    project = edited(made(versions, tmp_path / "desk", kind))
    ours = lines_of_ours(project)
    assert len(ours) > 10
    done = command(project, "update")
    assert done.code == 0, done.output
    after = {path: content.decode() for path, content in contents(project).items()}
    everything = "\n".join(after.values()).splitlines()
    assert [line for line in ours if everything.count(line) < ours.count(line)] == []
    assert not [path for path, text in after.items() if re.search("^(<{7}|>{7}) ", text, re.MULTILINE)]
    expected = contents(made(versions, tmp_path / "new", kind, releases.OWN))
    # Another file tests the handler now, with nothing in common with the one that the owner has added to.
    assert f"keep      {OLD_TEST} (it holds edits" in done.output
    assert after.keys() == expected.keys() | {OLD_TEST}
    touched = {path for path in expected if after[path].encode() != expected[path]}
    assert touched == {f"src/desk/ws/chat/{name}.py" for name in ("handler", "service")}
    (project / OLD_TEST).unlink()
    assert_own_tests_pass(project, kind, environment)


@pytest.mark.slow
@each_project
def test_untouched_project_is_what_copier_makes_of_it_and_what_is_made_anew(
    versions: Path, tmp_path: Path, kind: str
) -> None:
    project = made(versions, tmp_path / "desk", kind)
    other = tmp_path / "other"
    shutil.copytree(project, other)
    assert command(project, "update").code == 0
    copier.run_update(other, defaults=True, overwrite=True, quiet=True)
    assert contents(other) == contents(project) == contents(made(versions, tmp_path / "new", kind, releases.OWN))


def test_edit_of_a_line_that_changes_is_the_only_conflict(versions: Path, tmp_path: Path) -> None:
    project = made(versions, tmp_path / "desk", "listener")
    dependencies = project / "src/desk/ws/chat/dependencies.py"
    edit(dependencies, r"^ *ChatService\(\),\n", "        ChatService(),  # ours\n")
    commit(project)
    done = command(project, "update")
    assert done.code == 1
    marked = [path for path, content in contents(project).items() if b"<<<<<<< " in content]
    assert marked == ["src/desk/ws/chat/dependencies.py"]
    assert "# ours" in dependencies.read_text()


def test_first_release_of_our_own_source_becomes_what_the_package_ships(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(releases.SHORTCUTS, "gh:", f"{versions.parent.parent}/")
    project = made(versions, tmp_path / "desk", "listener")
    edit(project / ".copier-answers.yml", "^_src_path: .*$", f"_src_path: {releases.SOURCE}")
    commit(project)
    done = command(project, "update")
    assert done.code == 0, done.output
    expected = contents(made(versions, tmp_path / "new", "listener", releases.OWN))
    expected[".copier-answers.yml"] = (project / ".copier-answers.yml").read_bytes()
    assert contents(project) == expected
    assert f"_commit: {releases.OWN}\n" in (project / ".copier-answers.yml").read_text()


def test_handler_that_is_called_as_a_new_file_is_to_be_renamed_first(versions: Path, tmp_path: Path) -> None:
    project = made(versions, tmp_path / "desk", "listener")
    assert command(project, "new", "handler", "services", "--interface", "stream").code == 0
    commit(project)
    done = command(project, "update")
    assert done.code == 2
    assert done.output == (
        f'ws-scaffold: {releases.OWN} has no room for a handler of that name: "services" is what files of the '
        "project's own are called: take another name, such as my_services.\n"
        "  try: ws-scaffold rename handler services NAME, and then update\n"
    )
    assert command(project, "rename", "handler", "services", "shops").code == 0
    assert command(project, "update").code == 0
    assert {handler["name"] for handler in handlers_of(project)} == {"chat", "shops"}
