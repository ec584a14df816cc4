"""The documents say what is true."""

import re
import sys

from projects import REPOSITORY, run
from ws_scaffold.arguments import parser_of
from ws_scaffold.paths import own_template
from ws_scaffold.plan import CHANGING
from ws_scaffold.template import Template


def test_documents_have_what_is_known_elsewhere() -> None:
    done = run(sys.executable, REPOSITORY / "docs/render.py", "--check", cwd=REPOSITORY, env={"PYTHONPATH": "src"})
    assert (done.returncode, done.stdout) == (0, ""), "python docs/render.py writes them anew"


def test_every_action_is_documented() -> None:
    text = (REPOSITORY / "docs/command.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", text, re.MULTILINE)) >= CHANGING | {"keep", "gone"}


def test_every_command_is_documented() -> None:
    documented = "\n".join(path.read_text() for path in (REPOSITORY / "docs").glob("*.md"))
    parser = parser_of(Template(own_template()))
    commands = next(action.choices for action in parser._actions if action.dest == "command")  # noqa: SLF001
    assert commands
    for name in commands:
        assert f"ws-scaffold {name}" in documented, name


def test_every_option_of_an_update_is_documented() -> None:
    text = (REPOSITORY / "docs/updating.md").read_text()
    for option in ("--to", "--check", "--abort", "--dry-run", "--defaults", "--data", "--abort-on-conflict"):
        assert f"{option}" in text, option
