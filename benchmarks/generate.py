"""How long the next handler takes, beside other generators, and how that grows with the project.

    python -m pip install cookiecutter copier django
    mkdir peers && npm install --prefix peers hygen plop @nestjs/cli@11
    PYTHONPATH=src python benchmarks/generate.py --peers peers/node_modules/.bin --json figures.json

Whole processes are timed, from start to exit, on one machine in one run. In each round every contender runs once, so
that what else the machine does falls on all alike; the first round warms up and is not counted. Each run makes files of
a new name. What is set up for a contender, or undone after it, is not timed; nothing is fetched. The other generators
get a template of four files with the text of ours. Those that are not installed are named, not guessed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ws_scaffold import __version__
from ws_scaffold.paths import own_template
from ws_scaffold.releases import SOURCE
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

SIZES = (1, 10, 100, 500)
OURS = "ws-scaffold, {} there"
JINJA = "python, jinja2, four files"
HYGEN = "hygen, four files"

FIGURES = ("min", "quarter", "median", "three_quarters")
UNWANTED = frozenset({"PYTHONDONTWRITEBYTECODE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"})

NAME = "NAME"
"""Stands for the new name in a command and in the text of a template."""

FOLDER = "template/project/{{ ws_path }}/{% yield ws from websockets %}{{ ws.name }}{% endyield %}"
TEMPLATES = (
    f"{FOLDER}/dependencies.py.jinja",
    f"{FOLDER}/handler.py.jinja",
    f"{FOLDER}/service.py.jinja",
    f"{FOLDER.replace('ws from websockets', 'ws from typed_websockets')}/schemas.py.jinja",
)
"""Four of our own: for the bare render, and as text for the others."""

BARE = """
import re
import sys
import jinja2

environment = jinja2.Environment(loader=jinja2.FileSystemLoader({root!r}), trim_blocks=True, lstrip_blocks=True)
environment.filters["regex_replace"] = lambda text, pattern, replacement: re.sub(pattern, replacement, text)
for number, name in enumerate({templates!r}):
    text = environment.get_template(name).render(ws={handler!r}, asyncapi="yes", above="..")
    with open(f"{{sys.argv[1]}}_{{number}}.py", "w", encoding="utf-8") as file:
        file.write(text)
