"""What is made once and used by many tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from projects import HANDLERS, PYTHONS, build_environment, copy_of_the_working_tree, find_python, render

Environment = Callable[[str], Path]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that holds the working tree, committed: Copier sees what we see."""
    return copy_of_the_working_tree(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def everything(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that holds every valid handler."""
    answers = {"project_name": "Everything", "handlers": HANDLERS}
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
