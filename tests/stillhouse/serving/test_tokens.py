"""Who may ask: a token for each scope, kept as a digest; none is needed where only this machine can ask."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from starlette.datastructures import Headers

from stillhouse.errors import StillhouseError
from stillhouse.serving.refused import RefusedError
from stillhouse.serving.tokens import Access, Scope, Tokens
from tests.stillhouse.serving.conftest import RECIPE, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_what_is_kept_lets_nobody_in(tmp_path: Path) -> None:
    made = Tokens(tmp_path).new("shop", [Scope.PREDICT])
    path = tmp_path / "tokens.json"
    assert made not in path.read_text() and made.removeprefix("stillhouse_") not in path.read_text()
    (kept,) = Tokens(tmp_path).all
    access = Access(Tokens(tmp_path), "0.0.0.0")
    with pytest.raises(RefusedError):
        access.require(Headers(bearer(kept.sha256)), Scope.PREDICT)
    access.require(Headers(bearer(made)), Scope.PREDICT)


def test_a_token_counts_for_its_scopes_alone(served: Served) -> None:
    shop = served.tokens.new("shop", [Scope.PREDICT])
    desk = served.tokens.new("desk", [Scope.FEEDBACK, Scope.METRICS])
    post, url = served.client.post, f"/v1/{RECIPE}"
    assert post(f"{url}/predict", json={"text": TEXT}).status_code == 401
    assert post(f"{url}/predict", json={"text": TEXT}, headers=bearer(shop + "x")).status_code == 401
    assert post(f"{url}/predict", json={"text": TEXT}, headers=bearer(desk)).status_code == 403
    answered = post(f"{url}/predict", json={"text": TEXT}, headers=bearer(shop))
    assert answered.status_code == 200
    truth = {"id": answered.json()["id"], "truth": "person"}
    assert post(f"{url}/feedback", json=truth, headers=bearer(shop)).status_code == 403
    assert post(f"{url}/feedback", json=truth, headers=bearer(desk)).status_code == 202
    assert served.client.get(url, headers=bearer(shop)).status_code == 200
    assert served.client.get("/metrics", headers=bearer(shop)).status_code == 403
    assert served.client.get("/metrics", headers=bearer(desk)).status_code == 200
    assert served.client.get("/healthz").status_code == served.client.get("/readyz").status_code == 200


def test_a_token_that_another_process_revoked_counts_no_more_after_a_look(served: Served) -> None:
    shop, other = served.tokens.new("shop", [Scope.PREDICT]), served.tokens.new("other", [Scope.PREDICT])
    Tokens(served.installation.builds.home.serving).revoke("shop")
    served.follower.look()
    asked = [
        served.client.post(f"/v1/{RECIPE}/predict", json={"text": TEXT}, headers=bearer(token)).status_code
        for token in (shop, other)
    ]
    assert asked == [401, 200]


def test_after_the_last_token_was_taken_back_nobody_is_let_in(served: Served) -> None:
    """On this machine, where none is needed before there is a first one; a proxy before it is this machine, too."""
    assert served.predict(text=TEXT).status_code == 200
    shop = served.tokens.new("shop", [Scope.PREDICT])
    Tokens(served.installation.builds.home.serving).revoke("shop")
    served.follower.look()
    for headers in ({}, bearer(shop)):
        answered = served.client.post(f"/v1/{RECIPE}/predict", json={"text": TEXT}, headers=headers)
        assert answered.status_code == 401
    again = Access(Tokens(served.installation.builds.home.serving), "127.0.0.1")
    with pytest.raises(RefusedError):
        again.require(Headers({"host": "127.0.0.1"}), Scope.PREDICT)
    (served.installation.builds.home.serving / "tokens.json").unlink()
    served.follower.look()
    assert served.predict(text=TEXT).status_code == 401, "a file that is lost opens nothing, either"


def test_a_damaged_file_lets_nobody_else_in_and_locks_nobody_out(served: Served) -> None:
    shop = served.tokens.new("shop", [Scope.PREDICT])
    (served.installation.builds.home.serving / "tokens.json").write_text("[")
    served.follower.look()
    answered = served.client.post(f"/v1/{RECIPE}/predict", json={"text": TEXT}, headers=bearer(shop))
    assert answered.status_code == 200 and served.predict(text=TEXT).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "models.example.org"])
def test_other_machines_are_served_with_tokens_or_not_at_all(tmp_path: Path, host: str) -> None:
    tokens = Tokens(tmp_path)
    with pytest.raises(StillhouseError, match="no token that they would need"):
        Access(tokens, host)
    tokens.new("shop", [Scope.PREDICT])
    access = Access(tokens, host)
    tokens.revoke("shop")
    with pytest.raises(RefusedError):
        access.require(Headers({"host": "127.0.0.1"}), Scope.PREDICT)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("evil.example:8080", 421),
        ("", 421),
    ],
)
def test_a_name_that_is_pointed_at_this_machine_is_none_of_its_own(served: Served, host: str, status: int) -> None:
    answered = served.client.post(f"/v1/{RECIPE}/predict", json={"text": TEXT}, headers={"host": host})
    assert answered.status_code == status


def test_names_are_taken_once(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.new("shop", [Scope.PREDICT])
    with pytest.raises(StillhouseError, match="there is a token of this name"):
        tokens.new("shop", [Scope.METRICS])
    with pytest.raises(StillhouseError, match="no token of this name"):
        tokens.revoke("desk")


@pytest.mark.parametrize("name", ["", " ", "a\nshop  predict", "a\x1b[2J", "-x", "a" * 101, "\udce9"])
def test_a_name_is_one_that_can_be_read_in_a_list(tmp_path: Path, name: str) -> None:
    tokens = Tokens(tmp_path)
    with pytest.raises(StillhouseError, match="cannot be the name of a token"):
        tokens.new(name, [Scope.PREDICT])
    assert tokens.all == ()
    for good in ("shop", "Lädchen 2", "ann@example.org", "rounds:eu-1"):
        tokens.new(good, [Scope.PREDICT])


def test_whoever_changes_them_changes_what_another_has_made_of_them_meanwhile(tmp_path: Path) -> None:
    """Else a token that was shown once would never count, and one that was taken back would count again."""
    one, other = Tokens(tmp_path), Tokens(tmp_path)
    one.new("shop", [Scope.PREDICT])
    other.new("desk", [Scope.FEEDBACK])
    one.revoke("desk")
    other.new("prometheus", [Scope.METRICS])
    assert [token.name for token in Tokens(tmp_path).all] == ["shop", "prometheus"]
    with pytest.raises(StillhouseError, match="there is a token of this name"):
        one.new("prometheus", [Scope.METRICS])


def test_all_that_are_made_at_once_are_kept(tmp_path: Path) -> None:
    names, together = [f"shop{number}" for number in range(8)], Barrier(8)

    def make(name: str) -> str:
        tokens = Tokens(tmp_path)
        together.wait(10)
        return tokens.new(name, [Scope.PREDICT])

    with ThreadPoolExecutor(len(names)) as threads:
        made = list(threads.map(make, names))
    access = Access(Tokens(tmp_path), "0.0.0.0")
    for token in made:
        access.require(Headers(bearer(token)), Scope.PREDICT)
