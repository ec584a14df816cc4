"""The benchmarks run, all contenders do what they are measured for, and the page holds every figure."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from projects import REPOSITORY, run

pytestmark = pytest.mark.slow


def test_all_benchmarks_run_and_make_one_page(tmp_path: Path) -> None:
    """As the docstring of `benchmarks` says it, for as short as it goes: no figure of this run says anything."""
    command = (sys.executable, "benchmarks", "--quick", "--docs", tmp_path, "--json", tmp_path / "report.json")
    done = run(*command, cwd=REPOSITORY, timeout=300)
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    page = (tmp_path / "performance.md").read_text()
    labels = {
        label for forms in report["overhead"]["microseconds"].values() for rows in forms.values() for label in rows
    }
    labels |= {label for tables in report["serve"]["forms"].values() for rows in tables.values() for label in rows}
    labels |= set(report["growth"]["growth"]) | set(report["growth"]["subscribers"]) | set(report["update"]["outcomes"])
    labels |= set(report["generate"]["milliseconds"])
    assert not [label for label in labels if f"| {label} |" not in page]
    for plot in "growth.svg", "subscribers.svg":
        assert ET.parse(tmp_path / plot).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - ours
