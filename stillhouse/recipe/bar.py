"""The bar: what a student must prove before it may replace its teacher.

Belongs here: the typed declarations a recipe embeds (quality bar, slices, sensitive columns, budget, probes).
Does not: testing whether the bar was cleared (evaluation/harness.py).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stillhouse.base import Record

Fraction = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=120)]
MetricName = Literal["accuracy", "macro_f1", "recall", "ndcg", "field_f1"]
NDCG_AT = 10
"""Places that people look at."""


def name_of_metric(metric: MetricName, metric_class: str | None) -> str:
    """A metric as sentences name it."""
    return {
        "accuracy": "accuracy", "macro_f1": "macro F1", "recall": f"recall of '{metric_class}'", "ndcg": "nDCG",
        "field_f1": "field F1",
    }[metric]  # fmt: skip


class FieldBar(Record):
    """What is asked of one field of records by itself."""

    critical: bool = Field(
        description="True: the field binds the verdict, and too few rows close the gate. False: it is reported only."
    )
    margin: Fraction | None = Field(
        default=None, description="Largest acceptable drop of this field from the teacher; the bar's own when left out."
    )
    floor: Fraction | None = Field(
        default=None, description="Lowest acceptable share of rows with this field right; proven, not just measured."
    )


class FieldSlice(FieldBar):
    """A field with its name, as slices have theirs."""

    name: Name


class BarSpec(Record):
    """The quality bar: how much quality a student may lose, and how sure we must be that it lost no more."""

    metric: MetricName = Field(
        default="accuracy",
        description=(
            "What is compared with the teacher: accuracy = share of golden rows answered right; macro_f1 = mean F1 of "
            "the classes, each weighing the same; recall = share found of the rows of metric_class; ndcg = mean of "
            "1 / log2(1 + place of the right class), for answers that are shown as a ranking; or, where answers are "
            "numbers and data.group says which rows are of one query, nDCG of their order, with queries as evidence; "
            "field_f1 = where answers are records, F1 over the values of all fields of all rows. "
            "Slices and floors are judged by accuracy whatever this says."
        ),
    )
    metric_class: Name | None = Field(
        default=None, description="The class whose recall is compared; goes with metric: recall, and only with it."
    )
    ndcg_at: int = Field(
        NDCG_AT,
        ge=1,
        exclude_if=lambda at: at == NDCG_AT,  # so that a recipe without the field keeps its digest
        description="How many places of a query's ranking nDCG looks at, where answers are numbers.",
    )
    margin: Fraction = Field(
        description=(
            "Non-inferiority margin: the largest acceptable drop from the teacher, as a fraction (0.03 = 3 points)."
        )
    )
    champion_margin: Fraction | None = Field(
        default=None,
        description="Largest acceptable drop from the champion that a new student would replace, on all golden rows "
        "and on critical slices and fields without a margin of their own; the bar's margin when left out.",
    )
    alpha: Annotated[float, Field(gt=0.0, lt=0.5, allow_inf_nan=False)] = Field(
        default=0.05,
        description="One-sided error rate: how often a student that misses the margin may slip through.",
    )
    floor: Fraction | None = Field(
        default=None,
        description=(
            "Lowest acceptable accuracy on all golden rows, whatever the teacher scores; proven, not just measured."
        ),
    )
    slice_gap_at_most: Fraction | None = Field(
        default=None,
        description=(
            "Largest acceptable difference of the student's accuracy between its best and its worst critical slice, as "
            "a fraction; proven, not just measured. Of critical slices alone, since others are reported only."
        ),
    )
    calibration_error_at_most: Fraction | None = Field(
        default=None,
        description=(
            "Largest acceptable expected calibration error of the student as it is served, as a fraction (0.05 = "
            "confidence and accuracy 5 points apart on average); proven, not just measured."
        ),
    )
    fields: dict[Name, FieldBar] = Field(
        default={},
        exclude_if=lambda fields: not fields,  # so that a recipe without the field keeps its digest
        description="Where answers are records, what is asked of a field by itself, by its name. It is judged as a "
        "slice is, on the golden rows in which truth, teacher or student has a value of it: an answer is right where "
        "this field is.",
    )

    @model_validator(mode="after")
    def _a_class_goes_with_recall(self) -> "BarSpec":
        if (self.metric == "recall") != (self.metric_class is not None):
            raise ValueError("metric_class goes with metric: recall, and only with it")
        return self

    @property
    def metric_in_words(self) -> str:
        """What is compared with the teacher, as sentences name it."""
        return name_of_metric(self.metric, self.metric_class)

    @property
    def judged_fields(self) -> tuple[FieldSlice, ...]:
        """Fields that are judged by themselves, in the order of their names."""
        return tuple(FieldSlice(name=name, **dict(each)) for name, each in sorted(self.fields.items()))


class SliceSpec(Record):
    """A part of the golden set on which the student is judged by itself."""

    name: Name = Field(description="What the slice is called in reports and checks.")
    column: Name = Field(
        description="The column that decides membership; `label` is the class, or any label of a set, whatever "
        "the column of labels is called."
    )
    values: tuple[str, ...] = Field(min_length=1, description="The values of that column which belong to the slice.")
    critical: bool = Field(
        description=("True: the slice binds the verdict, and too few rows close the gate. False: it is reported only.")
    )
    margin: Fraction | None = Field(
        default=None,
        description="Margin on this slice; the bar's own when left out. A slice is smaller than the whole and can only "
        "prove a wider margin: declare it here, before a model exists.",
    )
    floor: Fraction | None = Field(
        default=None,
        description="Lowest acceptable student accuracy on this slice; proven, not just measured.",
    )


class SensitiveSpec(Record):
    """A column that says which group of people a row is of, and how differently groups may be served."""

    column: Name = Field(
        description="The column of the source; it travels with the golden rows and no model ever reads it, because "
        "only texts go in."
    )
    gap_at_most: Fraction | None = Field(
        default=None,
        description="Largest acceptable difference of the student's accuracy between any two groups of the column, as "
        "a fraction; proven, not just measured. Reported only when left out.",
    )


class BudgetSpec(Record):
    """What the student may cost to run. Quality without the budget does not clear the bar."""

    latency_ratio_at_least: Positive | None = Field(
        default=None,
        description=(
            "How many times faster than the teacher: ratio of the CPU time of a call, single stream, same machine. CPU "
            "time, because what else the machine does would change a ratio of wall times; wall time where "
            "teacher_serves_on is cuda. To be given where the teacher runs here."
        ),
    )
    size_ratio_at_least: Positive | None = Field(
        default=None,
        description="How many times smaller than the teacher: bytes of the teacher divided by bytes of the student. "
        "Likewise.",
    )
    teacher_serves_on: Literal["cpu", "cuda"] = Field(
        default="cpu",
        exclude_if=lambda kind: kind == "cpu",  # so that a recipe without the field keeps its digest
        description="Where the teacher answers its callers, and so is timed: cpu = one thread, beside the student; "
        "cuda = a GPU of the machine that judges, by wall time, while the student has one thread of its CPU.",
    )
    latency_ms_at_most: Positive | None = Field(
        default=None,
        description=(
            "Longest acceptable 95th-percentile latency of the student, in milliseconds of wall time; inconclusive "
            "when it was measured on a busy machine."
        ),
    )
    size_mb_at_most: Positive | None = Field(
        default=None, description="Largest acceptable student artifact, in megabytes of 1,000,000 bytes."
    )
    training_memory_gb_at_most: Positive | None = Field(
        default=None,
        description="Memory that training may take, in GB; when left out all of the machine's, or what is free of the "
        "GPU that trains.",
    )
    latency_rounds: Annotated[int, Field(ge=5)] = Field(
        default=5,
        description=(
            "How often each timed text is answered by each model; more rounds make the interval of the ratio narrower. "
            "With fewer than 5 the interval would rest on too few moments of one machine. Not part of the frozen bar: "
            "it says how to measure, not what to prove."
        ),
    )


Text = Annotated[str, Field(min_length=1)]
BehaviourKind = Literal["minimum", "invariance", "directional"]
Perturbation = Literal["typos", "case", "truncation"]

STRESS_ROWS = 500
"""Golden rows of a stress test unless the recipe says otherwise, since each is asked again under each perturbation.

