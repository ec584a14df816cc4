"""Python that uses what has moved: modules by their imports, and identifiers that have another name.

What is certain is followed. The rest is named: a string, a name that stands for something else as well, a text that is
no Python.
"""

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from ws_scaffold.renames import Dotted, Modules, Place
from ws_scaffold.spelling import Edit

F_STRING = re.compile(r"(?i:f|rf|fr)['\"]")
IN_A_HOLE = re.compile(r"'[^']*'|\"[^\"]*\"|[^\W\d]\w*|\S")
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
CONNECTIONS = frozenset({"self", "connection"})
"""What a connection is called in the files of its handler."""
TRIVIA = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE})


@dataclass(frozen=True)
class _Token:
    kind: int
    string: str
    start: int
    end: int


@dataclass
class Uses:
    """What a text uses of what has moved."""

    edits: list[Edit] = field(default_factory=list)
    """What makes it use the same under its new name."""
    unsure: list[tuple[int, str]] = field(default_factory=list)
    """Where something is used that cannot be followed for certain: the place in the text, and its old name."""


def uses(text: str, place: Place, modules: Modules) -> Uses | None:
    """Return what a text uses of what has moved; None where it is no Python."""
    if re.search(r"\r(?!\n)", text):
        return None
    try:
        tree = ast.parse(text)
        tokens = list(_tokens(text))
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return None
    reader = _Reader(text, tree, tokens, place, modules)
    reader.read()
    return reader.found


def names_in(text: str) -> frozenset[int]:
    """Return where names are in a text, in what Python runs; nowhere, where it is no Python."""
    try:
        return frozenset(token.start for token in _tokens(text) if token.kind == tokenize.NAME)
    except (SyntaxError, tokenize.TokenError):
        return frozenset()


def _starts(text: str) -> list[int]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _tokens(text: str) -> Iterator[_Token]:
    """Yield what a text is made of, with the names in f-strings: Python 3.11 does not look into those."""
    starts = _starts(text)
    for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
        if token.type in TRIVIA:
            continue
        start = starts[token.start[0] - 1] + token.start[1]
        yield _Token(token.type, token.string, start, starts[token.end[0] - 1] + token.end[1])
        if token.type == tokenize.STRING and F_STRING.match(token.string):
            for hole in _holes(token.string):
                for found in IN_A_HOLE.finditer(token.string, *hole):
                    kind = tokenize.NAME if found[0].isidentifier() else tokenize.OP
                    yield _Token(kind, found[0], start + found.start(), start + found.end())


def _holes(literal: str) -> Iterator[tuple[int, int]]:
    """Yield where the expressions in an f-string begin and end."""
    at = start = depth = 0
    while at < len(literal):
        if not depth and literal[at : at + 2] in {"{{", "}}"}:
            at += 2
            continue
        if literal[at] in "{[(" and (depth or literal[at] == "{"):
            depth += 1
            start = at + 1 if depth == 1 else start
        elif literal[at] in "}])" and depth:
            depth -= 1
            if not depth:
                yield start, at
        at += 1


