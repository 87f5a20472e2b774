"""Ids of answers: any replica knows those of its installation, and nobody else makes one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.serving.ids import RequestIds


def test_every_replica_knows_what_another_one_issued(tmp_path: Path) -> None:
    first, second = RequestIds.of(tmp_path), RequestIds.of(tmp_path)
    issued = {first.issue() for _ in range(1000)}
    assert len(issued) == 1000 and all(second.is_ours(id) for id in issued)
    assert {len(id) for id in issued} == {28}


def test_one_changed_character_makes_it_a_strangers(tmp_path: Path) -> None:
    ids = RequestIds.of(tmp_path)
    issued = ids.issue()
    others = [issued[:place] + ("A" if issued[place] != "A" else "B") + issued[place + 1 :] for place in range(28)]
    assert not any(map(ids.is_ours, [*others, issued[:-1], issued + "A", "", "é" * 28, "!" * 28, " " + issued[1:]]))


def test_another_installation_knows_neither_ids_nor_keys(tmp_path: Path) -> None:
    ours, theirs = RequestIds.of(tmp_path / "a"), RequestIds.of(tmp_path / "b")
    assert not theirs.is_ours(ours.issue())
    assert ours.keyed("ann@example.org") == ours.keyed("ann@example.org") != theirs.keyed("ann@example.org")
    assert ours.keyed("ann@example.org") != ours.keyed("bob@example.org")


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
