"""A project lives on: versions of the template arrive, edits stay, and what goes wrong is said and can be undone."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import copier
import pytest
import yaml

from conftest import Command
from projects import HANDLERS, REPOSITORY, commit, copy_of_the_working_tree, handlers_of, run
from terminal import at_a_terminal, words
from trees import command, contents, tree
from ws_scaffold import releases

CHAT = "src/desk/ws/chat/handler.py"
SERVICE = "src/desk/ws/chat/service.py"
ANSWER = '"""Answer a message, or report why it is invalid."""'

NEWS_2 = ["A handler's service says which version it is of.", "Projects have a mood."]
NEWS_3 = ["Every handler says more of what it does.", "The mood is gone; handlers have a colour."]


def replace(path: Path, old: str, new: str) -> None:
    """Put another text in the place of one that must be there."""
    text = path.read_text()
    assert old in text, f"{old} is not in {path}"
    path.write_text(text.replace(old, new))


def tag(template: Path, version: str) -> None:
    """Commit a template as it is, and release it."""
    commit(template, version)
    assert run("git", "tag", version, cwd=template).returncode == 0


def log(template: Path, version: str, items: list[str]) -> None:
    """Say in the changelog what a version brings."""
    listed = "\n".join(f"- {item}" for item in items)
    entry = f"## {version}\n\n### In your project\n\n{listed}\n\n### In the command\n\n- Not for projects.\n\n"
    replace(template / "CHANGELOG.md", "# Changelog\n\n", f"# Changelog\n\n{entry}")


def second_version(template: Path) -> None:
    """Rename a template file, and ask something new."""
    (service,) = (template / "template/project").rglob("service.py.jinja")
    service.rename(service.with_name("logic.py.jinja"))
    for path in (template / "template").rglob("*.jinja"):
        text = path.read_text().replace("from .service import", "from .logic import")
        path.write_text(text.replace("}}.service import", "}}.logic import").replace('".service"', '".logic"'))
    guide = template / "copier.yml"
    replace(guide, "[project_name,", "[mood, project_name,")
    guide.write_text(
        f"{guide.read_text()}\nmood:\n  type: str\n  help: In which mood is it?\n"
        "  choices: {Good: good, Bad: bad}\n  default: good\n"
    )
    readme = template / "template/project/README.md.jinja"
    readme.write_text(f"{readme.read_text()}\nThe mood is {{{{ mood }}}}.\n")
    log(template, "0.0.2", NEWS_2)


def third_version(template: Path) -> None:
    """Take the question back, put a new key into the state, and mend something in every interface."""
    guide = template / "copier.yml"
    text = guide.read_text().replace("[mood, project_name,", "[project_name,")
    text = text[: text.index("\nmood:\n")]
    guide.write_text(text.replace('"transport": transport} %}', '"transport": transport, "colour": colour} %}'))
    replace(guide, '      "name": name,\n', '      "name": name,\n      "colour": it.colour|default("blue"),\n')
    replace(guide, "default: [handler_name, ", "default: [handler_name, colour, ")
    colour = (
        "colour:\n  type: str\n  help: Which colour?\n"
        '  when: "{{ handlers is not defined }}"\n  choices: {Red: red, Blue: blue}\n  default: red\n\n'
    )
    replace(guide, "\nfitting:\n", f"\n{colour}fitting:\n")
    readme = template / "template/project/README.md.jinja"
    replace(readme, "\nThe mood is {{ mood }}.\n", "")
    (handler,) = (template / "template/project").rglob("handler.py.jinja")
    handler.write_text(f"{handler.read_text()}\n\n# Mended, in {{{{ ws.colour }}}}: {{{{ ws.interface }}}}.\n")
    log(template, "0.0.3", NEWS_3)


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with three versions of the template, of which the first is the working tree."""
    folder = copy_of_the_working_tree(tmp_path_factory.mktemp("versions"))
    tag(folder, "v0.0.1")
    second_version(folder)
    tag(folder, "v0.0.2")
    third_version(folder)
    tag(folder, "v0.0.3")
    return folder


def copied(template: Path, target: Path, version: str, **answers: object) -> Path:
    """Return a project that Copier has made from a version."""
    data = {"project_name": "desk", **answers}
    copier.run_copy(str(template), target, data=data, defaults=True, quiet=True, vcs_ref=version)
    return target


