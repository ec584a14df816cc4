"""Run all benchmarks, and write one report: ``python benchmarks``.

    python benchmarks --json report.json        measures, for about twenty minutes, and renders the page
    python benchmarks --quick --docs /tmp       a short run, to see whether everything works
    python benchmarks --render report.json      renders the page of an earlier run

The page is docs/performance.md, with the plots docs/growth.svg and docs/subscribers.svg: all are made of the run's own
figures, and of nothing else. `--peers` is for generate.py, which compares the command with other generators.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from growth import COLUMNS, TOLD
from plot import Series, svg

HERE = Path(__file__).parent
QUICK = {
    "overhead": ["--rounds", "1", "--messages", "500", "--form", "typed text"],
    "serve": ["--rounds", "1", "--seconds", "0.05", "--idle", "20", "--form", "typed text"],
    "growth": ["--rounds", "1", "--seconds", "0.1", "--connections", "1"],
    "generate": ["--rounds", "2"],
    "update": ["--rounds", "1", "--quick"],
}
INTRODUCTION = """# Performance

What a message, a connection and the next handler cost, beside what a user would write or use instead. This page is
rendered by `python benchmarks` from the figures of a run of each section; nothing in it is written by hand. Contenders
take turns in each round, in another order each time, and what is compared is the median of the rounds. In brackets are
the quartiles.
"""
CONTENDERS = """\
*By hand* is the shortest handler that releases what it holds: it limits nothing, and has no service module. With *the
same limits*, a careful hand stamps the time of every message, and looks at it every second. *A timeout a message* is
the way that comes to mind first.
"""
ANSWERS = {
    "rate": "a second",
    "cost": "CPU, us each",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "alone_p50": "p50 of one alone, ms",
    "alone_p99": "p99 of one alone, ms",
    "busy": "client busy",
}


def row(cells: Iterable[object]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> Iterator[str]:
    """Yield the head of a table: names to the left, figures to the right."""
    yield row(cells)
    yield row(["---", *("---:" for _ in cells[1:])])


def about(document: dict[str, Any]) -> Iterator[str]:
    """Yield how a benchmark was run."""
    yield ""
    yield f"{document['method']}. Load of the machine: {document['load']}."
    yield ""


def targets(document: dict[str, Any]) -> Iterator[str]:
    """Yield the targets, and whether they are met."""
    yield ""
    yield from head("Target", "to be", "is", "")
    for it in document["targets"]:
        wanted = f"{'at most' if it['at_most'] else 'at least'} {it['limit']} of {it['to']}"
        yield row([it["of"], wanted, f"{it['ratio']:.2f}", "met" if it["met"] else "**missed**"])
    yield ""


def spread(figures: dict[str, float] | None, digits: int) -> str:
    """Return a median and its quartiles."""
    if figures is None:
        return "-"
    median, quarter, rest = (f"{figures[name]:.{digits}f}" for name in ("median", "quarter", "three_quarters"))
    return f"{median} ({quarter}-{rest})"


def overhead(document: dict[str, Any]) -> Iterator[str]:
    """Yield what a message costs without a network."""
    yield "## A message, without a network"
    yield from about(document)
    yield CONTENDERS
    for work, forms in document["microseconds"].items():
        yield from head(f"us for {work}", *forms)
        for label in dict.fromkeys(label for rows in forms.values() for label in rows):
            yield row([label, *(spread(rows.get(label), 2) for rows in forms.values())])
        yield ""
        bare = document["bare"][work]
        yield from head("in relation to by hand, without limits", *forms)
        for label in next(iter(bare.values())):
            yield row([label, *(f"{ratios[label]:.2f}" for ratios in bare.values())])
        yield ""
    yield from targets(document)


def serve(document: dict[str, Any]) -> Iterator[str]:
    """Yield what a message costs on a real server."""
    yield "## A message, on a real server"
    yield from about(document)
    for form, tables in document["forms"].items():
        for title, rows, columns in (
            (f"answers, {form}", tables["answers"], ANSWERS),
            (f"events, {form}", tables["events"], {name: ANSWERS[name] for name in ("rate", "cost", "busy")}),
            (
                f"events of a channel, {form}",
                tables["fan-out"],
                {name: ANSWERS[name] for name in ("rate", "cost", "p50", "p99", "busy")},
            ),
            (f"idle connections, {form}", tables["idle"], {"kibibytes": "KiB a connection"}),
        ):
            yield from head(title, *columns.values())
            for label, it in rows.items():
                first, *others = columns
                yield row([label, spread(it[first], 1), *(f"{it[name]['median']:.2f}" for name in others)])
            yield ""
        yield from beside_fastapi(form, tables["answers"])
    yield from targets(document)


def beside_fastapi(form: str, answers: dict[str, Any]) -> Iterator[str]:
    """Yield what can be had at all: the server costs the same, whatever it serves."""
    if "FastAPI" in answers:
        cost = answers["FastAPI"]["cost"]["median"]
        others = [label for label in answers if label.startswith("Litestar by hand") or label == "raw ASGI"]
        ratios = ", ".join(f"{label} {cost / answers[label]['cost']['median']:.2f}" for label in others)
        yield f"For the same CPU time, {form}, FastAPI answers 1, {ratios}: most of it is the server's."
        yield ""


def growth(document: dict[str, Any]) -> Iterator[str]:
    """Yield what becomes of it with many connections."""
    yield "## Many connections"
    yield from about(document)
    yield "![Answers a second, their latency and memory, by the number of connections](growth.svg)"
    yield ""
    yield from head("", "connections", *COLUMNS.values())
    for label, by_count in document["growth"].items():
        for count, it in by_count.items():
            yield row([label, count, *(f"{it[name]:.2f}" for name in COLUMNS)])
    yield ""
    yield "![Events told a second, what one costs, and how late it is, by the number of subscribers](subscribers.svg)"
    yield ""
    yield from head("the generated stream of a channel", "subscribers", *TOLD.values())
    for label, by_count in document["subscribers"].items():
        for count, it in by_count.items():
            yield row([label, count, *(f"{it[name]:.2f}" for name in TOLD)])
    yield ""


def generate(document: dict[str, Any]) -> Iterator[str]:
    """Yield how long the next handler takes."""
    yield "## The next handler, from the command line"
    machine = document["machine"]
    yield from about({"method": f"Whole processes, {document['rounds']} rounds; milliseconds", "load": machine["load"]})
    yield from head("", "ms (quartiles)", "fastest")
    for label, it in document["milliseconds"].items():
        yield row([label, spread(it, 0), f"{it['min']:.0f}"])
    for label in document["not_measured"]:
        yield row([label, "not installed: not measured", "-"])
    yield ""
    for it in document["targets"]:
        verdict = "not measured" if it["met"] is None else f"{it['ratio']:.2f}: {'met' if it['met'] else '**missed**'}"
        yield f"- {it['of']}, below {it['below']} of {it['to']}: {verdict}"
    yield ""


def update(document: dict[str, Any]) -> Iterator[str]:
    """Yield what becomes of a project that is updated, and how long that takes."""
    yield "## An update of a project"
    yield from about({"method": f"Whole processes, medians of {document['rounds']} rounds", "load": document["load"]})
    yield from head("the project", "copier update", "ws-scaffold update")
    for what, tools in document["outcomes"].items():
        yield row([what, tools["copier"], tools["ws-scaffold"]])
    for what, seconds in document["seconds"].items():
        yield row([f"seconds with {what}", *(f"{seconds[tool]:.2f}" for tool in ("copier", "ws-scaffold"))])
    yield ""


RENDER = {"overhead": overhead, "serve": serve, "growth": growth, "generate": generate, "update": update}


def render(documents: dict[str, Any], folder: Path) -> None:
    """Write the page, and the plot."""
    machine = documents["overhead"]["machine"]
    lines = [INTRODUCTION, "Measured on: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + ".", ""]
    for name, yields in RENDER.items():
        lines += yields(documents[name])
    (folder / "performance.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    for of, columns, file in (
        (
            "growth",
            {"answers a second": "rate", "p99, milliseconds": "p99", "memory, MiB": "mebibytes"},
            "growth.svg",
        ),
        (
            "subscribers",
            {"events told a second": "rate", "CPU, microseconds each": "cost", "p99, milliseconds": "p99"},
            "subscribers.svg",
        ),
    ):
        found = documents["growth"][of]
        panels: dict[str, Series] = {
            title: {
                label: {int(count): it[column] for count, it in by_count.items()} for label, by_count in found.items()
            }
            for title, column in columns.items()
        }
        unit = "connections" if of == "growth" else of
        (folder / file).write_text(svg(panels, unit), encoding="utf-8")


def measure(*, quick: bool, peers: list[str]) -> dict[str, Any]:
    """Run every benchmark in a process of its own, and return their figures."""
    documents: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in RENDER:
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
            figures = Path(folder) / f"{name}.json"
            options = [*(QUICK[name] if quick else []), "--json", str(figures)]
            if name == "generate":
                options += [word for peer in peers for word in ("--peers", peer)]
            subprocess.run([sys.executable, str(HERE / f"{name}.py"), *options], check=True)
            documents[name] = json.loads(figures.read_text(encoding="utf-8"))
    return documents


def main() -> None:
    """Measure, or not, and render."""
    parser = argparse.ArgumentParser(prog="python benchmarks", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--peers", action="append", default=[], metavar="DIR", help="programs beside PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument("--render", type=Path, metavar="FILE", help="measure nothing: figures of an earlier run")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs", metavar="DIR", help="where the page goes")
    options = parser.parse_args()
    if options.render:
        documents = json.loads(options.render.read_text(encoding="utf-8"))
    else:
        documents = measure(quick=options.quick, peers=options.peers)
    if options.json:
        options.json.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")
    render(documents, options.docs)


if __name__ == "__main__":
    main()
