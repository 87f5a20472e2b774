"""What each stage says of its artifact: the one thing beside files that passes between stages.

All in one module and without the code that finds them, so that a stage which reads what another one says does not
depend on how that other one works. They are kept in the artifact's manifest as JSON.

Belongs here: a frozen record for each kind of stage that another one reads.
Does not: facts that only a stage's own asset and gates read, or what comes after it in any case (in its module); the
release's record (stillhouse/release/bundle.py); making an artifact (the module of each stage).
"""

import math
from typing import Any

from pydantic import Field, JsonValue

from stillhouse.base import Record
from stillhouse.recipe.data import ScoreSpec, TaskKind, particulars_of
from stillhouse.recipe.fields import Precision
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.tasks import task_of
from stillhouse.tasks.task import Task
from stillhouse.teachers.asked import Asking, LabelPrompt
from stillhouse.teachers.forgetting import NeighboursKept
from stillhouse.teachers.own_scale import OwnScale
from stillhouse.wording import percent


class WeightsFacts(Record):
    """Weights that a recipe names, as they were found before anything was spent on them."""

    fingerprint: str | None = Field(description="Digest of the weights; null where they were refused.")
    training_gb: float | None = Field(
        description="Estimate of the memory that they take, in GB of 1e9 bytes, and fine-tuning with them where they "
        "are; null where they were refused."
    )
    problem: str | None = Field(description="Why they were refused; null where they were not.")


class AnswersFacts(Record):
    """A file of answers that a teacher gave elsewhere, as it was read."""

    records: int = Field(description="Records that could be read.")
    unreadable: int
    without_text: int = Field(description="Records of which it is not known what was asked.")
    without_rationale: int | None = Field(
        None, description="Replies that do not say why; null where the recipe reads no rationale."
    )


class ContractFacts(Record):
    """The frozen recipe."""

    recipe: str = Field(description="Digest of the recipe.")
    bar: dict[str, JsonValue] = Field(
        description="All that a student has to prove, as it was digested; another version may have had other fields."
    )
    bar_digest: str
    weights: WeightsFacts
    language_model: WeightsFacts | None = Field(None, description="Of a teacher that is a language model here.")
    members: dict[str, WeightsFacts] = Field({}, description="Of an ensemble's members that compute here, by name.")
    answers: AnswersFacts | None = Field(None, description="Of a teacher that answered elsewhere.")

    @property
    def beside_weights(self) -> dict[str, WeightsFacts]:
        """What else computes here: a language model that is the teacher without a name, or members by theirs."""
        return self.members if self.language_model is None else {"": self.language_model}


class CoverageFacts(Record):
    """How much of the texts of a batch the models of a recipe read."""

    texts: int
    max_tokens: int = Field(description="Least `max_tokens` of the recipe's trainings, or the encoder's own limit.")
    positions: int = Field(description="Tokens that the encoder can read at most.")
    cut: int = Field(description="Texts that are longer and lose their end.")
    enough: int = Field(description="`max_tokens` that lets 99 % of the texts in whole; may be more than `positions`.")
    pieces: int = Field(description="Word pieces of all texts.")
    unknown: int = Field(description="Word pieces that the encoder does not know.")

    @property
    def cut_share(self) -> float:
        """Share of the texts that lose their end."""
        return self.cut / max(self.texts, 1)

    @property
    def unknown_share(self) -> float:
        """Share of the word pieces that the encoder does not know."""
        return self.unknown / max(self.pieces, 1)

    @property
    def length_sentence(self) -> str:
        """What is cut, and of what."""
        return (
            f"{self.cut:,} of {self.texts:,} texts ({percent(self.cut_share)}) are cut after {self.max_tokens} tokens"
        )

    @property
    def length_remedy(self) -> str:
        """What to change so that less is cut."""
        if self.enough <= self.positions:
            return f"Set `max_tokens: {self.enough}` in `training` of the teacher and of each student"
        return (
            f"The teacher reads at most {self.positions} tokens: keep the part of each text that decides, where the "
            "rows come from, or name a teacher that reads more"
        )

    @property
    def unknown_sentence(self) -> str:
        """What is unknown, and of what."""
        share = percent(self.unknown_share)
        return f"{self.unknown:,} of {self.pieces:,} word pieces ({share}) are unknown to the teacher"

    @property
    def unknown_remedy(self) -> str:
        """What to change so that less is unknown."""
        return "Name a teacher that was trained on the language and signs of these texts, such as a multilingual one"


