"""A rendered project's own tests pass: on every Python, with warnings as errors, with what it declares installed."""

from pathlib import Path

import pytest

from conftest import Environment
from projects import HANDLERS, PYTHONS, UV, Handler, render, run, run_own_tests

pytestmark = pytest.mark.slow

ALL_NAMES = {handler["name"] for handler in HANDLERS}


def _forms() -> list[Handler]:
    """Return a handler for every interface, payload and kind of events, with what else there is to choose in turn."""
    forms: dict[tuple[str, str, str | None], list[Handler]] = {}
    for handler in HANDLERS:
        forms.setdefault((handler["interface"], handler["payload"], handler.get("events")), []).append(handler)
    return [handlers[number % len(handlers)] for number, handlers in enumerate(forms.values())]


FORMS = _forms()
FIRSTS = list({handler["interface"]: handler for handler in FORMS}.values())
"""One of every interface."""


def test_all_handlers_together_pass_their_own_tests(everything: Path, environment: Environment) -> None:
    """The tests that all handlers share, and those of one handler an interface; alone, all pass in test_mutants.py.

    In a new process: what has to be imported is imported here.
    """
    shared = sorted(str(path) for path in everything.glob("tests/**/test_*.py") if path.stem[5:] not in ALL_NAMES)
    own = [f"tests/ws/test_{handler['name']}.py" for handler in FIRSTS]
    done = run_own_tests(environment(PYTHONS[0]), everything, *shared, *own, timeout=600, forked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", PYTHONS[1:])
def test_every_form_passes_its_own_tests_on_later_pythons(
    template: Path, tmp_path: Path, environment: Environment, version: str
) -> None:
    """All of them in one project, and in a new process."""
    project = render(template, tmp_path / "forms", {"asyncapi": "yes", "handlers": FORMS})
    done = run_own_tests(environment(version), project, timeout=600, forked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("handler", FIRSTS, ids=lambda handler: handler["interface"])
def test_first_handler_of_a_project_passes_its_own_tests(
    template: Path, tmp_path: Path, environment: Environment, handler: Handler, version: str
) -> None:
    """Made as a user would make it."""
    answers = {"handler_name" if key == "name" else key: value for key, value in handler.items()}
    done = run_own_tests(environment(version), render(template, tmp_path / "project", answers))
    assert done.returncode == 0, done.stdout


def test_project_installed_alone_passes_its_own_tests(template: Path, tmp_path: Path) -> None:
    """As the project's README says it: `uv run` makes the environment from the project's own pyproject.toml."""
    project = render(template, tmp_path / "trading-desk", {"project_name": "Trading Desk"})
    for command in (("pytest", "-q"), ("ruff", "check", "."), ("mypy",)):
        done = run(*UV, "run", "--isolated", *command, cwd=project, timeout=300, env={"VIRTUAL_ENV": ""})
        assert done.returncode == 0, done.stdout
