"""How much of the texts an encoder reads, counted with a small vocabulary by hand."""

from pathlib import Path

import pytest

from stillhouse.models import coverage
from stillhouse.models.coverage import count_tokens
from stillhouse.stages.prompts import coverage as coverage_facts
from tests.small import small_teacher


@pytest.fixture
def encoder(tmp_path: Path) -> tuple[Path, Path]:
    folder = small_teacher(tmp_path / "encoder")
    return folder / "tokenizer.json", folder / "config.json"


def test_lengths_hold_special_tokens_and_pieces_do_not(encoder: tuple[Path, Path]) -> None:
    counts = count_tokens(*encoder, ["who is this ?", "what"])
    assert counts.lengths.tolist() == [6, 3]  # [CLS] and [SEP] beside four pieces and one
    assert (counts.pieces, counts.unknown, counts.positions) == (5, 0, 512)


def test_no_text_is_cut_while_it_is_counted(encoder: tuple[Path, Path]) -> None:
    assert count_tokens(*encoder, ["who " * 700]).lengths.tolist() == [702]


def test_signs_without_an_entry_are_counted(encoder: tuple[Path, Path]) -> None:
    counts = count_tokens(*encoder, ["who \U0001f5a8 is \U0001f9fe", "\U0001f5a8"])
    assert (counts.pieces, counts.unknown) == (5, 3)


def test_many_texts_are_counted_as_one_by_one(encoder: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["who", "who is", "who is this", "what", "\U0001f5a8"]
    at_once = count_tokens(*encoder, texts)
    monkeypatch.setattr(coverage, "_CHUNK", 2)
    in_parts = count_tokens(*encoder, texts)
    assert in_parts.lengths.tolist() == at_once.lengths.tolist() == [3, 4, 5, 3, 3]
    assert in_parts.unknown == at_once.unknown == 1


def test_texts_above_the_limit_are_cut_and_the_limit_is_that_of_the_encoder_at_most(
    encoder: tuple[Path, Path],
) -> None:
    texts = ["who " * 10] * 90 + ["who " * 40] * 10  # 12 and 42 tokens
    facts = coverage_facts(*encoder, texts, 12)
    assert (facts.texts, facts.max_tokens, facts.cut, facts.enough) == (100, 12, 10, 64)
    assert coverage_facts(*encoder, texts, 11).cut == 100
    found = coverage_facts(*encoder, texts, None)
    assert (found.max_tokens, found.cut) == (64, 0)
    long = coverage_facts(*encoder, ["who " * 600], None)
    assert (long.max_tokens, long.positions, long.cut, long.enough) == (512, 512, 1, 608)


def test_one_text_in_a_hundred_may_be_longer(encoder: tuple[Path, Path]) -> None:
    found = coverage_facts(*encoder, ["who " * 10] * 99 + ["who " * 100], None)
    assert (found.max_tokens, found.cut) == (32, 1)
