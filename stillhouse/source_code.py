"""Versions of our own code: what a result depends on beside its inputs.

Belongs here: digests of Python source by meaning, and what a module imports of ours, directly or through others.
Does not: which module a stage begins with (stillhouse/stages/versions.py), installed packages (records/manifest.py),
what is kept for the next process (source_cache.py).

Source is digested as its syntax tree without docstrings: a comment or another layout is the same version, so that
nobody trains a teacher again for it. Of a package whose fields count by their values only what it computes is digested,
function by function, as far as the rest uses it by name.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stillhouse import source_cache
from stillhouse.digests import digest_of, digest_of_file
from stillhouse.home import CHECKOUT
from stillhouse.source_cache import SourceRead

OURS = ("stillhouse", "assets", "checks")
RULES = ("field_validator", "model_validator")
"""Decorators of what refuses a value, or writes it in another way, before anything reads it."""


_OWN_SOURCE = Path(__file__).read_bytes()


@functools.cache
def closure_digest(module: str, without: tuple[str, ...] = (), by_value: tuple[str, ...] = ()) -> str:
    """Digest one of our modules with all of ours that it imports, directly or not, inside functions too.

    What is imported for types alone does not count. The templates in the folder of a module count with it.

    Args:
        module: dotted name, such as `checks.prompts`.
        without: modules and packages that do not count, nor what only they import.
        by_value: packages and modules whose fields count by their values elsewhere; of their code only what is
            computed from them counts, see `computed`.

    Raises:
        FileNotFoundError: if there is no such module, since what was moved or misspelt would count for nothing.
    """
    if _file_of(module) is None:
        raise FileNotFoundError(f"no source of {module}")
    files = closure(module, (*without, *by_value))
    digests = [(file.name, _digest_of_source(file)) for file in files]
    digests += [(part.name, part.digest) for part in computed(files, by_value, without)]
    source_cache.write()
    return digest_of(sorted(digests))


def closure(module: str, without: tuple[str, ...] = ()) -> set[Path]:
    """The files behind `closure_digest`."""
    seen: set[str] = set()
    files: set[Path] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen or _is_below(name, without):
            continue
        seen.add(name)
        file = _file_of(name)
        if file is not None:
            files |= {file, *file.parent.glob("*.j2")}
            queue += _imports_of(file)
    return files


@dataclass(frozen=True)
class SourcePart:
    """A function, property or constant of a module.

    Args:
        name: by which it is used, after a dot where it is a method; of what Python calls by itself, such as `__str__`,
            the class.
        digest: of its syntax tree without docstrings.
        uses: names in it, and attributes, each after a dot.
    """

    name: str
    digest: str
    uses: frozenset[str]


def computed(files: Iterable[Path], packages: tuple[str, ...], without: tuple[str, ...] = ()) -> list[SourcePart]:
    """What some files use by name of packages whose fields count by their values, and what that uses in turn.

    A method is known by its name alone, so one of the same name in another class counts as well.

    Args:
        files: of a closure.
        packages: that count by value.
        without: modules in them that do not count at all.
    """
    there: dict[str, list[SourcePart]] = {}
    for part in (part for package in packages for file in _files_below(package, without) for part in _parts_of(file)):
        there.setdefault(part.name, []).append(part)
    found: list[SourcePart] = []
    queue = [name for file in files if there and file.suffix == ".py" for name in _read(file).uses]
    while queue:
        for part in there.pop(queue.pop(), ()):
            found.append(part)
            queue += part.uses
    return found


def _files_below(package: str, without: tuple[str, ...]) -> Iterator[Path]:
    path = CHECKOUT.joinpath(*package.split("."))
    for file in sorted(path.rglob("*.py")) or [path.with_name(f"{path.name}.py")]:
        if not _is_below(".".join(file.relative_to(CHECKOUT).with_suffix("").parts), without):
            yield file


def _parts_of(file: Path) -> list[SourcePart]:
    status = file.stat()
    return _parts_of_version(file, status.st_mtime_ns, status.st_size)


# For the life of a process, since each of its stages asks for the same.
@functools.cache
def _parts_of_version(file: Path, modified_ns: int, size: int) -> list[SourcePart]:
    tree = _without_docstrings(ast.parse(file.read_bytes()))
    parts = [part for node in tree.body if isinstance(node, ast.ClassDef) for part in _methods(node)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            parts.append(_part(node.name, node))
        for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
            if isinstance(target, ast.Name) and target.id.isupper():  # others are names of types
                parts.append(_part(target.id, node))
    return parts


def _methods(node: ast.ClassDef) -> Iterator[SourcePart]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not any(
            isinstance(name, ast.Name) and name.id in RULES for rule in each.decorator_list for name in ast.walk(rule)
        ):
            yield _part(node.name if each.name.startswith("__") else f".{each.name}", each)


def _part(name: str, node: ast.AST) -> SourcePart:
    return SourcePart(name, digest_of(ast.dump(node)), frozenset(_names_in(ast.walk(node))) - {name})


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found |= {f".{node.attr}", node.attr}  # a function by its module, or a method
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}  # it may go by another name here
    return found


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


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
    key = hashlib.sha256(_OWN_SOURCE + content).hexdigest()  # another version of this module reads other things of it
    read = source_cache.known(key)
    if read is None:
        read = _parsed(content)
        source_cache.remember(key, read)
    return read


def _parsed(content: bytes) -> SourceRead:
    tree = ast.parse(content)
    run = list(_without_types(tree))
    modules, names, looks_around = [], [], False
    for node in run:
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names if _is_ours(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            names += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Name) and node.id == "__path__":
            looks_around = True
    return SourceRead(
        digest=digest_of(ast.dump(_without_docstrings(tree))),
        modules=tuple(modules),
        names=tuple(names),
        uses=tuple(sorted(_names_in(run))),
        looks_around=looks_around,
    )


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return tree


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
