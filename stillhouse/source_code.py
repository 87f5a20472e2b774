"""Versions of our own code: what a result depends on beside its inputs.

Belongs here: digests of Python source by meaning, and what a module imports of ours, directly or through others.
Does not: which module a stage begins with (stillhouse/stages/versions.py), installed packages (records/manifest.py).

Source is digested as its syntax tree without docstrings: a comment or another layout is the same version, so that
nobody trains a teacher again for it.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from stillhouse.digests import digest_of, digest_of_file
from stillhouse.home import CHECKOUT

OURS = ("stillhouse", "assets", "checks")


@functools.cache
def closure_digest(module: str, without: tuple[str, ...] = ()) -> str:
    """Digest one of our modules with all of ours that it imports, directly or not, inside functions too.

    What is imported for types alone does not count. The templates in the folder of a module count with it.

    Args:
        module: dotted name, such as `checks.prompts`.
        without: modules and packages that do not count, nor what only they import.

    Raises:
        FileNotFoundError: if there is no such module, since what was moved or misspelt would count for nothing.
    """
    if _file_of(module) is None:
        raise FileNotFoundError(f"no source of {module}")
    return digest_of(sorted((file.name, _digest_of_source(file)) for file in closure(module, without)))


def closure(module: str, without: tuple[str, ...] = ()) -> set[Path]:
    """The files behind `closure_digest`."""
    seen: set[str] = set()
    files: set[Path] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        file = _file_of(name)
        if name in seen or file is None or any(f"{name}.".startswith(f"{left_out}.") for left_out in without):
            continue
        seen.add(name)
        files |= {file, *file.parent.glob("*.j2")}
        queue += _imports_of(file)
    return files


def _digest_of_source(file: Path) -> str:
    status = file.stat()
    return _digest_of_version(file, status.st_mtime_ns, status.st_size)


@functools.cache
def _digest_of_version(file: Path, modified_ns: int, size: int) -> str:
    if file.suffix != ".py":
        return digest_of_file(file)
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return digest_of(ast.dump(tree))


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


@functools.cache
def _imports_of(file: Path) -> list[str]:
    """Dotted names of ours that a module may load; of `from a import b` a.b where that is a module, else a.

    A package that reads its own `__path__` finds its modules by looking, and so may load each of them.
    """
    found: list[str] = []
    for node in _without_types(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Name) and node.id == "__path__":
            package = ".".join(file.parent.relative_to(CHECKOUT).parts)
            found += [f"{package}.{module.stem}" for module in sorted(file.parent.glob("*.py"))]
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (f"{node.module}.{alias.name}" for alias in node.names)
            found += [name if _file_of(name) else node.module for name in inside]
    return [name for name in found if name.split(".")[0] in OURS]


def _without_types(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`, which nothing ever runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _without_types(child)


def _file_of(module: str) -> Path | None:
    path = CHECKOUT.joinpath(*module.split("."))
    if path.is_dir():
        path = path / "__init__"
    file = path.with_suffix(".py")
    return file if file.is_file() else None
