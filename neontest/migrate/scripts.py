"""One revision file, read from its syntax tree: never imported, never run."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from typing import Final, TypeAlias

from neontest.record import Acceptance, Fault, Revision

_Value: TypeAlias = "str | int | tuple[_Value, ...] | None"

_NAMES: Final = ("revision", "down_revision", "depends_on", "branch_labels")

PYTHON: Final = "{}.{}".format(*sys.version_info)
"""What files are read as: not always the project's own version, so it is said."""

LONGEST: Final = 1000
"""Characters of an id. Alembic's column holds 32, unless the project made it wider."""

# Alembic refuses these in ids: they mean something in `branch@head`, `-1` and `+1`.
_REFUSED: Final = "@-+"


_ACCEPT: Final = re.compile(r"#+\s*neontest:\s*accept\b([^:]*)(?::(.*))?$")


class _UnreadableError(Exception):
    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


def is_script(filename: str) -> bool:
    """Whether Alembic takes a file of this name for a revision."""
    return filename.endswith(".py") and not filename.startswith((".#", "__init__"))


def parse(source: bytes, name: str) -> Revision | Fault:
    """The revision in a file's content, or why it cannot be read.

    `name` is the file's name as people should see it. Values must be literals, or names and sums of literals
    assigned above them: what only running the file would tell is a Fault.
    """
    try:
        tree = ast.parse(source, filename=name)
    except SyntaxError as error:
        message = f"{name} is not Python {PYTHON}: {error.msg}"
        return Fault(kind="unreadable", message=message, file=name, line=error.lineno or 1)
    except (ValueError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deeply"
        return Fault(kind="unreadable", message=f"{name} is not Python {PYTHON}: {why}", file=name, line=1)
    try:
        return _revision(tree, name, source)
    except _UnreadableError as error:
        return Fault(kind="unreadable", message=f"{name}: {error}", file=name, line=error.line)


def same(source: bytes, other: bytes) -> bool:
    """Whether two files do the same: equal but for comments, docstrings and the way in which lines are broken."""
    if source == other:
        return True
    try:
        one, two = (ast.dump(_undocumented(ast.parse(each))) for each in (source, other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return one == two


def _undocumented(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)
        ):
            del node.body[0]
    return tree


def _accepts(source: bytes, id_: str, name: str) -> tuple[Acceptance, ...]:
    """The comments `# neontest: accept CHECK: REASON`; what one leaves out is "", and for a check to judge."""
    if b"neontest:" not in source:
        return ()
    found: list[Acceptance] = []
    try:
        for token in tokenize.tokenize(io.BytesIO(source).readline):
            if token.type == tokenize.COMMENT and (match := _ACCEPT.match(token.string)):
                check, reason = match[1].strip(), (match[2] or "").strip()
                found.append(Acceptance(check=check, reason=reason, revision=id_, file=name, line=token.start[0]))
    except (tokenize.TokenError, SyntaxError):
        pass  # what Python itself could read has been read; this only looks for comments
    return tuple(found)


def _revision(tree: ast.Module, name: str, source: bytes) -> Revision:
    values, lines = _assigned(tree)
    filename = name.rpartition("/")[2]
    line = lines.get("revision", 1)
    if "revision" in values:
        id_ = values["revision"]
    elif legacy := re.match(r"([a-f0-9]+)\.py$", filename):  # before Alembic 0.2 the file's name was the id
        id_ = legacy[1]
    else:
        raise _UnreadableError("it assigns no `revision`, so Alembic takes it for a broken revision file", 1)
    if not isinstance(id_, str) or not id_:
        raise _UnreadableError(f"revision is {id_!r}, not a text", line)
    if not id_.isprintable() or len(id_) > LONGEST:
        raise _UnreadableError(f"{id_[:40]!r} cannot be a revision id: at most {LONGEST} printable characters", line)
    if refused := sorted(set(id_) & set(_REFUSED)):
        raise _UnreadableError(f"Alembic refuses {' '.join(refused)} in a revision id: {id_!r}", line)
    if "down_revision" not in values:
        raise _UnreadableError("it assigns no `down_revision`", line)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    upgrade, downgrade = functions.get("upgrade"), functions.get("downgrade")
    docstring = (ast.get_docstring(tree) or "").strip()
    return Revision(
        id=id_,
        down=_ids("down_revision", values, lines),
        depends_on=_ids("depends_on", values, lines),
        labels=_ids("branch_labels", values, lines),
        message=docstring.splitlines()[0].strip() if docstring else "",
        file=name,
        line=line,
        upgrade_line=upgrade.lineno if upgrade else 0,
        downgrade_line=downgrade.lineno if downgrade else 0,
        upgrade_empty=upgrade is not None and not _does(upgrade),
        downgrade_empty=downgrade is not None and not _does(downgrade),
        downgrade_raises=downgrade is not None
        and bool(_does(downgrade))
        and isinstance(_does(downgrade)[0], ast.Raise),
        accepts=_accepts(source, id_, name),
    )


def _assigned(tree: ast.Module) -> tuple[dict[str, _Value], dict[str, int]]:
    """The values of the names assigned at the top of the file, and the lines of the assignments.

    Only what the four names need is evaluated, so that a file may assign anything else besides.
    """
    expressions: dict[str, ast.expr] = {}
    values: dict[str, _Value] = {}
    lines: dict[str, int] = {}
    for node in tree.body:
        for target, expression in _assignments(node):
            if target in _NAMES:
                values[target] = _value(expression, dict(expressions), target)
                lines[target] = node.lineno
            expressions[target] = expression
    return values, lines


def _assignments(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
        case ast.Assign(targets=targets, value=value):
            found: list[tuple[str, ast.expr]] = []
            for target in targets:
                match target, value:
                    case ast.Name(id=name), _:
                        found.append((name, value))
                    case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
                        pairs = zip(names, values, strict=True)
                        found.extend((one.id, other) for one, other in pairs if isinstance(one, ast.Name))
            return found
    return []


def _value(node: ast.expr, known: dict[str, ast.expr], name: str) -> _Value:
    """What a literal, or a name or sum of literals, is."""
    match node:
        case ast.Constant(value=str() | int() | None as value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return tuple(_value(item, known, name) for item in items)
        case ast.Name(id=other) if other in known:
            # Without the name itself: `X = X + "a"` does not read for ever.
            return _value(known[other], {key: value for key, value in known.items() if key != other}, name)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            match _value(left, known, name), _value(right, known, name):
                case str() as one, str() as two:
                    return one + two
                case tuple() as one, tuple() as two:
                    return (*one, *two)
        case ast.JoinedStr(values=parts):
            texts = [
                _value(part.value if isinstance(part, ast.FormattedValue) else part, known, name) for part in parts
            ]
            if all(isinstance(text, str | int) for text in texts):
                return "".join(map(str, texts))
    raise _UnreadableError(
        f"{name} is `{ast.unparse(node)}`, which cannot be known without running the file; write it as a text",
        node.lineno,
    )


def _ids(name: str, values: dict[str, _Value], lines: dict[str, int]) -> tuple[str, ...]:
    """None, a text or several, as a tuple; each once."""
    value = values.get(name)
    several = value if isinstance(value, tuple) else () if value is None else (value,)
    found: list[str] = []
    for one in several:
        if not isinstance(one, str):
            raise _UnreadableError(f"{name} holds {one!r}, not a text", lines.get(name))
        found.append(one)
    return tuple(dict.fromkeys(found))


def _does(function: ast.FunctionDef) -> list[ast.stmt]:
    """The statements that do anything: not `pass`, `...`, a docstring or a bare return."""
    return [
        node
        for node in function.body
        if not isinstance(node, ast.Pass)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Return) and (node.value is None or isinstance(node.value, ast.Constant)))
    ]