"""

PLOPFILE = """
export default function (plop) {
  const actions = [0, 1, 2, 3].map((it) => ({
    type: "add", path: `src/{{name}}/${it}.py`, templateFile: `templates/${it}.hbs`,
  }));
  plop.setGenerator("handler", { description: "", prompts: [{ type: "input", name: "name" }], actions });
}
"""

NEST = {
    "package.json": '{"name": "demo", "version": "0.0.0"}',
    "nest-cli.json": '{"collection": "@nestjs/schematics", "sourceRoot": "src"}',
    "src/app.module.ts": "@Module({ imports: [], providers: [] })\nexport class AppModule {}\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def make_project(folder: Path, count: int) -> Rendering:
    """Write a project of so many handlers."""
    about = {"_commit": f"v{__version__}", "_src_path": SOURCE}
    about |= {"project_name": "Demo", "package_name": "demo", "asyncapi": "yes"}
    answers = {"interface": "listener", "payload": "typed", "transport": "text"}
    handlers = [{"name": f"room_{number}", **answers} for number in range(count)]
    project = Rendering(Template(own_template()), {**about, "handlers": handlers})
    write(folder, {path: file.content.decode() for path, file in project.render().items()})
    return project


@dataclass
class Contender:
    """A command that makes something called `NAME`, and how long it took."""

    label: str
    command: list[str]
    folder: Path
    undo: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, name: str, environment: dict[str, str]) -> None:
        """Run once, and note how long it took."""

        def start(command: list[str]) -> None:
            words = [word.replace(NAME, name) for word in command]
            subprocess.run(words, cwd=self.folder, env=environment, check=True, capture_output=True)

        begun = time.perf_counter()
        start(self.command)
        self.seconds.append(time.perf_counter() - begun)
        if self.undo:
            start(self.undo)

    @property
    def figures(self) -> dict[str, float]:
        """The fastest run, and where a quarter, half and three quarters of them were done, in milliseconds."""
        _, *counted = self.seconds
        spread = (min(counted), *statistics.quantiles(counted, n=4, method="inclusive"))
        return {name: round(value * 1000, 1) for name, value in zip(FIGURES, spread, strict=True)}


def peers(text: list[str]) -> Iterator[tuple[str, str, list[str], Callable[[Path], None]]]:
    """Yield what each other generator is called and started with, and what it needs in its folder."""

    def hygen(folder: Path) -> None:
        for number, body in enumerate(text):
            head = f"---\nto: src/<%= name %>/{number}.py\n---\n"
            write(folder, {f"_templates/handler/new/{number}.ejs.t": head + body.replace(NAME, "<%= name %>")})

    def plop(folder: Path) -> None:
        bodies = {f"templates/{number}.hbs": body.replace(NAME, "{{name}}") for number, body in enumerate(text)}
        write(folder, {"plopfile.mjs": PLOPFILE, **bodies})

    def cookiecutter(folder: Path) -> None:
        place, hole = "template/{{cookiecutter.name}}", "{{cookiecutter.name}}"
        bodies = {f"{place}/{number}.py": body.replace(NAME, hole) for number, body in enumerate(text)}
        write(folder, {"template/cookiecutter.json": '{"name": "demo"}\n', **bodies})

    def copier(folder: Path) -> None:
        shutil.copytree(own_template() / "template", folder / "ours/template")
        shutil.copy(own_template() / "copier.yml", folder / "ours")

    yield "hygen", "four files", ["handler", "new", NAME], hygen
    yield "plop", "four files", ["--no-progress", "handler", NAME], plop
    yield "nest", "g gateway", ["g", "gateway", NAME, "--no-spec"], lambda folder: write(folder, NEST)
    yield "cookiecutter", "four files", ["--no-input", "template", f"name={NAME}"], cookiecutter
    yield "copier", "copy of our template", ["copy", "--quiet", "--defaults", "ours", NAME], copier
    yield "django-admin", "startapp", ["startapp", NAME], lambda _: None


def ours(top: Path) -> Iterator[Contender]:
    """Yield our own command, in projects of every size."""
    command = [sys.executable, "-m", "ws_scaffold"]
    for count in SIZES:
        make_project(top / f"{count}", count)
        new = [*command, "new", "handler", NAME, "--interface", "listener"]
        yield Contender(OURS.format(count), new, top / f"{count}", [*command, "remove", "handler", NAME])


def others(top: Path, path: str) -> Iterator[Contender | str]:
    """Yield whom it is compared with; or only the name, where it is not installed."""
    project = make_project(top / "text", 1)
    handler = project.handlers["room_0"]
    text = [
        project.template.jinja.get_template(name).render(ws=handler, asyncapi="yes", above="..").replace("room_0", NAME)
        for name in TEMPLATES
    ]
    bare = BARE.format(root=str(own_template()), templates=TEMPLATES, handler=handler)
    yield Contender("python, nothing", [sys.executable, "-c", "pass"], top)
    yield Contender(JINJA, [sys.executable, "-c", bare, NAME], top)
    for program, what, arguments, prepare in peers(text):
        folder = top / program
        folder.mkdir()
        prepare(folder)
        executable = shutil.which(program, path=path)
        label = f"{program}, {what}"
        yield Contender(label, [executable, *arguments], folder) if executable else label


def judged(figures: dict[str, dict[str, float]]) -> Iterator[dict[str, Any]]:
    """Yield each target, and whether it is met."""
    first, last = OURS.format(SIZES[0]), OURS.format(SIZES[-1])
    for label, to, limit in ((first, HYGEN, 0.75), (first, JINJA, 1.6), (last, first, 2.0)):
        ratio = figures[label]["median"] / figures[to]["median"] if to in figures else None
        met = None if ratio is None else ratio < limit
        yield {"of": label, "to": to, "ratio": ratio and round(ratio, 2), "below": limit, "met": met}


def report(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    yield f"{document['rounds']} interleaved rounds after a warm-up; whole processes, milliseconds"
    yield ""
    yield f"{'':34}{'min':>8}{'quarter':>9}{'median':>9}{'3/4':>9}{'of hygen':>10}{'of jinja2':>10}"
    figures = document["milliseconds"]
    for label, it in figures.items():
        spread = "{:8.1f}{:9.1f}{:9.1f}{:9.1f}".format(*it.values())
        ratios = (f"{it['median'] / figures[to]['median']:.2f}" if to in figures else "-" for to in (HYGEN, JINJA))
        yield f"{label:34}{spread}" + "".join(f"{ratio:>10}" for ratio in ratios)
    for label in document["not_measured"]:
        yield f"{label:34}not installed: not measured"
    yield ""
    for it in document["targets"]:
        verdict = "not measured" if it["met"] is None else f"{it['ratio']:.2f}: {'met' if it['met'] else 'missed'}"
        yield f"{it['of']}, below {it['below']} of {it['to']}: {verdict}"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", type=Path, action="append", default=[], metavar="DIR", help="programs beside PATH")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is run (15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    options = parser.parse_args()
    path = os.pathsep.join([*(str(folder.resolve()) for folder in options.peers), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        # Nobody's settings or caches; and Python may keep what it compiles, as it does for users.
        kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        found = list(others(Path(folder), path))
        contenders = [*ours(Path(folder)), *(it for it in found if isinstance(it, Contender))]
        load = os.getloadavg()[0]
        for number in range(options.rounds + 1):
            for it in contenders:
                it.run(f"made_{number}", {**kept, "HOME": folder, "PATH": path})
    figures = {it.label: it.figures for it in contenders}
    document = {
        "machine": {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "platform": platform.platform(),
            "load": f"{load:.1f} before, {os.getloadavg()[0]:.1f} after",
        },
        "rounds": options.rounds,
        "milliseconds": figures,
        "not_measured": [it for it in found if isinstance(it, str)],
        "targets": list(judged(figures)),
    }
    sys.stdout.write("\n".join(report(document)) + "\n")
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
