"""Somebody else's project: to look at it, and to run the command in it, is safe. See docs/command.md."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from conftest import Command
from projects import REPOSITORY, commit, run
from test_releases import of
from trees import contents
from ws_scaffold import project as projects
from ws_scaffold.formatting import find_ruff

FOR_FEED = "{{% yield ws from websockets %}}{{{{ '{}' if ws.name == 'feed' else '' }}}}{{% endyield %}}"
SCRIPT = "#!/bin/sh\ntouch '{}'\nexec cat\n"


def program(path: Path, ran: Path) -> Path:
    """Make a program that says that it has run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT.format(ran))
    path.chmod(0o755)
    return path


@pytest.fixture
def styled(project: Path) -> Path:
    """Return a project with settings of its own for ruff, and an edit: then ruff is asked."""
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace("line-length = 120", "line-length = 100"))
    with (project / "src/desk/ws/__init__.py").open("a") as file:
        file.write("# mine\n")
    return project


@pytest.mark.parametrize("where", [".venv/bin", "bin", "node_modules/.bin", "."])
def test_no_program_of_the_project_is_run(
    command: Command, styled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PATH", os.pathsep.join([where, str(styled / where), "", ".", os.environ["PATH"]]))
    program(styled / where / "ruff", tmp_path / "ran")
    for more in (("--dry-run",), ("--dry-run", "--json"), ()):
        assert command("new", "handler", "feed", "--interface", "stream", *more)[0] == 0
    assert not (tmp_path / "ran").exists()


def test_ruff_is_the_one_of_the_active_environment_or_beside_us_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "desk"
    active, beside, on_the_path = (
        program(folder / "bin/ruff", tmp_path / "ran") for folder in (root / ".venv", tmp_path / "us", tmp_path / "usr")
    )
    monkeypatch.setenv("VIRTUAL_ENV", str(root / ".venv"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "us"))
    monkeypatch.setenv("PATH", f"{root}/.venv/bin{os.pathsep}{on_the_path.parent}")
    found: list[str | None] = []
    for gone in (active, beside, on_the_path, None):
        found.append(find_ruff(root))
        if gone:
            gone.unlink()
    assert found == [str(active), str(beside), str(on_the_path), None]


def test_what_a_project_says_to_ruff_runs_nothing_and_writes_nothing(
    command: Command, styled: Path, tmp_path: Path
) -> None:
    """It knows no setting that names a program; what it keeps of a run, it keeps of files, and we give it none."""
    settings = styled / "pyproject.toml"
    folder = f'cache-dir = "{tmp_path}/ruff"'
    settings.write_text(settings.read_text().replace("[tool.ruff]\n", f"[tool.ruff]\n{folder}\n"))
    commit(styled)
    code, out, _ = command("new", "handler", "feed", "--interface", "stream", "--dry-run")
    assert (code, "note: ruff" in out) == (0, False)
    assert not (tmp_path / "ruff").exists()
    assert run("git", "status", "--porcelain", "--ignored", cwd=styled).stdout == ""


def owners(monkeypatch: pytest.MonkeyPatch, **of: int) -> None:
    """Say to whom files and folders belong, by their names; the rest is ours."""
    ours = os.geteuid()
    monkeypatch.setattr(projects, "owner_of", lambda path: of.get(path.name.removeprefix(".").split(".")[0], ours))


STRANGER = 54321


def test_answers_of_another_user_above_are_not_believed(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those that somebody has put into /tmp: they would speak for every folder below."""
    (project / "mine").mkdir()
    monkeypatch.chdir(project / "mine")
    owners(monkeypatch, **{"copier-answers": STRANGER})
    expected = (
        f"ws-scaffold: {project}/.copier-answers.yml belongs to another user; nothing was written.\n"
        f"  try: ws-scaffold -C {project} COMMAND, if you trust whose it is\n"
    )
    for arguments in (("list",), ("new", "handler", "feed"), ("update", "--check"), ("update", "--abort")):
        assert command(*arguments) == (1, "", expected)
    monkeypatch.chdir(project)
    assert command("list") == (1, "", expected), "to stand in it, such as in /tmp, is not enough"
    assert command("-C", str(project / "mine"), "list") == (1, "", expected)
    assert command("-C", str(project), "list")[0] == 0
    monkeypatch.chdir(project.parent)
    assert command("-C", "desk", "new", "handler", "feed", "--defaults")[0] == 0


def test_who_stands_in_a_users_folder_believes_that_user(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container one is another user than outside, where the files come from."""
    owners(monkeypatch, **{"copier-answers": STRANGER, "desk": STRANGER})
    monkeypatch.chdir(project / "src/desk")
    assert command("list")[0] == 0


@pytest.mark.parametrize(("user", "code"), [(0, 0), (1000, 1)])
def test_root_believes_who_has_become_root(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch, user: int, code: int
) -> None:
    owners(monkeypatch, **{"copier-answers": STRANGER, "src": user})
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    monkeypatch.chdir(project / "src")
    assert command("list")[0] == code


def bomb(levels: int = 9) -> str:
    """Return a short text of very many lists."""
    lines = ["- &a0 [" + ",".join(['"x"'] * 10) + "]"]
    lines += [f"- &a{level} [" + ",".join([f"*a{level - 1}"] * 10) + "]" for level in range(1, levels)]
    return "\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "  transport: text\n",
            f"  transport: {bomb()}",
            'has a handler 1 with a transport that is not text: "a list"',
        ),
        ("handlers:\n", f"handlers: {bomb().replace('  - ', '- ')}", "has a handler 1 that is not a mapping"),
        ("project_name: desk\n", f"project_name: {bomb()}", 'has a "project_name" that is not text'),
        ("handlers:\n", "mood:" + bomb() + "handlers:\n", 'has a key "mood" that this version does not know'),
        ("handlers:\n", "handlers: " + "[" * 100_000, "is not YAML: see line "),
        ("handlers:\n", f"# {'x' * 2**20}\nhandlers:\n", "is too large: no project has so many handlers"),
        ("handlers:\n", f"{'k' * 1000}: 1\nhandlers:\n", f'has a key "{"k" * 60}…" that this version does not know'),
        ("project_name: desk\n", "project_name: 2001-99-99\n", "is not YAML"),
        ("project_name: desk\n", f"project_name: {'1' * 5000}\n", "is not YAML"),
        ("project_name: desk\n", "project_name: !!python/object/apply:os.system [exit]\n", "is not YAML: see line "),
    ],
    ids=["transport", "handlers", "name", "key", "nesting", "size", "long", "date", "number", "tag"],
)
def test_answers_file_that_is_a_trap_is_one_sentence_at_once(
    command: Command, project: Path, old: str, new: str, reason: str
) -> None:
    state = project / ".copier-answers.yml"
    assert old in state.read_text()
    state.write_text(state.read_text().replace(old, new, 1))
    before, began = contents(project), time.monotonic()
    for arguments in (("list",), ("new", "handler", "feed", "--defaults")):
        code, out, err = command(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith(f"ws-scaffold: .copier-answers.yml {reason}")
        assert len(err) < 300
    assert time.monotonic() - began < 10
    assert contents(project) == before


@pytest.mark.parametrize("text", ["a: [b", "when: 2001-99-99\n", "[" * 100_000])
def test_guide_that_is_no_yaml_is_one_sentence(command: Command, project: Path, text: str) -> None:
    (project / "tpl").mkdir()
    (project / "tpl/copier.yml").write_text(text)
    of(project, "./tpl", None)
    assert command("list") == (
        1,
        "",
        (
            f"ws-scaffold: The copier.yml of the template at {project}/tpl is not YAML.\n"
            "  try: take another version of the template\n"
        ),
    )


def test_no_module_of_the_project_is_imported(project: Path, tmp_path: Path) -> None:
    """By the program; `python -m` and Litestar look for modules where one stands."""
    for name in ("yaml", "jinja2", "ws_scaffold", "sitecustomize", "questionary", "json"):
        (project / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    ours = Path(sys.prefix) / "bin/ws-scaffold"
    for arguments in (("list",), ("new", "handler", "feed", "--defaults", "--dry-run")):
        done = run(ours, *arguments, cwd=project, env={"PYTHONPATH": ""})
        assert done.returncode == 0, done.stdout
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def hostile(project: Path) -> Path:
    """Return a template of which a project says that it is its own."""
    (project / "tpl").mkdir()
    shutil.copy(REPOSITORY / "copier.yml", project / "tpl")
    shutil.copytree(REPOSITORY / "template", project / "tpl/template")
    return project / "tpl"


@pytest.mark.parametrize("where", [".git/hooks", ".GIT/hooks", "sub/.git/hooks"])
def test_template_makes_no_hook_of_git(
    command: Command, project: Path, hostile: Path, tmp_path: Path, where: str
) -> None:
    """With a folder of that name, which comes into being when the name is rendered."""
    of(project, "./tpl", None)
    commit(project)
    folder = hostile / "template/project" / where.replace(".git", "{{ '.git' }}").replace(".GIT", "{{ '.GIT' }}")
    folder.mkdir(parents=True)
    program(folder / FOR_FEED.format("pre-commit"), tmp_path / "ran")
    before = contents(project)
    hooks = sorted((project / ".git/hooks").iterdir())
    for more in (("--dry-run",), (), ("--force",)):
        assert command("new", "handler", "feed", "--defaults", *more) == (
            1,
            "",
            (
                f"ws-scaffold: {where}/pre-commit is in git's own folder, where no file of a project is; "
                "nothing was written.\n"
                "  try: remove what leads there: a link of the project, or a file of the template\n"
            ),
        )
    assert contents(project) == before
    assert sorted((project / ".git/hooks").iterdir()) == hooks


@pytest.mark.parametrize("where", ["../x", "src/../../x"])
def test_template_writes_nothing_outside_of_the_project(
    command: Command, project: Path, hostile: Path, tmp_path: Path, where: str
) -> None:
    of(project, "./tpl", None)
    (hostile / "template/project" / FOR_FEED.format(where.replace("/", "' ~ '\\x2f' ~ '"))).write_text("mine\n")
    before = contents(tmp_path)
    code, out, err = command("new", "handler", "feed", "--defaults")
    assert (code, out) == (1, "")
    assert err.startswith(f"ws-scaffold: {where} is outside of {project}; nothing was written.\n")
    assert contents(tmp_path) == before


def test_difference_is_of_one_file_whatever_that_is_called_and_holds(
    command: Command, project: Path, hostile: Path
) -> None:
    """A name with a line feed would forge a line; what ends a line for Python ends none for anybody else."""
    of(project, "./tpl", None)
    text = "one\x0ctwo\u2028three\n"
    (hostile / "template/project" / FOR_FEED.format("a\\n+++ b.py")).write_text(text)
    code, out, _ = command("new", "handler", "feed", "--defaults", "--dry-run", "--json")
    assert code == 0
    (diff,) = (it["diff"] for it in json.loads(out)["files"] if it["path"] == "a\n+++ b.py")
    assert diff == f"--- /dev/null\n+++ b/a\\n+++ b.py\n@@ -0,0 +1 @@\n+{text}"
