"""An application of somebody else's is found, and understood, by reading: whatever else is on its disk."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ws_scaffold.host import Host, Location, find_hosts, line_to_add, plugin_is_added
from ws_scaffold.host_config import Settings
from ws_scaffold.host_source import Kind

APP = "from litestar import Litestar\n\n\napp = Litestar([])\n"
FACTORY = "from litestar import Litestar\n\n\ndef create_app({}) -> Litestar:\n    return Litestar([])\n"
PROJECT = '[project]\nname = "host"\ndependencies = ["litestar"]\n'
LICENCE = "# Copyright 2026 Host Inc.\n# SPDX-License-Identifier: MIT\n"

Make = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a host of the texts of its files."""

    def made(files: dict[str, str]) -> Path:
        for name, content in {"pyproject.toml": PROJECT, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path

    return made


def only(folder: Path) -> Host:
    """Return the one host that is there."""
    (host,) = find_hosts(folder)
    return host


def test_a_flat_application_gets_a_flat_package(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "requirements.txt").write_text("litestar[standard]==2.19.0 --hash=sha256:0\n")
    host = only(tmp_path)
    assert (host.root, host.import_path, host.package) == (tmp_path, "app:app", "")
    assert (host.ws_path, host.ws_import, host.tests_path) == ("ws", "ws", "tests/ws")
    assert (host.application.kind, host.application.line, host.application.plugins_line) == (Kind.MODULE, 4, None)
    assert (host.litestar, host.too_old, host.litestar_installed) == ("==2.19.0", True, "2.19.0")
    assert line_to_add(host) == (
        "in app.py:4, add to Litestar(…): plugins=[WebsocketPlugin()]\n    from ws import WebsocketPlugin"
    )


def test_a_factory_that_needs_arguments_has_no_import_path(make: Make) -> None:
    root = make({"src/desk/__init__.py": "", "src/desk/app.py": FACTORY.format("settings: object")})
    host = only(root)
    assert (host.application.kind, host.import_path) == (Kind.FACTORY_WITH_ARGUMENTS, None)
    assert (host.package, host.ws_path, host.ws_import) == ("desk", "src/desk/ws", "desk.ws")


def test_a_factory_whose_arguments_all_have_defaults_needs_none(make: Make) -> None:
    root = make(
        {"desk/__init__.py": "", "desk/asgi.py": FACTORY.format("debug: bool = False, *, ui=True, **more: int")}
    )
    host = only(root)
    assert (host.application.kind, host.import_path) == (Kind.FACTORY, "desk.asgi:create_app()")


def test_what_a_module_makes_with_its_factory_is_taken_from_the_module(make: Make) -> None:
    root = make({"app.py": FACTORY.format("settings: object") + "\n\napplication = create_app(1)\n"})
    host = only(root)
    assert (host.application.kind, host.import_path) == (Kind.FACTORY_WITH_ARGUMENTS, "app:application")


def test_a_factory_that_has_to_be_awaited_has_no_import_path(make: Make) -> None:
    assert only(make({"app.py": FACTORY.format("").replace("def ", "async def ")})).import_path is None


def test_an_application_core_leaves_the_place_for_a_second_plugin(make: Make) -> None:
    core = "from litestar.plugins import InitPlugin\n\n\nclass ApplicationCore(InitPlugin):\n    pass\n"
    asgi = (
        "def create_app():\n    from litestar import Litestar\n    from app.server.core import ApplicationCore\n\n"
        "    return Litestar(\n        plugins=[ApplicationCore()],\n    )\n"
    )
    files = {"app/__init__.py": "", "app/server/__init__.py": "", "app/server/core.py": core}
    host = only(make({**files, "app/server/asgi.py": asgi, "tests/test_it.py": ""}))
    assert (host.import_path, host.package) == ("app.server.asgi:create_app()", "app.server")
    assert (host.ws_path, host.ws_import, host.tests_path) == ("app/server/ws", "app.server.ws", "tests/ws")
    assert line_to_add(host).splitlines()[0] == "add WebsocketPlugin() to plugins=[…] in app/server/asgi.py:6"


def test_imports_of_the_hosts_own_know_better_than_its_folders(make: Make) -> None:
    asgi = FACTORY.format("").replace("\n\n\n", "\nfrom src.app.server.core import ApplicationCore\n\n\n", 1)
    root = make({"src/app/__init__.py": "", "src/app/asgi.py": asgi, "src/app/server/core.py": "import asyncio\n"})
    host = only(root)
    assert (host.import_path, host.package, host.ws_import) == ("src.app.asgi:create_app()", "src.app", "src.app.ws")


def test_a_project_of_a_monorepo_is_a_root(make: Make) -> None:
    files = {"lib/pyproject.toml": PROJECT, "lib/src/fish/__init__.py": "", "lib/src/fish/asgi.py": APP}
    root = make({".git/HEAD": "", **files, "lib/tests/test_a.py": "", "web/pyproject.toml": PROJECT, "tests/a.py": ""})
    for start in (root, root / "lib", root / "lib/src/fish"):
        host = only(start)
        assert host.root == root / "lib"
        assert (host.application.module, host.import_path) == ("src/fish/asgi.py", "fish.asgi:app")
        assert (host.ws_path, host.tests_path) == ("src/fish/ws", "tests/ws")


def test_a_pyproject_that_only_sets_up_tools_is_no_project(make: Make) -> None:
    files = {
        "pyproject.toml": "[tool.ruff]\nline-length = 90\n",
        "back/requirements.txt": "litestar",
        "back/app.py": APP,
    }
    host = only(make(files))
    assert (host.root.name, host.application.module) == ("back", "app.py")


def test_several_packages_below_src_are_each_imported_by_their_name(make: Make) -> None:
    api = "from litestar import Litestar\nfrom shared.config import a\n\napp = Litestar([])\n"
    root = make({"src/root/entry/api.py": api, "src/shared/config.py": "a = 1\n", "src/core/a.py": ""})
    host = only(root)
    assert (host.import_path, host.package) == ("root.entry.api:app", "root.entry")


@pytest.mark.parametrize("marked", [True, False])
def test_a_namespace_package_is_imported_by_all_of_its_name(make: Make, *, marked: bool) -> None:
    marks = {"src/acme/web/__init__.py": ""} if marked else {}
    assert only(make({"src/acme/web/app.py": APP, **marks})).package == "acme.web"
    make({"src/acme/__init__.py": "", "tests/test_a.py": "from src.acme.web.app import app"})
    assert only(make({})).package == "src.acme.web"


def test_modules_that_are_flat_in_src_are_imported_without_it(make: Make) -> None:
    host = only(make({"src/__init__.py": "", "src/app.py": "from db.models import a\n" + APP, "src/db/models.py": ""}))
    assert (host.import_path, host.package, host.ws_path, host.ws_import) == ("app:app", "", "src/ws", "ws")


@pytest.mark.parametrize(
    "said",
    [
        '[tool.pytest.ini_options]\npythonpath = ["back/py"]',
        '[tool.hatch.build.targets.wheel]\npackages = ["back/py/desk"]',
        '[tool.setuptools]\npackage-dir = {"" = "back/py"}',
        '[tool.setuptools.packages.find]\nwhere = ["back/py"]',
        '[[tool.poetry.packages]]\ninclude = "desk"\nfrom = "back/py"',
    ],
)
def test_settings_say_where_a_package_without_a_mark_begins(make: Make, said: str) -> None:
    assert only(make({"pyproject.toml": PROJECT + said, "back/py/desk/web/app.py": APP})).package == "desk.web"


def test_how_it_is_started_says_what_a_module_is_called(make: Make) -> None:
    assert only(make({"back/app.py": APP, "Dockerfile": 'CMD ["uvicorn", "back.app:app"]\n'})).package == "back"


def test_a_module_of_the_library_is_no_hint(make: Make) -> None:
    files = {
        "src/desk/__init__.py": "",
        "src/desk/http/__init__.py": APP,
        "src/desk/a.py": "from http import HTTPStatus\n",
    }
    assert only(make(files)).package == "desk.http"


def test_what_a_module_imports_itself_is_the_best_witness(make: Make) -> None:
    files = {"src/app.py": "from controllers import a\n" + APP, "src/controllers/__init__.py": "", "src/b.py": ""}
    root = make({**files, "src/tests/test_a.py": "from src.b import c\n" * 9})
    assert (only(root).import_path, only(root).ws_path) == ("app:app", "src/ws")


def test_what_is_beside_a_package_says_less_than_its_own_imports(make: Make) -> None:
    files = {
        "src/desk/app.py": "from desk.db import a\n" + APP,
        "src/desk/db.py": "",
        "tools/a.py": "",
        "config.py": "",
    }
    root = make({**files, "run.py": "import config\n" * 9 + "from tools.a import b\n" * 9})
    make({"compose.yml": "image: src.desk.app:latest"})
    assert only(root).import_path == "desk.app:app"


def test_a_relative_import_shows_that_there_is_a_package(make: Make) -> None:
    assert only(make({"back/main.py": APP + "from .db import a\n"})).import_path == "back.main:app"


@pytest.mark.parametrize(
    ("source", "kind", "spelled"),
    [
        ("import uvicorn\nfrom litestar import Litestar\nuvicorn.run(Litestar([]))", Kind.EXPRESSION, "Litestar"),
        ("from litestar import Litestar\nserve(app=Litestar([]))", Kind.EXPRESSION, "Litestar"),
        (
            "from litestar import Litestar\nif __name__ == '__main__':\n    a = Litestar([])",
            Kind.EXPRESSION,
            "Litestar",
        ),
        ("from litestar import Litestar\ndef main():\n    a = Litestar([])\n    run(a)", Kind.EXPRESSION, "Litestar"),
        ("from litestar import Litestar\nclass A:\n  def b(self):\n    return Litestar()", Kind.METHOD, "Litestar"),
        ("from litestar import Litestar\nclass A:\n  def b(self):\n    self.c = Litestar()", Kind.METHOD, "Litestar"),
        ("import litestar\napp: object = litestar.Litestar([])", Kind.MODULE, "litestar.Litestar"),
        ("import litestar as ls\napp = ls.Litestar([])", Kind.MODULE, "ls.Litestar"),
        ("from litestar import Litestar as App\napp = App([])", Kind.MODULE, "App"),
        (
            "from litestar.app import Litestar\ntry:\n    app = Litestar([])\nfinally:\n    pass",
            Kind.MODULE,
            "Litestar",
        ),
        ("from litestar import Litestar\nclass App(Litestar): ...\napp = App([])", Kind.MODULE, "App"),
        ("from litestar import Litestar\napp = Litestar.from_config(c)", Kind.BUILDER, "Litestar.from_config"),
        ("from litestar.config.app import AppConfig\nboot(AppConfig())", Kind.BUILDER, "AppConfig"),
    ],
)
def test_every_way_to_make_an_application_is_recognised(make: Make, source: str, kind: Kind, spelled: str) -> None:
    host = only(make({"app.py": source}))
    assert (host.application.kind, host.application.spelled) == (kind, spelled)
    assert (host.import_path is None) == (kind in {Kind.EXPRESSION, Kind.METHOD} or spelled == "AppConfig")


def test_an_application_of_a_class_that_is_derived_elsewhere_is_found(make: Make) -> None:
    files = {"desk/__init__.py": "", "desk/base.py": "from litestar import Litestar\nclass Base(Litestar): ...\n"}
    files |= {"desk/more.py": "from desk.base import Base\nclass Desk(Base): ...\n"}
    host = only(make({**files, "desk/main.py": "from desk.more import Desk\napplication = Desk([])\n"}))
    assert (host.import_path, host.application.spelled) == ("desk.main:application", "Desk")


def test_plugins_of_an_application_made_from_a_configuration_belong_there(make: Make) -> None:
    source = "from litestar import Litestar\nfrom litestar.config.app import AppConfig\n\nconfig = AppConfig({})\n"
    root = make({"app.py": source.format("") + "app = Litestar.from_config(config)\n"})
    first = "in app.py:5, add to the plugins of its AppConfig: WebsocketPlugin()"
    assert line_to_add(only(root)).splitlines()[0] == first
    make({"app.py": source.format("plugins=PLUGINS") + "app = Litestar.from_config(config)\n"})
    assert line_to_add(only(root)).splitlines()[0] == "add WebsocketPlugin() to plugins=PLUGINS in app.py:4"


def test_texts_and_comments_make_no_application(make: Make) -> None:
    text = '"""\n>>> app = Litestar()\n"""\nfrom litestar import Litestar\n# app = Litestar([])\na = "Litestar()"\n'
    assert find_hosts(make({"app.py": text, "b.py": "class Litestar_(int): ...\napp = NotLitestar()\n"})) == []


def test_the_likeliest_application_comes_first_and_no_example_with_it(make: Make) -> None:
    files = {"a/cli.py": FACTORY.format("a"), "a/main.py": APP, "a/app.py": APP, "tests/conftest.py": APP}
    hosts = find_hosts(make({**files, "examples/app.py": APP, "a/test_b.py": APP, "docs/app.py": APP}))
    assert [it.application.module for it in hosts] == ["a/app.py", "a/main.py", "a/cli.py"]


PLUGIN = {
    "desk/ws/plugin.py": "class WebsocketPlugin(InitPlugin):\n    pass\n",
    "desk/ws/socket.py": "",
    "desk/ws/testing.py": FACTORY.format(""),
}
OF_A_SCRIPT = "from litestar import Litestar\nfrom uvicorn import run\n\nrun(Litestar([]))\n"


def test_src_that_is_a_package_is_a_part_of_the_name(make: Make) -> None:
    host = only(make({"src/__init__.py": "", "src/app.py": APP, "src/b.py": "import src.app\n"}))
    assert (host.import_path, host.ws_path, host.ws_import) == ("src.app:app", "src/ws", "src.ws")


def test_what_our_own_files_make_for_tests_is_not_the_application(make: Make) -> None:
    """Although nothing else says that they are ours: the state is lost."""
    root = make({"desk/__init__.py": "", "desk/main.py": OF_A_SCRIPT, **PLUGIN})
    host = only(root)
    assert (host.application.module, host.ws_path) == ("desk/main.py", "desk/ws")


def test_plugin_of_the_hosts_own_does_not_hide_its_application(make: Make) -> None:
    root = make({"desk/plugin.py": PLUGIN["desk/ws/plugin.py"], "desk/app.py": APP})
    assert only(root).application.module == "desk/app.py"


MANY = {f"a{number:02}/app.py": APP for number in range(12)}


@pytest.mark.parametrize(
    ("said", "module"),
    [
        ("desk.app:app", "src/desk/app.py"),
        ("src.desk.app:app", "src/desk/app.py"),
        ("desk.asgi:create_app", "src/desk/asgi.py"),
        ("desk.asgi:create_app()", "src/desk/asgi.py"),
        ("desk.needy:create_app", "src/desk/needy.py"),
        ("a11.app:app", "a11/app.py"),
        ("examples.demo:app", "examples/demo.py"),
        ("desk:app", "src/desk/app.py"),
        ("serve:app", "src/desk/asgi.py"),
        ("serve:again", "src/desk/asgi.py"),
    ],
)
def test_application_that_is_said_is_found_wherever_it_is(make: Make, said: str, module: str) -> None:
    """Beyond the ten likeliest, in an example, by the path of its file, or where a module only takes it from."""
    desk = {
        "src/desk/__init__.py": "from desk.app import app\n",
        "src/desk/app.py": APP,
        "src/desk/asgi.py": FACTORY.format(""),
        "src/desk/needy.py": FACTORY.format("settings: object"),
        "serve.py": "from desk.asgi import create_app, create_app as again\n\napp = create_app()\n",
    }
    hosts = find_hosts(make({**MANY, **desk, "examples/demo.py": APP}), said)
    assert hosts[0].application.module == module


@pytest.mark.parametrize("said", ["desk.ap:app", "desk.app:ap", "gone:app", "app", ":", "desk.app:", "tests.app:app.b"])
def test_application_that_is_said_and_is_nowhere_is_not_replaced_by_another(make: Make, said: str) -> None:
    assert find_hosts(make({"desk/__init__.py": "", "desk/app.py": APP}), said) == []


def test_an_example_counts_where_there_is_nothing_else(make: Make) -> None:
    hosts = find_hosts(make({"examples/app.py": APP, "tests/conftest.py": APP}))
    assert [it.application.module for it in hosts] == ["examples/app.py", "tests/conftest.py"]


def test_an_application_among_the_tests_has_two_folders_there(make: Make) -> None:
    host = only(make({"tests/app.py": APP}))
    assert (host.ws_path, host.tests_path) == ("tests/ws", "tests/ws_handlers")


def test_folders_that_are_not_the_hosts_are_left_alone(make: Make) -> None:
    names = ("node_modules/a", ".venv/lib", "build/lib", "dist", ".cache", "__pycache__", "lib/site-packages", ".git")
    root = make({**{f"{name}/app.py": APP for name in names}, "env/pyvenv.cfg": "", "env/app.py": APP})
    assert find_hosts(root) == []


def test_a_package_that_is_called_as_what_is_built_is_looked_into(make: Make) -> None:
    assert only(make({"build/__init__.py": "", "build/app.py": APP})).import_path == "build.app:app"


def test_an_application_below_a_folder_is_taken_before_one_beside_it(make: Make) -> None:
    root = make({"one/__init__.py": "", "one/app.py": APP, "two/__init__.py": "", "two/app.py": APP, "three/a.py": ""})
    assert [it.package for it in find_hosts(root / "two")] == ["two"]
    assert [it.package for it in find_hosts(root / "three")] == ["one", "two"]


@pytest.mark.parametrize(
    ("files", "tests"),
    [
        ({"desk/tests/a.py": ""}, "desk/tests/ws"),
        ({"tests/a.py": "", "desk/tests/a.py": ""}, "tests/ws"),
        ({"test/a.py": ""}, "test/ws"),
        ({"tests/a.py": "", "checks/a.py": "", "pytest.ini": "[pytest]\ntestpaths = gone checks\n"}, "checks/ws"),
        ({"checks/unit/a.py": "", "setup.cfg": "[tool:pytest]\ntestpaths = checks/*\n"}, "checks/unit/ws"),
        ({"checks/a.py": "", "tox.ini": "[pytest]\ntestpaths =\n    checks\n"}, "checks/ws"),
        ({"tests/ws/test_a.py": "def test_a(): ...\n"}, "tests/ws_handlers"),
        ({"pytest.ini": "[pytest]\ntestpaths = . desk ../x /y\n"}, "tests/ws"),
    ],
)
def test_tests_go_where_the_hosts_are(make: Make, files: dict[str, str], tests: str) -> None:
    assert only(make({"desk/__init__.py": "", "desk/app.py": APP, **files})).tests_path == tests


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"desk/ws/__init__.py": "a = 1\n"}, "ws_handlers"),
        ({"desk/ws.py": ""}, "ws_handlers"),
        ({"desk/ws.py": "", "desk/ws_handlers/a.py": ""}, "ws_handlers2"),
        ({"desk/ws/plugin.py": "class WebsocketPlugin(InitPlugin): ...\n", "desk/ws/socket.py": ""}, "ws"),
        ({"desk/ws.md": ""}, "ws"),
    ],
)
def test_a_folder_of_theirs_is_not_taken(make: Make, files: dict[str, str], name: str) -> None:
    host = only(make({"desk/__init__.py": "", "desk/app.py": APP, **files}))
    assert (host.ws_path, host.ws_import) == (f"desk/{name}", f"desk.{name}")


