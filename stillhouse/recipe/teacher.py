"""What a recipe says of its teacher.

Belongs here: which kinds there are, their fields and the rules between them.
Does not: rules between these and the rest of a recipe (contract.py), reading what they name (stillhouse/teachers/).
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.asking import (
    LABEL,
    LIMIT_MISSING,
    AlternativeSpec,
    AskSpec,
    EndpointSpec,
    SoftLabels,
    is_server,
)
from stillhouse.recipe.fields import FieldError, Name, Part, Sentence
from stillhouse.recipe.losses import Gives
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.recipe.weights import WeightsSpec

_TOKENS_OF_A_SENTENCE = 64
"""In which a model says why."""


class ReviewSpec(Part):
    """How large a sample of the teacher's answers a person judges, and how many of them may be wrong."""

    size: int = Field(200, ge=20, description="answers in a sample, half of them at random and half the least certain")
    defect_limit: float = Field(0.1, gt=0, lt=1, description="share of wrong answers that is shown not to be exceeded")


class TeacherKind(StrEnum):
    """How a model becomes a teacher."""

    ENCODER = "encoder"
    CLASSIFIER = "classifier"
    STORED = "stored"
    ENDPOINT = "endpoint"
    CAUSAL_LM = "causal_lm"
    ENSEMBLE = "ensemble"


class CausalLmSpec(Part):
    """What a language model of this machine reads, and which of its words are answers."""

    prompt: str | None = Field(
        None,
        description="a file, from where the recipe's paths start, in which {text}, {labels} and {task} stand for what "
        "they say and which ends in {answer}; a plain one when left out",
    )
    words: dict[str, str] = Field(
        {}, description="what it writes for a label, where that is not the label itself, such as HUM: person"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="that it computes in; bfloat16 takes half the memory, and its answers vary a little"
    )
    correct_prior: bool = Field(
        False, description="divide out how probable it finds each label after texts that say nothing"
    )


class Combination(StrEnum):
    """How the answers of several teachers become one."""

    LOG_PROBABILITIES = "log_probabilities"
    VOTES = "votes"
    MEAN = "mean"
    MEDIAN = "median"


COMBINATIONS_OF_NUMBERS = (Combination.MEAN, Combination.MEDIAN)
"""Those that are of numbers; the others are of labels and of records."""


class EnsembleSpec(Part):
    """Several teachers that answer together."""

    members: Annotated[dict[Name, "TeacherSpec"], Field(min_length=2)] = Field(
        description="the teachers by a short name, each said as a teacher is, of any kind but this one"
    )
    combine: Combination = Field(
        Combination.LOG_PROBABILITIES,
        description="log_probabilities = their mean over the members, each at its own temperature; votes = each member "
        "counts by its answer alone, with the share of validation rows on which it is right; mean and median = of "
        "numbers, which have no probability: one of these two has to be said where answers are numbers, and nowhere "
        "else",
    )
    agree_at_least: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the members that have to give the ensemble's answer for a row to be learned from, of "
        "numbers one within the tolerance of it; when left out, students learn from rows on which they disagree, too",
    )

    @model_validator(mode="after")
    def _members_say_what_they_can_have_by_themselves(self) -> "EnsembleSpec":
        for name, member in self.members.items():
            if member.kind is TeacherKind.ENSEMBLE:
                raise FieldError("a member cannot be an ensemble: name its members here", "members", name, "kind")
            asks_nobody = {"ask"} if member.kind is TeacherKind.STORED else set()
            for part in sorted({"review", "neighbours_kept_at_least", "alternatives"} | asks_nobody):
                if getattr(member, part):
                    raise FieldError(f"{part}: must be left out of a member", "members", name, part)
            if member.answers.rationale_path is not None:
                raise FieldError("members have no rationale in common", "members", name, "answers")
        return self

    @model_validator(mode="after")
    def _members_share_one_cap(self) -> "EnsembleSpec":
        caps = {name: each.endpoint.usd_at_most for name, each in self.members.items() if each.endpoint is not None}
        for name, cap in caps.items():
            first, expected = next(iter(caps.items()))
            if cap != expected:
                raise FieldError(
                    f"{cap:g} here and {expected:g} of {first}: it is what all calls of this recipe may cost together, "
                    "so all members that are servers say the same",
                    *("members", name, "endpoint", "usd_at_most"),
                )
        return self


