"""Copier is the judge: what the command makes of a state is what Copier makes of it, byte for byte."""

import shlex
from pathlib import Path
from typing import Any

import copier
import pytest

from projects import FORMS, HANDLERS, Handler, commit, copy_of_the_working_tree, render, run
from trees import Tree, command, tree
from ws_scaffold.project import load_state
from ws_scaffold.render import Rendering, all_answers
from ws_scaffold.template import Template

ABOUT = {"project_name": "Trading Desk", "asyncapi": "yes"}

SEQUENCES = {
    "every command": (
        "new handler orders --interface duplex-listener",
        "new handler feed --interface stream --payload raw",
        "change handler orders --transport binary --codec msgpack",
        "rename handler chat zebra",
        "remove handler feed",
    ),
    "down to none, and up again": (
        "remove handler chat",
        "new handler chat --interface websocket --payload raw --transport binary",
    ),
    "a broker": (
        "new handler rooms --direction duplex --events channel --channels-backend redis",
        "change project --channels-history 20 --asyncapi no",
        "new handler news --direction push --events channel --guard token",
        "remove handler chat",
        "change project --channels-backend postgres --channels-history 0",
    ),
    "another package": (
        "new handler feed --interface stream",
        "change project --package-name desk --project-name Desk",
        "remove handler chat",
    ),
    "down to none": ("remove handler chat",),
    "names that are swapped": (
        "new handler orders --interface stream",
        "rename handler chat tmp_name",
        "rename handler orders chat",
        "rename handler tmp_name orders",
    ),
    "numbers, in an order of their own": (
        "new handler chat_10 --interface listener",
        "new handler chat_9 --interface listener-class",
        "new handler chat_010 --interface stream --payload raw",
        "rename handler chat chat_1",
    ),
    "through every interface": tuple(
        " ".join(["change handler chat", *(f"--{key} '{value}'" for key, value in handler.items() if key != "name")])
        for handler in HANDLERS
    ),
    "own events, shared ones, and own again": (
        "change handler chat --interface stream --events channel",
        "change handler chat --interface duplex-listener",
        "new handler feed --interface stream --events channel --payload raw",
        "change handler chat --events own",
        "remove handler feed",
    ),
    "typed, raw, and typed again": (
        "change handler chat --payload raw",
        "change handler chat --payload typed",
        "change handler chat --interface listener-class",
    ),
    "every handler": tuple(
        " ".join(["new handler", *(value if key == "name" else f"--{key} '{value}'" for key, value in handler.items())])
        for handler in HANDLERS
    ),
}


def rendered(template: Path, project: Path) -> dict[str, tuple[bytes, bool]]:
    """Return what the command makes of a project's state: content, and whether it is executable."""
    files = Rendering(Template(template), load_state(project)).render()
    return {path: (file.content, file.executable) for path, file in files.items()}


def written(project: Path) -> dict[str, tuple[bytes, bool]]:
    """Return what Copier has written."""
    return {
        path: (content, bool(mode & 0o111))
        for path, (mode, content) in tree(project).items()
        if (project / path).is_file()
    }


def copied_again(template: Path, project: Path, target: Path) -> Tree:
    """Return what a fresh copy with a project's state looks like."""
    return tree(render(template, target, all_answers(load_state(project))))


def answered(handler: Handler) -> dict[str, str]:
    """Return a handler as one would answer the guide's questions."""
    return {"handler_name" if key == "name" else key: value for key, value in handler.items()}


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler["name"])
def test_a_first_handler_is_answered_and_rendered_as_copier_does(
    plain_template: Path, tmp_path: Path, handler: Handler
) -> None:
    """What all of them are rendered to together is held against Copier below; here, one of each form."""
    project, answers = tmp_path / "project", {**ABOUT, **answered(handler)}
    is_rendered = handler in FORMS
    nothing = [] if is_rendered else ["*"]
    judge = copier.run_copy(str(plain_template), project, data=answers, defaults=True, quiet=True, exclude=nothing)
    guide = Template(plain_template)
    resolved = guide.resolve(answers, folder=project.name)
    assert {name: resolved[name] for name in guide.questions} == {
        name: judge.answers.combined[name] for name in guide.questions
    }
    assert [guide.entry(resolved)] == [it["state"] for it in judge.answers.combined["websockets"]] == [handler]
    if is_rendered:
        assert load_state(project)["handlers"] == [handler]
        assert rendered(plain_template, project) == written(project)