@pytest.mark.parametrize(
    ("source", "route"),
    [
        ("@websocket('/ws')\nasync def a(socket): ...", "/live"),
        ("@websocket_listener(path=['/ws/{a:int}', '/b'])\nasync def a(data): ...", "/live"),
        ("Router('ws', route_handlers=[])", "/live"),
        ("class A(Controller):\n    path = '/ws/a'", "/live"),
        ("ChannelsPlugin(create_ws_route_handlers=True, ws_handler_base_path='/ws')", "/live"),
        ("SOCKETS = '/ws'\n@websocket(SOCKETS)\nasync def a(socket): ...", "/live"),
        ("Router('/ws', [])\n@get('/live')\nasync def a(): ...", "/live-ws"),
        ("plugin(Config(ws_path='/ws'))", "/live"),
        ("class Config:\n    ws_path: str = '/ws'", "/live"),
        ("# @websocket('/ws')\na = {'ws': 1}.get('ws')", "/ws"),
        ("@websocket('/wsx')\nasync def a(socket): ...\n'''Router('/ws')'''", "/ws"),
    ],
)
def test_a_route_that_is_taken_is_left_to_them(make: Make, source: str, route: str) -> None:
    assert only(make({"app.py": APP, "sockets.py": source})).route == route


@pytest.mark.parametrize(
    ("ruff", "allowed"),
    [
        ("", True),
        ('[lint]\nselect = ["TID252"]', False),
        ('[lint]\nselect = ["ALL"]', False),
        ('select = ["TID"]', False),
        ('[lint]\nselect = ["E"]\nextend-select = ["TID25"]', False),
        ('[lint]\nselect = ["ALL"]\nignore = ["TID252"]', True),
        ('[lint]\nselect = ["TID252"]\nignore = ["TID"]', False),
        ('[lint]\nselect = ["TID251", "T"]\nignore = ["T"]', True),
        ('[lint.flake8-tidy-imports]\nban-relative-imports = "all"', False),
        ('[lint]\nselect = 7\n[lint.flake8-tidy-imports]\nban-relative-imports = ["x"]', True),
    ],
)
def test_imports_are_relative_unless_ruff_is_told_otherwise(make: Make, ruff: str, *, allowed: bool) -> None:
    tables = ruff.replace("[lint", "[tool.ruff.lint")
    inside = "[tool.ruff]\nline-length = 99\n" + tables
    host = only(make({"app.py": APP, "pyproject.toml": PROJECT + inside}))
    assert host.relative_imports == allowed
    host = only(make({"pyproject.toml": PROJECT, "ruff.toml": "line-length = 77\n" + ruff}))
    assert host.relative_imports == allowed


