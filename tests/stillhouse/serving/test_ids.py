"""Ids of answers: any replica knows those of its installation, and nobody else makes one."""

import hmac
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.live.purposes import Purpose
from stillhouse.serving.ids import RequestIds, issued_at


def test_every_replica_knows_what_another_one_issued(tmp_path: Path) -> None:
    first, second = RequestIds.of(tmp_path), RequestIds.of(tmp_path)
    issued = {first.issue() for _ in range(1000)}
    assert len(issued) == 1000 and all(second.is_ours(id) for id in issued)
    assert {len(id) for id in issued} == {28}


def test_an_id_is_signed_by_hmac_sha256_as_it_always_was() -> None:
    """Feedback comes days after an answer, to a replica of a later version."""
    ids, issued = RequestIds(b"s" * 32), "AaDEUGx7AAECAwQFBixLnE8lk32O"
    assert ids.is_ours(issued) and ids.is_ours(ids.issue()) and ids.is_ours(issued)
    content = urlsafe_b64decode(issued)
    assert content[13:] == hmac.digest(b"s" * 32, b"id" + content[:13], "sha256")[:8]


def test_an_id_says_when_it_was_issued_but_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was made ahead, and where the clock of the machine was set back."""
    ids, issued = RequestIds(b"s" * 32), []
    for second in (100.0, 100.999, 101.0, 5000.0, 4999.0, 4999.5):
        monkeypatch.setattr("stillhouse.serving.ids.time.time_ns", lambda now=second: int(now * 1e9))
        issued.append(ids.issue())
    assert [issued_at(id) for id in issued] == [100.0, 100.0, 101.0, 5000.0, 4999.0, 4999.0]
    assert len({ids.issue() for _ in range(100)} | set(issued)) == 106


def test_one_changed_character_makes_it_a_strangers(tmp_path: Path) -> None:
    ids = RequestIds.of(tmp_path)
    issued = ids.issue()
    others = [issued[:place] + ("A" if issued[place] != "A" else "B") + issued[place + 1 :] for place in range(28)]
    assert not any(map(ids.is_ours, [*others, issued[:-1], issued + "A", "", "é" * 28, "!" * 28, " " + issued[1:]]))


def test_an_id_in_another_spelling_is_none(tmp_path: Path) -> None:
    """No answer has it, so that feedback on it would be lost without a word."""
    ids = RequestIds.of(tmp_path)
    issued = next(id for _ in range(1000) if "-" in (id := ids.issue()) and "_" in id)
    assert ids.is_ours(issued)
    assert not any(map(ids.is_ours, [issued.replace("-", "+"), issued.replace("_", "/"), issued[:-1] + "\n"]))


def test_another_installation_knows_neither_ids_nor_keys(tmp_path: Path) -> None:
    ours, theirs = RequestIds.of(tmp_path / "a"), RequestIds.of(tmp_path / "b")
    assert not theirs.is_ours(ours.issue())
    assert ours.keyed("ann@example.org") == ours.keyed("ann@example.org") != theirs.keyed("ann@example.org")
    assert ours.keyed("ann@example.org") != ours.keyed("bob@example.org")


@pytest.mark.parametrize("purpose", Purpose)
def test_no_callers_key_is_written_down_as_a_key_by_which_answers_are_drawn(purpose: Purpose) -> None:
    ids = RequestIds(b"s" * 32)
    drawn_by = {ids.drawing_key(each).decode() for each in Purpose}
    assert len(drawn_by) == len(Purpose)
    assert ids.keyed(purpose.value) not in drawn_by and ids.keyed(purpose.value) == ids.keyed(purpose)
    other = {ids.keyed(text) for text in (f"key{purpose}", f"caller{purpose}", f"{purpose} ", purpose.upper(), "")}
    assert len({*other, *drawn_by, ids.keyed(purpose)}) == 5 + len(Purpose) + 1


def test_draws_and_stand_ins_are_what_they_always_were() -> None:
    """What was drawn, and whose answers are whose, has to be found again by a later version."""
    ids = RequestIds(b"s" * 32)
    said = "which answers the truth is asked for", "which answers the teacher is asked about", "ann@example.org"
    always = [hmac.digest(b"s" * 32, b"key" + each.encode(), "sha256").hex()[:32] for each in said]
    now = ids.drawing_key(Purpose.TRUTH_IS_ASKED_FOR), ids.drawing_key(Purpose.TEACHER_IS_ASKED)
    assert [*(each.decode() for each in now), ids.keyed("ann@example.org")] == always


def test_replicas_that_start_at_once_share_one_secret_that_nobody_else_reads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RequestIds.of(tmp_path / "new"), range(16)))
    assert len({each.keyed("x") for each in made}) == 1
    (secret,) = (tmp_path / "new").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_cut_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(StillhouseError, match="it has 5 bytes"):
        RequestIds.of(tmp_path)
