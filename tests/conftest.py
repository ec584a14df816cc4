"""What is made once and used by many tests."""

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from haste import hurry_copier, keep_files_in_memory
from projects import HANDLERS, PYTHONS, build_environment, copy_of_the_working_tree, find_python, render
from ws_scaffold.cli import main

Environment = Callable[[str], Path]
Command = Callable[..., tuple[int, str, str]]
"""What runs the command, and returns its exit code and what it has printed, on both streams."""

SPREAD = {
    "test_hosts.py",
    "test_judge.py",
    "test_mutants.py",
    "test_never_lost.py",
    "test_projects.py",
    "test_render.py",
}
"""The files whose tests share nothing that takes long to make, and may run in different workers."""
LONG = (
    *("test_brokers.py", "test_servers.py", "test_killed.py", "test_hosts.py", "test_projects.py", "test_update.py"),
    *("test_benchmarks.py", "test_from_v0_1.py", "test_never_lost.py", "test_taken_names.py", "test_lowest.py"),
)
"""The files that take longest, a minute or so each: else one worker would go on when the others have nothing to do."""

MEGABYTES = 1000
"""What a process that runs tests may take, at most."""

# Compiled modules make every program that the tests start faster, whatever it is like where the tests are started.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
keep_files_in_memory()


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """What goes to one worker as a whole: a file, or a test of those that are spread."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if Path(file).name in SPREAD else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Share out the tests to the workers, in the order in which they were collected."""
    config.option.loadscope_reorder = False
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the files that take long come first, and those last of which each worker takes a little at a time."""

    def rank(item: pytest.Item) -> int:
        name = item.path.name
        return LONG.index(name) if name in LONG else len(LONG) + (name in SPREAD)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than there are processors: tests of servers wait more than they compute."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    """Fail the test in which this process grows beyond what it may take: what is kept there is kept for nothing."""

    def megabytes() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "linux" else 1024**2)

    before = megabytes()
    yield
    assert before > MEGABYTES or megabytes() <= MEGABYTES, f"{before} MB before, and then {megabytes()} MB"


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's folders, git on this machine, and nobody waiting for what is known already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.mktemp("mypy")))  # what projects import is read once
        patch.setenv("GIT_ALLOW_PROTOCOL", "file")
        patch.setattr("os.fsync", lambda _: None)  # here the power does not fail, and thousands of runs would wait
        hurry_copier(patch)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that holds the working tree, committed: Copier sees what we see."""
    return copy_of_the_working_tree(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def plain_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the same and has no versions, of which Copier needs no clone."""
    target = tmp_path_factory.mktemp("plain") / "template"
    return Path(shutil.copytree(template, target, ignore=shutil.ignore_patterns(".git")))


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
            built[version] = build_environment(
                tmp_path_factory.mktemp("environment") / version, everything, python=python
            )
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