def test_ruff_takes_the_nearest_settings_and_what_they_extend(make: Make) -> None:
    files = {".git/HEAD": "", "pyproject.toml": '[tool.ruff.lint]\nselect = ["TID"]\n', "lib/app.py": APP}
    files["lib/pyproject.toml"] = PROJECT + '[tool.ruff]\nline-length = 70\nextend = "../pyproject.toml"\n'
    host = only(make(files))
    assert not host.relative_imports
    make({"lib/pyproject.toml": PROJECT + "[tool.ruff]\nline-length = 70\n"})
    assert only(host.root).relative_imports


def test_a_header_is_what_nearly_every_file_begins_with(make: Make) -> None:
    files = {f"desk/a{it}.py": f"{LICENCE}\na = {it}\n" for it in range(9)} | {"desk/app.py": LICENCE + APP}
    root = make({**files, "desk/__init__.py": "", "desk/tool.py": f"#!/usr/bin/env python\n# coding: utf-8\n{LICENCE}"})
    assert only(root).header == f"{LICENCE}\n"
    make({f"desk/b{it}.py": "a = 1\n" for it in range(3)})
    assert only(root).header == ""


@pytest.mark.parametrize(
    ("years", "latest"),
    [
        (["2019", "2024", "2024", "2026"], "2026"),
        (["2019-2026", "2024, 2025", "2019–2021", "2024"], "2019-2026"),  # noqa: RUF001 - a dash is one of them
        (["2024", "2024", "2024", "2024"], "2024"),
    ],
)
def test_headers_that_differ_in_their_years_are_one_and_the_latest_is_taken(
    make: Make, years: list[str], latest: str
) -> None:
    of = {year: LICENCE.replace("2026", year) for year in years}
    root = make({f"desk/a{number}.py": f"{of[it]}\na = 1\n" for number, it in enumerate(years)})
    make({"desk/app.py": f"{of[years[0]]}\n{APP}"})
    assert only(root).header == f"{of[latest]}\n"


