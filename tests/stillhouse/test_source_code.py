"""A version of code changes with what the code does, and with nothing else."""

from pathlib import Path

import pytest

import stillhouse.source_code as source_code
from stillhouse.source_code import closure_digest, code_digest

HELLO = '''"""What this is."""

GREETING = "hello"


def greet(name: str) -> str:
    """Say hello."""
    return f"{GREETING} {name}"
'''


def version_of(tmp_path: Path, source: str) -> str:
    file = tmp_path / "hello.py"
    file.write_text(source)
    return code_digest(file)


def test_code_is_modules_and_templates_below_a_folder_and_nothing_that_running_leaves(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "words.py").write_text("HELLO = 1")
    (tmp_path / "room" / "page.html.j2").write_text("<p>")
    before = code_digest(tmp_path)
    (tmp_path / "room" / "words.cpython-311.pyc").write_bytes(b"compiled")
    assert code_digest(tmp_path) == before
    (tmp_path / "room" / "page.html.j2").write_text("<b>")
    changed = code_digest(tmp_path)
    (tmp_path / "room" / "words.py").write_text("HELLO = 2")
    assert len({before, changed, code_digest(tmp_path)}) == 3


@pytest.mark.parametrize(
    "same",
    [
        HELLO.replace("What this is.", "Something else."),
        HELLO.replace('"""Say hello."""', '"""Say good day."""'),
        HELLO.replace("GREETING =", "# why it is this one\nGREETING ="),
        HELLO.replace("def greet(name: str)", "def greet(\n    name: str,\n)"),
    ],
)
def test_words_about_code_are_no_change_of_it(tmp_path: Path, same: str) -> None:
    """Regression: a comment in losses.py had the teacher trained again."""
    assert same != HELLO
    assert version_of(tmp_path, HELLO) == version_of(tmp_path, same)


@pytest.mark.parametrize("other", [HELLO.replace('"hello"', '"hullo"'), HELLO.replace("{name}", "{name}!")])
def test_what_code_does_is_a_change_of_it(tmp_path: Path, other: str) -> None:
    assert version_of(tmp_path, HELLO) != version_of(tmp_path, other)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of three modules: a gate that imports one inside a function and one for types alone."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "stillhouse").mkdir()
    (tmp_path / "checks" / "gates.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from stillhouse import types_only\n"
        "def look():\n    from stillhouse.inside import answer\n    return answer\n"
    )
    (tmp_path / "stillhouse" / "inside.py").write_text("import stillhouse.below\nanswer = 1\n")
    (tmp_path / "stillhouse" / "below.py").write_text("deep = 1\n")
    (tmp_path / "stillhouse" / "types_only.py").write_text("shape = 1\n")
    monkeypatch.setattr(source_code, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "counts"), [("inside", True), ("below", True), ("types_only", False), ("elsewhere", False)]
)
def test_a_closure_is_all_of_ours_that_a_module_runs(checkout: Path, module: str, counts: bool) -> None:
    closure_digest.cache_clear()
    before = closure_digest("checks.gates")
    (checkout / "stillhouse" / f"{module}.py").write_text("something_else = 2\n")
    closure_digest.cache_clear()
    changed = closure_digest("checks.gates") != before
    closure_digest.cache_clear()
    assert changed is counts