@pytest.fixture
def old(versions: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project of the first version, which is the current folder: two handlers, one made by each tool."""
    project = copied(versions, tmp_path / "desk", "v0.0.1")
    monkeypatch.chdir(project)
    assert command("new", "handler", "feed", "--interface", "stream", "--payload", "raw")[0] == 0
    return project


def test_fixes_reach_every_handler_and_edits_stay(command: Command, old: Path) -> None:
    with (old / SERVICE).open("a") as file:
        file.write("\n# mine\n")
    replace(old / "README.md", "## Handlers", "## My handlers")
    code, out, err = command("update", "--to", "v0.0.3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert f"move      {SERVICE.replace('service', 'logic')} (from {SERVICE})" in lines
    for name, interface in (("chat", "listener"), ("feed", "stream")):
        assert f"# Mended, in blue: {interface}." in (old / f"src/desk/ws/{name}/handler.py").read_text()
    assert (old / SERVICE.replace("service", "logic")).read_text().endswith("\n# mine\n")
    assert not (old / SERVICE).exists()
    assert "## My handlers" in (old / "README.md").read_text()
    assert yaml.safe_load((old / ".copier-answers.yml").read_text())["_commit"] == "v0.0.3"
    news = [f"- {item}" for item in NEWS_3 + NEWS_2]
    at = lines.index("0.0.3 brings:")
    assert [line for line in lines[at:] if line.startswith("- ")] == news
    assert lines[-1] == "to repeat without prompts: ws-scaffold update --to v0.0.3"
    assert command("update", "--to", "v0.0.3")[1].startswith("already up to date\n")


def test_newest_release_is_taken_and_prereleases_are_not(command: Command, old: Path, versions: Path) -> None:
    run("git", "tag", "v9.0.0rc1", cwd=versions)
    try:
        assert command("update", "--check", "--json")[0] == 3
        assert command("update")[0] == 0
        assert yaml.safe_load((old / ".copier-answers.yml").read_text())["_commit"] == "v0.0.3"
        assert command("update", "--check") == (0, "up to date (project is at v0.0.3)\n", "")
    finally:
        run("git", "tag", "-d", "v9.0.0rc1", cwd=versions)


def test_scheduled_job_of_the_documents_updates_once(old: Path) -> None:
    text = (REPOSITORY / "docs/updating.md").read_text()
    job = text.partition("A scheduled job:\n\n")[2].partition("\n\n")[0].replace("uv run pytest", "echo tested")
    start = f'set -e; ws-scaffold() {{ "{sys.executable}" -m ws_scaffold "$@"; }}\n'
    for attempt, tested in enumerate((True, False)):
        done = run("bash", "-c", f"{start}{job}", cwd=old, env={"PYTHONPATH": str(REPOSITORY / "src")})
        assert (done.returncode, done.stdout.endswith("tested\n")) == (0, tested), (attempt, done.stdout)
    assert yaml.safe_load((old / ".copier-answers.yml").read_text())["_commit"] == "v0.0.3"
    replace(old / ".copier-answers.yml", "_src_path: /", "_src_path: /nowhere/")
    done = run("bash", "-c", f"{start}{job}", cwd=old, env={"PYTHONPATH": str(REPOSITORY / "src")})
    assert (done.returncode, "tested" in done.stdout) == (1, False)


@pytest.mark.usefixtures("old")
def test_check_says_whether_there_is_something_newer(command: Command) -> None:
    newer = "v0.0.3 is available (project is at v0.0.1)\nnext: ws-scaffold update\n"
    assert command("update", "--check") == (3, newer, "")
    code, out, _ = command("update", "--check", "--json")
    assert (code, json.loads(out)) == (
        3,
        {
            "project": "v0.0.1",
            "newest": "v0.0.3",
            "newer": True,
            "note": "",
            "command": ["ws-scaffold", "update"],
        },
    )


@pytest.mark.parametrize(
    ("arguments", "option", "instead"),
    [
        (["--check", "--dry-run"], "dry-run", "check"),
        (["--check", "--data", "mood=bad"], "data", "check"),
        (["--abort", "--force"], "force", "abort"),
        (["--abort", "--abort-on-conflict"], "abort-on-conflict", "abort"),
    ],
)
def test_option_that_would_be_ignored_is_refused(
    command: Command, old: Path, arguments: list[str], option: str, instead: str
) -> None:
    before = tree(old)
    error = f"ws-scaffold: --{option} cannot be combined with --{instead}.\n  try: leave out --{option}\n"
    assert command("update", *arguments) == (2, "", error)
    assert tree(old) == before


def test_copier_checks_and_updates_what_the_command_has_made(old: Path) -> None:
    commit(old)
    checked = run(sys.executable, "-m", "copier", "check-update", "--quiet", cwd=old)
    assert checked.returncode == 2, checked.stdout
    done = run(sys.executable, "-m", "copier", "update", "--defaults", cwd=old)
    assert done.returncode == 0, done.stdout
    assert "git diff --check" in done.stdout
    assert run(sys.executable, "-m", "copier", "check-update", "--quiet", cwd=old).returncode == 0
    assert "# Mended, in blue: stream." in (old / "src/desk/ws/feed/handler.py").read_text()


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_update_leads_where_copiers_update_and_a_fresh_copy_lead(versions: Path, tmp_path: Path, count: int) -> None:
    handlers = HANDLERS[:: -(len(HANDLERS) // count)][:count] if count else []
    ours, theirs = tmp_path / "ours/desk", tmp_path / "theirs/desk"
    for version in ("v0.0.1", "v0.0.2"):
        for project in (ours, theirs):
            shutil.rmtree(project, ignore_errors=True)
            copied(versions, project, version, handlers=handlers)
        assert command(ours, "update").code == 0
        commit(theirs)
        copier.run_update(theirs, defaults=True, overwrite=True, quiet=True)
        assert tree(ours) == tree(theirs)
        assert tree(ours) == tree(copied(versions, tmp_path / f"fresh {version}", "v0.0.3", handlers=handlers))


def _history() -> list[str]:
    """Return commits of this repository that changed the template: a few, from the first one that had the command."""
    log = ("git", "log", "--first-parent", "-m", "--reverse", "--format=%H")
    (first, *_) = run(*log, "--diff-filter=A", "--", "src/ws_scaffold/cli.py", cwd=REPOSITORY).stdout.split()
    listed = run(*log, f"{first}^..HEAD", "--", "template", "copier.yml", cwd=REPOSITORY).stdout
    commits = list(dict.fromkeys(listed.split()))
    return list(dict.fromkeys([*commits[:: max(1, len(commits) // 4)], commits[-1]]))


def test_versions_of_the_repositorys_history_update_to_the_latest(tmp_path: Path) -> None:
    """With tags on real commits: what users of those versions would have."""
    if run("git", "rev-parse", "--is-shallow-repository", cwd=REPOSITORY).stdout.strip() == "true":
        pytest.skip("the history is not here: this is a shallow clone")
    run("git", "clone", "--quiet", REPOSITORY, tmp_path / "template", cwd=tmp_path)
    template, history = tmp_path / "template", _history()
    assert len(history) >= 3
    for number, revision in enumerate(history):
        run("git", "tag", "--force", f"v0.0.{number}", revision, cwd=template)
    latest = f"v0.0.{len(history) - 1}"
    for number in range(len(history) - 1):
        project = copied(template, tmp_path / str(number) / "desk", f"v0.0.{number}")
        ran = command(project, "update")
        assert ran.code == 0, ran.output
        state = yaml.safe_load((project / ".copier-answers.yml").read_text())
        answers = {name: answer for name, answer in state.items() if not name.startswith("_")}
        assert state["_commit"] == latest
        assert contents(project) == contents(copied(template, tmp_path / str(number) / "fresh", latest, **answers))


# Questions ------------------------------------------------------------------------------------------------------------


def test_new_question_is_answered_by_default_or_in_advance(command: Command, old: Path) -> None:
    code, out, _ = command("update", "--to", "v0.0.2", "--data", "mood=bad")
    assert code == 0
    assert (old / "README.md").read_text().endswith("The mood is bad.\n")
    assert out.splitlines()[-1].endswith(" ws-scaffold update --to v0.0.2 --data mood=bad")
    state = yaml.safe_load((old / ".copier-answers.yml").read_text())
    assert (state["mood"], state["project_name"]) == ("bad", "desk")


def test_question_that_is_gone_leaves_the_state(command: Command, old: Path) -> None:
    command("update", "--to", "v0.0.2")
    assert command("update", "--to", "v0.0.3")[0] == 0
    assert "mood" not in (old / ".copier-answers.yml").read_text()
    assert command("list")[0] == 0


def test_new_key_of_the_state_is_there_for_new_handlers(command: Command, old: Path) -> None:
    command("update")
    assert command("new", "handler", "talk", "--defaults")[0] == 0
    assert [entry.get("colour") for entry in handlers_of(old)] == [None, None, "red"]
    assert "# Mended, in red: listener." in (old / "src/desk/ws/talk/handler.py").read_text()


def test_terminal_is_asked_what_is_new_and_nothing_else(old: Path) -> None:
    arguments = (sys.executable, "-m", "ws_scaffold", "update", "--to", "v0.0.2")
    shown = words(at_a_terminal(arguments, old, PYTHONPATH=str(REPOSITORY / "src")))
    assert "In which mood is it?" in shown
    assert "called" not in shown.partition(" brings:")[0]
    assert "Who sends messages?" not in shown
    assert (old / "README.md").read_text().endswith("The mood is good.\n")


def test_copier_asks_at_the_terminal_what_is_about_the_project(old: Path) -> None:
    commit(old)
    command = (sys.executable, "-m", "copier", "update", "--vcs-ref", "v0.0.2")
    shown = words(at_a_terminal(command, old))
    assert "In which mood is it?" in shown
    assert "Who sends messages?" not in shown
    assert (old / "README.md").read_text().endswith("The mood is good.\n")
    assert [it["name"] for it in handlers_of(old)] == ["chat", "feed"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--data", "mood=odd"],
            (
                'mood "odd" is not one of the choices: good, bad.\n'
                "  try: ws-scaffold update --data NAME=ANSWER gives another answer"
            ),
        ),
        (
            ["--data", "size=1"],
            (
                'v0.0.2 has no question "size" about a project.\n'
                "  try: one of mood, project_name, package_name, ws_path, ws_import, tests_path, ws_route, "
                "application, imports, formatter, asyncapi, channels_backend, channels_history"
            ),
        ),
        (["--data", "mood"], '"mood" is not NAME=ANSWER.\n  try: --data mood=ANSWER'),
    ],
)  # fmt: skip
def test_answer_that_does_not_fit_is_one_sentence(
    command: Command, old: Path, arguments: list[str], error: str
) -> None:
    before = tree(old)
    assert command("update", "--to", "v0.0.2", *arguments) == (2, "", f"ws-scaffold: {error}\n")
    assert tree(old) == before


# Conflicts, and the way back ------------------------------------------------------------------------------------------


def contradict(project: Path) -> None:
    """Put something of one's own where the third version changes something, in two files."""
    for name in ("chat", "feed"):
        with (project / f"src/desk/ws/{name}/handler.py").open("a") as file:
            file.write("\n\n# mine\n")


def test_every_conflict_is_listed_and_is_no_success(command: Command, old: Path) -> None:
    contradict(old)
    code, out, _ = command("update")
    lines = out.splitlines()
    assert code == 1
    assert [line for line in lines if line.startswith("conflict")] == [
        f"conflict  {CHAT}",
        "conflict  src/desk/ws/feed/handler.py",
    ]
    assert "2 files with conflicts: resolve the markers" in lines
    assert "next: resolve them, or ws-scaffold update --abort" in lines
    assert "# mine\n=======\n# Mended, in blue: listener.\n>>>>>>> theirs\n" in (old / CHAT).read_text()


def test_conflicts_are_known_before_anything_is_written(command: Command, old: Path) -> None:
    contradict(old)
    before = tree(old)
    code, out, _ = command("update", "--abort-on-conflict")
    assert (code, "2 files with conflicts: nothing was written" in out.splitlines()) == (1, True)
    code, out, _ = command("update", "--dry-run", "--json")
    document = json.loads(out)
    assert (code, document["written"], len(document["conflicts"])) == (1, False, 2)
    assert [it["version"] for it in document["news"]] == ["0.0.3", "0.0.2"]
    assert "+# Mended, in blue: listener." in {it["path"]: it["diff"] for it in document["files"]}[CHAT].splitlines()
    assert tree(old) == before


def abort_brings_back_everything(command: Command, project: Path, edit: Callable[[], object]) -> None:
    """Update and abort, and compare contents and modes; what is edited in between is kept elsewhere."""
    before = tree(project)
    command("update")
    assert tree(project) != before
    edit()
    code, _, err = command("update", "--abort")
    assert (code, err) == (0, "")
    assert tree(project) == before


def test_abort_brings_back_contents_and_modes(command: Command, old: Path) -> None:
    contradict(old)
    (old / CHAT).chmod(0o640)
    (old / SERVICE).chmod(0o755)  # it is about to move
    (old / "README.md").unlink()
    abort_brings_back_everything(command, old, lambda: None)
    assert not (old / ".ws-scaffold").exists()
    no_update = "ws-scaffold: There is no update to abort; nothing was written.\n"
    assert command("update", "--abort") == (1, "", no_update)


def test_abort_keeps_what_was_edited_since_in_a_place_of_its_own(command: Command, old: Path) -> None:
    contradict(old)

    def resolve_half() -> None:
        (old / CHAT).write_text("half resolved\n")
        (old / "src/desk/ws/feed/handler.py").unlink()

    abort_brings_back_everything(command, old, resolve_half)
    assert (old / ".ws-scaffold/aborted/1" / CHAT).read_text() == "half resolved\n"
    assert (old / ".ws-scaffold/.gitignore").read_text() == "*\n"


def test_file_behind_links_moves_where_the_links_lead_and_comes_back(command: Command, old: Path) -> None:
    """The folder of one handler is a link, and the file of another one."""
    folder, feed = (old / "src/desk/ws/chat"), (old / "src/desk/ws/feed/service.py")
    folder.rename(old / "real")
    folder.symlink_to("../../../real")
    feed.rename(old / "elsewhere.py")
    feed.symlink_to("../../../../elsewhere.py")
    before = tree(old)
    code, _, err = command("update", "--to", "v0.0.2")
    assert (code, err) == (0, "")
    assert (old / "real/logic.py").is_file()
    assert not (old / "real/service.py").exists()
    assert folder.readlink() == Path("../../../real")
    assert not os.path.lexists(feed)
    assert feed.with_name("logic.py").readlink() == Path("../../../../elsewhere.py")
    assert command("update", "--abort")[0] == 0
    assert tree(old) == before


def test_every_abort_keeps_what_it_puts_aside(command: Command, old: Path) -> None:
    """What is the same as before is kept once."""
    for text in ("one\n", "two\n", "one\n"):
        abort_brings_back_everything(command, old, partial((old / CHAT).write_text, text))
    kept = {path: path.read_text() for path in sorted((old / ".ws-scaffold/aborted").rglob("*.py"))}
    aborted = old / ".ws-scaffold/aborted"
    assert kept == {aborted / "1" / CHAT: "one\n", aborted / "2" / CHAT: "two\n"}


def test_abort_after_a_commit_of_something_else_says_how_to_revert_the_update(command: Command, old: Path) -> None:
    commit(old)
    command("update")
    (old / "other.txt").write_text("mine\n")
    run("git", "add", "other.txt", cwd=old)
    user = ("-c", "user.name=Tests", "-c", "user.email=tests@localhost")
    run("git", *user, "commit", "--quiet", "--message", "Other", cwd=old)
    before = tree(old)
    expected = (
        "ws-scaffold: Something was committed since the update; nothing was written.\n"
        "  try: commit the update by itself, then revert that commit\n"
    )
    assert command("update", "--abort") == (1, "", expected)
    assert tree(old) == before


def test_update_waits_until_conflicts_are_resolved(command: Command, old: Path) -> None:
    """Of two updates one after the other, only the second could be undone."""
    contradict(old)
    command("update", "--to", "v0.0.2")
    (old / CHAT).write_text("<<<<<<< ours\n=======\n>>>>>>> theirs\n")
    before = tree(old)
    code, _, err = command("update")
    assert (code, err.splitlines()[0]) == (1, f"ws-scaffold: {CHAT} holds conflict markers; nothing was written.")
    assert tree(old) == before
    code, out, _ = command("list")
    assert (code, "chat" in out) == (0, True)


def test_abort_brings_back_links(command: Command, old: Path) -> None:
    (old / "elsewhere.py").write_bytes((old / SERVICE).read_bytes())
    (old / SERVICE).unlink()
    (old / SERVICE).symlink_to(old / "elsewhere.py")
    abort_brings_back_everything(command, old, lambda: None)
    assert (old / SERVICE).is_symlink()


def test_abort_in_a_repository_that_is_dirty(command: Command, old: Path) -> None:
    commit(old)
    contradict(old)
    (old / "new.py").write_text("# mine\n")
    before = run("git", "status", "--porcelain", cwd=old).stdout
    abort_brings_back_everything(command, old, lambda: None)
    assert run("git", "status", "--porcelain", cwd=old).stdout == before


def test_abort_after_a_commit_is_refused_with_a_way_out(command: Command, old: Path) -> None:
    commit(old)
    command("update")
    assert ".ws-scaffold" not in run("git", "status", "--porcelain", "--ignored", cwd=old).stdout
    commit(old, "Updated")
    before = tree(old)
    expected = (
        "ws-scaffold: Something was committed since the update; nothing was written.\n"
        "  try: git log -1 -- .copier-answers.yml shows the commit of the update: revert that one\n"
    )
    assert command("update", "--abort") == (1, "", expected)
    assert tree(old) == before


def test_abort_after_another_command_is_refused(command: Command, old: Path) -> None:
    command("update")
    command("new", "handler", "talk", "--defaults")
    before = tree(old)
    code, _, err = command("update", "--abort")
    assert code == 1
    assert err.startswith("ws-scaffold: .copier-answers.yml has changed since the update; nothing was written.\n")
    assert tree(old) == before


def test_file_that_both_have_made_is_a_conflict_and_not_lost(command: Command, old: Path) -> None:
    (old / SERVICE).unlink()  # or it would move there
    mine = old / SERVICE.replace("service", "logic")
    mine.write_text("# all mine\n")
    feed = old / "src/desk/ws/feed/logic.py"
    feed.write_text("# mine, too\n")
    code, _, err = command("update")
    assert code == 1
    assert err.startswith("ws-scaffold: src/desk/ws/feed/logic.py is there already, with other content; nothing was ")
    feed.unlink()
    code, out, _ = command("update")
    assert (code, mine.read_text()) == (0, "# all mine\n")
    assert f"gone      {SERVICE} (it was deleted, and stays so)" in out.splitlines()


def test_new_file_of_the_template_that_meets_one_of_the_users_stands_beside_it(
    old: Path, versions: Path, command: Command
) -> None:
    work = old.parent / "work"
    run("git", "clone", "--quiet", versions, work, cwd=old.parent)
    (work / "template/project/notes.md").write_text("# Notes\n\nTheirs.\n")
    tag(work, "v1.0.0")
    replace(old / ".copier-answers.yml", f"_src_path: {versions}", f"_src_path: {work}")
    (old / "notes.md").write_text("# Notes\n\nMine.\n")
    before = tree(old)
    code, out, _ = command("update")
    assert (code, "conflict  notes.md (there was one of that name already)" in out.splitlines()) == (1, True)
    assert (old / "notes.md").read_text() == "# Notes\n\n<<<<<<< ours\nMine.\n=======\nTheirs.\n>>>>>>> theirs\n"
    command("update", "--abort")
    assert tree(old) == before


# Which version --------------------------------------------------------------------------------------------------------


def test_update_goes_forward_only(command: Command, old: Path) -> None:
    command("update")
    before = tree(old)
    code, out, err = command("update", "--to", "v0.0.1")
    assert (code, out) == (2, "")
    assert err == (
        "ws-scaffold: v0.0.1 is older than v0.0.3, which the project is at: an update only goes forward.\n"
        "  try: revert the commit of the update, for example with git revert\n"
    )
    assert tree(old) == before


def test_version_that_is_not_there_is_one_sentence(command: Command, old: Path, versions: Path) -> None:
    before = tree(old)
    code, out, err = command("update", "--to", "v0.0.9")
    assert (code, out) == (1, "")
    assert err.startswith(f"ws-scaffold: Version v0.0.9 of the template cannot be fetched from {versions}: ")
    assert tree(old) == before


def test_branch_is_a_version_too_and_is_looked_at_anew(command: Command, old: Path, versions: Path) -> None:
    work = old.parent / "work"
    run("git", "clone", "--quiet", versions, work, cwd=old.parent)
    state = old / ".copier-answers.yml"
    replace(state, f"_src_path: {versions}", f"_src_path: {work}")
    run("git", "checkout", "--quiet", "-b", "fixes", "v0.0.3", cwd=work)
    for number in (1, 2):
        (work / "template/project/note.txt").write_text(f"{number}\n")
        commit(work, "A fix")
        assert command("update", "--to", "fixes")[0] == 0
        assert (old / "note.txt").read_text() == f"{number}\n"
        described = run("git", "describe", "--tags", cwd=work).stdout.strip()
        assert yaml.safe_load(state.read_text())["_commit"] == described
        assert described.startswith(f"v0.0.3-{number}-g")


def test_versions_are_ordered_as_copier_orders_them() -> None:
    ordered = ["v0.0.9", "0.0.10", "v0.1.0", "v0.1.0-1-g1234567", "v0.1.0-12-gabcdef0", "v0.2.0rc1", "v0.2.0"]
    ranks = [releases.rank(version) for version in ordered]
    assert ranks == sorted(ranks, key=lambda it: it or ())
    assert releases.rank("1234abc-dirty") is None


def test_source_that_cannot_be_reached_leaves_the_version_that_is_here(command: Command, project: Path) -> None:
    """A project of our own source: no test goes there, so it cannot be reached."""
    del project
    note = f"note: {releases.SOURCE} cannot be reached; the newest version known here is {releases.OWN}"
    nothing = f"up to date (project is at {releases.OWN})\n{note}\n"
    assert command("update", "--check") == (0, nothing, "")
    assert command("update")[1].splitlines()[:2] == [note, "already up to date"]


def test_template_without_versions(command: Command, old: Path) -> None:
    state = old / ".copier-answers.yml"
    state.write_text(re.sub("_commit: .*\n", "", state.read_text()))
    code, _, err = command("update")
    assert code == 1
    assert "is not under version control, so the project cannot be updated.\n  try: copier recopy " in err


# Style, moves and modes -----------------------------------------------------------------------------------------------

STYLES = {
    "line length and quotes": '\n[tool.ruff.format]\nquote-style = "single"\n',
    "indentation by tabs": '\n[tool.ruff.format]\nindent-style = "tab"\n',
    "order of imports": "\n[tool.ruff.lint.isort]\nforce-sort-within-sections = true\nforce-single-line = true\n",
}


def reformat(project: Path, settings: str, length: int) -> None:
    """Give a project other settings, and bring all of it into that style."""
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("line-length = 120", f"line-length = {length}") + settings)
    for arguments in (("check", "--fix-only", "--exit-zero"), ("format",)):
        done = run(sys.executable, "-m", "ruff", *arguments, "--no-cache", "--quiet", ".", cwd=project)
        assert done.returncode == 0, done.stdout


