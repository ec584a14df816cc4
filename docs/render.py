"""Write into the documents what is known elsewhere; `--check` only says whether they have it."""

# ruff: noqa: INP001 - a script, and no package

import re
import sys
from pathlib import Path

from ws_scaffold.paths import own_template
from ws_scaffold.releases import OWN, SOURCE
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

DOCS = Path(__file__).parent
RENDERED = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))


def files() -> str:
    """Return a table of the files of a project of default answers, and of what each is made."""
    guide = Template(own_template())
    answers = guide.resolve({"project_name": "desk", "package_name": "desk", "handler_name": "chat"})
    state = {"_src_path": SOURCE, "_commit": OWN, **guide.about(answers), "handlers": [guide.entry(answers)]}
    project = Rendering(guide, state)
    rows = ["| file | of | template |", "| --- | --- | --- |"]
    for path, file in sorted(project.render().items()):
        owner = f"the handler `{file.owner}`" if file.owner else "the project"
        text = (guide.root / file.source).read_text(encoding="utf-8") if file.source.endswith(".jinja") else ""
        included = re.search(r'{% include "(.+?)" %}', text)
        rows.append(f"| `{path}` | {owner} | `{_shown(included[1] if included else file.source)}` |")
    return "\n".join(rows)


def _shown(source: str) -> str:
    """Return a template's path with its variables as a person would name them."""
    source = re.sub(r"{% yield ws from \w+ %}{{ ws\.name }}{% endyield %}", "<handler>", source)
    source = re.sub(r'" ~ (.+?) ~ "', lambda found: f"<{found[1].removeprefix('ws.')}>", source)
    source = re.sub(r"{% if .+? %}(.+?){% endif %}", r"\1", source)  # it is there only in some projects
    source = source.replace("{{ _copier_conf.answers_file }}", "<answers file>")
    return re.sub(r"{{ (\w+) }}", r"<\1>", source)


def interfaces() -> str:
    """Return a table of what is recommended for which need, and why."""
    rows = [
        "| Who sends? | Who runs the receive loop? | Interface | Litestar | Why |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, it in Template(own_template()).questions["interfaces"]["default"].items():
        control = "-" if it["direction"] == "push" else it["control"]
        rows.append(f"| {it['direction']} | {control} | `{name}` | `{it['litestar']}` | {it['reason']} |")
    return "\n".join(rows)


KNOWN = {"files": files, "interfaces": interfaces}
"""What stands between two comments of that name."""


def rendered(path: Path) -> str:
    """Return a document with what is known elsewhere."""
    text = path.read_text(encoding="utf-8")
    for name, known in KNOWN.items():
        pattern = re.compile(rf"(?s)(<!-- {name} -->\n).*?(<!-- end of {name} -->)")
        if pattern.search(text):
            content = known()
            text = pattern.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
    return text


def main() -> int:
    """Write the documents, or say which are stale; return the exit code."""
    stale = [path for path in RENDERED if rendered(path) != path.read_text(encoding="utf-8")]
    for path in stale:
        sys.stdout.write(f"{path.name} is stale\n")
        if "--check" not in sys.argv:
            path.write_text(rendered(path), encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