def test_a_header_stands_as_close_as_in_the_other_files(make: Make) -> None:
    root = make({f"desk/a{it}.py": f"{LICENCE}a = {it}\n" for it in range(9)} | {"desk/app.py": f"{LICENCE}\n{APP}"})
    assert only(root).header == LICENCE


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({"pyproject.toml": PROJECT + "[tool.ruff]\n"}, True),
        ({"pyproject.toml": PROJECT, "app/ruff.toml": ""}, True),
        ({"pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["ruff>=0.12"]\n'}, True),
        ({"pyproject.toml": PROJECT, ".pre-commit-config.yaml": "repos: [{repo: https://x/ruff-pre-commit}]"}, True),
        ({"pyproject.toml": PROJECT + "[tool.black]\nline-length = 79\n"}, False),
        ({"pyproject.toml": PROJECT, "other/ruff.toml": ""}, False),
    ],
)
def test_ruff_is_used_where_settings_say_so(make: Make, files: dict[str, str], *, used: bool) -> None:
    root = make({**files, "app/__init__.py": "", "app/main.py": APP})
    assert (Settings(root=root).ruff(root / "app/ws") is not None) == used


def test_two_files_and_a_word_to_a_linter_make_no_header(make: Make) -> None:
    assert only(make({"desk/__init__.py": LICENCE, "desk/app.py": LICENCE + APP})).header == ""
    pragmas = {f"desk/{it}.py": "# ruff: noqa: D\n# mypy: ignore-errors\na = 1\n" for it in "abcdefghi"}
    assert only(make({**pragmas, "desk/__init__.py": "", "desk/app.py": "# ruff: noqa: D\n" + APP})).header == ""