class _Reader:
    """Reads one text."""

    def __init__(self, text: str, tree: ast.Module, tokens: list[_Token], place: Place, modules: Modules) -> None:
        self.found = Uses()
        self._lines = text.split("\n")
        self._starts = _starts(text)
        self._tree = tree
        self._tokens = tokens
        self._at = {token.start: index for index, token in enumerate(tokens)}
        self._place = place
        self._modules = modules
        self._bound: dict[str, Dotted] = {}  # what a name stands for, where an import says so
        self._roots: dict[str, bool] = {}  # first parts of `import one.two`, and whether the first part is another now
        self._in_imports: set[int] = set()

    def read(self) -> None:
        """Find everything."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        others = set(self._bound_otherwise())
        keywords = {self._offset(node) for node in ast.walk(self._tree) if isinstance(node, ast.keyword) and node.arg}
        parameters = {node.arg for node in ast.walk(self._tree) if isinstance(node, ast.arg)}
        members = set(self._members())
        index = 0
        while index < len(self._tokens):
            chain = self._chain(index)
            first = self._tokens[index]
            named = first.start in members or (first.start in keywords and first.string not in parameters)
            if chain and index not in self._in_imports and not named:
                self._use(chain, others)
            index += max(2 * len(chain) - 1, 1)
        for node in self._names_in_strings():
            self._name_in_a_string(node)

    def _offset(self, node: ast.AST) -> int:
        line, column = getattr(node, "lineno", 1) - 1, getattr(node, "col_offset", 0)
        return self._starts[line] + len(self._lines[line].encode()[:column].decode(errors="ignore"))

    def _chain(self, index: int) -> list[_Token]:
        """Return the names of `one.two.three` that begin with a token; none, if it is in the middle of them."""
        if index and self._tokens[index - 1].string == ".":
            return []
        chain: list[_Token] = []
        while index < len(self._tokens) and self._tokens[index].kind == tokenize.NAME:
            if keyword.iskeyword(self._tokens[index].string):
                break
            chain.append(self._tokens[index])
            if index + 1 == len(self._tokens) or self._tokens[index + 1].string != ".":
                break
            index += 2
        return chain

    def _put(self, token: _Token, new: str) -> None:
        if token.string != new:
            self.found.edits.append((token.start, token.end, new))

    def _put_all(self, tokens: list[_Token], new: Iterable[str]) -> None:
        names = list(new)
        if len(tokens) == len(names):
            for token, name in zip(tokens, names, strict=True):
                self._put(token, name)
        else:
            self.found.edits.append((tokens[0].start, tokens[-1].end, ".".join(names)))

    def _dotted(self, index: int) -> tuple[list[_Token], int]:
        """Return the names of a dotted name in an import, and the index behind them."""
        names: list[_Token] = []
        while self._tokens[index].kind == tokenize.NAME and self._tokens[index].string not in {"import", "as"}:
            names.append(self._tokens[index])
            index += 1
            if self._tokens[index].string != ".":
                break
            index += 1
        return names, index

    def _import(self, node: ast.Import) -> None:
        begin = index = self._at[self._offset(node)]
        for alias in node.names:
            names, index = self._dotted(index + 1)
            old: Dotted = tuple(alias.name.split("."))
            new = self._modules.moved(old)
            if new:
                self._put_all(names, new)
            if alias.asname:
                self._bound[alias.asname] = old
                index += 2
            else:
                self._roots[old[0]] = self._roots.get(old[0], False) or bool(new and new[0] != old[0])
        self._in_imports.update(range(begin, index))

    def _import_from(self, node: ast.ImportFrom) -> None:
        begin = self._at[self._offset(node)]
        index = begin + 1
        while set(self._tokens[index].string) == {"."}:
            index += 1
        names, index = self._dotted(index)
        old = self._absolute(node)
        index += 1
        if self._tokens[index].string == "(":
            index += 1
        for alias in node.names:
            token = self._tokens[index]
            index += 4 if alias.asname else 2  # name, "as", other name, comma
            if old is not None:
                self._imported(old, alias, token)
        self._in_imports.update(range(begin, index - 1))
        if old is not None:
            self._moved_from(node, old, names)

    def _absolute(self, node: ast.ImportFrom) -> Dotted | None:
        rest = tuple(node.module.split(".")) if node.module else ()
        if not node.level:
            return rest
        above = len(self._place.old) - node.level + 1
        return self._place.old[:above] + rest if above > 0 else None

    def _imported(self, old: Dotted, alias: ast.alias, token: _Token) -> None:
        """Take note of one name that is imported from a module, and give it its new name."""
        self._bound[alias.asname or alias.name] = (*old, alias.name)
        whole = self._modules.packages.get((*old, alias.name))
        if whole and whole[-1] != alias.name:
            # What it is called in the rest of the text stays.
            new = whole[-1] if alias.asname else f"{whole[-1]} as {alias.name}"
            self._put(token, new)
        elif self._modules.moved(old) and alias.name in self._place.identifiers:
            self._put(token, self._place.identifiers[alias.name])

    def _moved_from(self, node: ast.ImportFrom, old: Dotted, names: list[_Token]) -> None:
        new = self._modules.moved(old) or old
        if node.level:
            prefix = self._place.new[: len(self._place.new) - node.level + 1]
            if new[: len(prefix)] != prefix:
                self.found.unsure.append((self._offset(node), ".".join(old)))
                return
            new = new[len(prefix) :]
        if names and new and tuple(token.string for token in names) != new:
            self._put_all(names, new)

    def _bound_otherwise(self) -> Iterator[str]:
        """Yield the names that stand for something which is no import."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, ast.arg):
                yield node.arg
            elif isinstance(node, NAMED) and node.name:
                yield node.name

    def _members(self) -> Iterator[int]:
        """Yield where classes name their members: those are known by an object's name, which nobody follows."""
        for node in ast.walk(self._tree):
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    words = 2 if isinstance(member, ast.AsyncFunctionDef) else 1
                    yield self._tokens[self._at[self._offset(member)] + words].start
                elif isinstance(member, ast.Assign | ast.AnnAssign):
                    targets = member.targets if isinstance(member, ast.Assign) else [member.target]
                    yield from (self._offset(target) for target in targets)

    def _is_ours(self, name: str) -> bool:
        """Whether a name is, in this text, an identifier that has another name now."""
        if name not in self._place.identifiers:
            return False
        bound = self._bound.get(name)
        if bound is None:
            return self._place.defines
        return bound[-1] == name and self._modules.moved(bound) is not None

    def _use(self, chain: list[_Token], others: Container[str]) -> None:
        first, rest = chain[0].string, tuple(token.string for token in chain[1:])
        identifiers = self._place.identifiers
        if first in self._roots and first not in self._bound:
            old = (first, *rest)
            new = self._modules.moved(old) or old
            if first in others:
                if new != old or self._roots[first]:
                    self.found.unsure.append((chain[0].start, first))
                return
            self._put_all(chain, (identifiers.get(part, part) for part in new) if new != old else new)
        elif self._is_ours(first):
            self._put(chain[0], identifiers[first])
        elif first in self._bound:
            bound = self._bound[first]
            if moved := self._modules.moved(bound + rest):
                names = rest if self._modules.moved(bound) else moved[len(bound) :]
                self._put_all(chain[1:], [identifiers.get(name, name) for name in names])
        elif self._place.defines and first in CONNECTIONS and rest and rest[0] in self._place.methods:
            self._put(chain[1], self._place.methods[rest[0]])

    def _names_in_strings(self) -> Iterator[ast.Constant]:
        """Yield the strings that are names for certain: annotations in quotes, and what is in `__all__`."""
        for node in ast.walk(self._tree):
            annotation = getattr(node, "returns", None) or getattr(node, "annotation", None)
            if isinstance(annotation, ast.expr):
                yield from _quoted(annotation)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple):
                names = [it.id for it in node.targets if isinstance(it, ast.Name)]
                if names == ["__all__"]:
                    yield from (it for it in node.value.elts if isinstance(it, ast.Constant))

    def _name_in_a_string(self, node: ast.Constant) -> None:
        index = self._at.get(self._offset(node))
        if index is None or not isinstance(node.value, str):
            return
        token = self._tokens[index]
        if token.string not in {f'"{node.value}"', f"'{node.value}'"}:
            return
        for found in re.finditer(r"(?<![\w.])[^\W\d]\w*", token.string):
            if self._is_ours(found[0]):
                start = token.start + found.start()
                self.found.edits.append((start, start + len(found[0]), self._place.identifiers[found[0]]))


def _quoted(annotation: ast.expr) -> Iterator[ast.Constant]:
    """Yield the strings of an annotation that are types: not those of a `Literal`, or of what is annotated."""
    match annotation:
        case ast.Constant(value=str()):
            yield annotation
        case ast.BinOp():
            yield from _quoted(annotation.left)
            yield from _quoted(annotation.right)
        case ast.Subscript():
            name = annotation.value
            last = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""
            if last not in {"Literal", "Annotated"}:
                yield from _quoted(annotation.slice)
        case ast.Tuple() | ast.List():
            for element in annotation.elts:
                yield from _quoted(element)
        case _:
            return
