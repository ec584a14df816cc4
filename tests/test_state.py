"""The state file: what is wrong with a damaged one is said in a sentence, and it is never rewritten by accident."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import Command
from projects import commit, copy_of_the_working_tree, handlers_of, render
from trees import contents
from ws_scaffold.releases import OWN, SOURCE

UNDO = "  try: undo the last change to it, for example with git\n"
MAKE_ONE = "  try: ws-scaffold new project DIR makes one\n"
LATER = "  try: update ws-scaffold: a later version has written this file\n"

HEAD = f"_commit: {OWN}\n_src_path: {SOURCE}\nproject_name: desk\npackage_name: desk\nasyncapi: 'yes'\n"
CHAT = "- {name: chat, interface: listener, payload: typed, transport: text}\n"


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("a: [b\n", "is not YAML: see line 2", UNDO),
        ("- a\n", "holds no handlers: ws-scaffold did not make this project", MAKE_ONE),
        ("", "holds no handlers: ws-scaffold did not make this project", MAKE_ONE),
        (HEAD, "holds no handlers: ws-scaffold did not make this project", MAKE_ONE),
        (f"{HEAD}handlers: 3\n", "has handlers that are not a list", UNDO),
        (f"{HEAD}handlers: [3]\n", "has a handler 1 that is not a mapping", UNDO),
        (f"{HEAD}handlers:\n{CHAT}{CHAT}", 'has two handlers called "chat"', UNDO),
        (f"{HEAD}handlers: [{{name: chat}}]\n", 'has a handler 1 without "payload"', UNDO),
        (f"{HEAD}handlers:\n{CHAT.replace('listener', 'x')}", 'has a handler 1 with an unknown interface: "x"', UNDO),
        (
            f"{HEAD}handlers:\n{CHAT.replace('typed', '1')}",
            'has a handler 1 with a payload that is not text: "1"',
            UNDO,
        ),
        (
            f"{HEAD}handlers:\n{CHAT.replace('chat', '../../chat')}",
            ('has a handler 1 with a name that cannot be one: "../../chat" cannot be a handler\'s name: take up to 40 '
            "small letters, digits and underscores, such as chat_room"),
            UNDO,
        ),
        (
            f"{HEAD}handlers:\n{CHAT.replace('chat', 'class')}",
            ('has a handler 1 with a name that cannot be one: "class" is a Python keyword: take another name, such as '
            "my_class"),
            UNDO,
        ),
        (
            f"{HEAD}handlers:\n{CHAT}{CHAT.replace('chat', 'limits')}",
            ('has a handler 2 with a name that cannot be one: "limits" is what files of the project\'s own are called: '
            "take another name, such as my_limits"),
            UNDO,
        ),
        (
            f"{HEAD}handlers:\n{CHAT.replace('}', ', mood: good}')}",
            'has a handler 1 with a key "mood" that this version does not know',
            LATER,
        ),
        (f"mood: good\n{HEAD}handlers:\n{CHAT}", 'has a key "mood" that this version does not know', LATER),
        (HEAD.replace("project_name", "#") + f"handlers:\n{CHAT}", 'has no "project_name"', UNDO),
        (HEAD.replace(": desk", ": 3") + f"handlers:\n{CHAT}", 'has a "project_name" that is not text', UNDO),
        (HEAD.replace(OWN, "--x") + f"handlers:\n{CHAT}", 'has a "_commit" that cannot be one: "--x"', UNDO),
    ],
)  # fmt: skip
def test_damaged_state_is_one_sentence_and_is_not_rewritten(
    command: Command, project: Path, text: str, reason: str, hint: str
) -> None:
    (project / ".copier-answers.yml").write_text(text)
    before = contents(project)
    expected = (1, "", f"ws-scaffold: .copier-answers.yml {reason}; nothing was written.\n{hint}")
    for arguments in (["list"], ["new", "handler", "feed"], ["remove", "handler", "chat"]):
        assert command(*arguments) == expected
    assert contents(project) == before


def test_package_name_cannot_lead_out_of_the_project(command: Command, project: Path) -> None:
    path = project / ".copier-answers.yml"
    path.write_text(path.read_text().replace("package_name: desk", "package_name: ../../desk"))
    before = contents(project)
    code, out, err = command("new", "handler", "feed", "--force")
    assert (code, out) == (2, "")
    assert err.startswith('ws-scaffold: "../../desk" cannot be a package\'s name')
    assert contents(project) == before


def test_older_state_gets_the_defaults_of_what_it_lacks(command: Command, project: Path) -> None:
    command("change", "handler", "chat", "--transport", "binary")
    path = project / ".copier-answers.yml"
    path.write_text(path.read_text().replace("  codec: json\n", "").replace("  guard: none\n", ""))
    before = contents(project)
    assert command("new", "handler", "feed", "--defaults")[0] == 0
    assert {path for path in before if contents(project)[path] != before[path]} == {
        ".copier-answers.yml",
        "README.md",
        "src/desk/ws/handlers.py",
        "src/desk/ws/testing.py",
        "tests/ws/test_ws_asyncapi.py",
    }
    assert [handler["guard"] for handler in handlers_of(project)] == ["none", "none"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a repository with the template, which no tag names."""
    return copy_of_the_working_tree(tmp_path / "checkout")