class TeacherSpec(WeightsSpec):
    """The model that is copied, and why it deserves it."""

    kind: TeacherKind = Field(
        TeacherKind.ENCODER,
        description="encoder = Stillhouse puts a classifier on it and fine-tunes both on the labelled rows; "
        "classifier = it classifies already, or gives a number, and is taken as it is; stored = somebody has asked it "
        "already, and its answers are in a file; endpoint = a server that speaks OpenAI's protocol is asked; causal_lm "
        "= a language model of this machine says how probable each label is as the next words; ensemble = several of "
        "these answer together, whose source, revision, licence and terms are those of its members and are left out",
    )
    training_on_outputs: Literal["allowed", "forbidden", "unknown"] = Field(
        description="do licence and terms allow training another model on its outputs? unknown counts as no"
    )
    reason: Sentence = Field(description="why this teacher deserves to be copied")
    minimum_accuracy: float = Field(
        gt=0, le=1, description="accuracy on the labelled validation rows below which it is not worth copying"
    )
    training: TrainingConfig | None = Field(
        None, description="how an encoder is fine-tuned on the labelled rows; no other teacher is trained"
    )
    fine_tune: bool = Field(
        True,
        exclude_if=bool,  # so that a recipe without the field keeps its digest
        description="false = the encoder stays as it was published, and a classifier on it is trained alone: quicker, "
        "for few rows, and the same encoder serves other things",
    )
    neighbours_kept_at_least: float | None = Field(
        None,
        gt=0,
        lt=1,
        exclude_if=lambda asked: asked is None,  # so that a recipe without the field keeps its digest
        description="where the fine-tuned encoder is to be used for other things, too: the share of texts whose "
        "nearest text by the encoder as published is to be among the ten nearest still; not measured when left out",
    )
    rename: dict[str, str] = Field(
        {}, description="what outputs of a classifier are called in the rows, where they have another name there"
    )
    max_tokens: int | None = Field(
        None,
        ge=3,
        description="where a text for a classifier is cut, special tokens included, or one for a language model, its "
        "prompt not included; as far as it has positions, and at 512, when left out. For an encoder "
        "training.max_tokens says it",
    )
    answers: AnswersSpec = Field(AnswersSpec(), description="how a file of stored answers is read")
    ask: AskSpec | None = Field(
        None, description="what an endpoint is asked; of stored answers what `stillhouse ask` writes for a batch API"
    )
    endpoint: EndpointSpec | None = Field(None, description="what asking an endpoint may take")
    alternatives: tuple[AlternativeSpec, ...] = Field(
        (),
        exclude_if=lambda named: not named,  # so that a recipe without the field keeps its digest
        description="cheaper models, each with a prompt of its own, that are asked instead of an endpoint: judged on "
        "the golden rows among the options that need no student, and paid from the same usd_at_most",
    )
    causal_lm: CausalLmSpec = Field(CausalLmSpec(), description="what a language model of this machine is asked")
    ensemble: EnsembleSpec | None = Field(None, description="the members of an ensemble")
    review: ReviewSpec | None = Field(
        None, description="a person judges a sample of the answers to unlabelled rows; none when left out"
    )

    @model_validator(mode="before")
    @classmethod
    def _an_ensemble_is_known_by_its_members(cls, said: Any) -> Any:
        """Its source, revision, licence and terms are theirs; of terms the gravest, and none beside them."""
        inner = said.get("ensemble") if isinstance(said, dict) else None
        members = inner.get("members") if isinstance(inner, dict) else None
        if not isinstance(members, dict) or not all(isinstance(each, dict) for each in members.values()):
            return said
        terms = [each.get("training_on_outputs") for each in members.values()]
        gravest = next((each for each in ("forbidden", "unknown") if each in terms), "allowed")
        of_members = {
            field: ", ".join(str(each.get(field)) for each in members.values())
            for field in ("source", "revision", "licence")
        }
        theirs = {**of_members, "training_on_outputs": gravest}
        for field, of_all in theirs.items():
            if said.get("kind") == TeacherKind.ENSEMBLE and said.get(field, of_all) != of_all:
                raise FieldError(f"must be left out of an ensemble: by its members it is {of_all!r}", field)
        return {**theirs, **said}

    @model_validator(mode="after")
    def _each_kind_has_its_own_fields(self) -> "TeacherSpec":
        if self.kind is TeacherKind.ENCODER and self.training is None:
            raise ValueError("training: must be given where kind is encoder")
        for field, _ in () if self.training is None else self.training.layer_terms:
            raise FieldError("a teacher learns from labels, and has no other's layers", "training", *field, "layers")
        if not self.fine_tune and self.training is not None and self.training.contrast_weight > 0:
            mistake = "must be left out where fine_tune is false: the states of the encoder stay as they are"
            raise FieldError(mistake, "training", "contrast_weight")
        foreign = [
            name
            for name, kinds in _FIELDS_OF_KINDS.items()
            if self.kind not in kinds and getattr(self, name) != type(self).model_fields[name].default
        ]
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: must be left out where kind is {self.kind}")
        if not self.computes_here and self.minimum_accuracy < 0.5:
            raise ValueError(
                f"minimum_accuracy: at least 0.5 where kind is {self.kind}: of answers that are wrong more often than "
                "right nothing is learned"
            )
        self._require_one_way_of_answering()
        if self.kind is TeacherKind.ENDPOINT:
            self._require_what_asking_takes()
            self._require_that_alternatives_can_be_asked()
        if self.kind is TeacherKind.ENSEMBLE and self.ensemble is None:
            raise ValueError("ensemble: must be given where kind is ensemble")
        return self

    def _require_one_way_of_answering(self) -> None:
        if self.ask is None:
            return
        for way in self.ask.ways_of_answering:
            if self.answers.answer_pattern is not None:
                raise ValueError(f"answers.answer_pattern: must be left out where ask.{way} says how it answers")
        if len(self.ask.ways_of_answering) > 1:
            raise ValueError("ask.structured: must be left out where ask.soft_labels.by is logprobs: a letter is asked")
        if self.kind is not TeacherKind.ENDPOINT and (self.ask.soft_labels is not None or self.ask.structured):
            raise ValueError("ask.soft_labels, ask.structured: must be left out where kind is not endpoint")

    def _require_what_asking_takes(self) -> None:
        missing = [name for name in ("ask", "endpoint") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{', '.join(missing)}: must be given where kind is endpoint")
        if not is_server(self.source):
            raise ValueError("source: of an endpoint the address of its server, without a key, such as https://host/v1")
        if self.ask is not None and not self.ask.has_a_limit:
            raise ValueError(f"ask.settings: {LIMIT_MISSING}")
        said = self.answers
        of_a_reply = {
            "answer_pattern": said.answer_pattern, "rationale": said.rationale,
            "rationale_pattern": said.rationale_pattern,
        }  # fmt: skip
        if said != AnswersSpec(**of_a_reply):
            raise ValueError(f"answers: of an endpoint only {', '.join(of_a_reply)} may be said")
        self._require_a_way_to_say_why()

    def _require_a_way_to_say_why(self) -> None:
        """Of an endpoint; a plain prompt asks for the label and nothing else."""
        named, pattern, ask = self.answers.rationale, self.answers.rationale_pattern, self.ask
        if ask is None or (named is None and pattern is None):
            return
        if ask.soft_labels is not None:
            raise ValueError("answers.rationale: must be left out where ask.soft_labels says how it answers")
        if named is not None and (pattern is not None or not ask.structured or not re.fullmatch("[a-z_]+", named)):
            raise ValueError(
                "answers.rationale: of an endpoint a name of lower-case letters, where ask.structured is true; "
                "rationale_pattern takes it out of other replies"
            )
        if named == LABEL:
            raise ValueError(f"answers.rationale: another name than {LABEL}, which is the answer's")
        if pattern is not None and (ask.structured or ask.prompt is None):
            raise ValueError(
                "answers.rationale_pattern: of an endpoint with an ask.prompt that asks for it, and without "
                "ask.structured, where answers.rationale names it"
            )

    def _require_that_alternatives_can_be_asked(self) -> None:
        called = [each.called for each in self.alternatives]
        for index, each in enumerate(self.alternatives):
            here = ("alternatives", index)
            if not each.has_a_limit:
                raise FieldError(LIMIT_MISSING, *here, "settings")
            if each.ways_of_answering and each.answer_pattern is not None:
                raise FieldError(
                    f"must be left out where {each.ways_of_answering[0]} says how it answers", *here, "answer_pattern"
                )
            if len(each.ways_of_answering) > 1:
                raise FieldError(
                    "must be left out where soft_labels.by is logprobs: a letter is asked", *here, "structured"
                )
            if called.index(each.called) < index:
                raise FieldError(
                    f"another alternative is called {each.called.removeprefix('prompted ')}, too: give each a name",
                    *here,
                    "name" if each.name else "model",
                )

    def with_room_for(self, record: RecordSpec) -> "TeacherSpec":
        """The same with room for such a record in each answer, where the recipe does not say how long one may be."""
        tokens, why = record.tokens_at_most, 0 if self.answers.rationale is None else _TOKENS_OF_A_SENTENCE
        ask = None if self.ask is None else self.ask.with_room_for(tokens + why)
        alternatives = tuple(each.with_room_for(tokens) for each in self.alternatives)
        ensemble = self.ensemble
        if ensemble is not None:
            members = {name: member.with_room_for(record) for name, member in ensemble.members.items()}
            ensemble = ensemble.model_copy(update={"members": members})
        return self.model_copy(update={"ask": ask, "alternatives": alternatives, "ensemble": ensemble})

    @property
    def longest_text(self) -> int:
        """Tokens of a text that it is asked, as far as it has positions for them."""
        if self.members:
            return min(member.longest_text for member in self.members.values())
        return (self.max_tokens or 512) if self.training is None else self.training.max_tokens

    @property
    def outside_files(self) -> tuple[str, ...]:
        """Addresses of the files that decide what a teacher says beside its weights: its answers, what it is asked."""
        named = [self.source if self.kind is TeacherKind.STORED else None, self.answers.requests]
        prompts = (each.prompt for each in (self.ask, *self.alternatives) if each is not None)
        own = tuple(uri for uri in (*named, *prompts, self.causal_lm.prompt) if uri)
        return own + tuple(uri for member in self.members.values() for uri in member.outside_files)

    @property
    def members(self) -> dict[str, "TeacherSpec"]:
        """The teachers that an ensemble consists of, by name; none of any other kind."""
        return {} if self.ensemble is None else self.ensemble.members

    @property
    def by_member(self) -> dict[str, "TeacherSpec"]:
        """Whoever answers: the members of an ensemble by name, or itself under no name."""
        return self.members or {"": self}

    @property
    def networks(self) -> dict[str, "TeacherSpec"]:
        """The encoders among those that answer."""
        return {name: each for name, each in self.by_member.items() if each.runs_here}

    @property
    def language_models(self) -> dict[str, "TeacherSpec"]:
        """The language models of this machine among those that answer."""
        return {name: each for name, each in self.by_member.items() if each.kind is TeacherKind.CAUSAL_LM}

    @property
    def servers(self) -> dict[str, "TeacherSpec"]:
        """Those among them that are asked over the network."""
        return {name: each for name, each in self.by_member.items() if each.kind is TeacherKind.ENDPOINT}

    @property
    def runs_here(self) -> bool:
        """Whether it is an encoder that students are cut from, and weighed and timed beside."""
        return self.kind in (TeacherKind.ENCODER, TeacherKind.CLASSIFIER)

    @property
    def gives(self) -> Gives:
        """How much it says of each answer."""
        if self.runs_here:
            return Gives.LOGITS
        if self.kind is TeacherKind.CAUSAL_LM:
            return Gives.PROBABILITIES
        if self.ensemble is not None and self.ensemble.combine in COMBINATIONS_OF_NUMBERS:
            return Gives.ANSWERS
        if self.ensemble is not None:
            is_mean = self.ensemble.combine is Combination.LOG_PROBABILITIES
            all_are_sure = min(member.gives for member in self.members.values()) >= Gives.PROBABILITIES
            return Gives.PROBABILITIES if is_mean and all_are_sure else Gives.VOTES
        if self.answers.probabilities is not None:
            return Gives.PROBABILITIES
        if self.ask is None or self.ask.soft_labels is None:
            return Gives.ANSWERS
        return {SoftLabels.LOGPROBS: Gives.PROBABILITIES, SoftLabels.SAMPLES: Gives.VOTES}[self.ask.soft_labels.by]

    @property
    def computes_here(self) -> bool:
        """Whether this machine computes its answers, so that it gives probabilities and can be asked at any time."""
        return self.runs_here or self.kind is TeacherKind.CAUSAL_LM

    @property
    def answers_new_texts(self) -> bool:
        """Whether it answers texts that it has not seen; what is a file of answers does not."""
        return all(each.kind is not TeacherKind.STORED for each in self.by_member.values())

    @property
    def loads_a_model(self) -> bool:
        """Whether asking it, or a member, takes memory and processor of this machine."""
        return any(each.computes_here for each in self.by_member.values())


def teacher_part(member: str) -> str:
    """The part of a recipe that says what a member of its ensemble is, or its one teacher where there is no name."""
    return f"teacher.ensemble.members.{member}" if member else "teacher"


_FIELDS_OF_KINDS = {
    "training": [TeacherKind.ENCODER],
    "fine_tune": [TeacherKind.ENCODER],
    "neighbours_kept_at_least": [TeacherKind.ENCODER],
    "rename": [TeacherKind.CLASSIFIER],
    "max_tokens": [TeacherKind.CLASSIFIER, TeacherKind.CAUSAL_LM],
    "answers": [TeacherKind.STORED, TeacherKind.ENDPOINT],
    "ask": [TeacherKind.STORED, TeacherKind.ENDPOINT],
    "endpoint": [TeacherKind.ENDPOINT],
    "alternatives": [TeacherKind.ENDPOINT],
    "causal_lm": [TeacherKind.CAUSAL_LM],
    "ensemble": [TeacherKind.ENSEMBLE],
    "fingerprint": [TeacherKind.ENCODER, TeacherKind.CLASSIFIER, TeacherKind.CAUSAL_LM],
}
"""What a recipe may say of a teacher of some kinds only."""

EnsembleSpec.model_rebuild()
