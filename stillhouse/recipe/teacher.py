"""What a recipe says of its teacher, and of pretrained weights.

Belongs here: their fields and the rules between them.
Does not: rules between these and the rest of a recipe (contract.py), reading what they name (stillhouse/teachers/).
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stillhouse.addresses import holds_credentials
from stillhouse.recipe.fields import FieldError, Name, Part, Sentence
from stillhouse.recipe.losses import Gives
from stillhouse.recipe.training import TrainingConfig


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


class AnswersFormat(StrEnum):
    """What a file of stored answers looks like."""

    TABLE = "table"
    CHAT = "chat"
    BATCH = "batch"


class WeightsSpec(Part):
    """Pretrained weights, pinned."""

    source: str = Field(
        description="where the weights are: package://<import name>/<folder>, hf://<org>/<name>, or a local folder; of "
        "a stored teacher the file with its answers, as data.source names one; of an endpoint its server"
    )
    revision: str = Field(
        description="version of the source; for hf:// the commit, since a branch or a tag can move; of stored answers "
        "which model gave them, and when"
    )
    fingerprint: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of weights, config and tokenizer before training, as `stillhouse new` writes it; when "
        "left out, those of the first round are trusted and later rounds are held to them",
    )
    licence: str = Field(
        description="SPDX identifier of the licence; of stored answers the terms they were given under"
    )

    @field_validator("revision")
    @classmethod
    def _a_branch_is_no_pin(cls, revision: str, info: ValidationInfo) -> str:
        if str(info.data.get("source")).startswith("hf://") and not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(
                f"{revision!r} is no commit of 40 hexadecimal digits: a branch or a tag can move to other weights; "
                "copy the commit from the repository's history"
            )
        return revision

    @property
    def address(self) -> str:
        """Source and revision in one word, as records of what came from outside have it."""
        return f"{self.source}@{self.revision}"


def _with_its_group(pattern: str | None, info: ValidationInfo) -> str | None:
    """A pattern that takes something out of a text, which is the group that its field is named after."""
    group = str(info.field_name).removesuffix("_pattern")
    try:
        groups = {} if pattern is None else re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if pattern is not None and group not in groups:
        raise ValueError(f"it has no group (?P<{group}>...)")
    return pattern


class AnswersSpec(Part):
    """How what a teacher elsewhere said is read."""

    format: AnswersFormat = Field(
        AnswersFormat.TABLE,
        description="table = a column with the text and one with the answer; chat = one conversation a line, under "
        "`messages`, whose last message is the answer; batch = what a batch API wrote, one reply a line",
    )
    text: str | None = Field(
        None,
        description="column or path of the text that was asked: `text` of a table, messages.-2.content of a chat, "
        "body.messages.-1.content of the requests of a batch, when left out",
    )
    answer: str | None = Field(
        None,
        description="column or path of the answer: `answer`, messages.-1.content, or "
        "response.body.choices.0.message.content, when left out",
    )
    text_pattern: str | None = Field(
        None, description="regular expression with a group `text`, where what was asked has a template around it"
    )
    answer_pattern: str | None = Field(
        None, description="regular expression with a group `answer`, where a label has more around it"
    )
    requests: str | None = Field(
        None,
        description="the file that was sent to the batch API, joined by custom_id; when left out, `stillhouse ask` "
        "wrote it, and its ids are those of the prompts",
    )

    @field_validator("text_pattern", "answer_pattern")
    @classmethod
    def _it_has_the_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        return _with_its_group(pattern, info)

    @model_validator(mode="after")
    def _requests_are_those_of_a_batch(self) -> "AnswersSpec":
        if self.requests is not None and self.format is not AnswersFormat.BATCH:
            raise ValueError("requests: must be left out where format is not batch")
        if self.format is AnswersFormat.BATCH and self.requests is None and (self.text or self.text_pattern):
            raise ValueError("text, text_pattern: are of `requests`, which is not named")
        return self

    @property
    def text_path(self) -> str:
        """Where the text is; of a batch in its requests."""
        return self.text or _TEXT_PATHS[self.format]

    @property
    def answer_path(self) -> str:
        """Where the answer is."""
        return self.answer or _ANSWER_PATHS[self.format]


_TEXT_PATHS = {
    AnswersFormat.TABLE: "text",
    AnswersFormat.CHAT: "messages.-2.content",
    AnswersFormat.BATCH: "body.messages.-1.content",
}
_ANSWER_PATHS = {
    AnswersFormat.TABLE: "answer",
    AnswersFormat.CHAT: "messages.-1.content",
    AnswersFormat.BATCH: "response.body.choices.0.message.content",
}


LONGEST = ("max_tokens", "max_completion_tokens")
"""Settings that limit what is written, by the names that servers have for it."""
_LIMIT_MISSING = f"{' or '.join(LONGEST)} must limit an answer, so that its cost has a limit"
_SAID_BY_ITSELF = {
    *("model", "messages", "stream", "n", "best_of", "tools"),
    *("logprobs", "top_logprobs", "response_format"),
}
"""Fields of a request that are no settings."""


class SoftLabels(StrEnum):
    """How it is found out how sure a teacher behind an API is."""

    LOGPROBS = "logprobs"
    SAMPLES = "samples"


class SoftLabelsSpec(Part):
    """How it is found out how sure a teacher behind an API is of its answers."""

    by: SoftLabels = Field(
        description="logprobs = labels are shown with letters, one letter is asked, and the probabilities of the "
        "others come with it, for at most 20 labels; samples = each text is asked several times, with a temperature"
    )
    samples: int = Field(5, ge=2, le=20, description="answers to each text, each of which is paid, where by is samples")


class AskSpec(Part):
    """What a teacher elsewhere is asked."""

    model: str = Field(description="the model that is to answer, as the API names it")
    prompt: str | None = Field(
        None,
        description="a file, from where the recipe's paths start, in which {text}, {labels} and {task} stand for what "
        "they say; a plain one when left out",
    )
    settings: dict[str, str | int | float | bool] = Field(
        {"temperature": 0, "max_tokens": 32}, description="further fields of each request"
    )
    structured: bool = Field(
        False,
        description="an endpoint is held to JSON with one of the labels (response_format with a json_schema), as vLLM, "
        "llama.cpp, Ollama and OpenAI understand; not every model does",
    )
    soft_labels: SoftLabelsSpec | None = Field(
        None, description="students learn how sure an endpoint is, too; the answers alone when left out"
    )

    @field_validator("settings")
    @classmethod
    def _one_answer_of_limited_length(
        cls, settings: dict[str, str | int | float | bool]
    ) -> dict[str, str | int | float | bool]:
        foreign = sorted(_SAID_BY_ITSELF & set(settings))
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: a request asks one model for one answer, and says so by itself")
        for name in LONGEST:
            limit = settings.get(name, 1)
            if type(limit) is not int or limit < 1:
                raise ValueError(f"{name}: a whole number of tokens above 0, not {limit!r}")
        return settings

    @model_validator(mode="after")
    def _samples_differ(self) -> "AskSpec":
        sampled = self.soft_labels is not None and self.soft_labels.by is SoftLabels.SAMPLES
        if sampled and not float(self.settings.get("temperature", 1)) > 0:
            raise ValueError("settings.temperature: above 0 where soft_labels.by is samples; at 0 all samples are one")
        return self

    @property
    def ways_of_answering(self) -> list[str]:
        """The fields that say how it answers, other than with a label in words; two of them contradict each other."""
        by_letter = self.soft_labels is not None and self.soft_labels.by is SoftLabels.LOGPROBS
        ways = {"soft_labels.by": by_letter, "structured": self.structured}
        return [name for name, chosen in ways.items() if chosen]

    @property
    def has_a_limit(self) -> bool:
        """Whether the length of an answer, and so its cost, has a limit."""
        return bool(set(LONGEST) & set(self.settings))


def is_server(address: str) -> bool:
    """Whether an address is one of a server, and holds no key."""
    return re.match(r"https?://[^/\s]", address) is not None and not holds_credentials(address)


class EndpointSpec(Part):
    """What asking a server may take."""

    api_key_env: str | None = Field(
        None,
        pattern="^[A-Z][A-Z0-9_]*$",
        description="variable that holds the key; none where the server asks for none. The key itself is in no recipe",
    )
    usd_per_million_in: float = Field(ge=0, description="price of a million tokens read; 0 of a server of your own")
    usd_per_million_out: float = Field(ge=0, description="price of a million tokens written")
    usd_at_most: float = Field(
        gt=0, allow_inf_nan=False, description="that all calls of this recipe may ever cost together"
    )
    tokens_around: int = Field(
        256, ge=0, description="that the server may add to a prompt, such as its template; reserved with each call"
    )
    concurrency: int = Field(8, ge=1, le=256, description="calls at one time")
    requests_per_minute: int | None = Field(None, ge=1, description="that are begun at the most")
    attempts: int = Field(6, ge=1, description="for one text, before the run ends")
    timeout_s: float = Field(60, gt=0, description="seconds until a call counts as lost")


class AlternativeSpec(AskSpec):
    """A cheaper model that is asked instead: one of the options that need no student."""

    name: Name | None = Field(
        None, description="what reports call it, where the same model is asked in several ways; else by its model"
    )
    source: str | None = Field(None, description="its server, where that is another than the teacher's")
    revision: str = Field("", description="what is behind the model's name; where it changes, all is asked again")
    api_key_env: str | None = Field(
        None,
        pattern="^[A-Z][A-Z0-9_]*$",
        description="variable that holds the key of its server; when left out the teacher's key at the teacher's "
        "server, and none at another",
    )
    usd_per_million_in: float = Field(ge=0, description="price of a million tokens read")
    usd_per_million_out: float = Field(ge=0, description="price of a million tokens written")
    answer_pattern: str | None = Field(
        None, description="regular expression with a group `answer`, where a label has more around it"
    )

    @field_validator("answer_pattern")
    @classmethod
    def _it_has_a_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        return _with_its_group(pattern, info)

    @field_validator("source")
    @classmethod
    def _it_is_a_server(cls, source: str | None) -> str | None:
        if source is not None and not is_server(source):
            raise ValueError("the address of a server, without a key, such as https://host/v1")
        return source

    @property
    def called(self) -> str:
        """What reports call it."""
        return f"prompted {self.name or self.model}"

    def limits(self, teacher: EndpointSpec) -> EndpointSpec:
        """What asking it may take: what asking its teacher may, at its own price and with the key of its server."""
        key = self.api_key_env or (teacher.api_key_env if self.source is None else None)
        prices = {name: getattr(self, name) for name in ("usd_per_million_in", "usd_per_million_out")}
        return teacher.model_copy(update={**prices, "api_key_env": key})


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


class EnsembleSpec(Part):
    """Several teachers that answer together."""

    members: Annotated[dict[Name, "TeacherSpec"], Field(min_length=2)] = Field(
        description="the teachers by a short name, each said as a teacher is: encoders, classifiers and stored answers"
    )
    combine: Combination = Field(
        Combination.LOG_PROBABILITIES,
        description="log_probabilities = their mean over the members, each at its own temperature; votes = each member "
        "counts by its answer alone, with the share of validation rows on which it is right",
    )
    agree_at_least: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the members that have to give the ensemble's answer for a row to be learned from; when "
        "left out, students learn from rows on which they disagree, too",
    )

    @model_validator(mode="after")
    def _members_are_kept_or_run_here(self) -> "EnsembleSpec":
        for name, member in self.members.items():
            if member.kind not in (TeacherKind.ENCODER, TeacherKind.CLASSIFIER, TeacherKind.STORED):
                raise FieldError(f"a member is no {member.kind}", "members", name, "kind")
            for part in ("review", "ask"):
                if getattr(member, part) is not None:
                    raise FieldError(f"{part}: must be left out of a member", "members", name, part)
        return self


class TeacherSpec(WeightsSpec):
    """The model that is copied, and why it deserves it."""

    kind: TeacherKind = Field(
        TeacherKind.ENCODER,
        description="encoder = Stillhouse puts a classifier on it and fine-tunes both on the labelled rows; "
        "classifier = it classifies already, and is taken as it is; stored = somebody has asked it already, and its "
        "answers are in a file; endpoint = a server that speaks OpenAI's protocol is asked; causal_lm = a language "
        "model of this machine says how probable each label is as the next words; ensemble = several of these answer "
        "together, whose source, revision, licence and terms are those of its members and are left out",
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
        """Its source, revision, licence and terms are theirs; of terms the gravest."""
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
        return {**of_members, "training_on_outputs": gravest, **said}

    @model_validator(mode="after")
    def _each_kind_has_its_own_fields(self) -> "TeacherSpec":
        if self.kind is TeacherKind.ENCODER and self.training is None:
            raise ValueError("training: must be given where kind is encoder")
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
            raise ValueError(f"ask.settings: {_LIMIT_MISSING}")
        if self.answers != AnswersSpec(answer_pattern=self.answers.answer_pattern):
            raise ValueError("answers: of an endpoint only answer_pattern may be said")

    def _require_that_alternatives_can_be_asked(self) -> None:
        called = [each.called for each in self.alternatives]
        for place, each in enumerate(self.alternatives):
            here = ("alternatives", place)
            if not each.has_a_limit:
                raise FieldError(_LIMIT_MISSING, *here, "settings")
            if each.ways_of_answering and each.answer_pattern is not None:
                raise FieldError(
                    f"must be left out where {each.ways_of_answering[0]} says how it answers", *here, "answer_pattern"
                )
            if len(each.ways_of_answering) > 1:
                raise FieldError(
                    "must be left out where soft_labels.by is logprobs: a letter is asked", *here, "structured"
                )
            if called.index(each.called) < place:
                raise FieldError(
                    f"another alternative is called {each.called.removeprefix('prompted ')}, too: give each a name",
                    *here,
                    "name" if each.name else "model",
                )

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
    def networks(self) -> dict[str, "TeacherSpec"]:
        """The models among its members that run here; itself, without a name, where it is one."""
        return {name: each for name, each in (self.members or {"": self}).items() if each.runs_here}

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
        if self.ensemble is not None:
            voted = self.ensemble.combine is Combination.VOTES or len(self.networks) < len(self.members)
            return Gives.VOTES if voted else Gives.PROBABILITIES
        if self.ask is None or self.ask.soft_labels is None:
            return Gives.ANSWERS
        return {SoftLabels.LOGPROBS: Gives.PROBABILITIES, SoftLabels.SAMPLES: Gives.VOTES}[self.ask.soft_labels.by]

    @property
    def computes_here(self) -> bool:
        """Whether this machine computes its answers, so that it gives probabilities and can be asked at any time."""
        return self.runs_here or self.kind is TeacherKind.CAUSAL_LM


_FIELDS_OF_KINDS = {
    "training": [TeacherKind.ENCODER],
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
