"""What a test imports of ours is there, also inside a function or in a script for a process of its own.

What stands at the top of a module is tried when tests are collected, whether they are slow or not. The rest is tried by
whoever runs the test, and of those that are slow that may be at night.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT

OURS = "(?:stillhouse|assets|checks|orchestration|benchmarks|tests)"
IMPORT = re.compile(rf"^[ \t]*(?:from ({OURS}[\w.]*) import (\([^)]+\)|[\w, ]+)|import ({OURS}[\w.]*))$", re.MULTILINE)
"""A line in a module or in a script that is a string there, or several lines in brackets."""
NOT_OURS = {"tests/stillhouse/test_source_code.py", "tests/test_contributing.py", "tests/test_imports.py"}
"""These import what they write themselves, or what is not there."""


@pytest.mark.parametrize("room", ["benchmarks", "tests"])
def test_what_is_imported_is_there(room: str) -> None:
    modules = {str(path.relative_to(CHECKOUT)): path for path in sorted((CHECKOUT / room).rglob("*.py"))}
    lost = [
        f"{name}: {missing}"
        for name in modules.keys() - NOT_OURS
        for missing in missing_imports(modules[name].read_text("utf-8"))
    ]
    assert not lost, "\n".join(sorted(lost))


@pytest.mark.parametrize(
    "source",
    [
        "def test():\n    from stillhouse.serving.spool import log_of\n",
        "def test():\n    import stillhouse.serving.nowhere\n",
        "SCRIPT = '''\n    import sys\n    from stillhouse.serving.spool import log_of\n    log_of({place!r})\n'''\n",
        "run(f'''\nfrom stillhouse.serving.spool import TrafficLog, log_of\nlog_of({place})\n''')\n",
        "def test():\n    from stillhouse.serving.spool import (\n        TrafficLog,\n        log_of as log,\n    )\n",
    ],
)
def test_an_import_of_what_was_moved_is_found(source: str) -> None:
    """Regression: a test of live sets imported `log_of` from the module that it had been moved out of."""
    (missing,) = missing_imports(source)
    assert missing in ("stillhouse.serving.spool has no log_of", "there is no stillhouse.serving.nowhere")
    assert missing_imports(source.replace("log_of", "TrafficLog").replace("nowhere", "spool")) == []


def missing_imports(source: str) -> list[str]:
    """Each import of ours that would fail, in words."""
    found = []
    for module, names, whole in IMPORT.findall(source):
        if _file_of(module or whole) is None and not _folder_of(module or whole).is_dir():
            found.append(f"there is no {module or whole}")
            continue
        wanted = [each.split()[0] for each in names.strip("()").split(",") if each.strip()]
        found += [f"{module} has no {name}" for name in wanted if not _has(module, name)]
    return found


def _has(module: str, name: str) -> bool:
    file = _file_of(module)
    is_a_name = file is not None and name in _names_in(file)
    return is_a_name or _file_of(f"{module}.{name}") is not None or _folder_of(f"{module}.{name}").is_dir()


def _folder_of(module: str) -> Path:
    return CHECKOUT / module.replace(".", "/")


@cache
def _file_of(module: str) -> Path | None:
    path = _folder_of(module)
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


@cache
def _names_in(file: Path) -> frozenset[str]:
    """What a module gives to whoever imports it."""
    return frozenset(_names_of(ast.parse(file.read_text("utf-8")).body))


def _names_of(statements: list[ast.stmt]) -> Iterator[str]:
    for each in statements:
        match each:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield each.name
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name.partition(".")[0] for alias in each.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue  # for type checkers alone
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                yield from (str(name.value) for name in names if isinstance(name, ast.Constant))
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                yield from (node.id for node in ast.walk(each) if isinstance(node, ast.Name))
            case ast.If() | ast.Try() | ast.With() | ast.For():
                yield from _names_of([node for node in ast.iter_child_nodes(each) if isinstance(node, ast.stmt)])
