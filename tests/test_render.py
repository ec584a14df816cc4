"""Every valid handler renders to files that formatter, linters and type checkers are content with."""

import re
import sys
from pathlib import Path
from string import ascii_lowercase

import pytest

from projects import HANDLERS, render, run
from trees import contents
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

SHARED = {
    ".copier-answers.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/{package}/__init__.py",
    "src/{package}/__main__.py",
    "src/{package}/app.py",
    "src/{package}/server.py",
    "src/{package}/ws/__init__.py",
    "src/{package}/ws/connection_tests.py",
    "src/{package}/ws/handlers.py",
    "src/{package}/ws/handshake.py",
    "src/{package}/ws/limits.py",
    "src/{package}/ws/plugin.py",
    "src/{package}/ws/settings.py",
    "src/{package}/ws/socket.py",
    "src/{package}/ws/testing.py",
    "tests/test_app.py",
    "tests/test_main.py",
    "tests/test_server.py",
    "tests/ws/conftest.py",
    "tests/ws/test_ws_handshake.py",
    "tests/ws/test_ws_services.py",
    "tests/ws/test_ws_settings.py",
    "tests/ws/test_ws_socket.py",
}
OF_A_GUARDED_PROJECT = {
    "src/{package}/ws/guards.py",
    "tests/ws/test_ws_guards.py",
}
OF_A_HANDLER = {
    "src/{package}/ws/{name}/__init__.py",
    "src/{package}/ws/{name}/dependencies.py",
    "src/{package}/ws/{name}/handler.py",
    "src/{package}/ws/{name}/service.py",
    "tests/ws/test_ws_{name}.py",
}
OF_RECEIVED_MESSAGES = {"src/{package}/ws/message_tests.py"}
OF_TYPED_MESSAGES = {
    "src/{package}/ws/contract.py",
    "src/{package}/ws/{name}/schemas.py",
    "tests/ws/test_ws_contract.py",
}
OF_ASYNCAPI = {
    "src/{package}/ws/asyncapi.py",
    "src/{package}/ws/{name}/asyncapi.py",
    "tests/ws/test_ws_asyncapi.py",
}
OF_CHANNELS = {
    "src/{package}/ws/channel_tests.py",
    "src/{package}/ws/channels.py",
    "tests/ws/test_ws_channels.py",
}
OF_A_BROKER = {"src/{package}/ws/broker.py", "tests/ws/test_ws_broker.py"}

# What a demanding reader of generated code may still not ask for.
NOT_ASKED = {
    "A002": "a parameter of a path may be called id",
    "ANN401": "a test decodes messages as a client does, to plain data of any type",
    "ARG002": "a method is given the message that it handles, and its work, whether it looks at them or not",
    "BLE001": "what a test raises is passed on, whatever it is",
    "COM812": "contradicts the formatter",
    "CPY": "the licence of a project is its owner's to choose",
    "D107": "what a class needs is said in its own docstring",
    "D203": "contradicts D211",
    "D213": "contradicts D212",
    "E741": "a handler may be called l",
    "EM": "a message may be written where it is raised",
    "INP001": "tests are no package, so that it does not matter what else is called `tests`",
    "N818": "Closed is raised by the tests' session, and is no error of the application",
    "PLR2004": "a test is made of expected values",
    "RUF012": "Litestar reads the settings of a listener class from plain attributes",
    "S101": "tests assert, and one type is narrowed so",
    "S105": "a test knows a token that opens nothing else",
    "S106": "a test knows a token that opens nothing else",
    "TID252": "inside of a handler imports are relative: renaming it, or the package, touches none",
    "TRY003": "a message may be written where it is raised",
}


def assert_formatted(project: Path) -> None:
    """Check that neither the project's own rules nor a more demanding reader find anything to say."""
    demanding = ("--select", "ALL", "--ignore", ",".join(NOT_ASKED))
    without_docstrings = 'lint.per-file-ignores={"tests/**" = ["D102", "D103"]}'
    for arguments in (
        ("format", "--check"),
        ("check",),
        ("check", *demanding, "--config", without_docstrings),
    ):
        done = run(sys.executable, "-m", "ruff", arguments[0], "--no-cache", *arguments[1:], ".", cwd=project)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("asyncapi", ["yes", "no"])
