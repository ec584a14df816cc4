"""The versions of the template: fetched with none of the caller's git, kept whole, and refused where they reach out."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Command
from projects import REPOSITORY, commit, copy_of_the_working_tree, run
from trees import contents
from ws_scaffold import git, releases
from ws_scaffold.errors import ScaffoldError
from ws_scaffold.releases import fetched, newest
from ws_scaffold.template import Template

AS_SOMEBODY = ("-c", "user.name=Tests", "-c", "user.email=tests@localhost")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a version of the template, which is the working tree."""
    folder = copy_of_the_working_tree(tmp_path_factory.mktemp("released"))
    for arguments in (("tag", "v0.0.1"), ("branch", "side")):
        assert run("git", *arguments, cwd=folder).returncode == 0
    return folder


@pytest.fixture(autouse=True)
def _cold_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def of(project: Path, source: str, version: str | None = "v0.0.1") -> Path:
    """Say in a project that its template is another one."""
    state = project / ".copier-answers.yml"
    commit = "" if version is None else f"_commit: {version}\n"
    text = re.sub("_commit: .*\n", commit, state.read_text())
    state.write_text(re.sub("_src_path: .*", f"_src_path: {source}", text))
    return project


def in_process(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    path = {"PYTHONPATH": str(REPOSITORY / "src")}
    return run(sys.executable, "-m", "ws_scaffold", *arguments, cwd=cwd, env=path | environment)


@pytest.fixture
def repository(released: Path, project: Path) -> Path:
    """Return a project under version control, in a repository that has a tag of its template's version's name."""
    of(project, str(released))
    commit(project, "One")
    run("git", "tag", "v0.0.1", cwd=project)
    (project / "notes.txt").write_text("two\n")
    commit(project, "Two")
    return project


def standing(repository: Path) -> str:
    """Return where a repository is, and whether it is clean."""
    told = [("symbolic-ref", "HEAD"), ("log", "-1", "--format=%s"), ("status", "--porcelain"), ("stash", "list")]
    return "".join(run("git", *arguments, cwd=repository).stdout for arguments in told)


def test_repository_that_the_caller_is_in_is_left_alone(repository: Path) -> None:
    before = standing(repository)
    done = in_process("list", cwd=repository, GIT_DIR=str(repository / ".git"), GIT_WORK_TREE=str(repository))
    assert (done.returncode, done.stdout.split()[0]) == (0, "chat")
    assert standing(repository) == before
    done = in_process("list", cwd=repository)
    assert (done.returncode, done.stdout.split()[0]) == (0, "chat"), "an empty clone was kept"


def test_rebase_that_runs_the_command_in_a_linked_worktree_goes_on(repository: Path, tmp_path: Path) -> None:
    """Git tells what it executes where the repository is: that is not the one of the template."""
    linked = tmp_path / "linked"
    assert run("git", "worktree", "add", "--quiet", "-b", "side", linked, cwd=repository).returncode == 0
    before, tip = standing(repository), run("git", "rev-parse", "HEAD", cwd=linked).stdout
    command = f"{sys.executable} -m ws_scaffold list"
    done = run(
        *("git", *AS_SOMEBODY, "rebase", "--exec", command, "HEAD~1"),
        cwd=linked,
        env={"PYTHONPATH": str(REPOSITORY / "src")},
    )
    assert done.returncode == 0, done.stdout
    assert "chat  /ws/chat" in done.stdout
    assert run("git", "rev-parse", "HEAD", cwd=linked).stdout == tip
    assert standing(linked).splitlines()[:2] == ["refs/heads/side", "Two"]
    assert standing(repository) == before


@pytest.mark.parametrize("setting", ["-c", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT"])
def test_settings_of_the_run_that_has_called_are_not_ours(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if setting == "-c":
        monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.worktree'='{elsewhere}'")
    elif setting == "GIT_INDEX_FILE":
        monkeypatch.setenv("GIT_INDEX_FILE", str(elsewhere))
    else:
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.worktree")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(elsewhere))
    assert (fetched(str(released), "v0.0.1", tmp_path) / "copier.yml").is_file()
    assert not elsewhere.exists()


def test_settings_of_the_user_change_no_line_and_run_no_program(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "attributes").write_text("* text eol=crlf\n")
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[core]\n\tautocrlf = true\n\thooksPath = {hooks}\n\tattributesFile = {tmp_path}/attributes\n"
        "[clone]\n\tdefaultRemoteName = upstream\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    for version in ("v0.0.1", "side"):
        assert b"\r" not in (fetched(str(released), version, tmp_path) / "template/project/.gitignore").read_bytes()
    assert not (tmp_path / "ran").exists()


def test_settings_of_the_user_say_where_a_host_is(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{released}"]\n\tinsteadOf = https://example.invalid/template.git\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert newest("https://example.invalid/template.git", tmp_path).version == "v0.0.1"


def test_repository_that_one_stands_in_has_no_say(project: Path, tmp_path: Path) -> None:
    """A folder that looks like a bare repository can be committed, its settings too."""
    bare = tmp_path / "bare"
    for folder in ("objects", "refs/heads"):
        (bare / folder).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tsshCommand = "touch {tmp_path}/ran; false"\n'
        '[url "ssh://git@example.invalid/"]\n\tinsteadOf = https://github.com/\n'
    )
    shutil.copy(project / ".copier-answers.yml", bare)
    done = in_process("update", "--check", cwd=bare, GIT_ALLOW_PROTOCOL="file:ssh")
    assert done.returncode == 0
    assert not (tmp_path / "ran").exists()
    commit(project)
    run("git", "clone", "--quiet", "--bare", project, tmp_path / "really", cwd=tmp_path)
    assert (git.head(project) is None, git.head(tmp_path / "really")) == (False, None)


def test_host_that_does_not_answer_is_given_up_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", f"echo $$ > {tmp_path}/started; exec 3>&1; cat >&2; true")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ssh")
    monkeypatch.setattr(releases, "ANSWER_SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(
        ScaffoldError, match=r"\AThe template's source ssh://h/t cannot be reached: git took longer than 1 seconds\.\Z"
    ):
        newest("ssh://h/t", tmp_path)
    assert time.monotonic() - began < 30
    process = int((tmp_path / "started").read_text())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and Path(f"/proc/{process}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists(), "what git has started goes on"


def test_reason_is_what_git_says_and_not_its_advice(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError) as caught:
        newest(str(tmp_path / "nowhere"), tmp_path)
    assert caught.value.message == (
        f"The template's source {tmp_path}/nowhere cannot be reached: "
        f"fatal: '{tmp_path}/nowhere' does not appear to be a git repository."
    )


@pytest.mark.parametrize("damage", ["templates", "copier.yml", "cut", "all", "list"])
def test_version_that_is_not_whole_is_fetched_again(
    command: Command, project: Path, released: Path, tmp_path: Path, damage: str
) -> None:
    of(project, str(released))
    assert command("list")[0] == 0
    (kept,) = (path for path in (tmp_path / "cache/ws-scaffold/templates").iterdir() if path.is_dir())
    match damage:
        case "templates":
            for path in kept.rglob("*.jinja"):
                path.unlink()
        case "copier.yml":
            (kept / "copier.yml").unlink()
        case "cut":
            os.truncate(next(kept.rglob("service.py.jinja")), 10)
        case "all":
            shutil.rmtree(kept)
            kept.with_name(f"{kept.name}.files").write_text("")
        case _:
            kept.with_name(f"{kept.name}.files").unlink()
    assert command("new", "handler", "feed", "--defaults")[0] == 0
    assert (project / "src/desk/ws/feed/handler.py").is_file()
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, f"{kept.name}.files"}


def test_source_beside_the_project_is_beside_each_project(
    command: Command, project: Path, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two projects may name two templates by the same words; and where one stands does not matter."""
    projects: list[Path] = []
    for name in ("one", "two"):
        shutil.copytree(project, tmp_path / name / "desk")
        shutil.copytree(released, tmp_path / name / "template")
        projects.append(of(tmp_path / name / "desk", "../template", "mine"))
        guide = tmp_path / name / "template/copier.yml"
        guide.write_text(guide.read_text().replace("Each message is answered", f"In {name}, each message is answered"))
        commit(tmp_path / name / "template", name)
        run("git", "tag", "mine", cwd=tmp_path / name / "template")
    monkeypatch.chdir(tmp_path)
    for path in projects:
        assert f"In {path.parent.name}, each message" in command("-C", str(path), "list")[1]
        of(path, "../template", None)
        assert f"In {path.parent.name}, each message" in command("-C", f"{path}/src", "list")[1]


@pytest.fixture
def hostile(released: Path, project: Path) -> Iterator[Path]:
    """Return a template in a project, which is its project's."""
    shutil.copytree(released, project / "tpl")
    of(project, "./tpl", None)
    yield project / "tpl"
    assert not (project / "stolen.txt").exists()


@pytest.mark.parametrize("kind", ["file", "template", "include", "folder", "guide", "changelog"])
def test_link_out_of_a_template_is_refused(
    command: Command, project: Path, hostile: Path, tmp_path: Path, kind: str
) -> None:
    """As Copier does."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("SECRET\n")
    top, where = hostile / "template/project", ""
    match kind:
        case "file":
            where = "template/project/stolen.txt"
            (hostile / where).symlink_to(secret / "key")
        case "template":
            where = "template/project/stolen.txt.jinja"
            (hostile / where).symlink_to(secret / "key")
        case "include":
            where = "template/key"
            (hostile / where).symlink_to("../../../secret/key")
            (top / "README.md.jinja").write_text("{% include 'template/key' %}\n")
        case "folder":
            where = "../../secret"
            guide = (hostile / "copier.yml").read_text()
            (hostile / "copier.yml").write_text(
                guide.replace("_subdirectory: template/project", f"_subdirectory: {secret}")
            )
        case "guide":
            where = "copier.yml"
            (hostile / where).rename(secret / where)
            (hostile / where).symlink_to(secret / where)
        case _:
            where = "CHANGELOG.md"
            (hostile / where).unlink()
            (hostile / where).symlink_to(secret / "key")
            with pytest.raises(ScaffoldError, match="leads out of it"):
                __import__("ws_scaffold.changelog").changelog.news(hostile, "v0.0.1", "v0.0.2")
            return
    before = contents(project)
    assert command("new", "handler", "feed", "--interface", "stream") == (
        1,
        "",
        (
            f"ws-scaffold: The template at {hostile} is refused: its {where} leads out of it; nothing was written.\n"
            "  try: take a version of the template that is whole\n"
        ),
    )
    assert contents(project) == before


def test_link_within_a_template_is_followed(command: Command, project: Path, hostile: Path) -> None:
    (hostile / "template/project/{{ 'terms' if websockets|length > 1 else '' }}").symlink_to("../../LICENSE")
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    assert (project / "terms").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("extensions: [antigravity.x]", "extensions"),
        ("extensions: [builtins.print]", "extensions"),
        ("loader: x", "loader"),
        ("finalize: x", "finalize"),
        ("cache_size: 1", "cache_size"),
        ("block_start_string: ''", "block_start_string"),
        ("trim_blocks: maybe", "trim_blocks"),
        ("undefined: jinja2.Template", "undefined"),
        ("undefined: [a]", "undefined"),
        ("1: 2", "1"),
    ],
)
def test_option_of_jinja_that_copier_refuses_is_refused(
    command: Command, project: Path, hostile: Path, option: str, name: str
) -> None:
    """Jinja imports what `extensions` names, and calls it."""
    guide = (hostile / "copier.yml").read_text()
    guide = re.sub(r"(?m)^  trim_blocks:.*\n|^  undefined:.*\n", "", guide)
    (hostile / "copier.yml").write_text(guide.replace("_envops:\n", f"_envops:\n  {option}\n", 1))
    before = contents(project)
    for arguments in (("list",), ("new", "handler", "feed")):
        assert command(*arguments) == (
            1,
            "",
            (
                f'ws-scaffold: The template at {hostile} is refused: its _envops has an unknown "{name}".\n'
                "  try: take another version of the template\n"
            ),
        )
    assert contents(project) == before


def test_template_changes_no_check_of_another_project(command: Command, hostile: Path, tmp_path: Path) -> None:
    """What is compiled is kept for all projects: with these settings, every check is a comment."""
    guide = hostile / "copier.yml"
    comments = "  comment_start_string: '{% if not'\n  comment_end_string: '{% endif %}'\n"
    guide.write_text(guide.read_text().replace("_envops:\n", f"_envops:\n{comments}", 1))
    shutil.rmtree(tmp_path / "cache/ws-scaffold/compiled")
    template = Template(hostile)
    check = template.questions["package_name"]["validator"]
    assert template.evaluate(check, {"package_name": "Not A Package"}) == ""
    assert any((tmp_path / "cache/ws-scaffold/compiled").rglob("*.cache"))
    code, out, err = command("new", "project", str(tmp_path / "victim"), "--package-name", "Not A Package")
    assert (code, out) == (2, "")
    assert err.startswith('ws-scaffold: "Not A Package" cannot be a package\'s name')
    assert not (tmp_path / "victim").exists()


def test_cache_is_nobody_elses(command: Command, project: Path, tmp_path: Path) -> None:
    del project
    assert command("list")[0] == 0
    for folder in ("", "compiled"):
        assert (tmp_path / "cache/ws-scaffold" / folder).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("problem", ["read-only", "a file", "of another user"])
def test_compiled_templates_are_done_without(
    command: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    assert command("list")[0] == 0
    cache = tmp_path / "cache/ws-scaffold"
    shutil.rmtree(cache)
    match problem:
        case "a file":
            cache.write_text("")
        case "read-only":
            monkeypatch.setattr("tempfile.NamedTemporaryFile", _refused)
            monkeypatch.setattr("tempfile._TemporaryFileWrapper", _refused)
        case _:
            monkeypatch.setattr("os.geteuid", lambda: 12345)
            monkeypatch.setattr("ws_scaffold.project.owner_of", lambda _: 12345)
    assert command("new", "handler", "feed", "--defaults")[0] == 0
    assert not [path for path in cache.rglob("*") if path.is_file()]
    assert (project / "src/desk/ws/feed/handler.py").is_file()


def _refused(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_without_a_home_the_command_runs_and_says_what_it_cannot_fetch(project: Path, released: Path) -> None:
    def without(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import os, pwd, sys; pwd.getpwuid = {}.__getitem__\nfrom ws_scaffold.__main__ import run\nrun()"
        environment = {key: value for key, value in os.environ.items() if key != "HOME" and not key.startswith("XDG_")}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=project,
            env=environment | {"PYTHONPATH": str(REPOSITORY / "src")},
            capture_output=True,
            text=True,
            check=False,
        )

    done = without("list")
    assert (done.returncode, done.stderr, done.stdout.split()[0]) == (0, "", "chat")
    of(project, str(released))
    done = without("list")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "ws-scaffold: There is no home folder.\n  try: set HOME, or XDG_CACHE_HOME\n",
    )
    of(project, "~nobody-of-that-name/t")
    done = without("list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ws-scaffold: The template's source ~nobody-of-that-name/t cannot be a folder.\n"
        "  try: correct _src_path in .copier-answers.yml\n"
    )