@pytest.mark.parametrize(
    ("said", "specifier", "too_old", "lacks"),
    [
        ('[project]\ndependencies = ["litestar~=2.19.0"]', "~=2.19.0", True, True),
        ('[project]\ndependencies = ["litestar~=2.19"]', "~=2.19", False, True),
        (
            "[project]\ndependencies = [\"Litestar[standard] >=2.12, <2.20 ; python_version > '3'\"]",
            ">=2.12, <2.20",
            True,
            True,
        ),
        ('[project]\ndependencies = ["litestar==2.25.7"]', "==2.25.7", False, False),
        ('[project]\ndependencies = ["litestar>=2.24,<3", "litestar-vite<1"]', ">=2.24,<3", False, False),
        ('[project]\ndependencies = ["litestar @ git+https://x/y"]', "", False, True),
        ('[project.optional-dependencies]\nweb = ["litestar==2.16.*"]', "==2.16.*", True, True),
        ('[tool.poetry.dependencies]\nlitestar = "^2.12.1"', "^2.12.1", False, True),
        ('[tool.poetry.dependencies]\nlitestar = {version = "~2.12", extras = ["a"]}', "~2.12", True, True),
        ('[tool.poetry.dependencies]\nlitestar = "2.12.1"', "2.12.1", True, True),
        ('[project]\ndependencies = ["litestar nonsense"]', "nonsense", False, True),
        ("[project]\ndependencies = [1, {a = 2}]\n[tool]\npoetry = 3", "", False, True),
        ("not toml", "", False, True),
    ],
)
def test_a_litestar_that_may_be_too_old_is_known(
    make: Make, said: str, specifier: str, *, too_old: bool, lacks: bool
) -> None:
    host = only(make({"app.py": APP, "pyproject.toml": said}))
    assert (host.litestar, host.too_old) == (specifier, too_old)
    assert host.lacks == ("anyio", "msgspec", *(["litestar>=2.23"] if lacks else []))


