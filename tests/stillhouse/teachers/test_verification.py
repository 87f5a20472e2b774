"""What a student may learn from: in = kept + rejected for any signal, and a known label has the last word."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.rejects import RejectReason
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.verification import verify_signal

LABELS = ["a", "b", "c"]

row = st.fixed_dictionaries({
    "label": st.sampled_from([*LABELS, None]),
    "split": st.sampled_from(["train", "validation", "golden"]),
    "logits": st.none() | st.lists(st.floats(-20, 20), min_size=3, max_size=3),
})  # fmt: skip


def tables(rows: list[dict]) -> tuple[pl.DataFrame, pl.DataFrame]:
    ids = [f"p{number}" for number in range(len(rows))]
    prompts = pl.DataFrame(
        {
            "prompt_id": ids,
            "text": ids,
            "label": [r["label"] for r in rows],
            "split": [r["split"] for r in rows],
            "batch": ["base"] * len(rows),
            "row_kind": ["real"] * len(rows),
        },
        schema_overrides={"label": pl.String},
    )
    answered = [r["logits"] for r in rows]
    signal = pl.DataFrame(
        {
            "prompt_id": ids,
            "logits": answered,
            "embedding": [[0.0]] * len(rows),
            "failure": ["not in the file of answers" if each is None else None for each in answered],
        },
        schema={
            "prompt_id": pl.String,
            "logits": pl.List(pl.Float32),
            "embedding": pl.List(pl.Float32),
            "failure": pl.String,
        },
    )
    return prompts, signal.reverse()


@pytest.mark.long
@given(st.lists(row, min_size=1, max_size=30))
def test_every_training_row_is_kept_or_rejected_and_no_other_row_is_there(rows: list[dict]) -> None:
    prompts, signal = tables(rows)
    verified = verify_signal(prompts, signal, SingleLabel(tuple(LABELS)))
    train = prompts.filter(pl.col("split") == "train")
    assert sorted([*verified.kept["text"], *verified.rejects["text"]]) == sorted(train["text"])


@pytest.mark.parametrize(("agree_at_least", "kept"), [(None, 4), (0.5, 4), (2 / 3, 3), (1.0, 2)])
def test_rows_about_which_members_disagree_are_rejected_for_that(agree_at_least: float | None, kept: int) -> None:
    rows = [{"label": None, "split": "train", "logits": [9.0, 0.0, 0.0]}] * 4
    prompts, signal = tables(rows)
    apart = signal.with_columns(pl.Series("disagreement", [0.5, 1 / 3, 0.0, 0.0], dtype=pl.Float32))
    verified = verify_signal(prompts, apart, SingleLabel(tuple(LABELS)), agree_at_least=agree_at_least)
    assert verified.kept.height == kept
    assert verified.kept["disagreement"].to_list() == apart.sort("prompt_id")["disagreement"][:kept].to_list()
    assert verified.rejects["reason"].to_list() == [RejectReason.MEMBERS_DISAGREE] * (4 - kept)


def test_each_rule_has_its_reason() -> None:
    sure, torn = [9.0, 0.0, 0.0], [1.0, 1.0, 0.9]
    rows = [
        {"label": "a", "split": "train", "logits": sure},
        {"label": "b", "split": "train", "logits": sure},
        {"label": None, "split": "train", "logits": sure},
        {"label": None, "split": "train", "logits": torn},
        {"label": "a", "split": "train", "logits": torn},
        {"label": "a", "split": "train", "logits": None},
    ]
    verified = verify_signal(*tables(rows), SingleLabel(tuple(LABELS)))
    assert verified.kept["prompt_id"].to_list() == ["p0", "p2", "p4"], "a known label verifies even a torn answer"
    assert dict(verified.rejects.select("text", "reason").rows()) == {
        "p1": RejectReason.CONTRADICTS_LABEL,
        "p3": RejectReason.NO_PREFERENCE,
        "p5": RejectReason.NO_ANSWER,
    }


def test_a_row_without_an_answer_is_rejected_with_what_was_said_instead() -> None:
    prompts, signal = tables([{"label": None, "split": "train", "logits": None}] * 2)
    without = signal.sort("prompt_id").with_columns(error=pl.Series(["status 400, too rude", None]), usd=0.1)
    verified = verify_signal(prompts, without, SingleLabel(tuple(LABELS)))
    assert verified.rejects["detail"].to_list() == [
        "not in the file of answers: status 400, too rude", "not in the file of answers",
    ]  # fmt: skip
    assert "usd" not in verified.kept.columns, "what a row took is no part of what is learned from it"


def test_a_training_row_without_signal_is_an_error() -> None:
    prompts, signal = tables([{"label": "a", "split": "train", "logits": [1.0, 0.0, 0.0]}] * 2)
    with pytest.raises(ValueError, match="1 training rows have no teacher signal"):
        verify_signal(prompts, signal.head(1), SingleLabel(tuple(LABELS)))


def test_of_a_text_in_several_batches_the_first_with_a_label_counts_and_else_the_first() -> None:
    first = {"split": "train", "logits": [9.0, 0.0, 0.0]}
    prompts, signal = tables([{"label": None, **first}, {"label": "a", **first}, {"label": None, **first}])
    later = prompts.with_columns(pl.lit("later").alias("batch"), pl.Series("label", ["a", "b", None], dtype=pl.String))
    verified = verify_signal(pl.concat([prompts, later]), signal, SingleLabel(tuple(LABELS)))
    assert verified.kept.select("prompt_id", "label", "batch").rows() == [
        ("p0", "a", "later"), ("p1", "a", "base"), ("p2", None, "base"),
    ]  # fmt: skip
    assert verified.rejects.sort("text").select("text", "batch", "reason").rows() == [
        ("p0", "base", RejectReason.LABELLED_IN_ANOTHER_BATCH),
        ("p1", "later", RejectReason.IN_AN_EARLIER_BATCH),
        ("p2", "later", RejectReason.IN_AN_EARLIER_BATCH),
    ]
