"""The key that signs: outside the state, readable by its owner alone, and good for nothing but the head it signed."""

import os
from errno import ENOSPC
from pathlib import Path

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.records.keys import Keys, Signature

HEAD = (7, "d" * 64)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def test_what_a_key_signed_its_public_half_confirms(keys: Keys, tmp_path: Path) -> None:
    assert keys.sign(*HEAD) is None, "nobody signs before there is a key"
    fingerprint = keys.make(tmp_path / "state")
    signature = keys.sign(*HEAD)
    assert signature is not None and signature.key == fingerprint
    trusted = keys.trusted()
    assert trusted.signed(*HEAD, signature)
    assert not trusted.signed(8, HEAD[1], signature) and not trusted.signed(7, "e" * 64, signature)
    assert not trusted.signed(*HEAD, Signature(fingerprint, "no base64"))
    assert not trusted.signed(*HEAD, Signature("stranger", signature.value))


def test_the_private_key_is_its_owners_alone(keys: Keys, tmp_path: Path) -> None:
    keys.make(tmp_path / "state")
    private = keys.folder / "signing.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    private.chmod(0o644)
    with pytest.raises(StillhouseError, match="others can read the signing key"):
        keys.sign(*HEAD)


def test_a_key_is_never_made_twice_nor_inside_the_state(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="keys inside the state protect nothing"):
        Keys(tmp_path / "state" / "keys").make(tmp_path / "state")
    keys.make(tmp_path / "state")
    kept = (keys.folder / "signing.pem").read_bytes()
    with pytest.raises(StillhouseError, match="there is a key already"):
        keys.make(tmp_path / "state")
    assert (keys.folder / "signing.pem").read_bytes() == kept
    assert len(list(keys.folder.iterdir())) == 2


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("what", [OSError(ENOSPC, "full"), KeyboardInterrupt()], ids=["full", "killed"])
def test_a_key_that_could_not_be_made_to_its_end_is_none(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, what: BaseException
) -> None:
    """Half of one would be read with each entry of the ledger, and refused, and no other could be made."""

    def fails(*_: object) -> None:
        raise what

    with monkeypatch.context() as broken:
        broken.setattr(f"stillhouse.records.keys.os.{call}", fails)
        with pytest.raises((StillhouseError, KeyboardInterrupt)):
            keys.make(tmp_path / "state")
    assert keys.sign(*HEAD) is None
    fingerprint = keys.make(tmp_path / "state")
    signature = keys.sign(*HEAD)
    assert signature is not None and signature.key == fingerprint and keys.trusted().signed(*HEAD, signature)


def test_before_anything_can_be_signed_there_is_what_proves_it(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(written: str, private: Path) -> None:
        assert not private.exists() and len(list(keys.folder.glob("*.pub"))) == 1
        os.rename(written, private)
        Path(written).touch()

    monkeypatch.setattr("stillhouse.records.keys.os.link", link)
    keys.make(tmp_path / "state")


def test_of_two_who_make_one_at_once_one_does(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def is_overtaken(written: str, private: Path) -> None:
        monkeypatch.undo()
        Keys(keys.folder).make(tmp_path / "state")
        link(written, private)

    monkeypatch.setattr("stillhouse.records.keys.os.link", is_overtaken)
    with pytest.raises(StillhouseError, match="there is a key already"):
        keys.make(tmp_path / "state")
    (public,) = keys.folder.glob("*.pub")
    signature = keys.sign(*HEAD)
    assert signature is not None and signature.key == public.stem and len(list(keys.folder.iterdir())) == 2


@pytest.mark.parametrize("name", ["signing.pem", "other.pub"])
def test_a_file_that_is_no_key_is_named(keys: Keys, name: str) -> None:
    keys.folder.mkdir()
    (keys.folder / name).write_text("no key")
    (keys.folder / name).chmod(0o600)
    with pytest.raises(StillhouseError, match=f"{name}: this is not an Ed25519 key"):
        keys.sign(*HEAD)
        keys.trusted()


def test_where_keys_are_is_said_by_a_variable_or_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_KEYS", str(tmp_path / "mine"))
    assert Keys.from_environment().folder == tmp_path / "mine"
    monkeypatch.delenv("STILLHOUSE_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert Keys.from_environment().folder == tmp_path / "config" / "stillhouse" / "keys"
