"""What becomes of edited projects: by `copier update`, and by `ws-scaffold update`; and how long both take.

    uv run python benchmarks/update.py --json figures.json

The same projects are made twice and edited in the same way; one of each pair is updated by Copier, the other one by the
command, from the same tag to the same tag of a scratch clone. The version in between mends a line in every handler,
renames a template file, adds a shared line, and asks a new question. Then it is read off the files:

- clean: no markers, every line that the user wrote is there, and so is every fix
- conflicted: markers are left; "silent" if the exit code was 0 all the same
- lost: a line of the user's is gone
- missed: a fix did not arrive, and nothing was said about it
- refused: nothing was done

Whole processes are timed, one after the other in each round, on one machine in one run; the first round warms up.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ws_scaffold.paths import own_template

FIX = "# Mended."
MINE = "# mine"
SCRIPTS = Path(sys.executable).parent
OURS = (str(SCRIPTS / "ws-scaffold"), "update", "--defaults")
COPIER = (str(SCRIPTS / "copier"), "update", "--defaults", "--quiet")
NAMES = ("chat", "feed", "orders")
CHAT, SERVICE = "src/desk/ws/chat/handler.py", "src/desk/ws/chat/service.py"


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    environment = {**os.environ, "GIT_ALLOW_PROTOCOL": "file", "RUFF_NO_CACHE": "true"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


def commit(folder: Path) -> None:
    """Put all of a folder under version control."""
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--allow-empty", "-m", "All")):
        run("git", "-c", "user.name=Bench", "-c", "user.email=bench@localhost", *arguments, cwd=folder)


def _mark(text: str, mark: str) -> str:
    """Return a handler with a mark where it says what it depends on."""
    return re.sub(r"(?m)^( +dependencies.*)$", rf"\1  {mark}", text)


def make_template(folder: Path) -> None:
    """Make two versions of the template."""
    source = own_template()
    for name in ("copier.yml", "CHANGELOG.md"):
        shutil.copy(source / name, folder / name)
    shutil.copytree(source / "template", folder / "template")
    commit(folder)
    run("git", "tag", "v0.0.1", cwd=folder)
    for path in (folder / "template/interfaces").rglob("*.jinja"):
        path.write_text(_mark(path.read_text(), FIX))
    (service,) = (folder / "template/project").rglob("service.py.jinja")
    service.rename(service.with_name("logic.py.jinja"))
    for path in (folder / "template").rglob("*.jinja"):
        text = path.read_text()
        path.write_text(
            text.replace("from .service import", "from .logic import").replace("}}.service import", "}}.logic import")
        )
    guide = folder / "copier.yml"
    text = guide.read_text().replace("default: [project_name,", "default: [mood, project_name,")
    guide.write_text(f"{text}\nmood:\n  type: str\n  help: Which mood?\n  default: good\n")
    commit(folder)
    run("git", "tag", "v0.0.2", cwd=folder)


def make_project(template: Path, folder: Path, names: tuple[str, ...] = NAMES) -> None:
    """Make a project of the first version."""
    interfaces = ("listener", "stream", "duplex-websocket")
    handlers = [
        {"name": name, "interface": interfaces[at % 3], "payload": "typed", "transport": "text"}
        for at, name in enumerate(names)
    ]
    answers = folder.with_suffix(".answers.yml")
    answers.write_text(json.dumps({"project_name": "desk", "handlers": handlers}))
    data = ("--data-file", str(answers))
    arguments = ("copy", "--defaults", "--quiet", "--vcs-ref", "v0.0.1", *data, str(template), str(folder))
    done = run(COPIER[0], *arguments, cwd=folder.parent)
    if done.returncode:
        raise SystemExit(done.stderr)


def _write(project: Path, path: str, at: int) -> None:
    lines = (project / path).read_text().splitlines(keepends=True)
    lines.insert(at if at >= 0 else len(lines), f"{MINE}\n")
    (project / path).write_text("".join(lines))


def nothing(project: Path) -> None:
    """Leave it as it was made."""


def edit_elsewhere(project: Path) -> None:
    """Edit at the end of files that change at their start."""
    for name in NAMES:
        _write(project, f"src/desk/ws/{name}/handler.py", -1)
    _write(project, "README.md", -1)


def edit_what_moves(project: Path) -> None:
    """Edit files that the template calls something else."""
    for name in NAMES:
        _write(project, f"src/desk/ws/{name}/service.py", -1)


def edit_the_same_lines(project: Path) -> None:
    """Edit where the template is mended."""
    for name in NAMES:
        path = project / f"src/desk/ws/{name}/handler.py"
        path.write_text(_mark(path.read_text(), MINE))


def move(project: Path) -> None:
    """Move a file, and edit it."""
    target = project / "src/desk/chat_socket.py"
    (project / CHAT).rename(target)
    _write(project, "src/desk/chat_socket.py", -1)


def delete(project: Path) -> None:
    """Delete a file that changes."""
    (project / CHAT).unlink()


def reformat(project: Path) -> None:
    """Reformat everything."""
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text().replace("line-length = 120", "line-length = 60")
    pyproject.write_text(f'{text}\n[tool.ruff.format]\nquote-style = "single"\n')
    for arguments in (("check", "--fix-only", "--exit-zero", "--quiet"), ("format", "--quiet")):
        done = run(sys.executable, "-m", "ruff", *arguments, ".", cwd=project)
        if done.returncode:
            raise SystemExit(done.stderr)


def reformat_and_edit(project: Path) -> None:
    """Reformat everything, and edit what moves."""
    reformat(project)
    edit_what_moves(project)


def windows(project: Path) -> None:
    """End all lines as Windows does, and edit elsewhere."""
    edit_elsewhere(project)
    for path in (*project.rglob("*.py"), project / "README.md"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def rename_handler(project: Path) -> None:
    """Rename a handler with the command, and edit it."""
    run(OURS[0], "rename", "handler", "chat", "talk", cwd=project)
    _write(project, "src/desk/ws/talk/service.py", -1)


def leave_uncommitted(project: Path) -> None:
    """Edit elsewhere, after the last commit."""


Edit = Callable[[Path], None]
SIZES = (1, 10, 50)
EDITS: tuple[Edit, ...] = (
    nothing,
    edit_elsewhere,
    edit_what_moves,
    edit_the_same_lines,
    move,
    delete,
    reformat,
    reformat_and_edit,
    windows,
    rename_handler,
    leave_uncommitted,
)


@dataclass(frozen=True)
class Outcome:
    """What an update has made of a project."""

    code: int
    conflicts: int
    lost: int
    missed: int
    refused: bool

    @property
    def word(self) -> str:
        """It in a word or a few."""
        if self.refused:
            return "refused"
        words = [f"{self.lost} lost"] * bool(self.lost) + [f"{self.missed} missed"] * bool(self.missed)
        if self.conflicts:
            words.append(f"{self.conflicts} conflicted" + (", silent" if self.code == 0 else ""))
        return "; ".join(words) or "clean"


def update(project: Path, command: tuple[str, ...]) -> Outcome:
    """Update a project, and read off the files what became of it."""
    written = _count(project, MINE)
    done = run(*command, cwd=project)
    texts = {path: path.read_text() for path in project.rglob("*") if path.is_file() and ".git" not in path.parts}
    handlers = [path for path, text in texts.items() if "_handler(" in text and "tests" not in path.parts]
    missed = [path for path in handlers if FIX not in texts[path]]
    if "gone " in done.stdout:
        missed = []
    return Outcome(
        code=done.returncode,
        conflicts=sum("<<<<<<< " in text for text in texts.values()),
        lost=written - _count(project, MINE),
        missed=len(missed),
        refused="v0.0.2" not in (project / ".copier-answers.yml").read_text(),
    )


def _count(project: Path, line: str) -> int:
    paths = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts)
    return sum(path.read_text().count(line) for path in paths if ".ws-scaffold" not in path.parts)


def compare(template: Path, folder: Path, edits: Sequence[Edit]) -> dict[str, dict[str, str]]:
    """Return what became of each project, by each tool."""
    table: dict[str, dict[str, str]] = {}
    for edit in edits:
        row: dict[str, str] = {}
        for tool, command in (("copier", COPIER), ("ws-scaffold", OURS)):
            project = folder / tool / edit.__name__
            project.parent.mkdir(exist_ok=True)
            make_project(template, project)
            edit(project)
            commit(project)
            if edit is leave_uncommitted:
                edit_elsewhere(project)
            row[tool] = update(project, command).word
        table[(edit.__doc__ or "").rstrip(".")] = row
    return table


def timed(template: Path, folder: Path, rounds: int, sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return the median seconds of each tool, by the number of handlers."""
    figures: dict[str, dict[str, float]] = {}
    for count in sizes:
        names = tuple(f"room_{number}" for number in range(count))
        made = folder / f"made {count}"
        make_project(template, made, names)
        commit(made)
        seconds: dict[str, list[float]] = {"copier": [], "ws-scaffold": []}
        for number in range(rounds + 1):
            for tool, command in (("copier", COPIER), ("ws-scaffold", OURS)):
                project = folder / "timed"
                shutil.rmtree(project, ignore_errors=True)
                shutil.copytree(made, project)
                run("git", "status", cwd=project)  # so that git need not look at every file once more
                begun = time.perf_counter()
                done = run(*command, cwd=project)
                if done.returncode:
                    raise SystemExit(done.stderr)
                if number:
                    seconds[tool].append(time.perf_counter() - begun)
        figures[f"{count} handlers"] = {tool: statistics.median(taken) for tool, taken in seconds.items()}
    return figures


def main() -> None:
    """Compare and time both, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one edit, and one handler")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        template = folder / "template"
        template.mkdir()
        make_template(template)
        table = compare(template, folder, EDITS[:1] if options.quick else EDITS)
        figures = timed(template, folder, options.rounds, SIZES[:1] if options.quick else SIZES)
    lines = ["| the project | copier update | ws-scaffold update |", "| --- | --- | --- |"]
    lines += [f"| {what} | {row['copier']} | {row['ws-scaffold']} |" for what, row in table.items()]
    lines += ["", f"medians of {options.rounds} rounds, seconds; load average {os.getloadavg()[0]:.1f} at the end"]
    for count, row in figures.items():
        ratio = row["ws-scaffold"] / row["copier"]
        lines.append(f"{count}: copier {row['copier']:.2f}, ws-scaffold {row['ws-scaffold']:.2f}, ratio {ratio:.2f}")
    sys.stdout.write("\n".join(lines) + "\n")
    document = {
        "rounds": options.rounds,
        "load": f"{load:.1f} before, {os.getloadavg()[0]:.1f} after",
        "outcomes": table,
        "seconds": figures,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