class PromptFacts(Record):
    """A prompt set, counted."""

    rows_in: int
    kept: int
    rejected: int
    redacted: dict[str, int] = Field(description="Places taken out, by kind of personal data.")
    golden_digest: str
    labels: tuple[str, ...] = Field(description="Every label that a kept row has, or that its set has, sorted.")
    train: int
    validation: int
    golden: int
    labelled_train: int
    coverage: CoverageFacts | None = Field(
        None, description="How much of the texts models read; null where the teacher's weights were refused."
    )


class EpochFacts(Record):
    """One pass over the rows."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    validation_accuracy: float | None


class TrainingFacts(Record):
    """How a training went."""

    epochs: tuple[EpochFacts, ...]
    examples: int = Field(description="Rows trained on.")
    steps: int
    weights_digest: str = Field(description="SHA-256 of the final weights.")
    examples_per_second: float
    seconds: float

    @property
    def losses(self) -> tuple[list[float], list[float]]:
        """Training and validation loss by epoch; not a number where there were no validation rows."""
        validation = [math.nan if epoch.validation_loss is None else epoch.validation_loss for epoch in self.epochs]
        return [epoch.train_loss for epoch in self.epochs], validation


class Answering(Record):
    """What gives answers, or holds them."""

    answer: TaskKind = Field("single_label", description="What an answer is.")
    labels: tuple[str, ...] = Field(description="Name of each output, in their order.")
    score: ScoreSpec | None = Field(
        None,
        exclude_if=lambda said: said is None,  # so that a manifest of labels is what it was
        description="Of answers that are numbers, their ends, and how near one has to be.",
    )
    record: RecordSpec | None = Field(
        None,
        exclude_if=lambda said: said is None,  # likewise
        description="Of answers that are records, their fields, and how much of a text is read.",
    )

    @property
    def task(self) -> Task:
        """All else that there is to know of such an answer."""
        return task_of(self.answer, self.labels, self.score or self.record)

    @property
    def particulars(self) -> dict[str, Any]:
        """What the content of a stage depends on that asks when answers are right; nothing where they are labels."""
        return particulars_of(self.score, self.record)


class SaidFacts(Record):
    """What a teacher that is no encoder has said, counted: all that is stored, or a pilot's answers."""

    texts: int = Field(description="Different texts that were asked.")
    failures: dict[str, int] = Field(description="Texts without an answer that counts, by reason.")
    accuracy: float = Field(
        description="Share of answers that are right, by validation rows, as it is taught: (right + 1) / (answered + 2)"
    )
    asking: Asking | LabelPrompt | None = Field(None, description="What an endpoint or a language model here is asked.")
    observed: str | None = Field(None, description="The model that a server says has answered.")
    without_rationale: int | None = Field(
        None, description="Replies of an endpoint's pilot that do not say why; null where it is not asked."
    )
    usd_a_prompt: float | None = Field(None, description="What an endpoint's answers cost on average.")
    usd_a_prompt_at_most: float | None = Field(
        None, description="Upper 95 % bound of that; null where an earlier version asked."
    )
    asked_twice: int = Field(0, description="Prompts that an endpoint's pilot asked a second time.")
    flips: int = Field(0, description="Of these, those that were answered otherwise.")
    label_mass: float | None = Field(
        None,
        description="Median probability on labels, or on their letters, of a teacher whose log-probabilities are "
        "taught.",
    )


class LanguageModelFacts(Record):
    """The weights of a language model of this machine."""

    fingerprint: str = Field(description="Digest of weights, config and tokenizer.")
    bytes: int = Field(description="Size of these files.")


