"""Running a Great Expectations suite as gates.

Great Expectations has no polars engine and takes seconds to import, so both the import and the conversion to pandas
happen here, when a suite is looked at, and only for the columns that its expectations name.

Belongs here: what all suites share.
Does not: any expectation.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from checks.gate import OFFENDERS_KEPT, Finding, GateContext, data_docs, passed_if
from stillhouse.files import write_atomically
from stillhouse.statistics.verdicts import Verdict


@dataclass(frozen=True)
class Expectation:
    """One expectation and the gate that it is.

    Args:
        name: the gate's name, a sentence.
        because: what goes wrong without it.
        kind: class name in `great_expectations.expectations`.
        arguments: gives its keyword arguments from the context, because limits come from its recipe.
        remark: gives what its finding also says where it closes; nothing where that is empty.
    """

    name: str
    because: str
    kind: str
    arguments: Callable[[GateContext], Mapping[str, Any]]
    remark: Callable[[GateContext], str] = lambda context: ""

    def asked_of(self, context: GateContext) -> "AskedExpectation":
        """What is asked of one artifact."""
        return AskedExpectation(self.name, self.kind, self.arguments(context))


@dataclass(frozen=True)
class AskedExpectation:
    """An expectation on one artifact.

    Args:
        name: of the gate.
        kind: class name in `great_expectations.expectations`.
        arguments: its keyword arguments.
    """

    name: str
    kind: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ExpectationSuite:
    """Expectations on one table, decided in one pass.

    Args:
        table: takes the stage's artifact to a frame with `prompt_id` and the columns that are named.
        expectations: on it.
    """

    table: Callable[[GateContext], pl.DataFrame]
    expectations: Sequence[Expectation]

    def __post_init__(self) -> None:
        assert len(self.because) == len(self.expectations), "one gate for each expectation"

    @cached_property
    def because(self) -> dict[str, str]:
        """The reason for each gate."""
        return {each.name: each.because for each in self.expectations}

    def evaluate(self, context: GateContext) -> dict[str, Finding]:
        """Validate the table and return one finding for each expectation."""
        frame = self.table(context)
        asked = [each.asked_of(context) for each in self.expectations]
        results, page = validate(frame, asked)
        write_atomically(data_docs(context), page.encode())
        found = [_finding(each, result, frame) for each, result in zip(asked, results, strict=True)]
        return {
            each.name: finding if finding.verdict is Verdict.PASS else _with_remark(finding, each.remark(context))
            for each, finding in zip(self.expectations, found, strict=True)
        }


def validate(frame: pl.DataFrame, expectations: Sequence[AskedExpectation]) -> tuple[list[Any], str]:
    """Validate a frame in a context of its own.

    Returns:
        The results in the order of the expectations, and Great Expectations' own page about them.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read once, at import
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    # This module sets its own logger to INFO, to say where it keeps pages that nobody asked for.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    columns = {str(value) for e in expectations for name, value in e.arguments.items() if name.startswith("column")}
    suite = gx.ExpectationSuite(name="gates")
    for expectation in expectations:
        suite.add_expectation(getattr(gxe, expectation.kind)(**expectation.arguments, meta={"gate": expectation.name}))
    pandas = frame.select(name for name in frame.columns if name in columns).to_pandas()
    validated = batch.get_batch({"dataframe": pandas}).validate(
        suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": OFFENDERS_KEPT}
    )
    results: list[Any] = validated.results  # typed as if an expectation's own config could be missing
    by_name = {result.expectation_config.meta["gate"]: result for result in results}
    rendered: Any = ValidationResultsPageRenderer().render(validated)
    return [by_name[expectation.name] for expectation in expectations], str(_page_view().render(rendered))


@functools.cache
def _page_view() -> Any:
    """Kept, because each new one compiles all of Great Expectations' templates again, which takes half of a pass."""
    from great_expectations.render.view.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def _finding(expectation: AskedExpectation, result: Any, frame: pl.DataFrame) -> Finding:
    details = result.result or {}
    problem = _problem(result.exception_info or {})
    unexpected = details.get("partial_unexpected_index_list") or []
    sentence = problem or _sentence(details, frame.height)
    rows = frame[[int(place) for place in unexpected]] if unexpected else frame.clear()
    evidence: dict[str, Any] = (
        {"prompt_ids": rows["prompt_id"].to_list()} if rows.height and "prompt_id" in rows.columns else {}
    )
    counts_rows = "unexpected_count" in details  # else it looked at the whole table
    observed = details["unexpected_count"] if counts_rows else details.get("observed_value")
    limit = 0 if counts_rows else expectation.arguments.get("min_value")
    return passed_if(bool(result.success), sentence, observed=observed, limit=limit, **evidence)


def _with_remark(finding: Finding, remark: str) -> Finding:
    return replace(finding, sentence=f"{finding.sentence}: {remark}") if remark else finding


def _sentence(details: Mapping[str, Any], rows: int) -> str:
    if "unexpected_count" in details:
        return f"{details['unexpected_count']:,} of {rows:,} rows are unexpected"
    return f"observed {details.get('observed_value')}"


def _problem(exception_info: Mapping[str, Any]) -> str | None:
    """What kept an expectation from being decided; Great Expectations nests it by metric, or does not."""
    infos = [exception_info, *(info for info in exception_info.values() if isinstance(info, dict))]
    return next((str(info["exception_message"]) for info in infos if info.get("exception_message")), None)
