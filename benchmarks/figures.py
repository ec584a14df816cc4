"""What all benchmarks share: the machine they ran on, medians and spread, targets, and a project to measure."""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ws_scaffold import __version__
from ws_scaffold.paths import own_template
from ws_scaffold.releases import SOURCE
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

sys.path.append(str(Path(__file__).parent.parent / "tests"))
# The tests know the handlers, and where they are found; all benchmarks take that from here.
from brokers import broker
from projects import HANDLERS, Handler, questions
from serving.server import HOST, free_port, path_of

__all__ = ["HOST", "broker", "free_port", "path_of", "questions"]

PACKAGE = "everything"
# What is measured is what a message costs, and not how many of them one client may send in a second.
os.environ["EVERYTHING_MAX_MESSAGES_PER_SECOND"] = "0"
os.environ["EVERYTHING_CHANNELS_URL"] = "memory://"  # unless a benchmark names a broker
MAX_MESSAGE_SIZE = 64 * 1024
"""Bytes of one message: what a generated project takes by default."""
PLAIN = {"events": "own", "guard": "none", "contract": "schema"}
MEASURED = [it for it in HANDLERS if all(it.get(key, value) == value for key, value in PLAIN.items())]
"""The handlers with events of their own, open to everybody: what the hand-written ones are, too."""

KINDS = [
    it | {"name": f"{it['name']}_kinds", "messages": "say text:str, typing, read up_to:int"}
    for it in MEASURED
    if it["interface"] == "listener" and it["payload"] == "typed"
]
"""The same, which receive three kinds of messages."""

SHARED = [
    it for it in HANDLERS if it["interface"] == "stream" and (it.get("events"), it["guard"]) == ("channel", "none")
]
"""The handlers that send what is published to a channel, and nothing else."""

LIBRARIES = ("litestar", "msgspec", "anyio", "uvicorn", "uvloop", "websockets", "fastapi", "starlette", "pydantic")


def machine() -> dict[str, str]:
    """Return what a reader must know of the machine, and nothing that names it."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def load() -> float:
    """Return how many programs wanted to run in the last minute: with more than one, this machine is not quiet."""
    return round(os.getloadavg()[0], 2)


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Return where a quarter, half and three quarters of the rounds were done."""
    if len(values) == 1:
        values = [*values, *values]
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return {
        name: round(value, digits)
        for name, value in zip(("quarter", "median", "three_quarters"), quartiles, strict=True)
    }


@dataclass(frozen=True)
class Target:
    """What a figure should be in relation to another one of the same run."""

    of: str
    to: str
    ratio: float
    limit: float
    at_most: bool

    @property
    def met(self) -> bool:
        """Tell whether it is so."""
        return self.ratio <= self.limit if self.at_most else self.ratio >= self.limit

    def as_json(self) -> dict[str, Any]:
        """Return what the report needs."""
        return {**asdict(self), "ratio": round(self.ratio, 3), "met": self.met}

    def __str__(self) -> str:
        """Say what was to be, what is, and whether that will do."""
        what = f"{self.of}, {'at most' if self.at_most else 'at least'} {self.limit} of {self.to}"
        return f"{what}: {self.ratio:.2f}, {'met' if self.met else 'MISSED'}"


def render_everything(folder: Path, handlers: Iterable[Handler] = (*MEASURED, *KINDS, *SHARED)) -> Path:
    """Write a project of these handlers, as the template has it now, and return where its sources are."""
    about = {"_commit": f"v{__version__}", "_src_path": SOURCE, "project_name": "Everything", "package_name": PACKAGE}
    about["channels_backend"] = "redis"  # or none, as EVERYTHING_CHANNELS_URL says
    project = Rendering(Template(own_template()), {**about, "handlers": list(handlers)})
    for path, file in project.render().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
    return folder / "src"


def class_name(handler: Handler) -> str:
    """Return how the classes of a handler begin."""
    return "".join(part.capitalize() for part in handler["name"].split("_"))


def arguments(doc: str | None, *, rounds: int, more: Callable[[argparse.ArgumentParser], None] | None = None) -> Any:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each is run ({rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    if more:
        more(parser)
    return parser.parse_args()


def publish(document: dict[str, Any], lines: Iterator[str], to: Path | None) -> None:
    """Print the report, and write its figures down."""
    about = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    sys.stdout.write("\n".join([about, document["method"], f"load {document['load']}", "", *lines]) + "\n")
    if to:
        to.write_text(json.dumps(document, default=Target.as_json, indent=2) + "\n", encoding="utf-8")