@pytest.mark.parametrize("asyncapi", ["yes", "no"])
@pytest.mark.parametrize("count", [0, 2, 5, len(HANDLERS)])
def test_any_number_of_handlers_is_rendered_as_copier_does(
    plain_template: Path, tmp_path: Path, count: int, asyncapi: str
) -> None:
    handlers: list[Any] = HANDLERS[:: -(len(HANDLERS) // count)][:count] if count else []
    project = render(plain_template, tmp_path / "project", {**ABOUT, "asyncapi": asyncapi, "handlers": handlers})
    assert sorted(load_state(project)["handlers"], key=str) == sorted(handlers, key=str)
    assert rendered(plain_template, project) == written(project)


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_commands_lead_where_a_fresh_copy_and_an_update_lead(
    template: Path, tmp_path: Path, sequence: tuple[str, ...]
) -> None:
    project = render(template, tmp_path / "project", ABOUT)
    for line in sequence:
        ran = command(project, *shlex.split(line))
        assert ran.code == 0, f"{line}\n{ran.output}"
    assert tree(project) == copied_again(template, project, tmp_path / "fresh")

    commit(project)
    copier.run_update(project, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""


def test_project_from_before_the_question_stays_as_it_is(template: Path, tmp_path: Path) -> None:
    """An update brings no document that nobody asked for; a new project has it."""
    handlers: list[Any] = HANDLERS[:3]
    project = render(template, tmp_path / "project", {"handlers": handlers})
    before = tree(project)
    answers = project / ".copier-answers.yml"
    assert "asyncapi: 'no'\n" in answers.read_text()
    answers.write_text(answers.read_text().replace("asyncapi: 'no'\n", ""))
    commit(project)
    copier.run_update(project, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")
    assert tree(project) == before
    assert "asyncapi: 'yes'\n" in (render(template, tmp_path / "new", {}) / answers.name).read_text()


def test_a_later_version_arrives_with_an_update_and_the_next_command_is_of_that_version(tmp_path: Path) -> None:
    """Up to the update, the command adds what the project's own version would have: it fetches that version."""
    (tmp_path / "template").mkdir()
    template = copy_of_the_working_tree(tmp_path / "template")
    run("git", "tag", "v0.1.0", cwd=template)
    project = render(template, tmp_path / "project", ABOUT)
    before = tree(
        render(template, tmp_path / "before", {**ABOUT, "handlers": [*load_state(project)["handlers"], FEED]})
    )

    (source,) = (template / "template/project").rglob("handler.py.jinja")
    source.write_text(source.read_text() + "\n# Version 0.2.0.\n")
    (template / "template/project/serve.sh").write_text("#!/bin/sh\nexec uv run python -m trading_desk\n")
    (template / "template/project/serve.sh").chmod(0o755)
    commit(template, "Later")
    run("git", "tag", "v0.2.0", cwd=template)

    assert command(project, "new", "handler", "feed", "--interface", "stream").code == 0
    assert tree(project) == before

    commit(project)
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)
    assert tree(project) == copied_again(template, project, tmp_path / "after")
    assert rendered(template, project) == written(project)

    assert command(project, "new", "handler", "ticks", "--interface", "stream").code == 0
    assert tree(project) == copied_again(template, project, tmp_path / "later")
    assert (project / "serve.sh").stat().st_mode & 0o111


FEED = {"name": "feed", "interface": "stream", "payload": "typed", "transport": "text"}
