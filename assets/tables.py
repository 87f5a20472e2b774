"""Tables as a person reads them in the UI.

Belongs here: writing rows as markdown, describing a frame, comparing what was judged.
Does not: what is in them (each asset), tables of the terminal (orchestration/tables/).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from stillhouse.data.quoting import LONGEST, LONGEST_SENTENCE, quoted
from stillhouse.economics import amount
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import ModelKind

COLUMNS = {
    "prompt_id": "digest of the text, by which a row is known everywhere",
    "text": "what the model is asked",
    "label": "what it should answer; null where nobody has said",
    "split": "train, validation or golden: the side of the row, which never changes",
    "batch": "the drop of rows that it came with, or `golden` for the golden file",
    "row_kind": "real or synthetic",
    "privacy_class": "who may see it",
    "logits": "what the teacher says for each class, before softmax",
    "embedding": "length of the teacher's pooled state, which is stored beside",
    "fingerprint": "digest of the teacher that said so",
    "answer": "the class that the teacher finds likeliest",
    "confidence": "how sure it is of that",
    "reason": "why the row was not kept",
    "tokens": "tokens that the teacher read for its answer",
    "tokens_out": "tokens that it wrote",
    "usd": "what all attempts to get the answer have cost, those that failed too",
    "seconds": "how long the calls took that answered",
    "failure": "why there is no answer",
    "error": "what was said in the place of an answer",
}
"""What the columns of our tables are; every other one travels along with the rows."""


def table_metadata(frame: pl.DataFrame, *, sample: int = 8) -> dict[str, Any]:
    """Describe a table: row count as a series, column schema, and its first rows."""
    columns = [
        dg.TableColumn(name, str(kind), COLUMNS.get(name, "a column of the rows, which travels along"))
        for name, kind in frame.schema.items()
    ]
    return {
        "dagster/row_count": frame.height,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "sample": table(frame.head(sample).to_dicts()),
    }


def markdown_table(rows: Sequence[Mapping[str, Any]], *, quotes_rows: bool = True) -> str:
    """Write rows as a markdown table.

    Args:
        rows: by column; the first one says which there are.
        quotes_rows: whether cells quote somebody's rows, which are cut short; what we say ourselves never is.
    """
    if not rows:
        return "*no rows*"
    head, longest = list(rows[0]), LONGEST if quotes_rows else LONGEST_SENTENCE
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(_cell(row[name], longest) for name in head) + " |" for row in rows])


def table(rows: Sequence[Mapping[str, Any]] | str, *, quotes_rows: bool = True) -> dg.MarkdownMetadataValue:
    """Show rows as a table.

    Args:
        rows: see `markdown_table`; or what there is to say in their place.
        quotes_rows: likewise.
    """
    return dg.MetadataValue.md(rows if isinstance(rows, str) else markdown_table(rows, quotes_rows=quotes_rows))


def evaluation_table(evaluations: Iterable[Evaluation], *, chosen: str | None = None) -> dg.MarkdownMetadataValue:
    """Compare what was judged, the best first.

    Args:
        evaluations: of students, controls and baselines.
        chosen: name of the one that was chosen, to be marked.
    """
    by_accuracy = sorted(evaluations, key=lambda each: each.score.accuracy, reverse=True)
    priced = any(each.usd_per_1000_calls is not None for each in by_accuracy)
    return table([_row(each, chosen, priced) for each in by_accuracy], quotes_rows=False)


def _row(evaluation: Evaluation, chosen: str | None, priced: bool) -> dict[str, Any]:
    low, high = evaluation.score.accuracy_interval
    spread = evaluation.seeds
    by_seed = f"; {len(spread.scores)} seeds {spread.smallest:.3f} to {spread.largest:.3f}" if spread else ""
    usd = evaluation.usd_per_1000_calls
    is_chosen, is_control = evaluation.name == chosen, evaluation.score.kind is ModelKind.CONTROL
    return {
        "model": f"**{evaluation.name}** (chosen)" if is_chosen else evaluation.name,
        "accuracy": f"{evaluation.score.accuracy:.3f} ({low:.3f} to {high:.3f}){by_seed}",
        "agreement": f"{evaluation.agreement:.3f}",
        "smaller": "not measured" if evaluation.size_ratio is None else f"{evaluation.size_ratio:.1f}x",
        "faster": "not measured" if evaluation.latency_ratio is None else f"{evaluation.latency_ratio:.1f}x",
        **({"USD for 1,000 calls": "" if usd is None else amount(usd)} if priced else {}),
        # A control is there to be compared with and is never released: it neither passes nor fails.
        "verdict": "control" if is_control else str(evaluation.verdict),
        "why": "shows what the teacher's signal is worth" if is_control else evaluation.summary,
    }


def _cell(value: Any, longest: int) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else quoted(value, longest)
    return text.replace("|", "\\|")
