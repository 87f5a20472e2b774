"""Versions of our own code: what a result depends on beside its inputs.

Belongs here: digests of Python source by meaning, and what a module imports of ours, directly or through others.
Does not: which module a stage begins with (stillhouse/stages/versions.py), installed packages (records/manifest.py),
what is kept for the next process (source_cache.py).

Source is digested as its syntax tree without docstrings: a comment or another layout is the same version, so that
nobody trains a teacher again for it.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from stillhouse import source_cache
from stillhouse.digests import digest_of, digest_of_file
from stillhouse.home import CHECKOUT
from stillhouse.source_cache import SourceRead

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
    digest = digest_of(sorted((file.name, _digest_of_source(file)) for file in closure(module, without)))
    source_cache.write()
    return digest


def closure(module: str, without: tuple[str, ...] = ()) -> set[Path]:
    """The files behind `closure_digest`."""
    seen: set[str] = set()
    files: set[Path] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen or any(f"{name}.".startswith(f"{left_out}.") for left_out in without):
            continue
        seen.add(name)
        file = _file_of(name)
        if file is not None:
            files |= {file, *file.parent.glob("*.j2")}
            queue += _imports_of(file)
    return files


def _digest_of_source(file: Path) -> str:
    return _read(file).digest if file.suffix == ".py" else digest_of_file(file)


def _imports_of(file: Path) -> Iterator[str]:
    """Dotted names of ours that a module may load; of `from a import b` a.b where that is a module, else a.

    A package that reads its own `__path__` finds its modules by looking, and so may load each of them.
    """
    read = _read(file)
    yield from read.modules
    for module, name in read.names:
        yield f"{module}.{name}" if _file_of(f"{module}.{name}") else module
    if read.looks_around:
        package = ".".join(file.parent.relative_to(CHECKOUT).parts)
        yield from (f"{package}.{module.stem}" for module in file.parent.glob("*.py"))


def _read(file: Path) -> SourceRead:
    status = file.stat()
    return _read_version(file, status.st_mtime_ns, status.st_size)


@functools.cache
def _read_version(file: Path, modified_ns: int, size: int) -> SourceRead:
    content = file.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    read = source_cache.known(key)
    if read is None:
        read = _parsed(content)
        source_cache.remember(key, read)
    return read


def _parsed(content: bytes) -> SourceRead:
    tree = ast.parse(content)
    modules, names, looks_around = [], [], False
    for node in _without_types(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names if _is_ours(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            names += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Name) and node.id == "__path__":
            looks_around = True
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return SourceRead(
        digest=digest_of(ast.dump(tree)), modules=tuple(modules), names=tuple(names), looks_around=looks_around
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in OURS


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _without_types(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`, which nothing ever runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _without_types(child)


def _file_of(module: str) -> Path | None:
    return _file_below(CHECKOUT, module)


# For the life of a process, as the digests: the modules of thirty closures are each looked for hundreds of times.
@functools.cache
def _file_below(checkout: Path, module: str) -> Path | None:
    path = checkout.joinpath(*module.split("."))
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None
