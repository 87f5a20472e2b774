"""Stress: golden texts made harder in ways that leave their label as it is, and what that costs a model.

Belongs here: the perturbations, and accuracy on clean against perturbed text for student and teacher.
Does not: the declaration (recipe/bar.py), texts written by hand (behaviour.py), sentences (claims.py).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import EvaluatedModel, align, answers_to, golden_targets
from stillhouse.recipe.bar import TEXT, StressSpec
from stillhouse.statistics.accuracy_test import NonInferiority, paired_non_inferiority
from stillhouse.statistics.metric_test import MetricTest, accuracy_test_by_groups
from stillhouse.statistics.proportions import paired_drop_interval, paired_mcnemar
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.task import Task

WORDS_PER_TYPO = 5
"""One word in five, at least one a text: what a person types in haste on a phone, and not noise."""

_WORD = re.compile(r"[^\W\d_]{2,}")


class Stressed(Record):
    """One model on clean and on perturbed texts of the same rows."""

    clean_accuracy: float
    accuracy: float = Field(description="On the perturbed texts.")
    drop: float = Field(description="Clean minus perturbed; negative when the perturbed texts are answered better.")
    drop_interval: tuple[float, float] = Field(description="95 % score interval of the drop, paired.")
    answers_changed: int = Field(description="Rows answered by another class than the clean text, rightly or wrongly.")


class AgainstTeacher(Record):
    """Whether a perturbation costs the student more than it costs the teacher."""

    further_drop: float = Field(description="The student's drop minus the teacher's.")
    hurt_more: int = Field(description="Rows on which the student loses more than the teacher.")
    hurt_less: int = Field(description="Rows on which the teacher loses more than the student.")
    p_value: float = Field(description="Of the hypothesis that both are as frequent; exact sign test, two-sided.")


class StressResult(Record):
    """What one perturbation does."""

    perturbation: str = Field(description="Its name, or the template itself.")
    rows: int = Field(description="Golden rows asked.")
    golden_rows: int = Field(description="Golden rows there are; the first by prompt id are asked.")
    texts_changed: int = Field(description="Rows whose text it changes at all.")
    student: Stressed | None = Field(description="Null if the model cannot be asked new texts.")
    teacher: Stressed | None = Field(description="Null if the teacher cannot.")
    against_teacher: AgainstTeacher | None = Field(description="Null if one of them cannot.")
    teacher_unheard: int = Field(
        default=0,
        exclude_if=lambda rows: rows == 0,  # so that a test in which all is known is written as it was
        description="Rows of which the teacher's server turned the perturbed text away: what is said of the teacher is "
        "of the others, and the next run asks these again.",
    )
    drop_at_most: float | None = Field(description="The recipe's limit of the student's drop; null: reported only.")
    test: NonInferiority | MetricTest | None = Field(
        description="That the student's accuracy on perturbed text is not below that on clean text by the limit or "
        "more; 'teacher' in it is the student on clean text. By resampling whole groups where rows come in such. Null "
        "without a limit or an answer."
    )

    @property
    def verdict(self) -> Verdict | None:
        """None without a limit; a limit that was not measured is not shown to hold."""
        if self.drop_at_most is None:
            return None
        return Verdict.INCONCLUSIVE if self.test is None or not self.texts_changed else self.test.verdict

    @property
    def in_words(self) -> str:
        """The perturbation, as it ends a sentence about accuracy."""
        return _IN_WORDS.get(self.perturbation, f"on texts put as '{self.perturbation}'")


def with_typos(text: str) -> str:
    """Swap, drop or double one letter in about one word of five, at least in one.

    Which words and letters is decided by the text alone, so that another row changes nothing. Words of one letter and
    numbers are spared; a text without any other word stays as it is.
    """
    words = list(_WORD.finditer(text))
    random = Random(hashlib.sha256(text.encode()).digest())
    chosen = random.sample(words, min(len(words), max(1, round(len(words) / WORDS_PER_TYPO))))
    for word in sorted(chosen, key=lambda match: -match.start()):
        text = f"{text[: word.start()]}{_with_typo(word.group(), random)}{text[word.end() :]}"
    return text


def truncated(text: str) -> str:
    """Cut off the last third of the words, rounded down: texts of one or two words stay as they are."""
    words = text.split()
    cut = len(words) // 3
    return " ".join(words[:-cut]) if cut else text


PERTURBATIONS: dict[str, Callable[[str], str]] = {"typos": with_typos, "case": str.upper, "truncation": truncated}

_IN_WORDS = {"typos": "with typos", "case": "in upper case", "truncation": "without the last third of the words"}


def perturb(name: str, text: str) -> str:
    """Apply a perturbation by its name, or put the text into a template."""
    return PERTURBATIONS[name](text) if name in PERTURBATIONS else name.replace(TEXT, text)


def rows_under_stress(spec: StressSpec, golden: pl.DataFrame) -> pl.DataFrame:
    """The golden rows that are perturbed, with their place among the golden rows as `index`."""
    return golden.with_row_index("index").sort("prompt_id").head(spec.rows_at_most)


def stress_test(
    spec: StressSpec,
    model: EvaluatedModel,
    teacher: EvaluatedModel,
    golden: pl.DataFrame,
    task: Task,
    *,
    alpha: float,
    groups: IntArray | None = None,
) -> tuple[StressResult, ...]:
    """Measure what each perturbation costs a model and its teacher.

    Args:
        spec: the declared stress.
        model: the model to judge; its stored outputs are its answers to the clean texts.
        teacher: the teacher, likewise.
        golden: `prompt_id`, `text` and `label`.
        task: what an answer is.
        alpha: one-sided error rate of the test against the limit. Every perturbation has to hold, so that testing
            several needs no correction (intersection-union).
        groups: shape (golden rows,), equal where rows belong together; the test then takes these whole, and with fewer
            than 20 of them it is inconclusive. None where every row stands alone.

    Returns:
        One result for each perturbation and template, in the order declared. The rows are the first by prompt id, a
        hash of the text: as good as drawn, and the same ones every time.

    Raises:
        StillhouseError: if the golden set has no texts, or inputs do not line up.
    """
    if "text" not in golden.columns:
        raise StillhouseError(
            "the golden set has no column 'text'",
            where="stress",
            expected="the texts that are to be perturbed",
            do="Pass the golden rows with their texts, or leave stress out of the recipe.",
        )
    taken = rows_under_stress(spec, golden.select("prompt_id", "text"))
    indices, texts = taken["index"].to_numpy(), taken["text"].to_list()
    together = None if groups is None else groups[indices]
    targets = golden_targets(golden, task)[indices]
    models = model, teacher
    clean = [align(each, golden, task)[indices] for each in models]
    results = []
    for name in spec.names:
        harder = [perturb(name, text) for text in texts]
        said = [_answers(each, name, harder, task) for each in models]
        asked = [
            None
            if given is None
            else (task.right(before, targets), task.right(given, targets), ~task.agree(before, given))
            for before, given in zip(clean, said, strict=True)
        ]
        student, teachers = asked
        heard = np.ones(len(texts), np.bool_) if said[1] is None else np.isfinite(said[1]).all(axis=1)
        if teachers is not None:
            teachers = (teachers[0][heard], teachers[1][heard], teachers[2][heard]) if heard.any() else None
        beside = None if student is None else (student[0][heard], student[1][heard])
        results.append(
            StressResult(
                perturbation=name,
                rows=len(texts),
                golden_rows=golden.height,
                texts_changed=sum(one != other for one, other in zip(texts, harder, strict=True)),
                student=None if student is None else _stressed(*student),
                teacher=None if teachers is None else _stressed(*teachers),
                against_teacher=None if beside is None or teachers is None else _against(beside, teachers[:2]),
                teacher_unheard=int((~heard).sum()),
                drop_at_most=spec.drop_at_most,
                test=None
                if student is None or spec.drop_at_most is None
                else _against_clean(student[0], student[1], together, margin=spec.drop_at_most, alpha=alpha),
            )
        )
    return tuple(results)


def _answers(model: EvaluatedModel, name: str, texts: Sequence[str], task: Task) -> FloatArray | None:
    """What a model says to perturbed texts: None where it cannot be asked, not a number of a row that is unheard."""
    return model.perturbed[name] if name in model.perturbed else answers_to(model, texts, task)


def _against_clean(
    clean: BoolArray, perturbed: BoolArray, groups: IntArray | None, *, margin: float, alpha: float
) -> NonInferiority | MetricTest:
    if groups is None:
        return paired_non_inferiority(clean, perturbed, margin=margin, alpha=alpha)
    return accuracy_test_by_groups(clean, perturbed, groups, margin=margin, alpha=alpha)


def _stressed(clean: BoolArray, perturbed: BoolArray, changed: BoolArray) -> Stressed:
    return Stressed(
        clean_accuracy=float(clean.mean()),
        accuracy=float(perturbed.mean()),
        drop=float(clean.mean() - perturbed.mean()),
        drop_interval=paired_drop_interval(clean, perturbed),
        answers_changed=int(np.count_nonzero(changed)),
    )


def _against(student: tuple[BoolArray, BoolArray], teacher: tuple[BoolArray, BoolArray]) -> AgainstTeacher:
    lost, lost_by_teacher = (clean.astype(np.int64) - perturbed for clean, perturbed in (student, teacher))
    sign_test = paired_mcnemar(lost > lost_by_teacher, lost < lost_by_teacher)
    return AgainstTeacher(
        further_drop=float(lost.mean() - lost_by_teacher.mean()),
        hurt_more=sign_test.first_only,
        hurt_less=sign_test.second_only,
        p_value=sign_test.p_value,
    )


def _with_typo(word: str, random: Random) -> str:
    """Change one letter; of two equal neighbours one is dropped, since to swap them would change nothing."""
    index = random.randrange(len(word) - 1)
    one, other = word[index], word[index + 1]
    typo = random.choice(["swap", "drop", "double"])
    if typo == "double":
        return f"{word[: index + 1]}{word[index:]}"
    swapped = f"{other}{one}" if typo == "swap" and one != other else other
    return f"{word[:index]}{swapped}{word[index + 2 :]}"
