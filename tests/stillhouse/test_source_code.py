"""A version of code changes with what the code does, and with nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import stillhouse.source_code as source_code
from stillhouse.source_code import closure_digest

HELLO = '''"""What this is."""

GREETING = "hello"


def greet(name: str) -> str:
    """Say hello."""
    return f"{GREETING} {name}"
'''


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of four modules: a gate that imports one inside a function and one for types alone."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "stillhouse").mkdir()
    (tmp_path / "checks" / "gates.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from stillhouse import types_only\n"
        "def look():\n    from stillhouse.inside import answer\n    return answer\n"
    )
    (tmp_path / "checks" / "page.html.j2").write_text("<p>")
    (tmp_path / "stillhouse" / "inside.py").write_text("import stillhouse.below\nanswer = 1\n")
    (tmp_path / "stillhouse" / "below.py").write_text("deep = 1\n")
    (tmp_path / "stillhouse" / "types_only.py").write_text("shape = 1\n")
    monkeypatch.setattr(source_code, "CHECKOUT", tmp_path)
    source_code.closure_digest.cache_clear()
    yield tmp_path
    source_code.closure_digest.cache_clear()


def digest_now(*without: str) -> str:
    source_code.closure_digest.cache_clear()
    return closure_digest("checks.gates", without)


def version_of(checkout: Path, source: str) -> str:
    (checkout / "stillhouse" / "inside.py").write_text(source)
    return digest_now()


@pytest.mark.parametrize(
    "same",
    [
        HELLO.replace("What this is.", "Something else."),
        HELLO.replace('"""Say hello."""', '"""Say good day."""'),
        HELLO.replace("GREETING =", "# why it is this one\nGREETING ="),
        HELLO.replace("def greet(name: str)", "def greet(\n    name: str,\n)"),
    ],
)
def test_words_about_code_are_no_change_of_it(checkout: Path, same: str) -> None:
    """Regression: a comment in losses.py had the teacher trained again."""
    assert same != HELLO
    assert version_of(checkout, HELLO) == version_of(checkout, same)


@pytest.mark.parametrize("other", [HELLO.replace('"hello"', '"hullo"'), HELLO.replace("{name}", "{name}!")])
def test_what_code_does_is_a_change_of_it(checkout: Path, other: str) -> None:
    assert version_of(checkout, HELLO) != version_of(checkout, other)


def test_a_package_that_finds_its_modules_by_looking_depends_on_each(checkout: Path) -> None:
    pictures = checkout / "stillhouse" / "pictures"
    pictures.mkdir()
    (pictures / "bars.py").write_text("width = 1\n")
    (pictures / "__init__.py").write_text("from pkgutil import iter_modules\nfound = [*iter_modules(__path__)]\n")
    before = version_of(checkout, "import stillhouse.pictures\n")
    (pictures / "bars.py").write_text("width = 2\n")
    assert digest_now() != before


@pytest.mark.parametrize(
    ("module", "counts"), [("inside", True), ("below", True), ("types_only", False), ("elsewhere", False)]
)
def test_a_closure_is_all_of_ours_that_a_module_runs(checkout: Path, module: str, counts: bool) -> None:
    before = digest_now()
    (checkout / "stillhouse" / f"{module}.py").write_text("something_else = 2\n")
    assert (digest_now() != before) is counts


def test_a_template_counts_with_the_modules_of_its_folder(checkout: Path) -> None:
    before = digest_now()
    (checkout / "checks" / "page.html.j2").write_text("<b>")
    assert digest_now() != before


@pytest.mark.parametrize(("without", "counts"), [("stillhouse.inside", False), ("stillhouse.in", True)])
def test_what_is_left_out_does_not_count_nor_what_only_it_imports(checkout: Path, without: str, counts: bool) -> None:
    before = digest_now(without)
    (checkout / "stillhouse" / "below.py").write_text("deep = 2\n")
    assert (digest_now(without) != before) is counts


def test_a_module_that_is_not_there_is_an_error_since_it_would_count_for_nothing(checkout: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no source of checks\.gone"):
        closure_digest("checks.gone")


FIELDS = """
LIMIT = 3
UNUSED = 4


class Config:
    weight: float = 1.0

    @field_validator("weight")
    def _is_no_less(cls, weight):
        return weight

    def weight_at(self, share):
        return _line(self.weight, share)

    def elsewhere(self):
        return 1


class Said:
    def __str__(self):
        return "said"


def _line(weight, share):
    return weight * share


def said():
    return Said()
"""


@pytest.mark.parametrize(
    ("was", "is_", "counts"),
    [
        ("return _line(self.weight, share)", "return _line(self.weight, share) / 2", True),
        ("return weight * share", "return weight + share", True),
        ("LIMIT = 3", "LIMIT = 4", True),
        ('return "said"', 'return "told"', True),
        ("weight: float = 1.0", "weight: float = 1.0\n    more: int = 2", False),
        ("return weight\n", "return abs(weight)\n", False),
        ("return 1", "return 2", False),
        ("UNUSED = 4", "UNUSED = 5", False),
    ],
)
def test_of_fields_that_count_by_value_only_what_is_computed_from_them_and_used_counts(
    checkout: Path, was: str, is_: str, counts: bool
) -> None:
    fields = checkout / "stillhouse" / "fields.py"
    fields.write_text(FIELDS)
    (checkout / "stillhouse" / "inside.py").write_text(
        "from stillhouse.fields import LIMIT, said as told\n\n\ndef answer(config):\n    return config.weight_at(0.5)\n"
    )

    def version(*without: str) -> str:
        closure_digest.cache_clear()
        return closure_digest("checks.gates", without, ("stillhouse.fields",))

    before, left_out = version(), version("stillhouse.fields")
    assert was in FIELDS
    fields.write_text(FIELDS.replace(was, is_))
    assert (version() != before) is counts
    assert version("stillhouse.fields") == left_out
