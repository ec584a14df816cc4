"""The modules of the command know of each other in one direction."""

import ast

from projects import REPOSITORY

PACKAGE = REPOSITORY / "src/ws_scaffold"


def imported() -> dict[str, set[str]]:
    """Return which modules of the package each of them imports, by their names."""
    names = {path.stem for path in PACKAGE.glob("*.py")}
    found: dict[str, set[str]] = {}
    for path in PACKAGE.glob("*.py"):
        nodes = [it for it in ast.walk(ast.parse(path.read_text())) if isinstance(it, ast.ImportFrom)]
        whole = {alias.name for node in nodes if node.module == "ws_scaffold" for alias in node.names}
        parts = {(node.module or "").removeprefix("ws_scaffold.") for node in nodes}
        found[path.stem] = (whole | parts) & names
    return found


def test_modules_import_each_other_in_no_circle() -> None:
    left = imported()
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, left
        for name in free:
            del left[name]


def test_foundations_import_nothing_of_ours() -> None:
    needs = imported()
    assert not needs["errors"] | needs["diff3"] | needs["plan"]


def test_only_the_command_line_reads_or_prints() -> None:
    """What the command does can be driven by another front end."""
    front = {"__main__", "arguments", "cli", "litestar_command", "report"}
    for name, needs in imported().items():
        assert name in front or not needs & front, name


def test_what_is_carried_out_knows_nothing_of_how_it_was_planned() -> None:
    assert not imported()["journal"] & {"merge", "operations", "renames", "template"}