def test_what_is_declared_in_many_files_is_not_lacking(make: Make) -> None:
    files = {
        "requirements.txt": "-r requirements/a.txt\n# anyio\n",
        "requirements/a.txt": "AnyIO>=4\n-r ../../etc.txt\n",
    }
    host = only(
        make({"app.py": APP, "pyproject.toml": "", **files, "setup.cfg": "[options]\ninstall_requires =\n  msgspec\n"})
    )
    assert host.lacks == ("litestar>=2.23",)


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ('[project]\ndependencies = ["uvicorn>=0.30"]', True),
        ('[project]\ndependencies = ["litestar"]\n[dependency-groups]\ndev = ["Uvicorn"]', True),
        ('[project]\ndependencies = ["uvicorn[standard]"]', False),
        ('[project]\ndependencies = ["uvicorn", "litestar[jwt,standard]"]', False),
        ('[project]\ndependencies = ["uvicorn", "websockets>=13"]', False),
        ('[project]\ndependencies = ["uvicorn", "wsproto"]', False),
        ('[project]\ndependencies = ["granian"]', False),
        ('[tool.poetry.dependencies]\nuvicorn = {version = "^0.30", extras = ["standard"]}', False),
        ('[tool.poetry.dependencies]\nuvicorn = "^0.30"', True),
    ],
)
def test_a_server_that_serves_no_websockets_is_known(make: Make, said: str, *, lacks: bool) -> None:
    assert ("websockets" in only(make({"app.py": APP, "pyproject.toml": said})).lacks) == lacks