class TeacherFacts(Answering):
    """The teacher: an encoder that was fine-tuned, a model as it is, or answers that were given elsewhere."""

    kind: TeacherKind = TeacherKind.ENCODER
    fingerprint: str = Field(description="Digest of its weights, or of its answers.")
    base_fingerprint: str = Field(
        description="Digest of the weights that it began with, or that students are cut from."
    )
    parameters: int | None = Field(description="Null where it does not compute here.")
    temperature: float = Field(description="What its logits are divided by for its confidence.")
    validation_right: int
    validation_rows: int
    training: TrainingFacts | None = Field(None, description="How it was fine-tuned; null where it was not.")
    neighbours: NeighboursKept | None = Field(
        None,
        description="Of an encoder that is to stay of use elsewhere: texts whose neighbours are kept.",
    )
    own_scale: OwnScale | None = Field(
        None,
        exclude_if=lambda found: found is None,  # so that a manifest of any other teacher is what it was
        description="Of a classifier that gives numbers of its own, how they become those of the recipe.",
    )
    said: SaidFacts | None = Field(None, description="Of a teacher that students are not cut from, but an ensemble.")
    language_model: LanguageModelFacts | None = Field(None, description="Of a teacher that is one.")
    members: dict[str, "TeacherFacts"] = Field({}, description="Of an ensemble its members, by name.")

    @property
    def by_member(self) -> dict[str, "TeacherFacts"]:
        """Whoever answers: the members of an ensemble by name, or itself under no name."""
        return self.members or {"": self}

    @property
    def usd_per_1000_answers(self) -> float | None:
        """What servers charge for 1,000 answers, by their pilots; None where there is no server."""
        a_prompt = [each.said.usd_a_prompt for each in self.by_member.values() if each.said is not None]
        charged = [usd for usd in a_prompt if usd is not None]
        return 1000 * sum(charged) if charged else None

    @property
    def validation_accuracy(self) -> float:
        """Share of the validation rows that it gets right."""
        return self.validation_right / self.validation_rows


class SignalFacts(Answering):
    """What the teacher said about the prompts of a batch."""

    fingerprint: str = Field(description="That of the teacher.")
    rows: int
    observed: str | None = Field(None, description="The model that a server said has answered the pilot.")


class TransferSetFacts(Answering):
    """The rows that a student may learn from, counted."""

    rows_in: int
    kept: int
    rejected: int
    labelled: int
    row_kinds: dict[str, int]
    fingerprint: str = Field(description="Digest of the teacher's weights.")
    batches: tuple[str, ...]


class VocabularyFacts(Record):
    """Pieces of the teacher's vocabulary that a student keeps."""

    kept: int
    dropped: int


class SeedFacts(Record):
    """A student that was trained again with another seed."""

    training: TrainingFacts


class CandidateFacts(Answering):
    """A student before it is exported."""

    learns_from: str
    layers: tuple[int, ...] = Field(description="Those of the teacher that it was cut from.")
    vocabulary: VocabularyFacts | None = Field(None, description="Null where the whole vocabulary was kept.")
    parameters: int | None = None
    validation_rows: int
    validation_right: int | None = Field(None, description="Of a student that was not trained.")
    training: TrainingFacts | None = Field(None, description="Null where it was taken as it was cut.")
    seeds: dict[int, SeedFacts] = Field({}, description="Further trainings, by seed.")

    @property
    def validation_accuracy(self) -> float | None:
        """Share of the validation rows that it gets right, after its last epoch or as it was cut."""
        if self.training is not None:
            return self.training.epochs[-1].validation_accuracy
        return None if self.validation_right is None else self.validation_right / self.validation_rows


class ParityFacts(Record):
    """How far two forms of one model are apart on the same texts."""

    max_abs_logit_diff: float
    top1_agreement: float


class ExportedFacts(Record):
    """One exported model."""

    precision: Precision = Field(description="In which it ships.")
    fp32: ParityFacts = Field(description="Of the float32 ONNX with torch; differences are rounding.")
    shipped: ParityFacts = Field(description="Of the ONNX that ships, with torch.")
    model_bytes: int
    fp32_bytes: int
    shipped_bytes: int = Field(description="Of the ONNX that ships.")
    bytes: int = Field(description="Of the exported folder.")
    texts: int = Field(description="That parity was measured and the temperature fitted on.")
    temperature: float


class ExportFacts(ExportedFacts):
    """The exported student."""

    seeds: dict[int, ExportedFacts] = Field({}, description="Exports of further trainings, by seed.")


class EvaluationFacts(Record):
    """What was judged, and by which rows."""

    golden_digest: str
    golden_rows: int
    judged: dict[str, str | None] = Field(description="Digest of each exported student, by name.")
    teacher_timed_on: str | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a manifest of a teacher on the CPU is what it was
        description="The GPU that the teacher serves on and was timed on; left out where it was the students' CPU.",
    )


class ChampionFacts(Record):
    """Which release serves."""

    student: str
    release: str = Field(description="Digest of the release.")
    offered: str | None = Field(
        None, description="Digest of the release that was decided upon, where that is not the one that serves yet."
    )