@pytest.fixture
def copied(checkout: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that Copier made from a local path and an untagged commit; it is the current folder."""
    del command
    copied = render(checkout, tmp_path / "copied", {})
    monkeypatch.chdir(copied)
    return copied


def test_handler_joins_a_project_in_the_version_that_it_was_made_with(
    command: Command, checkout: Path, copied: Path
) -> None:
    (template,) = (checkout / "template/project").rglob("handler.py.jinja")
    template.write_text(f"{template.read_text()}# Later.\n")
    commit(checkout, "A later version")
    assert command("new", "handler", "feed", "--interface", "stream", "--payload", "raw")[0] == 0
    assert "Later" not in (copied / "src/copied/ws/feed/handler.py").read_text()


def test_version_is_fetched_once(command: Command, checkout: Path, copied: Path) -> None:
    assert command("new", "handler", "feed", "--defaults")[0] == 0
    shutil.rmtree(checkout)
    assert command("new", "handler", "fees", "--defaults")[0] == 0
    assert [it["name"] for it in handlers_of(copied)] == ["chat", "feed", "fees"]


def test_version_that_cannot_be_reached_is_an_error_with_a_way_out(
    command: Command, checkout: Path, copied: Path
) -> None:
    shutil.rmtree(checkout)
    before = contents(copied)
    state = yaml.safe_load((copied / ".copier-answers.yml").read_text())
    code, out, err = command("new", "handler", "feed", "--defaults")
    assert (code, out) == (1, "")
    assert err.startswith(
        f"ws-scaffold: Version {state['_commit']} of the template cannot be fetched from {checkout}: fatal: "
    )
    assert err.endswith("\n  try: connect and try again, or take a version that can be reached\n")
    assert contents(copied) == before


def test_template_without_version_control(command: Command, checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".git")
    copied = render(checkout, tmp_path / "copied", {})
    assert "_commit" not in yaml.safe_load((copied / ".copier-answers.yml").read_text())
    assert command("-C", str(copied), "new", "handler", "feed", "--defaults")[0] == 0
    shutil.rmtree(checkout)
    code, _, err = command("-C", str(copied), "new", "handler", "fees", "--defaults")
    assert (code, err) == (
        1,
        (
            f"ws-scaffold: The project's template {checkout} is no longer there.\n"
            "  try: copier recopy can switch to another one\n"
        ),
    )


def test_template_of_others_is_left_to_copier(command: Command, checkout: Path, copied: Path) -> None:
    for content, expected in (
        ("name:\n  type: str\n", "holds a template that is not ws-scaffold's.\n  try: copier update is for those\n"),
        (None, "holds no template: there is no copier.yml.\n  try: remove that folder, then run the command again\n"),
    ):
        if content is None:
            (checkout / "copier.yml").unlink()
        else:
            (checkout / "copier.yml").write_text(content)
        commit(checkout, "Another template")
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
        state = copied / ".copier-answers.yml"
        state.write_text(re.sub("_commit: .*", f"_commit: {head.stdout.strip()}", state.read_text()))
        code, out, err = command("list")
        assert (code, out, err.endswith(expected)) == (1, "", True)


def test_template_that_asks_for_more_than_this_version_has(command: Command, checkout: Path, copied: Path) -> None:
    template = checkout / "template/project/pyproject.toml.jinja"
    template.write_text("{{ project_name|sing }}\n")
    commit(checkout, "A later version")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    state = copied / ".copier-answers.yml"
    state.write_text(re.sub("_commit: .*", f"_commit: {head.stdout.strip()}", state.read_text()))
    before = contents(copied)
    assert command("new", "handler", "feed", "--defaults") == (
        1,
        "",
        "ws-scaffold: The template cannot be rendered: No filter named 'sing'.\n  try: update ws-scaffold\n",
    )
    assert contents(copied) == before


def test_later_versions_are_copiers_to_bring(command: Command, checkout: Path, copied: Path) -> None:
    """A handler added by the command is updated by `copier update`, as the first one is."""
    command("new", "handler", "talk", "--defaults")
    commit(copied, "A project")
    (template,) = (checkout / "template/project").rglob("handler.py.jinja")
    template.write_text(template.read_text().replace(' a message" ~', ' one message" ~'))
    commit(checkout, "A later version")
    done = subprocess.run(
        [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", "--vcs-ref=HEAD"],
        cwd=copied,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in ("chat", "talk"):
        assert "Answer one message" in (copied / f"src/copied/ws/{name}/handler.py").read_text()
    assert command("list")[1].count("listener") == 2


def test_key_that_this_version_has_no_more_is_left_out(tmp_path: Path) -> None:
    """A question about handlers may go: what older states answer to it goes with the next render."""
    template = copy_of_the_working_tree(tmp_path / "template")
    entry = {"name": "chat", "interface": "listener", "payload": "raw", "transport": "text", "mood": "good"}
    project = render(template, tmp_path / "desk", {"handlers": [entry]})
    assert handlers_of(project) == [{**{key: it for key, it in entry.items() if key != "mood"}, "guard": "none"}]
