"""A stage is made again when code that decides its content was changed, and for no other change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import stillhouse.source_code as source_code
from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import read_recipe
from stillhouse.source_code import closure
from stillhouse.stages.names import kind_of, stage_names
from stillhouse.stages.versions import ASIDE, BY_VALUE, code_version

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"


def source_of(kind: str) -> set[str]:
    files = closure(f"stillhouse.stages.{kind}", (*ASIDE, *BY_VALUE))
    return {str(file.relative_to(CHECKOUT / "stillhouse")) for file in files}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "counts", "does_not"),
    [
        (
            "evaluation",
            {"models/predictor.py", "statistics/verdicts.py"},
            {"report/document.py", "data/cleaning.py"},
        ),
        (
            "baselines",
            {"models/predictor.py", "models/weights.py", "students/pruning.py"},
            {"report/document.py"},
        ),
        (
            "teacher",
            {"models/training.py", "models/weights.py", "data/privacy.py"},  # what a pilot says why is redacted
            {"data/cleaning.py", "evaluation/harness.py", "statistics/calibration.py"},
        ),
        (
            "candidates",
            {"students/pruning.py", "models/losses.py", "statistics/softmax.py"},
            {"evaluation/harness.py", "models/weights.py", "statistics/calibration.py"},
        ),
        ("prompts", {"data/near_duplicates.py"}, {"data/sources.py", "models/training.py"}),
        (
            "selection",
            {"report/document.py", "report/report.html.j2", "report/figures/slices.py", "evaluation/selection.py"},
            {"release/bundle.py"},
        ),
    ],
)
def test_what_a_stage_runs_counts_and_what_it_does_not_run_does_not(
    kind: str, counts: set[str], does_not: set[str]
) -> None:
    found = source_of(kind)
    assert counts <= found and not does_not & found
    assert "__init__.py" not in found, "what a notebook finds by name is no reason to make anything again"
    assert all((CHECKOUT / "stillhouse" / name).exists() for name in does_not)


@pytest.mark.long
def test_every_stage_has_a_module_of_its_kind_and_a_version_of_its_own() -> None:
    recipe = read_recipe(DEMO).recipe
    versions = {kind_of(stage): code_version(stage) for stage in stage_names(recipe)}
    assert len(set(versions.values())) == len(versions) == 14


def test_no_stage_depends_on_how_another_one_works_but_the_last_ones() -> None:
    """What is read of another stage are its facts; only what is released depends on how it was chosen."""
    kinds = {kind_of(stage) for stage in stage_names(read_recipe(DEMO).recipe)}
    for kind in kinds:
        others = {Path(name).stem for name in source_of(kind) if name.startswith("stages/")} & kinds - {kind}
        assert others <= ({"selection"} if kind in ("release", "champion") else set()), kind


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The recipe's modules in a copy of the sources that versions are computed from."""
    shutil.copytree(CHECKOUT / "stillhouse", tmp_path / "stillhouse", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source_code, "CHECKOUT", tmp_path)
    source_code.closure_digest.cache_clear()
    yield tmp_path / "stillhouse" / "recipe"
    source_code.closure_digest.cache_clear()


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "was", "is_", "changes", "leaves"),
    [
        ("losses.py", "min(share / self.ramp_share, 1.0)", "share", {"teacher", "candidates/small"}, {"prompts"}),
        ("training.py", "if self.embedding_weight > 0", "if False", {"candidates/small"}, {"prompts"}),
        ("answers.py", '"messages.-1.content"', '"messages.-2.content"', {"contract"}, {"candidates/small"}),
        ("teacher.py", "(self.max_tokens or 512)", "(self.max_tokens or 256)", {"teacher"}, {"transfer_set"}),
        ("students.py", 'in ("teacher", "parent")', 'in ("teacher",)', {"candidates/small"}, {"source"}),
        ("bar.py", '"macro F1"', '"mean F1"', {"evaluation"}, {"teacher", "candidates/small"}),
        ("training.py", "bfloat16: bool", "more: int = 1\n    bfloat16: bool", set(), {"teacher", "candidates/small"}),
        ("contract.py", "asks for more than", "wants more than", set(), {"contract", "teacher"}),
    ],
)
def test_what_a_recipe_computes_counts_where_it_is_used_and_its_fields_and_rules_do_not(
    copied: Path, module: str, was: str, is_: str, changes: set[str], leaves: set[str]
) -> None:
    """Regression: no version changed with the line in which a weight of a loss moves."""
    before = {stage: code_version(stage) for stage in changes | leaves}
    source = (copied / module).read_text(encoding="utf-8")
    assert was in source
    (copied / module).write_text(source.replace(was, is_), encoding="utf-8")
    source_code.closure_digest.cache_clear()
    assert {stage for stage, version in before.items() if code_version(stage) != version} == changes


def test_no_module_of_the_recipe_that_computes_is_left_out() -> None:
    """Where a file is and what is wrong with it is all that the module does that counts for nothing."""
    left_out = [name for name in ASIDE if f"{name}.".startswith("stillhouse.recipe.")]
    assert left_out == ["stillhouse.recipe.reading"] and BY_VALUE == ("stillhouse.recipe",)
