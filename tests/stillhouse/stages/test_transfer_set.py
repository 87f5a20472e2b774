"""Rows of several batches as one transfer set, whichever version captured them."""

from pathlib import Path

import polars as pl

from stillhouse.stages import transfer_set
from stillhouse.stages.facts import SignalFacts
from stillhouse.teachers.columns import SIGNAL_SCHEMA
from tests.checks.hand_made import artifact


def batch(name: str, **of_calls: list[object]) -> tuple[object, object]:
    """The prompt set of a batch with one answered row and one that was refused, and its signal."""
    ids = [f"{name} {number}" for number in range(2)]
    prompts = pl.DataFrame(
        {"prompt_id": ids, "text": ids, "label": [None, None], "split": "train", "batch": name, "row_kind": "real"},
        schema_overrides={"label": pl.String},
    )
    said = {"prompt_id": ids, "logits": [[5.0, 0.0], None], "failure": [None, "the teacher refused to answer"]}
    signal = pl.DataFrame({**dict.fromkeys(SIGNAL_SCHEMA, [None] * 2), **said}, schema=SIGNAL_SCHEMA)
    facts = SignalFacts(fingerprint="f", answer="single_label", labels=("a", "b"), rows=2, observed=None)
    signal = signal.with_columns(**{column: pl.Series(values) for column, values in of_calls.items()})
    return (
        artifact(frames={"prompts": prompts}, batch=name),
        artifact(facts, {"signal": signal}, stage="teacher_signal", batch=name),
    )


def test_batches_of_before_answers_said_what_they_took_are_learned_from_with_those_of_after(tmp_path: Path) -> None:
    before, after = batch("base"), batch("march.csv", usd=[0.1, 0.2], error=[None, "status 400, too rude"])
    prompts, signal = zip(before, after, strict=True)
    facts = transfer_set.plan(prompts, signal).build(tmp_path)
    assert (facts.kept, facts.rejected) == (2, 2)
    kept, rejects = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("transfer_set", "rejects"))
    assert kept["prompt_id"].to_list() == ["base 0", "march.csv 0"] and "usd" not in kept.columns
    assert rejects["detail"].to_list() == [
        "the teacher refused to answer", "the teacher refused to answer: status 400, too rude",
    ]  # fmt: skip
