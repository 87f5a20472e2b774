"""Mutants of a module: copies of it in which one decision, number or statement is another.

Belongs here: what is changed and into what, and what is left alone because no test could or should notice.
Does not: running tests on a mutant (__main__.py).
"""

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """One changed place of one module.

    Args:
        path: the module's file, from the checkout's root.
        line: where the change is.
        within: qualified name of the function or class it is in, empty at the module's own level.
        kind: what sort of change it is.
        before: the code there.
        after: the code instead; empty where it was taken out.
        place: which node of the module's tree it is, in the order of `ast.walk`.
        choice: which of the changes of that node.
        nth: which of several such changes in that function.
    """

    path: str
    line: int
    within: str
    kind: str
    before: str
    after: str
    place: int
    choice: int
    nth: int

    def rank(self, seed: int) -> str:
        """A place in a random order that depends on what is changed, and not on what stands above it in the file."""
        identity = [str(seed), self.path, self.within, self.kind, self.before, self.after, str(self.nth)]
        return hashlib.sha256("\0".join(identity).encode()).hexdigest()

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.path}:{self.line} {self.within}: {self.kind}: {self.before}  ->  {self.after or 'nothing'}"

    def compiled(self, root: Path) -> CodeType:
        """The module with this change, compiled as if it were the file."""
        path = root / self.path
        tree = ast.parse(path.read_text("utf-8"))
        _, changed = _changes(list(ast.walk(tree))[self.place])[self.choice]
        mutated = _Put(list(ast.walk(tree))[self.place], changed).visit(tree)
        return compile(ast.fix_missing_locations(mutated), str(path), "exec")


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines.

    Args:
        root: the checkout.
        path: of the module's file below it.
    """
    tree = ast.parse((root / path).read_text("utf-8"))
    places = {id(node): place for place, node in enumerate(ast.walk(tree))}
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for node, within in _open_to_change(tree, ""):
        for choice, (kind, changed) in enumerate(_changes(node)):
            after = "" if isinstance(changed, ast.Pass) else _in_one_line(changed)
            what = (within, kind, _in_one_line(node), after)
            line = getattr(node, "lineno", 0)
            found.append(Mutant(path, line, *what, places[id(node)], choice, seen[what]))
            seen[what] += 1
    return sorted(found, key=lambda mutant: mutant.line)


def sampled(mutants: list[Mutant], wanted: int, seed: int) -> list[Mutant]:
    """So many of the mutants, of each module in proportion to how many it has.

    Args:
        mutants: of all modules.
        wanted: how many; fewer if there are not as many.
        seed: of the order in which they are drawn.
    """
    of_module = Counter(mutant.path for mutant in mutants)
    drawn: dict[str, list[Mutant]] = {path: [] for path in of_module}
    for mutant in sorted(mutants, key=lambda mutant: mutant.rank(seed)):
        drawn[mutant.path].append(mutant)
    # Each module's n-th of m stands at (n + 1/2) / m of the way, so that any beginning of the list is in proportion.
    order = sorted(
        (((n + 0.5) / of_module[path], mutant) for path, those in drawn.items() for n, mutant in enumerate(those)),
        key=lambda placed: (placed[0], placed[1].path),
    )
    return sorted((mutant for _, mutant in order[:wanted]), key=lambda mutant: (mutant.path, mutant.line))


def _in_one_line(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


class _Put(ast.NodeTransformer):
    """Put one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, ast.copy_location(new, old)

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _open_to_change(node: ast.AST, within: str) -> Iterator[tuple[ast.AST, str]]:
    """Every node that may be changed, with the name of what it is in."""
    for child in ast.iter_child_nodes(node):
        if _is_left_alone(node, child):
            continue
        yield child, within
        is_named = isinstance(child, (ast.FunctionDef, ast.ClassDef))
        yield from _open_to_change(child, f"{within}.{child.name}".lstrip(".") if is_named else within)


def _is_left_alone(parent: ast.AST, node: ast.AST) -> bool:
    """Whether no test should be asked about a part of the tree."""
    return _is_for_mypy(parent, node) or _is_for_people(parent, node) or _is_out_of_sight(node)


def _is_for_mypy(parent: ast.AST, node: ast.AST) -> bool:
    """Types, assertions of what cannot be otherwise, and that a record is frozen."""
    match parent:
        case ast.arg(annotation=there) | ast.AnnAssign(annotation=there) | ast.FunctionDef(returns=there):
            if node is there:
                return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.ClassDef(decorator_list=decorators) if node in decorators:
            return True
    return isinstance(node, ast.Assert)


def _is_for_people(parent: ast.AST, node: ast.AST) -> bool:
    """How a sentence is put together; which one is said is a decision, and open to change."""
    return isinstance(node, ast.JoinedStr) or isinstance(parent, ast.Raise)


def _is_out_of_sight(node: ast.AST) -> bool:
    """What no test can see: logging and warnings, lengths that SQLite does not look at, `strict` as ruff wants it."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=value))):
            return _root_name(value) in ("logging", "warnings")
        case ast.Call(func=ast.Attribute(value=ast.Name(id="sa"), attr="String")) | ast.keyword(arg="strict"):
            return True
    return False


def _root_name(node: ast.AST) -> str:
    """The name that a chain of attributes and calls begins with."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _changes(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """What a node can be changed into, with the kind of each change."""
    return [*_other_values(node), *_other_conditions(node), *_other_statements(node)]


def _other_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Constant(value=bool(value)):
            yield "boolean", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield "number", ast.Constant(value + 1)
            yield "number", ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield "number", ast.Constant(value * 2 if value else 1.0)
        case ast.BinOp(left, op, right) if type(op) in OTHER_OPERATOR and not (_is_text(left) or _is_text(right)):
            yield "arithmetic", ast.BinOp(left, OTHER_OPERATOR[type(op)](), right)
        case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
            yield "sign", operand


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _other_conditions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare(left, ops, comparators):
            for place, op in enumerate(ops):
                for kind, other in (("boundary", BOUNDARY), ("comparison", OPPOSITE)):
                    if type(op) in other:
                        changed = [*ops[:place], other[type(op)](), *ops[place + 1 :]]
                        yield kind, ast.Compare(left, changed, comparators)
        case ast.BoolOp(op, values):
            yield "and, or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "negation", operand
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if _is_plain(test):
            changed = copy.copy(node)
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield "negation", changed
        case ast.comprehension(ifs=[only]) if _is_plain(only):
            changed = copy.copy(node)
            changed.ifs = [ast.UnaryOp(ast.Not(), only)]
            yield "negation", changed


def _is_plain(test: ast.AST) -> bool:
    """Whether a condition is nothing that is changed by itself."""
    return isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))


def _other_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "return", ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign():
            yield "deleted", ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield "deleted", ast.Pass()