@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler["name"])
def test_every_handler_alone_renders_exactly_its_files(template: Path, handler: dict[str, str], asyncapi: str) -> None:
    state = {"project_name": "Demo", "package_name": "demo", "asyncapi": asyncapi, "handlers": [handler]}
    project = Rendering(
        Template(template), {"_src_path": str(template), **state}
    )  # Copier's are the same: test_judge.py
    expected = SHARED | OF_A_HANDLER | (OF_TYPED_MESSAGES if handler["payload"] == "typed" else set())
    expected |= OF_RECEIVED_MESSAGES if "messages" in handler else set()
    expected |= OF_ASYNCAPI if asyncapi == "yes" else set()
    expected |= OF_A_GUARDED_PROJECT if handler["guard"] == "token" else set()
    expected |= OF_CHANNELS if handler.get("events") == "channel" else set()
    files = {path: file.content.decode() for path, file in project.render().items()}
    assert set(files) == {path.format(package="demo", name=handler["name"]) for path in expected}
    for path, text in files.items():
        assert "ws_scaffold" not in text, path
        assert not re.search(r"{{|{%|{#", text), f"{path}: Jinja is left over"
        assert not re.search(r"[ \t]$", text, re.MULTILINE), f"{path}: a line ends in blanks"
        assert not re.search(r"\n{4}", text), f"{path}: too many blank lines"
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "history"), [("memory", "20"), ("redis", "0"), ("redis", "20"), ("postgres", "0")])
def test_backend_of_the_channels_adds_its_files(template: Path, tmp_path: Path, backend: str, history: str) -> None:
    answers = {"channels_backend": backend, "channels_history": history}
    own = HANDLERS[0] | {"name": "feed"}
    shared = own | {"events": "channel"}
    without = contents(render(template, tmp_path / "without", {**answers, "handlers": [own]}))
    project = render(template, tmp_path / "demo", {**answers, "package_name": "without", "handlers": [shared]})
    added = OF_CHANNELS | (OF_A_BROKER if backend != "memory" else set())
    assert set(contents(project)) - set(without) == {path.format(package="without") for path in added}
    assert_formatted(project)
    for checker in (
        ("mypy", "--no-error-summary"),
        ("basedpyright", "--pythonpath", sys.executable),
    ):
        done = run(sys.executable, "-m", *checker, cwd=project, timeout=300)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("length", [1, 8, 40])
@pytest.mark.parametrize("part", range(4))
def test_names_of_any_length_render_to_formatted_files(template: Path, tmp_path: Path, length: int, part: int) -> None:
    names = ["handler_"[: length - 1] + letter if length < 40 else "x" * 39 + letter for letter in ascii_lowercase]
    handlers = [handler | {"name": name} for handler, name in zip(HANDLERS[part::4], names, strict=False)]
    assert len(handlers) == len(HANDLERS[part::4])
    assert {len(handler["name"]) for handler in handlers} == {length}
    names_of_the_project = dict.fromkeys(("project_name", "package_name"), "p" * length)
    answers = {**names_of_the_project, "asyncapi": ("yes", "no")[(part + length) % 2], "handlers": handlers}
    assert_formatted(render(template, tmp_path / "demo", answers))


def test_handlers_are_listed_as_an_import_sorter_lists_them(template: Path, tmp_path: Path) -> None:
    names = ["a10", "a2", "a_1", "a1b", "a", "a02", "b9_10", "b9_9", "bb", "b_b", "socket_x", "z1", "z01x"]
    handlers = [HANDLERS[0] | {"name": name} for name in names]
    assert_formatted(render(template, tmp_path / "demo", {"asyncapi": "yes", "handlers": handlers}))


@pytest.mark.slow
def test_all_handlers_together_are_formatted_and_typed(everything: Path) -> None:
    assert_formatted(everything)
    for checker in (
        ("mypy", "--no-error-summary"),
        ("mypy", "--no-error-summary", "--warn-unreachable", "src"),  # as many an application asks for
        ("basedpyright", "--pythonpath", sys.executable),
    ):
        done = run(sys.executable, "-m", *checker, cwd=everything, timeout=300)
        assert done.returncode == 0, done.stdout