def test_an_old_litestar_that_is_locked_or_installed_is_named(make: Make) -> None:
    lock = '[[package]]\nname = "litestar"\nversion = "2.19.0"\n\n[[package]]\nname = "litestar-vite"\nversion = "1"\n'
    root = make({".git/HEAD": "", "lib/pyproject.toml": PROJECT, "lib/app.py": APP, "uv.lock": lock})
    assert only(root).litestar_installed == "2.19.0"
    packages = ".venv/lib/python3.13/site-packages"
    make({f"{packages}/litestar-2.16.1.dist-info/METADATA": "", f"{packages}/litestar_vite-1.dist-info/A": ""})
    assert only(root).litestar_installed == "2.16.1"
    (root / packages / "litestar-2.16.1.dist-info").rename(root / packages / "litestar-2.25.0.dist-info")
    assert only(root).litestar_installed is None


def test_the_interpreter_is_a_path_that_nobody_has_run(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make({"app.py": APP})
    assert only(root).python is None
    monkeypatch.setenv("VIRTUAL_ENV", str(root / "active"))
    make({"active/bin/python": "", "active/pyvenv.cfg": ""})
    assert only(root).python == str(root / "active/bin/python")
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to("nowhere")
    assert only(root).python == str(root / ".venv/bin/python")


@pytest.mark.parametrize(
    ("path", "source", "line"),
    [
        ("desk/app.py", "from desk.ws import WebsocketPlugin\napp = Litestar(plugins=[WebsocketPlugin()])", 2),
        ("desk/app.py", "from .ws import WebsocketPlugin as Sockets\n\nplugin = Sockets(path='/a')", 3),
        ("desk/a/core.py", "def a():\n    from ..ws.plugin import WebsocketPlugin\n    return WebsocketPlugin()", 3),
        ("desk/app.py", "import desk.ws\ndesk.ws.WebsocketPlugin()", 2),
        ("desk/app.py", "from desk import ws as live\nlive.WebsocketPlugin()", 2),
        ("desk/app.py", "from . import ws\nws.WebsocketPlugin()", 2),
        ("desk/app.py", "from desk.ws import WebsocketPlugin", None),
        ("desk/app.py", "from other.ws import WebsocketPlugin\nWebsocketPlugin()", None),
        ("desk/app.py", "from desk.ws import WebsocketPlugin\n# WebsocketPlugin()\n'WebsocketPlugin()'", None),
        ("tests/test_a.py", "from desk.ws import WebsocketPlugin\nWebsocketPlugin()", None),
        ("src/desk/ws/testing.py", "from desk.ws import WebsocketPlugin\nWebsocketPlugin()", None),
    ],
)
def test_whether_the_plugin_is_added_is_seen(make: Make, path: str, source: str, line: int | None) -> None:
    found = plugin_is_added(make({path: source}), "desk.ws")
    assert found == (None if line is None else Location(path=path, line=line))


def test_whatever_is_on_the_disk_harms_nobody(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "app.py").write_text(APP)
    root = make({"app.py": APP, "broken.py": APP + "def (", "huge.py": APP + "#" * 2**20, "-.py": APP, "e.py/a": ""})
    (root / "binary.py").write_bytes(APP.encode() + b"\0\xff" * 99)
    (root / "latin.py").write_bytes(b"# coding: latin-1\na = '\xe9'\n" + APP.encode())
    (root / "unknown.py").write_bytes(b"# coding: klingon\n" + APP.encode())
    (root / "deep.py").write_text(APP + "a = " + "(" * 9999 + ")" * 9999)
    (root / "minus.py").write_text(APP + "a = " + "-" * 99999 + "1")
    (root / "sum.py").write_text(APP + "a = 1" + "+1" * 99999)
    (root / "long.py").write_text("from litestar import Litestar\na = " + "a." * 3000 + "Litestar()")
    (root / "escape.py").write_text(APP + "a = '\\d'\n")
    (root / "bad\nname.py").write_text(APP)
    (root / "out.py").symlink_to(outside / "app.py")
    (root / "out").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "itself.py").symlink_to("itself.py")
    os.mkfifo(root / "pipe.py")
    os.mkfifo(root / "requirements.txt")
    os.mkfifo(root / "uv.lock")
    (root / "pytest.ini").write_bytes(b"\xff\0[[[")
    (root / "setup.cfg").write_text("[options\n%(a)s = %(b)s")
    (root / "tests").symlink_to(outside)
    (root / "shut").mkdir(0)
    (root / "shut.py").write_text(APP)
    (root / "shut.py").chmod(0)
    found = {it.application.module for it in find_hosts(root)}
    (root / "shut").chmod(0o700)
    assert {"app.py", "latin.py", "-.py", "escape.py"} <= found
    assert not found & {"broken.py", "huge.py", "binary.py", "unknown.py", "out.py", "out/app.py", "pipe.py", "deep.py"}
    assert only_of(root, "app.py").tests_path == "tests/ws"
    assert only_of(root, "-.py").import_path is None
    assert plugin_is_added(root, "ws") is None