def is_in_style(project: Path) -> bool:
    """Whether the formatter would change nothing."""
    return run(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", ".", cwd=project).returncode == 0


@pytest.mark.parametrize(
    ("settings", "length"), [(it, 60 + 20 * at) for at, it in enumerate(STYLES.values())], ids=STYLES
)
def test_project_that_was_reformatted_from_top_to_bottom_merges_without_conflict(
    versions: Path, tmp_path: Path, settings: str, length: int
) -> None:
    project = copied(versions, tmp_path / "desk", "v0.0.1", handlers=HANDLERS)
    reformat(project, settings, length)
    edited = [path for path in sorted(project.rglob("*.py")) if path.name in {"service.py", "handler.py"}]
    for path in edited:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([lines[0], "\n# mine\n", *lines[1:]]))
    ran = command(project, "update", "--json")
    assert ran.code == 0, [it for it in json.loads(ran.output)["files"] if it["action"] == "conflict"]
    assert sum("# mine\n" in path.read_text() for path in project.rglob("*.py")) == len(edited)
    mended = [path for path in project.rglob("handler.py") if "# Mended" in path.read_text()]
    assert len(mended) == len(HANDLERS)
    assert is_in_style(project)


def test_change_in_a_project_that_was_reformatted(command: Command, project: Path) -> None:
    reformat(project, STYLES["line length and quotes"], 60)
    replace(project / SERVICE, "text=message.text", "text=message.text.upper()")
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket", "--transport", "binary")
    assert (code, f"update    {CHAT}" in out.splitlines()) == (0, True)
    assert is_in_style(project)
    assert command("new", "handler", "feed", "--interface", "duplex-websocket")[0] == 0
    assert is_in_style(project)
    assert command("rename", "handler", "feed", "news")[0] == 0
    assert command("remove", "handler", "news")[0] == 0
    assert not (project / "src/desk/ws/news").exists()


