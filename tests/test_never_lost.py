"""Whatever the user does between any commands: no line of theirs is lost, and state and files agree.

`WS_SCAFFOLD_EXAMPLES` says how many histories to try, at random, in the place of the few that are always the same.
"""

import ast
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePath

import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from projects import DIRECTED, HANDLERS, Handler, commit, copy_of_the_working_tree, run, words_of
from test_odd_files import MAKE
from trees import Ran, Tree, command, tree
from ws_scaffold.kinds import KINDS, named
from ws_scaffold.project import check_state, load_state, template_of
from ws_scaffold.render import Files, Rendering
from ws_scaffold.template import Template

EXAMPLES = int(os.environ.get("WS_SCAFFOLD_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 20,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)

NAMES = st.sampled_from(["chat", "feed", "event", "message", "s", "i", "a", "chat_2", "chat_10"])
"""One that is the start of another, and some with which many a word starts that has nothing to do with them."""

PACKAGES = st.sampled_from(["desk", "trading", "message"])

ENTRIES = st.sampled_from([*HANDLERS, *DIRECTED])
MESSAGES = st.lists(st.sampled_from(["say", "say n:int", "typing", "s", "chat", "a_1"]), min_size=1, max_size=4)
ANSWERS = ["interface", "payload", "transport", "codec", "out_payload", "out_transport", "events", "answers", "guard"]
SOME_KEYS = st.sets(st.sampled_from(ANSWERS), min_size=1)
OWN_FILES = st.sampled_from(["prices.py", "schemas.py", "own/prices.py", "own/notes.md", "own/deep/prices.py"])
KINDS_OF_CHANGE = st.sampled_from(["insert", "insert", "reword", "reword", "add", "delete", "rename", "ask"])
MOVED, EXTRA = "moved", "/extra_"
FEW = 4
ANY = st.integers(0, 10**6)
"""An index into what there is, whose length nobody knows yet."""

WORDS = """

def mine_{0}(messages, events, service, connection, chat):  # kept-{0}a
    message = {{"message": "event", "chat": "/ws/chat", "i": b"a"}}  # kept-{0}b
    return [it for it in messages if it is None or it not in events], f"{{service}} {{connection!r}}"  # kept-{0}c
"""
"""Python in words of the template."""

USES = """

from {1}.ws.{2}.service import {3}Service  # kept-{0}a
USED_{0} = {3}Service, "{3}Service", "{1}.ws.{2}", "{1}.example.com"  # kept-{0}b
"""
"""Python that uses what the template has made of a handler's name, and of the package's."""

ABOUT_GIT = b"<<<<<<< HEAD\nkept-%d\n=======\ntheirs\n>>>>>>> branch\n"
LINKS = st.sampled_from(["service.py", "own", "nowhere.txt", "../socket.py", "../../../../..", "/dev/null", "itself"])
ODD = st.sampled_from(["fifo", "socket", "huge", "unreadable", "about git", "empty folder"])
OWN_NAME = re.compile(r"(?:link|odd)_\d+$")
"""What of the user's is no file that anybody edits."""

FOREIGN = {
    "GIT_DIR": "/nowhere/.git",
    "GIT_WORK_TREE": "/nowhere",
    "GIT_INDEX_FILE": "/nowhere/index",
}
"""What git tells its hooks and aliases, of another repository."""

MARKED_LINE = re.compile(rb"[^\r\n]*kept-\d+[^\r\n]*")
MARKS = re.compile(rb"\s*#\s*kept-\d+[a-z]?")
WORD = re.compile(rb"\w+")
IMPORT = re.compile(rb"\s*(?:from|import) ")
CONFLICT = re.compile(rb"^(?:<<<<<<< ours|>>>>>>> theirs)$", re.MULTILINE)
CONFLICT_LINE = re.compile(rb"^(<<<<<<< ours|=======|>>>>>>> theirs)\r?\n", re.MULTILINE)

guide = lru_cache(32)(Template)


@cache
def working_tree() -> Path:
    """Return a repository with the template as it is."""
    return copy_of_the_working_tree(Path(tempfile.mkdtemp()))


@lru_cache(2048)
def parses(content: bytes) -> bool:
    """Whether a file is Python."""
    try:
        ast.parse(content)
    except SyntaxError:
        return False
    return True


@lru_cache(64)
def rendered(content: bytes) -> Files:
    """Return what the files of a state are, as long as nobody edits them."""
    state = yaml.safe_load(content)
    return Rendering(guide(template_of(Path(), state)), state).render()


def flags(answers: Handler) -> list[str]:
    """Return answers about a handler as they are given on the command line."""
    return words_of({"name": "", **dict(sorted(answers.items()))})[1:]


def holds_conflict(content: bytes) -> bool:
    """Whether the command has left a conflict in a file: what the user writes of git says `HEAD`."""
    return CONFLICT.search(content.replace(b"\r\n", b"\n")) is not None


def lines_of(files: Files) -> set[bytes]:
    """Return every line of what is generated."""
    return {line for file in files.values() for line in file.content.split(b"\n")}


def class_name(name: str) -> str:
    """Return a handler's name as the template begins classes with it."""
    return "".join(word.capitalize() for word in name.split("_"))


@dataclass(frozen=True)
class Moment:
    """A project, between two commands."""

    root: Path = field(compare=False)
    tree: Tree
    reached: frozenset[str]
    """The generated files that are in their place, links on the way to them or not."""

    @classmethod
    def of(cls, root: Path) -> "Moment":
        """Look at what is on disk."""
        found = tree(root)
        generated = rendered(found[".copier-answers.yml"][1])
        return cls(root, found, frozenset(path for path in generated if (root / path).is_file()))

    @property
    def files(self) -> dict[str, bytes]:
        """What files hold, by their path."""
        return {path: content for path, (mode, content) in self.tree.items() if stat.S_ISREG(mode)}

    @property
    def generated(self) -> Files:
        """What the state says the files are."""
        return rendered(self.files[".copier-answers.yml"])

    @property
    def package(self) -> str:
        """The name of the package."""
        return str(yaml.safe_load(self.files[".copier-answers.yml"])["package_name"])

    @property
    def marked_lines(self) -> set[bytes]:
        """What the user has written, line by line."""
        return {line for content in self.files.values() for line in MARKED_LINE.findall(content)}

    @property
    def conflicts(self) -> set[str]:
        """The files with conflict markers."""
        return {path for path, content in self.files.items() if holds_conflict(content)}

    @property
    def broken(self) -> set[str]:
        """The files that are no Python, and not because of a conflict."""
        python = {path for path, content in self.files.items() if path.endswith(".py") and not parses(content)}
        return python - self.conflicts

    @property
    def windows(self) -> set[str]:
        """The files of which every line ends in CRLF."""
        return {path for path, content in self.files.items() if 0 < content.count(b"\n") == content.count(b"\r\n")}

    @property
    def empty_folders(self) -> set[str]:
        """The folders that hold nothing, by their names."""
        parents = {str(PurePath(path).parent) for path in self.tree}
        folders = {path for path, (mode, _) in self.tree.items() if stat.S_ISDIR(mode)}
        return {PurePath(folder).name for folder in folders - parents}

    @property
    def missing(self) -> set[tuple[str | None, str]]:
        """Which generated files are not in their place: whose they are, and of which template."""
        return {(file.owner, file.source) for path, file in self.generated.items() if path not in self.reached}

    @property
    def odd(self) -> set[tuple[str, int, bytes]]:
        """What is no file that is read, by its name, which nothing else has."""
        found = ((PurePath(path).name, *about) for path, about in self.tree.items())
        return {(name, mode, b"" if "link" in name else it) for name, mode, it in found if OWN_NAME.match(name)}

    @property
    def linked_folders(self) -> set[str]:
        """The folders that a link leads to in the place of a handler's folder."""
        links = (content for mode, content in self.tree.values() if stat.S_ISLNK(mode))
        return {PurePath(link.decode()).name for link in links if b"real_" in link}


@dataclass(frozen=True)
class Step:
    """One command, and the project before and after it."""

    ran: Ran
    before: Moment
    after: Moment
    renamed: dict[str | None, str]
    sources: dict[str, str]
    """Template files that another version has under another name, old to new."""
    renamed_kind: tuple[str, str] = ("", "")

    @property
    def refused(self) -> bool:
        """Whether the command said that it did nothing."""
        return self.ran.output.startswith("ws-scaffold: ")

    def check(self) -> None:
        """Hold everything that is promised of any command."""
        if self.refused:
            assert self.ran.code in {1, 2}
            assert self.after == self.before
            return
        self.check_lines()
        self.check_exit_code()
        self.check_state()

    def check_lines(self) -> None:
        """Hold that what the user has written is there, files of theirs as a whole; and that Python is Python still."""
        lost = self.before.marked_lines - self.after.marked_lines
        assert not [line for line in lost if not any(self.respelled(line, there) for there in self.after.marked_lines)]
        own = {
            content
            for path, content in self.before.files.items()
            if path not in self.before.generated and not self.is_followed(PurePath(path))
        }
        unresolved = {self.before.files[path] for path in self.before.conflicts}
        assert own | unresolved <= set(self.after.files.values())
        assert self.before.windows & self.after.files.keys() <= self.after.windows
        assert len(self.after.broken) <= len(self.before.broken), self.after.broken
        assert self.before.odd == self.after.odd
        assert self.before.linked_folders <= self.after.linked_folders

    @staticmethod
    def is_followed(path: PurePath) -> bool:
        """Whether a file that is in no place of a generated one may be one: moved, or behind a link."""
        return path.name.startswith(MOVED) or path.parts[0].startswith("real_")

    def respelled(self, line: bytes, there: bytes) -> bool:
        """Whether a line is there with no other difference than that a name has its new spelling.

        So has a line of the template's, whatever is written behind it; and an identifier that the template has made.
        """
        if MARKS.findall(line) != MARKS.findall(there):
            return False
        plain, plain_there = MARKS.sub(b"", line), MARKS.sub(b"", there)
        if plain in lines_of(self.before.generated) and plain_there in lines_of(self.after.generated):
            return True
        if WORD.sub(b"", line) != WORD.sub(b"", there):
            return False
        pairs = list(zip(WORD.findall(line), WORD.findall(there), strict=False))
        modules = IMPORT.match(line) is not None
        return all(old == new or self.is_renamed(old.decode(), new.decode(), modules=modules) for old, new in pairs)

    def is_renamed(self, old: str, new: str, *, modules: bool) -> bool:
        """Whether a word is an identifier of the template's that is another one now; in an import, also a module."""
        kind, other_kind = self.renamed_kind
        if kind and (old, new) in {
            (f"{class_name(kind)}{end}", f"{class_name(other_kind)}{end}") for end in KINDS.values()
        }:
            return True
        for owner, name in self.renamed.items():
            if modules and (old, new) == (owner, name):
                return True
            for prefix, other in ((class_name(owner or ""), class_name(name)), (f"{owner}_", f"{name}_")):
                rest = old.removeprefix(prefix)
                if rest != old and rest.isalpha() and new == other + rest:
                    return True
        return modules and (old, new) == (self.before.package, self.after.package)

    def check_exit_code(self) -> None:
        """Hold that the exit code is 1 where a conflict is reported; and that each new one is."""
        reported = " with conflicts: " in self.ran.output
        assert self.ran.code == int(reported)
        assert not reported or self.after.conflicts
        assert reported or len(self.after.conflicts) <= len(self.before.conflicts)
        assert reported or not self.after.conflicts & self.after.generated.keys()

    def check_state(self) -> None:
        """Hold that the files of every handler are there, if not taken away before; and no other handler's."""
        gone = {
            (self.renamed.get(owner, owner), self.sources.get(source, source)) for owner, source in self.before.missing
        }
        # One extra that is taken back, and another one that comes, are alike: they may pass for one that was renamed.
        moved = {owner for owner, source in self.before.missing if EXTRA in source}
        missing = {(owner, source) for owner, source in self.after.missing if EXTRA not in source or owner not in moved}
        assert missing <= gone
        old, new = self.before.generated, self.after.generated
        left = {path for path in old.keys() - new.keys() if self.after.files.get(path) == old[path].content}
        assert not left
        for owner in self.renamed:
            folder = f"src/{self.after.package}/ws/{owner}"
            assert not [path for path in self.after.tree if path.startswith(f"{folder}/") or path == folder]
        assert self.after.empty_folders <= self.before.empty_folders


class Repository:
    """A repository with a version of the template after the other, each a little different from the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self.added: list[Path] = []
        run("git", "clone", "--quiet", working_tree(), folder, cwd=folder.parent)
        self.release()

    def release(self) -> str:
        """Tag what there is, and return the version."""
        self.version += 1
        commit(self.folder, "Another version")
        run("git", "tag", f"v0.0.{self.version}", cwd=self.folder)
        return f"v0.0.{self.version}"

    def file(self, which: int) -> Path:
        """Return a file that has a template of Python in it."""
        names = sorted((self.folder / "template").rglob("*.py*"))
        return names[which % len(names)]

    def service(self) -> Path:
        """Return the file that is a handler's service."""
        return min((self.folder / "template/project").rglob("service*.jinja"))

    def change(self, kind: str, which: int, line: int) -> dict[str, str]:
        """Change something, and return which template files have another name now."""
        path = self.file(which)
        lines = path.read_text().splitlines(keepends=True)
        mark = f"# of version {self.version + 1}\n"
        match kind:
            case "insert":
                at = line % (len(lines) + 1)
                indent = re.match("[ ]*", lines[at] if at < len(lines) else "")
                path.write_text("".join([*lines[:at], (indent[0] if indent else "") + mark, *lines[at:]]))
            case "reword":
                docstrings = [at for at, text in enumerate(lines) if text.rstrip().endswith('."""')] or [0]
                at = docstrings[line % len(docstrings)]
                lines[at] = lines[at].replace('."""', f', as of version {self.version + 1}."""')
                path.write_text("".join(lines))
            case "delete" if self.added:
                self.added.pop().unlink()
            case "add":
                added = self.service().with_name(f"extra_{self.version}.py.jinja")
                added.write_text(f'"""An extra of {{{{ ws.name }}}}."""\n\nVERSION = {self.version}\n')
                self.added = [*(it for it in self.added if it != added), added]
            case "rename":
                path = self.service()
                renamed = path.with_name(f"service_{self.version}.py.jinja")
                path.rename(renamed)
                return {str(it.relative_to(self.folder)): str(renamed.relative_to(self.folder)) for it in [path]}
            case "ask":
                guide_file = self.folder / "copier.yml"
                text, name = guide_file.read_text(), f"mood_{self.version}"
                text = text.replace("default: [project_name,", f"default: [{name}, project_name,")
                guide_file.write_text(f"{text}{name}:\n  type: str\n  help: Which?\n  default: fine\n")
        return {}


class Histories(RuleBasedStateMachine):
    """A project, what its user does to it, and commands between."""

    @initialize(name=NAMES)
    def begin(self, name: str) -> None:
        """Make a project, and put something beside it."""
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "desk"
        (self.folder / "beside.py").write_text("beside = True\n")
        self.template: Repository | None = None
        assert command(self.folder, "new", "project", "desk", "--handler-name", name).code == 0
        (self.root / "link").symlink_to(self.folder / "beside.py")
        self.written = self.deleted = 0
        self.environment: dict[str, str] = {}
        self.put_away: set[bytes] = set()

    def teardown(self) -> None:
        """Clean up."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # Commands

    def run(
        self,
        *arguments: str,
        renamed: dict[str | None, str] | None = None,
        sources: dict[str, str] | None = None,
        renamed_kind: tuple[str, str] = ("", ""),
    ) -> None:
        """Run a command twice, and check what it did the first time; the second time, nothing must be left to do."""
        before = Moment.of(self.root)
        ran = self.command(*arguments)
        after = Moment.of(self.root)
        step = Step(
            ran,
            before,
            after,
            renamed or {} if after.files[".copier-answers.yml"] != before.files[".copier-answers.yml"] else {},
            sources or {},
            renamed_kind,
        )
        event(f"{arguments[0]}: {'refused' if step.refused else 'conflict' if ran.code else 'done'}")
        step.check()
        state = load_state(self.root)
        check_state(state, guide(template_of(self.root, state)))
        again = self.command(*arguments)
        assert Moment.of(self.root) == after
        gone = arguments[0] == "remove" and ran.code == 0  # what is removed cannot be removed once more
        assert again.code == (2 if gone else ran.code) or after.conflicts
        assert {path.name for path in self.folder.iterdir()} <= {"beside.py", "desk", "template"}
        assert (self.folder / "beside.py").read_text() == "beside = True\n"

    def command(self, *arguments: str) -> Ran:
        """Run a command, in an environment that need not be of one's own making."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return command(self.root, *arguments)

    @rule(name=NAMES, entry=ENTRIES)
    def new(self, name: str, entry: Handler) -> None:
        """Add a handler, which may be there already."""
        self.run("new", "handler", name, *flags(entry))

    @rule(which=ANY, entry=ENTRIES, keys=SOME_KEYS)
    def change(self, which: int, entry: Handler, keys: set[str]) -> None:
        """Change some answers about a handler."""
        given = {key: value for key, value in entry.items() if key in keys}
        self.run("change", "handler", self.handler(which), *flags(given))

    @rule(which=ANY, entry=ENTRIES)
    def change_all(self, which: int, entry: Handler) -> None:
        """Change every answer about a handler."""
        self.run("change", "handler", self.handler(which), *flags(entry))

    @rule(which=ANY, kinds=MESSAGES, answer=st.sampled_from(["--messages", "--sends"]))
    def change_kinds(self, which: int, kinds: list[str], answer: str) -> None:
        """Say other kinds of messages: some come, some go, and the others stay."""
        self.run("change", "handler", self.handler(which), answer, ", ".join(dict.fromkeys(kinds)))

    @rule(which=ANY, kind=ANY, name=st.sampled_from(["say", "typing", "speak", "s"]))
    def rename_kind(self, which: int, kind: int, name: str) -> None:
        """Call a kind something else."""
        handler = self.handler(which)
        kinds = self.kinds_of(handler) or ["nothing"]
        old = kinds[kind % len(kinds)]
        self.run("rename", "kind", handler, old, name, renamed_kind=(old, name))

    @rule(which=ANY, name=NAMES)
    def rename(self, which: int, name: str) -> None:
        """Call a handler something else, which may be taken."""
        handler = self.handler(which)
        self.run("rename", "handler", handler, name, renamed={handler: name} if handler != name else {})

    @rule(name=PACKAGES)
    def change_package(self, name: str) -> None:
        """Call the package something else."""
        self.run("change", "project", "--package-name", name)

    @rule(which=ANY)
    def remove(self, which: int) -> None:
        """Remove a handler."""
        self.run("remove", "handler", self.handler(which))

    @rule(changes=st.lists(st.tuples(KINDS_OF_CHANGE, ANY, ANY), min_size=1, max_size=6), abort=st.booleans())
    def update(self, changes: list[tuple[str, int, int]], *, abort: bool) -> None:
        """Bring the project to another version of the template; maybe take that back, and do it again."""
        self.take_the_template()
        assert self.template
        sources: dict[str, str] = {}
        for change in changes:
            renamed = self.template.change(*change)
            sources = {old: renamed.get(new, new) for old, new in {**sources, **{it: it for it in renamed}}.items()}
        version = self.template.release()
        before = Moment.of(self.root)
        for _ in range(2 if abort else 0):
            if self.command("update").output.startswith("ws-scaffold: "):
                break
            mark = self.mark()
            edited = self.package_folder / "ws/__init__.py"
            with (edited if edited.is_file() else self.root / ".copier-answers.yml").open("ab") as file:
                file.write(b"" if not edited.is_file() else b"# " + mark + b"\n")
            assert self.command("update", "--abort").code in {0, 1}
            was = before.files.get(edited.relative_to(self.root).as_posix())
            if was is not None and edited.read_bytes() != was:  # the update did not change it, nor does its undoing
                edited.write_bytes(was)
            elif edited.is_file():
                self.put_away.add(mark)
            assert Moment.of(self.root) == before
            kept = [path.read_bytes() for path in (self.root / ".ws-scaffold").rglob("__init__.py")]
            assert all(any(it in content for content in kept) for it in self.put_away)
        self.run("update", sources=sources)
        refused = load_state(self.root)["_commit"] != version
        assert not refused or Moment.of(self.root) == before

    def take_the_template(self) -> None:
        """Let the project be of a template whose versions are ours to make; it is as it was generated, so far."""
        if self.template is None:
            self.template = Repository(self.folder / "template")
            state = self.root / ".copier-answers.yml"
            text = re.sub("_commit: .*", "_commit: v0.0.1", state.read_text())
            state.write_text(re.sub("_src_path: .*", f"_src_path: {self.folder / 'template'}", text))

    # What the user does

    @rule(which=ANY)
    def write_words(self, which: int) -> None:
        """Write something in words of the template."""
        path, lines = self.opened(which)
        if path.suffix == ".py" and lines:
            self.mark()
            end = [] if lines[-1].endswith(b"\n") else [b"\n"]
            self.save(path, [*lines, *end, WORDS.format(self.written).encode()])

    @rule(which=ANY, where=ANY)
    def use_names(self, which: int, where: int) -> None:
        """Use a handler's service, by its name."""
        path, lines = self.opened(where)
        if path.suffix == ".py" and lines and not path.name.startswith(MOVED):
            self.mark()
            name = self.handler(which)
            text = USES.format(self.written, self.package_folder.name, name, class_name(name))
            self.save(path, [*lines, *([] if lines[-1].endswith(b"\n") else [b"\n"]), text.encode()])

    @rule(which=ANY, leads_to=LINKS)
    def link(self, which: int, leads_to: str) -> None:
        """Put a link into a handler's folder, to what may be there, or not."""
        folder = self.package_folder / "ws" / self.handler(which)
        if folder.is_dir():
            self.mark()
            name = f"link_{self.written}"
            (folder / name).symlink_to(name if leads_to == "itself" else leads_to)

    @precondition(lambda self: self.deleted < FEW)
    @rule(which=ANY)
    def link_folder(self, which: int) -> None:
        """Put a handler's folder elsewhere, and a link in its place."""
        folder = self.package_folder / "ws" / self.handler(which)
        if folder.is_dir() and not folder.is_symlink():
            self.mark()
            folder.rename(self.root / f"real_{self.written}")
            folder.symlink_to(f"../../../real_{self.written}")

    @rule(which=ANY, kind=ODD, inside=st.booleans())
    def put_something_odd(self, which: int, kind: str, *, inside: bool) -> None:
        """Put something there that is no file to be read, or one of which one might think that it holds conflicts."""
        folder = self.package_folder / "ws" / self.handler(which) if inside else self.root
        if not folder.is_dir():
            return
        self.mark()
        path = folder / f"odd_{self.written}"
        match kind:
            case "about git":
                path.write_bytes(ABOUT_GIT % self.written)
            case "empty folder":
                path.mkdir()
            case _:
                MAKE[kind](path)

    @rule(foreign=st.sampled_from([{}, FOREIGN, {"GIT_CONFIG_GLOBAL": "autocrlf"}]))
    def be_called(self, foreign: dict[str, str]) -> None:
        """Be called by git, or by somebody whose git changes the ends of lines."""
        configuration = self.folder.with_suffix(".gitconfig")
        configuration.write_text("[core]\n\tautocrlf = true\n")
        self.environment = {key: str(configuration) if it == "autocrlf" else it for key, it in foreign.items()}

    @rule(which=ANY, line=ANY)
    def insert(self, which: int, line: int) -> None:
        """Write a line of one's own."""
        path, lines = self.opened(which)
        at = line % (len(lines) + 1)
        indent = re.match(rb"[ \t]*", lines[at] if at < len(lines) else b"")
        self.save(path, [*lines[:at], (indent[0] if indent else b"") + b"# " + self.mark() + b"\n", *lines[at:]])

    @rule(which=ANY, line=ANY)
    def edit(self, which: int, line: int) -> None:
        """Write something at the end of a line."""
        path, lines = self.opened(which)
        if lines:
            at = line % len(lines)
            text = lines[at].rstrip(b"\r\n")
            self.save(path, [*lines[:at], text + b"  # " + self.mark() + lines[at][len(text) :], *lines[at + 1 :]])

    @rule(which=ANY, line=ANY, count=st.integers(1, 8))
    def delete_lines(self, which: int, line: int, count: int) -> None:
        """Delete a few lines."""
        path, lines = self.opened(which)
        at = line % (len(lines) + 1)
        self.save(path, [*lines[:at], *lines[at + count :]])

    @rule(which=ANY)
    def end_lines_as_windows_does(self, which: int) -> None:
        """Save a file with an editor that ends lines with CRLF."""
        path, lines = self.opened(which)
        self.save(path, [line.rstrip(b"\r\n") + b"\r\n" for line in lines])

    @rule(which=ANY)
    def end_no_last_line(self, which: int) -> None:
        """Save a file with an editor that leaves the last line without an end."""
        path, lines = self.opened(which)
        self.save(path, [b"".join(lines).rstrip(b"\r\n")])

    @rule(which=ANY, name=OWN_FILES)
    def add(self, which: int, name: str) -> None:
        """Put a file of one's own into a handler's folder, or write another line into it."""
        path = self.package_folder / "ws" / self.handler(which) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"# " + self.mark() + b"\n")

    @precondition(lambda self: self.deleted < FEW)
    @rule(which=ANY)
    def delete(self, which: int) -> None:
        """Delete a file, but not so many that nothing is left."""
        self.deleted += 1
        self.path(which).unlink()
        self.prune()

    @rule(which=ANY, name=NAMES)
    def move(self, which: int, name: str) -> None:
        """Move a file, with a line of one's own in it, out of its folder, or into that of a handler."""
        path = self.path(which)
        folder = self.package_folder / "ws" / name
        target = (
            folder if folder.is_dir() else self.root
        ) / f"{MOVED}_{self.mark().decode().replace('-', '_')}{path.suffix}"
        path.rename(target)
        self.prune()

    @rule()
    def resolve(self) -> None:
        """Resolve all conflicts: keep both sides of each."""
        for path in self.files():
            if holds_conflict(path.read_bytes()):
                path.write_bytes(CONFLICT_LINE.sub(b"", path.read_bytes()))

    # Helpers

    @property
    def package_folder(self) -> Path:
        """The folder of the package."""
        return self.root / "src" / str(load_state(self.root)["package_name"])

    def files(self) -> list[Path]:
        """Return the regular files of the project that a person may look at."""
        found = (Path(parent, name) for parent, _, names in os.walk(self.root) for name in names)
        return sorted(it for it in found if stat.S_ISREG(it.lstat().st_mode) and not OWN_NAME.match(it.name))

    def handler(self, which: int) -> str:
        """Return the name of a handler; of one that was never there, if there is none."""
        names = [entry["name"] for entry in load_state(self.root)["handlers"]] or ["nobody"]
        return str(names[which % len(names)])

    def kinds_of(self, name: str) -> list[str]:
        """Return the kinds of messages of a handler."""
        said = [it.get(key, "") for it in load_state(self.root)["handlers"] if it["name"] == name for key in KINDS]
        return list(dict.fromkeys(kind for it in said for kind in named(it)))

    def path(self, which: int) -> Path:
        """Return a file of the project that a person edits."""
        kept = self.root / ".ws-scaffold"
        files = [it for it in self.files() if it.suffix in {".md", ".py", ".toml"} and not it.is_relative_to(kept)]
        return files[which % len(files)]

    def opened(self, which: int) -> tuple[Path, list[bytes]]:
        """Return a file, and its lines."""
        path = self.path(which)
        return path, path.read_bytes().splitlines(keepends=True)

    def save(self, path: Path, lines: list[bytes]) -> None:
        """Save a file, but not one that is no Python any more: it would not pass as an edit."""
        content = b"".join(lines)
        if path.suffix != ".py" or parses(content) or not parses(path.read_bytes()):
            path.write_bytes(content)

    def prune(self) -> None:
        """Remove folders that are empty now: what a command leaves must not be mistaken for it."""
        for folder in sorted((path for path in self.root.rglob("*") if path.is_dir()), reverse=True):
            if not folder.is_symlink() and not any(folder.iterdir()) and not OWN_NAME.match(folder.name):
                folder.rmdir()

    def mark(self) -> bytes:
        """Return what no other line holds."""
        self.written += 1
        return b"kept-%d" % self.written


def test_no_history_of_edits_and_commands_loses_a_line() -> None:
    run_state_machine_as_test(Histories, settings=SETTINGS)