def only_of(root: Path, module: str) -> Host:
    """Return the host of one module."""
    return next(it for it in find_hosts(root) if it.application.module == module)


@pytest.mark.parametrize(
    "said", ["a = " + "[" * 5000, 'tool = 3\nproject = "a"', "[tool]\nruff = 3\npytest = []\n", "\0"]
)
def test_settings_of_any_shape_are_read_without_harm(make: Make, said: str) -> None:
    assert (
        only(make({"app.py": APP, "pyproject.toml": said, "ruff.toml": said, "uv.lock": said})).import_path == "app:app"
    )


def test_a_folder_that_is_none_has_no_hosts(make: Make) -> None:
    root = make({"app.py": APP})
    assert find_hosts(root / "gone") == find_hosts(root / "app.py") == []


def test_nothing_of_a_host_is_run_and_nothing_written(make: Make) -> None:
    root = make({"desk/__init__.py": "raise SystemExit", "desk/app.py": "raise SystemExit\n" + APP, "conftest.py": "x"})
    before = sorted(root.rglob("*")), {*sys.modules}
    assert only(root).import_path == "desk.app:app"
    assert sorted(root.rglob("*")) == before[0]
    assert not {it for it in {*sys.modules} - before[1] if it.partition(".")[0] == "desk"}


def test_a_hundred_thousand_lines_are_read_in_a_moment(make: Make) -> None:
    module = "from desk.a0 import f0\n\n\n" + "".join(
        f"def f{it}(a: int) -> int:\n    return a + 1\n\n" for it in range(66)
    )
    root = make({"desk/__init__.py": "", "desk/app.py": APP} | {f"desk/a{it}.py": module for it in range(500)})
    started = time.process_time()
    assert only(root).package == "desk"
    assert time.process_time() - started < 2