To prove that a true drop of 5 points is not one of 10 takes 394 of them, at a discordance of 15 % (rows_needed_for).
"""

TEXT = "{text}"
"""What a template has in place of the text."""


class BehaviourCase(Record):
    """One text of a behavioural test, and what the answer has to be or do."""

    text: Text = Field(description="What the model is asked.")
    variants: tuple[Text, ...] = Field(
        default=(), description="The text, changed: for invariance and directional; the case fails if one of them does."
    )
    label: Text | None = Field(
        default=None,
        description="minimum: the class to be answered; directional: the class whose probability has to move.",
    )
    probability: Literal["rises", "falls"] | None = Field(
        default=None, description="directional: where the probability of the label has to go from text to variant."
    )


_CASE_FIELDS: dict[BehaviourKind, tuple[str, ...]] = {
    "minimum": ("label",),
    "invariance": ("variants",),
    "directional": ("variants", "label", "probability"),
}


class BehaviourSpec(Record):
    """A behavioural test: something the model must be able to do, whatever its accuracy (Ribeiro et al. 2020, ACL)."""

    name: Name = Field(description="What the test is called in reports.")
    kind: BehaviourKind = Field(
        description=(
            "minimum = each text gets its label; invariance = each variant gets the answer that its text gets, right "
            "or wrong; directional = from text to variant the probability of the label rises or falls."
        )
    )
    cases: tuple[BehaviourCase, ...] = Field(
        min_length=1, description="Texts written for this test; copies of training rows would show nothing."
    )
    failures_at_most: Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)] = Field(
        default=0.0, description="Largest share of the cases that may fail."
    )
    critical: bool = Field(description="True: the test binds the verdict. False: it is reported only.")

    @model_validator(mode="after")
    def _cases_are_of_the_kind(self) -> "BehaviourSpec":
        asked = _CASE_FIELDS[self.kind]
        for index, case in enumerate(self.cases):
            given = {name for name in ("variants", "label", "probability") if getattr(case, name)}
            if given != set(asked):
                raise ValueError(f"cases.{index}: a case of kind {self.kind} has text, {', '.join(asked)}, all of them")
            if case.text in case.variants:
                raise ValueError(f"cases.{index}: a variant is the text itself, which shows nothing")
        return self


class StressSpec(Record):
    """How the golden texts are made harder, and how much of its accuracy the student may lose by that."""

    perturbations: tuple[Perturbation, ...] = Field(
        default=("typos", "case", "truncation"),
        description=(
            "typos = a letter swapped, dropped or doubled in about one word of five; case = all in upper case; "
            "truncation = the last third of the words cut off."
        ),
    )
    templates: tuple[Text, ...] = Field(
        default=(), description='Paraphrases that keep the label, each with {text} in it, such as "tell me, {text}".'
    )
    rows_at_most: Annotated[int, Field(ge=1)] = Field(
        default=STRESS_ROWS, description="Golden rows that are perturbed, always the same ones: the first by prompt id."
    )
    drop_at_most: Fraction | None = Field(
        default=None,
        description=(
            "Largest acceptable drop of the student's accuracy from clean to perturbed text, under each perturbation, "
            "as a fraction; proven, not just measured. Reported only when left out."
        ),
    )

    ask_teacher: bool = Field(
        default=False,
        exclude_if=lambda asked: not asked,  # so that a recipe without the field keeps its digest
        description="Whether a teacher that students are not cut from is asked the perturbed texts, too: each is one "
        "prompt more, asked once, which a server is paid for below its cap. An encoder or a classifier always is.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """Every perturbation by its name, and every template by itself."""
        return (*self.perturbations, *self.templates)

    @model_validator(mode="after")
    def _there_is_stress_and_templates_take_a_text(self) -> "StressSpec":
        if not self.names:
            raise ValueError("neither perturbations nor templates are named; leave stress out for no stress test")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a perturbation or template is named twice")
        for template in self.templates:
            if template.count(TEXT) != 1 or template.strip() == TEXT:
                raise ValueError(f"a template has {TEXT} once and something around it, not {template!r}")
        return self


class Terms(Record):
    """All that a student has to prove, frozen before a model exists."""

    bar: BarSpec = Field(description="The quality bar.")
    budget: BudgetSpec = Field(description="Size, latency and cost.")
    slices: tuple[SliceSpec, ...] = Field(default=(), description="Parts of the golden set judged on their own.")
    sensitive: tuple[SensitiveSpec, ...] = Field(default=(), description="Columns that say which group a row is of.")
    behaviour: tuple[BehaviourSpec, ...] = Field(default=(), description="What it must be able to do, case by case.")
    stress: StressSpec | None = Field(default=None, description="Golden texts made harder; null for no stress test.")
