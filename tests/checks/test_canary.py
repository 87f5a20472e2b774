"""The canary asks rows that nobody can know before."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import checks.teacher_signal
from checks.gate import Finding
from checks.teacher_signal import drawn, the_canary_answers_as_recorded
from stillhouse.recipe.limits import GateLimits
from stillhouse.statistics.verdicts import Verdict

PROMPTS = pl.DataFrame({"prompt_id": [f"{number:032x}" for number in range(500)], "text": ["t"] * 500})
SIGNAL = PROMPTS.select("prompt_id", logits=pl.lit([1.0, 2.0]))
LIMITS = GateLimits()


def look(monkeypatch: pytest.MonkeyPatch, signal: pl.DataFrame = SIGNAL) -> tuple[Finding, list[str]]:
    """Look at the gate with a teacher that has not changed; return the finding and the prompts that were asked."""
    asked: list[str] = []

    def ask_again(model: Path, answered: pl.DataFrame, device: object) -> float:
        asked.extend(answered["prompt_id"])
        return 1e-7

    monkeypatch.setattr(checks.teacher_signal, "largest_change", ask_again)
    inputs = {"prompts": SimpleNamespace(frame=lambda _: PROMPTS), "teacher": SimpleNamespace(folder=Path("/teacher"))}
    recipe = SimpleNamespace(limits=LIMITS, teacher=SimpleNamespace(runs_here=True))
    builds = SimpleNamespace(device=None)
    context: Any = SimpleNamespace(made_from=inputs.get, frame=lambda _: signal, recipe=recipe, builds=builds)
    return the_canary_answers_as_recorded.evaluate(context), asked


@pytest.mark.experiment("A40")
def test_each_look_asks_other_rows_under_a_key_that_its_sentence_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: it asked the sixteen lowest ids, always, so a forger had to spare only these."""
    looks = [look(monkeypatch) for _ in range(3)]
    assert all(finding.verdict is Verdict.PASS and len(set(asked)) == LIMITS.canary_prompts for finding, asked in looks)
    assert len({tuple(asked) for _, asked in looks}) == 3
    for finding, asked in looks:
        key = re.search(r"drawn by key (\w{16})", finding.sentence)
        assert key is not None
        assert drawn(PROMPTS, key[1], LIMITS.canary_prompts)["prompt_id"].to_list() == asked, (
            "and whoever has the key can draw them again"
        )


def test_a_prompt_without_an_answer_is_left_to_the_gate_that_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, asked = look(monkeypatch, SIGNAL.head(20))
    assert finding.verdict is Verdict.PASS
    assert set(asked) <= set(SIGNAL.head(20)["prompt_id"])
