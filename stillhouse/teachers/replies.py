"""What the replies of a server mean: the label of each text, its labels, number or record, and how sure the teacher is.

Belongs here: reading one reply, several to one text, and the alternatives of a letter.
Does not: asking (endpoint.py), what an answer alone is worth (stored.py), the arithmetic of probabilities
(soft_labels.py).
"""

import statistics
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from stillhouse.arrays import FloatArray
from stillhouse.data.privacy import redact_text
from stillhouse.recipe.data import NUMBERS, SETS
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.label_sets import names_of
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Targets, Task
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import Reply
from stillhouse.teachers.columns import ANSWER_SCHEMA, ERROR, MASS, RATIONALE, RAW, SAID, VOTES, further_columns
from stillhouse.teachers.requests import answer_in, rationale_in
from stillhouse.teachers.said_records import records_in
from stillhouse.teachers.soft_labels import by_alternatives
from stillhouse.teachers.stored import Failure, as_numbers, held_to, one_spelling

_ANSWERS = {"prompt_id": pl.String, "answer": pl.String, "failure": pl.String}
_LONGEST_ERROR = 200


@dataclass(frozen=True)
class Replies:
    """All that was said to some prompts.

    Args:
        said: to each prompt, by its id: one reply, or as many as there are samples.
        asking: what was asked.
        task: what an answer is.
        texts: of the prompts, which have to have the values of records; not asked for of labels.
    """

    said: Mapping[str, Sequence[Reply]]
    asking: Asking
    task: Task
    texts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def answers(self) -> pl.DataFrame:
        """`prompt_id` (unique, sorted), `answer`, `failure` where there is none, and `rationale` if that is asked for.

        Of several answers to a text that counts which most of them come to, see `Task.majority`.
        """
        if self.asking.codes:
            rows = [(name, *self._letter(each[0])) for name, each in self.said.items()]
            return pl.DataFrame(rows, schema=_ANSWERS, orient="row").sort("prompt_id")
        if self.asking.samples == 1:
            return self._samples[0]
        chosen = {
            name: self.task.written(self.task.majority(given))[0] if len(given) else None
            for name, given in self._given.items()
        }
        failures = pl.concat_list(each["failure"] for each in self._samples).alias("failures")
        turned_away = Failure.TURNED_AWAY.value
        # One more reply may bring an answer.
        reasons = self._samples[0].select("prompt_id", failures).select(
            "prompt_id",
            pl.when(pl.col("failures").list.contains(turned_away)).then(pl.lit(turned_away))
            .otherwise(pl.col("failures").list.drop_nulls().list.first()).alias("failure"),
        )  # fmt: skip
        answer = pl.col("prompt_id").replace_strict(chosen, return_dtype=pl.String)
        return reasons.select(
            "prompt_id", answer.alias("answer"), pl.when(answer.is_null()).then("failure").alias("failure")
        )

    def outputs(self, accuracy: float) -> pl.DataFrame | None:
        """Outputs of the task, as far as more is known than an answer alone; None where it is not.

        Args:
            accuracy: share of the teacher's answers that are right, which is what a vote is worth.

        Returns:
            `prompt_id` and `logits` of the prompts that have an answer.
        """
        if self.asking.codes:
            order = [list(self.asking.codes.values()).index(name) for name in self.task.names]
            sure = {name: self._distribution(each[0]) for name, each in self.said.items()}
            found = {name: outputs[order] for name, outputs in sure.items() if outputs is not None}
        elif self.asking.samples > 1:
            found = {name: self.task.voted(given, accuracy) for name, given in self._given.items() if len(given)}
        else:
            return None
        schema = {"prompt_id": pl.String(), "logits": ANSWER_SCHEMA["logits"]}
        return pl.DataFrame([(name, each.tolist()) for name, each in found.items()], schema=schema, orient="row")

    @property
    def counts(self) -> pl.DataFrame:
        """`prompt_id`, `tokens` that were read, `tokens_out`, `latency_ms`, and `observed`: who has answered.

        Of several replies to a text the sums, and each that has answered. The time is null where one came in a batch.
        """
        rows = [
            (
                name,
                sum(reply.tokens_in for reply in each),
                sum(reply.tokens_out for reply in each),
                _together([reply.milliseconds for reply in each]),
                ", ".join(sorted({reply.model for reply in each if reply.model})) or None,
            )
            for name, each in self.said.items()
        ]
        schema = {
            "prompt_id": pl.String, "tokens": pl.Int32, "tokens_out": pl.Int64, "latency_ms": pl.Float32,
            "observed": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    @property
    def as_said(self) -> pl.DataFrame:
        """`prompt_id`, and those of the columns `SAID` that are known of what was asked so.

        Of a text that was turned away nothing: no model has read it.
        """
        heard = {
            name: [reply for reply in each if reply.failure != Failure.TURNED_AWAY] for name, each in self.said.items()
        }
        said = {
            name: [_without_people(one_spelling(reply.content)) if reply.content else None for reply in each] or None
            for name, each in heard.items()
        }
        columns = {"prompt_id": pl.Series([*said], dtype=pl.String), RAW: pl.Series([*said.values()], dtype=SAID[RAW])}
        if self.asking.codes:
            on_labels = [self._by_letter(each[0])[1] if each else None for each in heard.values()]
            columns[MASS] = pl.Series(on_labels, dtype=SAID[MASS])
        elif self.asking.samples > 1 and self.asking.answer not in NUMBERS:
            by_prompt = [self._votes(name) for name in said]
            columns[VOTES] = pl.Series(by_prompt, dtype=SAID[VOTES])
        return pl.DataFrame(columns)

    @property
    def in_place_of_answers(self) -> pl.DataFrame:
        """`prompt_id` and `error`: the beginning of what was said to each prompt that has no answer.

        Null where nothing was said; without personal data, as rationales are.
        """
        silent = self.answers.filter(pl.col("failure").is_not_null())["prompt_id"]
        said = {name: next((reply.content for reply in self.said[name] if reply.content), None) for name in silent}
        rows = [(name, each and _without_people(one_spelling(each))[:_LONGEST_ERROR]) for name, each in said.items()]
        return pl.DataFrame(rows, schema={"prompt_id": pl.String, ERROR: pl.String}, orient="row")

    @property
    def model(self) -> str | None:
        """The model that answered most of them, by what the server says."""
        models = Counter(reply.model for each in self.said.values() for reply in each if reply.model)
        return next(iter(models.most_common(1)), (None, 0))[0]

    @property
    def label_mass(self) -> float | None:
        """The probability that was on letters of labels, in the middle of the replies; None where none is asked."""
        if not self.asking.codes or not self.said:
            return None
        return statistics.median(self._by_letter(each[0])[1] for each in self.said.values())

    def _by_letter(self, reply: Reply) -> tuple[FloatArray | None, float]:
        return by_alternatives(reply.alternatives or (), list(self.asking.codes))

    def _distribution(self, reply: Reply) -> FloatArray | None:
        """What a reply says of all labels, by letter; None where it does not count."""
        counts = reply.failure in (None, Failure.CUT_OFF)  # a letter alone may be called cut off
        return self._by_letter(reply)[0] if counts else None

    def _letter(self, reply: Reply) -> tuple[str | None, str | None]:
        """The most probable label, or why there is none."""
        outputs = self._distribution(reply)
        if outputs is not None:
            return list(self.asking.codes.values())[int(np.argmax(outputs))], None
        if reply.failure not in (None, Failure.CUT_OFF):
            return None, reply.failure
        return None, Failure.NO_LABEL if reply.content else Failure.EMPTY

    @cached_property
    def _samples(self) -> list[pl.DataFrame]:
        """The answers of each sample."""
        return [
            self._read({name: each[sample] for name, each in self.said.items()})
            for sample in range(self.asking.samples)
        ]

    @cached_property
    def _given(self) -> dict[str, Targets]:
        """What each prompt was answered with, by those of its replies that are answers."""
        answers = pl.concat(sample.select("prompt_id", "answer") for sample in self._samples).drop_nulls()
        by_prompt = {name: each["answer"] for (name,), each in answers.group_by("prompt_id", maintain_order=True)}
        nothing = pl.Series([], dtype=pl.String)
        return {name: self.task.targets(by_prompt.get(name, nothing)) for name in self.said}

    def _votes(self, name: str) -> list[int]:
        """How often a prompt was answered with each label, by itself or in a set, or so to each field, in order."""
        if isinstance(self.task, Extraction):
            return [int(count) for count in self.task.counts(self._given[name])]
        answers = self.task.written(self._given[name])
        is_set = self.asking.answer in SETS
        votes = Counter(label for each in answers for label in (names_of(each) if is_set else (each,)))
        return [votes[label] for label in self.task.names]

    def _read(self, replies: Mapping[str, Reply]) -> pl.DataFrame:
        """The answers of one reply to each prompt."""
        rows = [
            (name, answer_in(each.content, self.asking) if each.content and not each.failure else None, each.failure)
            for name, each in replies.items()
        ]
        schema = {"prompt_id": pl.String, "answer": pl.String, "reason": pl.String}
        found = pl.DataFrame(rows, schema=schema, orient="row")
        if self.asking.record is not None:
            texts = (self.texts[name] for name in replies)
            found = found.with_columns(
                records_in(zip(found["answer"], texts, strict=True), self.asking.record, beside=self.asking.rationale)
            )
        if self.asking.asks_why:
            why = [rationale_in(each.content, self.asking) if each.content else None for each in replies.values()]
            clean = [said and _without_people(said) for said in why]
            found = found.with_columns(pl.Series(RATIONALE, clean, dtype=pl.String))
        if isinstance(self.task, NumericScore):
            found = as_numbers(found, self.task)
        held = held_to(found, self.task.names, self.asking.spellings, self.asking.answer)
        known = held.join(found.select("prompt_id", "reason"), on="prompt_id", maintain_order="left")
        failure = pl.coalesce("reason", "failure").alias("failure")
        return known.select("prompt_id", "answer", failure, *further_columns(known))


def _without_people(said: str) -> str:
    """What a model wrote, without personal data: the texts that it was sent have none, but it may make some up.

    Args:
        said: in its one spelling, which leaves control characters in; these would hide an address.
    """
    return redact_text("".join(each for each in said if unicodedata.category(each) != "Cc"))


def _together(milliseconds: Sequence[float | None]) -> float | None:
    timed = [each for each in milliseconds if each is not None]
    return sum(timed) if len(timed) == len(milliseconds) else None
