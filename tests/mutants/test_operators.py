"""Which faults are put into a module, which places are left alone, and that the changed code is what is imported."""

import importlib
import sys
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, Mutated, answering, modules_to_mutate
from tests.mutants.operators import Mutant, mutants_of, sampled

CODE = '''"""A module."""

import logging
from dataclasses import dataclass

import sqlalchemy as sa

LENGTH = sa.String(64)


@dataclass(frozen=True)
class Record:
    """A record."""

    of: int | None = None


def judge(value: "int | None", limit: float = 0.5) -> str:
    """Judge it."""
    assert limit > 0
    logging.getLogger("x").setLevel(logging.WARNING)
    if value is None:
        raise ValueError(f"{1 + 1} of {limit * 2}")
    for one, other in zip([], [], strict=True):
        continue
    return "large" if value >= 3 and not value == -7 else f"small: {value + 1}"
'''


@pytest.fixture
def found(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "judging.py").write_text(CODE)
    return mutants_of(tmp_path, "judging.py")


def test_every_decision_number_and_statement_is_changed_and_nothing_else(found: list[Mutant]) -> None:
    assert [(mutant.kind, mutant.before, mutant.after) for mutant in found] == [
        ("number", "0.5", "1.0"),
        ("comparison", "value is None", "value is not None"),
        ("deleted", "raise ValueError(f'{1 + 1} of {limit * 2}')", ""),
        ("deleted", "continue", ""),
        ("return", "return 'large' if value >= 3 and (not value == -7) else f'small: {value + 1}'", "return None"),
        ("and, or", "value >= 3 and (not value == -7)", "value >= 3 or not value == -7"),
        ("boundary", "value >= 3", "value > 3"),
        ("comparison", "value >= 3", "value < 3"),
        ("number", "3", "4"),
        ("number", "3", "2"),
        ("negation", "not value == -7", "value == -7"),
        ("comparison", "value == -7", "value != -7"),
        ("sign", "-7", "7"),
        ("number", "7", "8"),
        ("number", "7", "6"),
    ]
    assert {mutant.within for mutant in found} == {"judge"}


def test_the_changed_module_is_imported_in_place_of_the_file(
    found: list[Mutant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))

    def judged_by(mutant: Mutant | None) -> str:
        monkeypatch.delitem(sys.modules, "judging", raising=False)
        loader = [Mutated("judging", mutant.compiled(tmp_path))] if mutant else []
        with monkeypatch.context() as patched:
            patched.setattr(sys, "meta_path", [*loader, *sys.meta_path])
            return importlib.import_module("judging").judge(3)

    changed = {mutant.after: mutant for mutant in found}
    assert judged_by(None) == "large"
    assert judged_by(changed["value > 3"]) == "small: 4"
    assert judged_by(changed["2"]) == "large" and judged_by(changed["4"]) == "small: 4"
    assert judged_by(changed["return None"]) is None
    with pytest.raises(ValueError, match=r"2 of 1\.0"):
        judged_by(changed["value is not None"])
    assert judged_by(None) == "large"


def test_a_sample_is_the_same_for_a_seed_and_in_proportion_to_the_modules(found: list[Mutant]) -> None:
    twice = [*found, *(Mutant(**{**mutant.__dict__, "path": f"{copy}.py"}) for copy in "ab" for mutant in found)]
    drawn = sampled(twice, 30, seed=0)
    assert drawn == sampled(twice[::-1], 30, seed=0) != sampled(twice, 30, seed=1)
    assert [sum(mutant.path == path for mutant in drawn) for path in ("judging.py", "a.py", "b.py")] == [10, 10, 10]
    assert set(sampled(twice, 12, seed=0)) < set(drawn)
    assert len(sampled(twice, 1000, seed=0)) == len(twice)


def test_a_line_above_moves_no_mutant_out_of_the_sample(found: list[Mutant], tmp_path: Path) -> None:
    (tmp_path / "judging.py").write_text(CODE.replace("import logging", "import json\nimport logging"))
    moved = mutants_of(tmp_path, "judging.py")
    assert [mutant.rank(0) for mutant in moved] == [mutant.rank(0) for mutant in found]
    assert [mutant.line for mutant in moved] == [mutant.line + 1 for mutant in found]


def test_every_mutated_module_has_tests_that_are_there() -> None:
    mutated = [path for path in modules_to_mutate() if mutants_of(ROOT, path)]
    assert len(mutated) > 30
    missing = [test for path in mutated for test in answering(path) if not (ROOT / test.partition("::")[0]).exists()]
    assert missing == []