def test_project_that_was_not_reformatted_although_its_settings_are_its_own(command: Command, project: Path) -> None:
    replace(project / "pyproject.toml", "line-length = 120", "line-length = 60")
    replace(project / CHAT, ANSWER, '"""Mine."""')
    code, out, _ = command("change", "handler", "chat", "--transport", "binary")
    assert (code, f"merge     {CHAT}" in out.splitlines()) == (0, True)
    assert "from .dependencies import provide_connection, provide_service\n" in (project / CHAT).read_text()


def test_absence_of_ruff_is_said_once(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(project / "pyproject.toml", "line-length = 120", "line-length = 60")
    replace(project / CHAT, ANSWER, '"""Mine."""')
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(sys, "prefix", str(project))
    code, out, _ = command("change", "handler", "chat", "--transport", "binary")
    note = "note: the project formats in a way of its own, and there is no ruff: formatting counts as edits"
    assert (code, out.splitlines().count(note)) == (0, 1)
    assert '"""Mine."""' in (project / CHAT).read_text()


def test_settings_that_ruff_refuses_are_said_once(command: Command, project: Path) -> None:
    replace(project / "pyproject.toml", "line-length = 120", 'line-length = "wide"')
    replace(project / CHAT, ANSWER, '"""Mine."""')
    code, out, _ = command("change", "handler", "chat", "--transport", "binary")
    assert (code, out.count("note: ruff cannot format, so formatting counts as edits: ")) == (0, 1)


def test_file_that_the_user_has_moved_gets_the_fix_there(command: Command, old: Path) -> None:
    (old / "src/desk/realtime").mkdir()
    moved = old / "src/desk/realtime/chat_socket.py"
    (old / CHAT).rename(moved)
    replace(moved, ANSWER, '"""Mine."""')
    code, out, _ = command("update")
    assert (code, f"merge     {moved.relative_to(old)} (moved here from {CHAT})" in out.splitlines()) == (0, True)
    text = moved.read_text()
    assert '"""Mine."""' in text
    assert "# Mended, in blue: listener." in text
    assert not (old / CHAT).exists()


def test_new_file_goes_where_its_folder_was_moved(command: Command, old: Path, versions: Path) -> None:
    work = old.parent / "work"
    run("git", "clone", "--quiet", versions, work, cwd=old.parent)
    (service,) = (work / "template/project").rglob("logic.py.jinja")
    service.with_name("errors.py.jinja").write_text('"""What can go wrong with {{ ws.name }}."""\n')
    tag(work, "v1.0.0")
    replace(old / ".copier-answers.yml", f"_src_path: {versions}", f"_src_path: {work}")
    (old / "src/desk/realtime").mkdir()
    (old / "src/desk/ws/chat").rename(old / "src/desk/realtime/chat")
    assert command("update")[0] == 0
    assert (old / "src/desk/realtime/chat/errors.py").is_file()
    assert "# Mended, in blue: listener." in (old / "src/desk/realtime/chat/handler.py").read_text()
    assert not (old / "src/desk/ws/chat").exists()
    assert (old / "src/desk/ws/feed/errors.py").is_file()


def test_file_that_the_user_has_moved_where_the_template_moves_it(command: Command, old: Path) -> None:
    moved = old / SERVICE.replace("service", "logic")
    (old / SERVICE).rename(moved)
    with moved.open("a") as file:
        file.write("\n# mine\n")
    assert command("update")[0] == 0
    assert moved.read_text().endswith("\n# mine\n")


def test_file_becomes_executable_when_the_template_says_so(versions: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    run("git", "clone", "--quiet", versions, template, cwd=tmp_path)
    (template / "template/project/serve.sh").write_text("#!/bin/sh\n")
    tag(template, "v0.1.0")
    project = copied(template, tmp_path / "desk", "v0.1.0")
    (template / "template/project/serve.sh").chmod(0o755)
    tag(template, "v0.2.0")
    before = tree(project)
    assert command(project, "update").code == 0
    assert (project / "serve.sh").stat().st_mode & 0o111
    assert command(project, "update", "--abort").code == 0
    assert tree(project) == before


# Old and late states --------------------------------------------------------------------------------------------------


def test_state_of_a_later_version_is_refused_with_the_way_out(command: Command, old: Path) -> None:
    state = old / ".copier-answers.yml"
    state.write_text(state.read_text().replace("package_name: desk", "package_name: desk\nfuture: yes"))
    before = tree(old)
    assert command("update") == (
        1,
        "",
        (
            'ws-scaffold: .copier-answers.yml has a key "future" that this version does not know; nothing was '
            "written.\n"
            "  try: update ws-scaffold: a later version has written this file\n"
        ),
    )
    assert tree(old) == before


def test_template_that_needs_a_later_command_is_refused_with_the_way_out(
    command: Command, old: Path, versions: Path
) -> None:
    work = old.parent / "work"
    run("git", "clone", "--quiet", versions, work, cwd=old.parent)
    readme = work / "template/project/README.md.jinja"
    readme.write_text("{{ project_name|sing }}\n")
    tag(work, "v1.0.0")
    replace(old / ".copier-answers.yml", f"_src_path: {versions}", f"_src_path: {work}")
    before = tree(old)
    code, out, err = command("update")
    assert (code, out, err.endswith("  try: update ws-scaffold\n")) == (1, "", True)
    assert tree(old) == before


def test_project_of_no_repository_and_without_git(command: Command, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version must be here already: only git can fetch one."""
    releases.fetched(yaml.safe_load((old / ".copier-answers.yml").read_text())["_src_path"], "v0.0.3", old)
    monkeypatch.setenv("PATH", "")
    assert command("update", "--to", "v0.0.3")[0] == 0
    assert "# Mended" in (old / CHAT).read_text()
    assert command("update", "--abort")[0] == 0
    assert "# Mended" not in (old / CHAT).read_text()
