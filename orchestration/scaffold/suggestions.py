"""What a first recipe should say, as far as its rows tell.

Belongs here: sizes of the split, what is compared and at which margin, slices, what a teacher has to reach.
Does not: what only a person can answer (pain, terms, licence), writing the file (writing.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from stillhouse.data.class_rows import ClassRows, class_rows, with_too_few
from stillhouse.data.near_duplicates import has_few_blanks
from stillhouse.data.prompt_set import PromptSet
from stillhouse.data.splits import assign_splits
from stillhouse.evaluation.baselines.confusable import confusable_classes
from stillhouse.evaluation.planning import USUAL_DISCORDANCE, plan
from stillhouse.recipe.bar import BarSpec, MetricName, SliceSpec
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, ScoreSpec, SplitSpec, TaskKind
from stillhouse.recipe.limits import GateLimits
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.tasks import one_name_a_row
from stillhouse.tasks.score import NumericScore

GOLDEN_ROWS = (1_500, 3_000)
"""Enough to prove the usual margin of four points, and so many that more prove little beyond: 1,353 show that a student
two points below its teacher holds it, and 3,000 that one holds 3."""
LARGEST_GOLDEN_SHARE, USUAL_GOLDEN_SHARE = 0.4, 0.2
GOLDEN_SHARE_OF_ITS_FILE = 0.7
"""The rest of what people labelled measures the teacher before its bulk is paid for, and fits the simplest options."""
VALIDATION_ROWS, LARGEST_VALIDATION_SHARE = 1_500, 0.1

SKEWED = 0.6
"""Share of the largest class from which accuracy says little: a model that finds no other class is right so often."""
EXPECTED_LOSS = 0.02
"""What a good small student loses; what rows can prove beside that is the margin."""
MARGINS = (0.03, 0.1)
"""A smaller one asks for a student that loses nothing, and one that is larger is no promise."""
_STEP = 0.005

RARE = 0.5
"""Of an even share of the rows; classes below it are hidden by all others in every average."""
JUDGED_ROWS = 30
"""Golden rows with which a slice is worth a line of the report (limits.thin_slice_rows)."""
MOST_SLICES = 5

FEW_LABELS = 16
"""Labels of each class to learn from, on average, up to which a contrast is worth a try: of TREC's questions it brought
a teacher seven points with 8 of each class, and with 26 only 0.9, at twice the calibration error (docs/teachers.md)."""


@dataclass(frozen=True)
class Suggestion:
    """Values of a recipe that follow from its rows.

    Args:
        golden_share: of the labelled rows.
        validation_share: of the labelled rows.
        golden_rows: that this comes to.
        metric: what is compared with the teacher.
        margin: largest acceptable drop, as a fraction.
        provable: least margin that an equal student would be shown to hold; None where the rows show none.
        majority_share: share of the rows that one answer for all has right: of the largest class, or near one number.
        minimum_accuracy: of the teacher.
        slices: rare classes and pairs that are easily taken for each other, to be reported on their own.
        classes: how many there are.
        thin_classes: those with too few rows to be learned or judged.
        labels_a_class: labelled rows to learn from, of each class on average.
    """

    golden_share: float
    validation_share: float
    golden_rows: int
    metric: MetricName
    margin: float
    provable: float | None
    majority_share: float
    minimum_accuracy: float
    slices: tuple[SliceSpec, ...]
    classes: int
    thin_classes: tuple[ClassRows, ...]
    labels_a_class: float

    @property
    def has_few_labels(self) -> bool:
        """Whether a teacher that is trained on them has few of each class; with none it has nobody to learn from."""
        return 0 < self.labels_a_class <= FEW_LABELS


def first_split(key: str) -> SplitSpec:
    """A split to look at rows with, before it is known how many there are."""
    return SplitSpec(key=key, golden_share=USUAL_GOLDEN_SHARE, validation_share=LARGEST_VALIDATION_SHARE)


def split_of_a_golden_file(key: str) -> SplitSpec:
    """The split of a golden file, of which nothing is trained on."""
    return SplitSpec(
        key=key, golden_share=GOLDEN_SHARE_OF_ITS_FILE, validation_share=round(1 - GOLDEN_SHARE_OF_ITS_FILE, 4)
    )


def suggest(
    made: PromptSet,
    *,
    key: str,
    answer: TaskKind = "single_label",
    score: ScoreSpec | None = None,
    golden_file: bool = False,
    labels_are_taught: bool = True,
) -> Suggestion:
    """Look at the rows that would be prompts.

    Args:
        made: the prompt set of the rows, split in any way; with a golden file, as it is split there.
        key: of the split that the recipe will have.
        answer: what a label is.
        score: where labels are numbers, what is said of them.
        golden_file: whether the rows that judge are in a file of their own.
        labels_are_taught: whether rows to train on have labels at all.
    """
    labelled = made.prompts.filter(pl.col("label").is_not_null())
    if golden_file:
        split = split_of_a_golden_file(key)
        golden_share, validation_share, sided = split.golden_share, split.validation_share, labelled
    else:
        golden_share, validation_share = shares(labelled.height)
        sided = assign_splits(labelled, golden_share=golden_share, validation_share=validation_share, key=key).prompts
    golden = sided.filter(pl.col("split") == "golden")
    majority = _one_answer_for_all(labelled["label"], score)
    metric: MetricName = "macro_f1" if majority > SKEWED and answer == "single_label" else "accuracy"
    (claim,) = plan(golden, BarSpec(metric=metric, margin=MARGINS[1]), ()).claims
    named = one_name_a_row(answer, sided)
    sizes = one_name_a_row(answer, labelled)["label"].value_counts(sort=True)
    return Suggestion(
        golden_share=golden_share,
        validation_share=validation_share,
        golden_rows=golden.height,
        metric=metric,
        margin=margin(claim.smallest_margin),
        provable=claim.smallest_margin,
        majority_share=majority,
        minimum_accuracy=max(0.5, math.floor(100 * (majority + (1 - majority) / 3)) / 100),
        slices=() if answer in (*NUMBERS, *RECORDS) else _slices(named, dict(sizes.iter_rows()), answer),
        classes=sizes.height,
        thin_classes=tuple(with_too_few(class_rows(named), GateLimits(), labels_are_taught=labels_are_taught)),
        labels_a_class=named.filter(pl.col("split") == "train").height / max(sizes.height, 1),
    )


def _one_answer_for_all(labels: pl.Series, score: ScoreSpec | None) -> float:
    """The share of labelled rows that the best single answer to all of them has right."""
    if score is None:
        return int(labels.value_counts(sort=True)["count"][0]) / len(labels)
    task = NumericScore.of(score)
    targets = task.targets(labels)
    return float(task.right(np.tile(task.constant(targets), (len(targets), 1)), targets).mean())


def shares(labelled: int) -> tuple[float, float]:
    """Golden and validation share of so many labelled rows: as many golden ones as are enough, the rest teaches."""
    fewest, most = GOLDEN_ROWS
    golden = min(most, max(fewest, USUAL_GOLDEN_SHARE * labelled)) / labelled
    validation = min(LARGEST_VALIDATION_SHARE, VALIDATION_ROWS / labelled)
    return round(min(LARGEST_GOLDEN_SHARE, golden), 4), round(validation, 4)


def rows_to_label(golden_rows: int) -> int:
    """How many rows more people should label in a golden file, so that the smallest usual margin can be proven."""
    needed = rows_needed_for(MARGINS[0], USUAL_DISCORDANCE, BarSpec(margin=MARGINS[0]).alpha)
    return math.ceil(max(0, needed - golden_rows) / GOLDEN_SHARE_OF_ITS_FILE)


def margin(provable: float | None) -> float:
    """The margin to ask for, in half points, where an equal student can be shown to hold `provable`."""
    least, most = MARGINS
    wanted = most if provable is None else math.ceil(round((provable + EXPECTED_LOSS) / _STEP, 6)) * _STEP
    return round(min(most, max(least, wanted)), 4)


def _slices(sided: pl.DataFrame, sizes: Mapping[str, int], answer: TaskKind) -> tuple[SliceSpec, ...]:
    """The rarest classes that can be judged, then the pairs that are most easily taken for each other.

    Of labels of sets the rare ones alone: two of them go together, and none is taken for another.
    """
    judged = dict(sided.filter(pl.col("split") == "golden")["label"].value_counts().iter_rows())
    even = sum(sizes.values()) / len(sizes)
    rare = [name for name in sorted(sizes, key=lambda name: (sizes[name], name)) if sizes[name] < RARE * even]
    alone = [(name, (name,)) for name in rare if judged.get(name, 0) >= JUDGED_ROWS][:MOST_SLICES]
    known = sided.filter(pl.col("split") != "golden")
    unspaced = has_few_blanks(known["text"])
    by_characters = 2 * int(unspaced.sum()) > len(unspaced)
    pairs = (
        []
        if answer in SETS
        else confusable_classes(known["text"].to_list(), known["label"].to_list(), by_characters=by_characters)
    )
    big = [pair for pair in pairs if sum(judged.get(name, 0) for name in pair) >= JUDGED_ROWS]
    together = [(" or ".join(pair), pair) for pair in big[:MOST_SLICES]]
    named = dict([*alone, *together])
    return tuple(
        SliceSpec(name=name, column="label", values=values, critical=False)
        for name, values in named.items()
        if len(name) <= 120
    )
