"""What is made once and used by many tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from projects import HANDLERS, PYTHONS, build_environment, copy_of_the_working_tree, find_python, render
from ws_scaffold.cli import main

Environment = Callable[[str], Path]
Command = Callable[..., tuple[int, str, str]]
"""What runs the command, and returns its exit code and what it has printed, on both streams."""


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache, and git on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GIT_ALLOW_PROTOCOL", "file")
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that holds the working tree, committed: Copier sees what we see."""
    return copy_of_the_working_tree(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def everything(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that holds every valid handler."""
    answers = {"project_name": "Everything", "asyncapi": "yes", "handlers": HANDLERS}
    return render(template, tmp_path_factory.mktemp("everything"), answers)


@pytest.fixture(scope="session")
def environment(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return what finds the interpreter of a project's environment, by the version of Python."""
    built: dict[str, Path] = {}

    def interpreter(version: str) -> Path:
        if version not in built:
            python = find_python(version)
            if python is None:
                assert not os.environ.get("CI") or version != PYTHONS[0], f"no Python {version}"
                pytest.skip(f"no Python {version} here")
            built[version] = build_environment(tmp_path_factory.mktemp("environment") / version, everything, python)
        return built[version]

    return interpreter


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Return what runs the command in the test's own folder, and returns its exit code and what it has printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def project(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a project with a typed text listener called chat, which is the current folder."""
    assert command("new", "project", "desk", "--defaults")[0] == 0
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"
