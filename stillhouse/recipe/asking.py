"""What a recipe says of models behind an API: what they are asked, at what price, and what else might be asked instead.

Belongs here: their fields and the rules between them.
Does not: which kinds of teachers are asked (teacher.py), asking them (stillhouse/teachers/endpoint.py).
"""

import re
from enum import StrEnum
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stillhouse.addresses import holds_credentials
from stillhouse.recipe.answers import with_its_group
from stillhouse.recipe.fields import VARIABLE, Name, Part

LONGEST = ("max_tokens", "max_completion_tokens")
"""Settings that limit what is written, by the names that servers have for it."""
LABEL, SET_OF_LABELS, NUMBER = "label", "labels", "score"
"""What the answer is called in JSON, the list of labels where it is a set, and a number."""
LIMIT_MISSING = f"{' or '.join(LONGEST)} must limit an answer, so that its cost has a limit"
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
        "they say, or {fields} for the fields of a record; a plain one when left out",
    )
    settings: dict[str, str | int | float | bool] = Field(
        {"temperature": 0, "max_tokens": 32},
        description="further fields of each request; where data.answer is fields, max_tokens is what a record of these "
        "needs at most, when settings are left out",
    )
    structured: bool = Field(
        False,
        description="an endpoint is held to JSON with one of the labels, where data.answer says so a list of them, a "
        "number or a record (response_format with a json_schema), as vLLM, llama.cpp, Ollama and OpenAI understand; "
        "not every model does",
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

    def with_room_for(self, tokens: int) -> Self:
        """The same with answers of so many tokens, where the recipe does not say how long they may be."""
        if "settings" in self.model_fields_set:
            return self
        return self.model_copy(update={"settings": {**self.settings, "max_tokens": tokens}})

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
        pattern=VARIABLE,
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
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        exclude_if=lambda limit: limit is None,  # so that a recipe without the field keeps its digest
        description="read and written together, at the most: a call counts with what it can take until the server has "
        "counted, and for a minute after its reply",
    )
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
        pattern=VARIABLE,
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
        return with_its_group(pattern, info)

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
