"""A number on a gate is the recipe's to set, and each says why it is what it is."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from checks.exports import onnx_computes_what_torch_computed, quantisation_keeps_the_answers
from checks.gate import Gate
from checks.prompts.records import few_rows_of_the_batch_were_rejected
from checks.source import nearly_every_line_was_readable, nearly_every_row_has_provenance
from stillhouse.recipe.limits import GateLimits
from stillhouse.stages.facts import ExportFacts, ParityFacts, PromptFacts
from stillhouse.stages.source import SourceFacts
from stillhouse.statistics.verdicts import Verdict
from tests.checks.hand_made import DEMO

PARITY = ParityFacts(max_abs_logit_diff=2e-3, top1_agreement=0.95)
EXPORT = ExportFacts(
    precision="int8", fp32=PARITY, shipped=PARITY, model_bytes=1, fp32_bytes=1, shipped_bytes=1, bytes=1, texts=1,
    temperature=1.0,
)  # fmt: skip
SOURCE = SourceFacts(records=100, rows=60, unreadable=5, quarantined=35, marks={})
PROMPTS = PromptFacts(
    rows_in=100, kept=70, rejected=30, redacted={}, golden_digest="", labels=(), train=70, validation=0, golden=0,
    labelled_train=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "facts", "limit", "enough"),
    [
        (nearly_every_line_was_readable, SOURCE, "unreadable_lines_at_most", 0.05),
        (nearly_every_row_has_provenance, SOURCE, "rows_without_provenance_at_most", 0.4),
        (few_rows_of_the_batch_were_rejected, PROMPTS, "rejected_rows_at_most", 0.3),
        (onnx_computes_what_torch_computed, EXPORT, "export_difference_at_most", 2e-3),
        (quantisation_keeps_the_answers, EXPORT, "int8_agreement_at_least", 0.95),
    ],
)
def test_a_recipe_may_set_another_limit(gate: Gate, facts: Any, limit: str, enough: float) -> None:
    def look(limits: GateLimits) -> Verdict:
        artifact = SimpleNamespace(facts=lambda record: facts, frame=frame, batch="base", asset="r/exports/five_layers")
        recipe = DEMO.model_copy(update={"limits": limits})
        context: Any = SimpleNamespace(artifact=artifact, recipe=recipe, frame=frame, made_from=lambda stage: artifact)
        return gate.evaluate(context).verdict

    def frame(name: str) -> pl.DataFrame:
        height = {"rejects": 30, "rows": 100, "prompts": 70}[name]
        return pl.DataFrame({"prompt_id": range(height), "reason": ["cleaning: blank"] * height})

    assert look(GateLimits()) is Verdict.FAIL
    assert look(GateLimits.model_validate({limit: enough})) is Verdict.PASS


def test_a_limit_that_came_later_is_in_the_digest_of_those_alone_who_set_it() -> None:
    later = {"repeated_mistakes_at_most", "input_alarm_chance"}
    assert not later & DEMO.limits.model_dump().keys()
    for name in later:
        set_by_a_recipe = GateLimits.model_validate({name: 0.2})
        assert DEMO.model_copy(update={"limits": set_by_a_recipe}).digest != DEMO.digest
        assert GateLimits.model_validate_json(set_by_a_recipe.model_dump_json()) == set_by_a_recipe


def test_each_number_says_why() -> None:
    fields = GateLimits.model_fields
    assert len(fields) >= 13
    assert all(len(field.description or "") > 40 for field in fields.values())
