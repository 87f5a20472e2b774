"""A witness only grows, on a disk as in a bucket, and gives back what it was given."""

from pathlib import Path
from uuid import uuid4

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.records.witness import Witness, WitnessedHead, place_of


def head(sequence: int) -> WitnessedHead:
    return WitnessedHead(
        place="sqlite:////ledger.db", beginning="b" * 64, sequence=sequence, digest=f"{sequence:064}", at="2026-01-01",
        recipe="r", release="d" * 64,
    )  # fmt: skip


@pytest.fixture(params=["file", "folder", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "bucket":
        return f"memory://witness-{uuid4().hex}"
    return str(tmp_path / "deep" / "witness.ndjson") if request.param == "file" else str(tmp_path)


def test_heads_are_remembered_once_and_in_order(address: str) -> None:
    witness = Witness(address)
    assert witness.memory().heads == ()
    for sequence in (2, 9, 9, 30, 2):
        witness.remember(head(sequence))
    assert Witness(address).memory().heads == (head(2), head(9), head(30))


def test_what_was_remembered_is_never_written_again(tmp_path: Path) -> None:
    path = tmp_path / "witness.ndjson"
    witness = Witness(str(path))
    witness.remember(head(1))
    before = path.read_bytes()
    witness.remember(head(2))
    assert path.read_bytes().startswith(before)


def test_a_line_that_a_kill_cut_is_named_and_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "witness.ndjson"
    witness = Witness(str(path))
    witness.remember(head(1))
    path.write_bytes(path.read_bytes() + b'{"place": "sq')
    witness.remember(head(2))
    memory = witness.memory()
    assert memory.heads == (head(1), head(2)) and memory.unreadable == ("line 2",)


@pytest.mark.parametrize("address", ["nosuch://bucket", "/proc/nothing/witness.ndjson"])
def test_an_unreachable_witness_is_one_plain_line(address: str) -> None:
    with pytest.raises(StillhouseError, match="the witness cannot be reached"):
        Witness(address).remember(head(1))


def test_no_credentials_are_shown_or_remembered() -> None:
    assert Witness("s3://key:secret@bucket/prefix?token=x").name == "s3://bucket/prefix"
    place = place_of("postgresql+psycopg2://user:secret@host:5432/ledger?password=secret")
    assert "secret" not in place and "user" not in place and place.startswith("postgresql+psycopg2://host:5432/ledger?")
    assert place_of("sqlite:////state/ledger.db") == "sqlite:////state/ledger.db"


def test_where_it_is_is_said_by_a_variable_or_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_WITNESS", "s3://bucket/heads")
    assert (Witness.from_environment().name, Witness.from_environment().is_default) == ("s3://bucket/heads", False)
    monkeypatch.delenv("STILLHOUSE_WITNESS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Witness.from_environment().is_default
    Witness.from_environment().remember(head(1))
    assert (tmp_path / "stillhouse" / "witness.ndjson").exists()
