"""Which rows a model would need most: of each slice and field that it does not hold, how many more.

Belongs here: reading that off an evaluation.
Does not: the verdicts (slices/declared.py), asking anybody for rows (orchestration/new_events.py).
"""

from collections.abc import Mapping

from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.recipe.bar import FieldSlice, SliceSpec
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.statistics.verdicts import Verdict

FEW = 0.05
"""Share of rows that exactly one of two models gets right, where none has shown any: as many as the bar's alpha."""


class DataRequest(Record):
    """More rows of one slice, or for one field of records."""

    name: str = Field(description="Of the slice or field.")
    is_field: bool = Field(default=False, exclude_if=lambda given: not given)
    critical: bool
    verdict: Verdict
    rows: int = Field(description="Golden rows of it that there are.")
    rows_needed: int = Field(description="How many more are asked for.")
    to_learn_from: bool = Field(description="Rows to learn from; otherwise golden rows, to judge by.")

    @property
    def sentence(self) -> str:
        """What is asked for and why."""
        why = "is shown to be worse than asked" if self.to_learn_from else f"cannot be judged by {self.rows:,} rows"
        what = "to learn from" if self.to_learn_from else "that people labelled, to judge by"
        part, of_it = ("field", "") if self.is_field else ("slice", " of it")
        return f"the {part} '{self.name}' {why}: {self.rows_needed:,} more rows{of_it} are needed {what}"


def data_requests(evaluation: Evaluation, learned_from: Mapping[str, int]) -> list[DataRequest]:
    """What is asked for, the critical slices and fields first.

    A slice that is not proven either way needs as many rows as its tests say. One that is shown to be worse needs rows
    to learn from; how many would do nobody knows before, so it is as many again as there are, the step in which the
    analysis of errors measures what rows are worth.

    Args:
        evaluation: of the model that is reported.
        learned_from: how many rows of each slice and field there are to learn from, by its name.
    """
    found = []
    for result in evaluation.slices:
        if result.verdict is Verdict.PASS:
            continue
        if result.verdict is Verdict.FAIL:
            needed, to_learn_from = max(learned_from.get(result.name, 0), 1), True
        else:
            needed, to_learn_from = max(_to_judge_by(evaluation, result) - result.rows, 1), False
        found.append(
            DataRequest(
                name=result.name,
                is_field=result.is_field,
                critical=result.critical,
                verdict=result.verdict,
                rows=result.rows,
                rows_needed=needed,
                to_learn_from=to_learn_from,
            )
        )
    return sorted(found, key=lambda each: not each.critical)


def _to_judge_by(evaluation: Evaluation, result: SliceResult) -> int:
    tests = [test for test in (result.non_inferiority, result.floor) if test is not None]
    needed = [test.rows_needed for test in tests if test.rows_needed is not None]
    if needed:
        return max(needed)
    bar = evaluation.terms.bar
    specs: tuple[SliceSpec | FieldSlice, ...] = (*evaluation.terms.slices, *bar.judged_fields)
    spec = next(spec for spec in specs if spec.name == result.name)
    return rows_needed_for(spec.margin or bar.margin, evaluation.non_inferiority.discordance or FEW, bar.alpha)
