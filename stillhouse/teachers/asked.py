"""All that decides what a teacher is asked, as its facts and a release keep it.

Belongs here: a record for each kind of teacher that is asked a prompt, without what is done with it, so that no stage
which reads a teacher's facts depends on how replies are read.
Does not: making one from a recipe, sending it, reading what comes back (requests.py, causal_lm.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated

from pydantic import Field

from stillhouse.digests import digest_of
from stillhouse.recipe.asking import LONGEST
from stillhouse.recipe.data import TaskKind
from stillhouse.recipe.record import RecordSpec


@dataclass(frozen=True)
class Asking:
    """All that decides what a teacher elsewhere is asked, and how its answer is read.

    Args:
        model: which is asked.
        template: the prompt, with `{text}` where each text is to stand and nothing else to be filled in.
        settings: further fields of each request.
        answer_pattern: takes the label, or the number, out of a reply; None where the reply is that.
        spellings: from another spelling of a label to the label.
        revision: what the recipe says of the model's version.
        codes: the label of each letter, where a letter is asked and the probabilities of all of them; else none.
        samples: answers to each text.
        choices: the labels, where JSON with one of them, or with a list of them, is asked, or the fields of a record
            that is asked as JSON of just this form, or what a number is called in it; else none.
        rationale: what is called in that JSON why it is so; None where it is not asked.
        rationale_pattern: takes why it is so out of a reply; None where that is not read.
        answer: what an answer is.
        record: of a record, its fields and how much of a text is read; else None.
    """

    model: str
    template: str
    settings: Mapping[str, str | int | float | bool]
    answer_pattern: str | None
    spellings: Mapping[str, str]
    revision: str
    codes: Mapping[str, str] = field(default_factory=dict)
    samples: int = 1
    choices: Sequence[str] = ()
    rationale: str | None = None
    rationale_pattern: str | None = None
    # Left out of one label, so that what was asked before there were sets keeps its digest, and a release its bytes.
    answer: Annotated[TaskKind, Field(exclude_if=lambda kind: kind == "single_label")] = "single_label"
    record: Annotated[RecordSpec | None, Field(exclude_if=lambda spec: spec is None)] = None

    @property
    def digest(self) -> str:
        """Digest of all of it."""
        # Without them it is as it was.
        later = {"rationale": None, "rationale_pattern": None, "answer": "single_label", "record": None}
        said = asdict(self) | {"record": self.record and self.record.model_dump(mode="json")}
        return digest_of({name: value for name, value in said.items() if name not in later or value != later[name]})

    @property
    def asks_why(self) -> bool:
        """Whether a reply is to say why."""
        return self.rationale is not None or self.rationale_pattern is not None

    @property
    def longest_answer(self) -> int:
        """Tokens that may be written at the most."""
        return max(int(self.settings.get(name, 0)) for name in LONGEST)


@dataclass(frozen=True)
class LabelPrompt:
    """All that decides what a language model of this machine reads, and which of its words are answers.

    Args:
        weights: fingerprint of the model.
        template: the prompt up to its answer, with `{text}` where each text is to stand.
        answers: what is written for each label, in the task's order, with the blank before it.
        dtype: that it computes in, as torch calls it.
        longest_text: tokens at which a text is cut.
        corrects_prior: whether what it says to texts without content is divided out.
    """

    weights: str
    template: str
    answers: Sequence[str]
    dtype: str
    longest_text: int
    corrects_prior: bool

    @property
    def digest(self) -> str:
        """Digest of all of it."""
        return digest_of(asdict(self))
