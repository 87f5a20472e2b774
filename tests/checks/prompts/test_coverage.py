"""How much of the texts models will read: verdict and sentence of each gate."""

import pytest

from checks.gate import Gate
from checks.prompts.coverage import few_texts_are_cut, few_word_pieces_are_unknown
from stillhouse.stages.facts import CoverageFacts
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of
from tests.checks.prompts.prompt_sets import many, prompts
from tests.faults.bench import Fault
from tests.faults.plants import QUESTION, changed, on, with_text

COVERAGE = CoverageFacts(texts=200, max_tokens=64, positions=512, cut=20, enough=96, pieces=1000, unknown=50)


@pytest.mark.parametrize(
    ("gate", "one_more", "passes", "advises"),
    [
        (
            few_texts_are_cut,
            "cut",
            "20 of 200 texts (10.0%) are cut after 64 tokens, limit 10%",
            "21 of 200 texts (10.5%) are cut after 64 tokens, limit 10%. Set `max_tokens: 96` in `training` of the "
            "teacher and of each student",
        ),
        (
            few_word_pieces_are_unknown,
            "unknown",
            "50 of 1,000 word pieces (5.0%) are unknown to the teacher, limit 5%",
            "51 of 1,000 word pieces (5.1%) are unknown to the teacher, limit 5%. Name a teacher that was trained on "
            "the language and signs of these texts, such as a multilingual one",
        ),
    ],
)
def test_what_no_model_reads_is_said_with_what_to_change(gate: Gate, one_more: str, passes: str, advises: str) -> None:
    assert not gate.blocking
    assert answer_of(gate, prompts(many(1), coverage=COVERAGE)) == (PASS, passes)
    more = COVERAGE.model_copy(update={one_more: getattr(COVERAGE, one_more) + 1})
    assert answer_of(gate, prompts(many(1), coverage=more)) == (FAIL, advises)
    assert answer_of(gate, prompts(many(1), coverage=None))[0] is INCONCLUSIVE


def test_a_text_that_is_longer_than_the_encoder_is_said_to_be_shortened() -> None:
    long = COVERAGE.model_copy(update={"cut": 180, "enough": 544, "max_tokens": 512})
    _, sentence = answer_of(few_texts_are_cut, prompts(many(1), coverage=long))
    assert "The teacher reads at most 512 tokens: keep the part of each text that decides" in sentence


FAULTS = [
    Fault(
        "most texts are longer than a student reads", PROMPTS, "few_texts_are_cut",
        changed(teacher__training__max_tokens=6), "are cut after 6 tokens, limit 10%. Set `max_tokens: ", advice=True,
    ),
    Fault(
        "the teacher does not know the signs of the texts", PROMPTS, "few_word_pieces_are_unknown",
        on(with_text(QUESTION + " \U0001f5a8 \U0001f9fe \U0001f4e6")), "are unknown to the teacher, limit 5%. Name",
        advice=True,
    ),
]  # fmt: skip
