"""Who answers a request: shares by key, the brake of one process, and what is in quarantine."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.quarantine import quarantine_slice
from stillhouse.errors import StillhouseError
from stillhouse.records.builds import Artifact
from stillhouse.records.deployments import Challenger, DeployedRelease, Quarantine, Stage, entry_of
from stillhouse.serving.breaker import FAILURES_IN_A_ROW, ChallengerBreaker
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.routing import Taken, is_the_challengers
from tests.small import small_recipe
from tests.stillhouse.serving.conftest import RECIPE, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"
SALT, AT = "5a17" * 8, "2026-11-28T08:00:00+00:00"


def test_a_share_of_keys_is_a_share_and_who_is_in_it_stays_in_each_larger_one() -> None:
    """20,000 keys: five standard deviations of a share of 5 % are 0.8 points, of 25 % 1.5."""
    keys = [f"key {n}" for n in range(20_000)]
    shares = {share: {key for key in keys if is_the_challengers(SALT, key, share)} for share in (0.0, 0.05, 0.25, 0.5)}
    assert not shares[0.0]
    assert abs(len(shares[0.05]) / 20_000 - 0.05) < 0.008 and abs(len(shares[0.25]) / 20_000 - 0.25) < 0.016
    assert shares[0.05] < shares[0.25] < shares[0.5]
    others = {key for key in keys if is_the_challengers("another", key, 0.05)}
    assert len(others & shares[0.05]) < 0.2 * len(others), "of the next rollout other callers are the first"


def test_a_key_is_drawn_as_the_digest_says_in_any_process() -> None:
    """sha256("salt key") begins with the bytes that `printf 'salt key' | sha256sum` prints."""
    from hashlib import sha256

    drawn = int(sha256(b"salt key").hexdigest()[:16], 16) / 2**64
    assert is_the_challengers("salt", "key", drawn + 1e-9) and not is_the_challengers("salt", "key", drawn - 1e-9)


def test_five_failures_in_a_row_stop_it_or_ten_of_the_last_fifty() -> None:
    breaker = ChallengerBreaker()
    for in_a_row in (4, 4, 1):
        for _ in range(in_a_row):
            breaker.failed()
        breaker.answered()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open, "the tenth of the last fifty"
    in_a_row = ChallengerBreaker()
    for number in range(FAILURES_IN_A_ROW):
        assert not in_a_row.is_open, number
        in_a_row.failed()
    assert in_a_row.is_open
    in_a_row.answered()
    assert in_a_row.is_open, "as of a request that was on its way"


def test_failures_that_are_long_ago_do_not_count() -> None:
    breaker = ChallengerBreaker()
    for _ in range(20):
        for _ in range(9):
            breaker.answered()
        breaker.failed()
    assert not breaker.is_open


def deployed(release: Artifact) -> DeployedRelease:
    return DeployedRelease(release=release.digest, manifest=release.identity, student="other")


def says(served: Served, champion: Artifact, **more: Any) -> None:
    """Have the ledger say what serves, and the server look."""
    kind, body = entry_of(deployed(champion), "stage", seen=None, hold=None, **more)
    served.installation.builds.ledger.append(kind, RECIPE, body)
    served.follower.look()


def challenger_of(release: Artifact, share: float = 0.5, salt: str = SALT, stage: Stage = Stage.CANARY) -> Challenger:
    return Challenger(
        deployed=deployed(release), export="e", stage=stage, share=share, salt=salt, offered=AT, since=AT, run_id="r",
        gates="g",
    )  # fmt: skip


def taken_from(release: Artifact, until: date | None = None, **what: Any) -> Quarantine:
    last = until or datetime.now(UTC).date()
    return Quarantine(
        slice="s", instead=deployed(release), by="Ann", reason="it is wrong", since="", until=last, **what
    )


def answered_by(served: Served, keys: range) -> dict[str, str]:
    return {f"k{n}": served.predict(text=TEXT, key=f"k{n}").json()["release"] for n in keys}


def arms(served: Served) -> list[tuple[str, str]]:
    return [(row.arm, row.release) for row in served.kept if hasattr(row, "arm")]


def test_a_share_of_the_callers_is_the_challengers_and_each_stays_where_it_is(served: Served) -> None:
    champion, other = served.installation.release(0), served.installation.release(1)
    says(served, champion, challenger=challenger_of(other))
    first = answered_by(served, range(60))
    assert {champion.digest, other.digest} == set(first.values())
    assert answered_by(served, range(60)) == first
    assert {(arm, release) for arm, release in arms(served)} == {
        ("champion", champion.digest), ("challenger", other.digest)
    }  # fmt: skip
    says(served, champion, challenger=challenger_of(other, share=0.9))
    later = answered_by(served, range(60))
    assert {key for key, release in first.items() if release == other.digest} < {
        key for key, release in later.items() if release == other.digest
    }
    shown = served.client.get(f"/v1/{RECIPE}").json()
    assert (shown["challenger"], shown["share"]) == (other.digest, 0.9)


def test_what_is_in_the_shadow_answers_nobody(served: Served) -> None:
    champion, other = served.installation.release(0), served.installation.release(1)
    says(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    assert set(answered_by(served, range(20)).values()) == {champion.digest}
    assert served.slot.serving is not None and served.slot.serving.challenger is None


def test_a_challenger_that_raises_is_answered_for_and_soon_asked_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, other = served.installation.release(0), served.installation.release(1)
    says(served, champion, challenger=challenger_of(other, share=0.9))
    real, asked = LoadedRelease.say, list[str]()

    def raises(self: LoadedRelease, clean: str) -> object:
        asked.append(self.release)
        if self.release == other.digest:
            raise ValueError("a secret text")
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", raises)
    responses = [served.predict(text=TEXT, key=f"k{n}") for n in range(40)]
    assert {response.status_code for response in responses} == {200}, "no caller sees it"
    assert {response.json()["release"] for response in responses} == {champion.digest}
    assert asked.count(other.digest) == FAILURES_IN_A_ROW
    assert arms(served).count(("challenger", champion.digest)) == FAILURES_IN_A_ROW
    metrics = served.client.get("/metrics").text
    assert f'stillhouse_stood_in_total{{arm="challenger",recipe="{RECIPE}"}} {float(FAILURES_IN_A_ROW)}' in metrics
    assert f'stillhouse_challenger_stopped{{recipe="{RECIPE}"}} 1.0' in metrics
    says(served, champion, challenger=challenger_of(other, share=0.95))
    served.predict(text=TEXT, key="k0")
    assert asked.count(other.digest) == FAILURES_IN_A_ROW, "it stays out in its next stage"
    says(served, champion, challenger=challenger_of(other, share=0.9, salt="the next"))
    assert served.slot.serving is not None and served.slot.serving.challenger is not None
    assert not served.slot.serving.challenger.breaker.is_open


def test_what_is_taken_from_the_champion_is_not_its_own_where_a_challenger_fails(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, other, before = (served.installation.release(model) for model in (0, 1, 2))
    taken = (taken_from(before, characters=(1, None)),)
    says(served, champion, challenger=challenger_of(other, share=0.99), quarantine=taken)
    real = LoadedRelease.say

    def raises(self: LoadedRelease, clean: str) -> object:
        if self.release == other.digest:
            raise ValueError("broken")
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", raises)
    said = [served.predict(text=TEXT, key=f"k{n}").json() for n in range(5)]
    assert {each["release"] for each in said} == {before.digest}
    # Which callers are in the share follows from the secret of this installation: hardly any is not in 99 %.
    whose = [arm for arm, _ in arms(served)]
    assert [each["degraded"] for each in said] == [arm == "challenger" for arm in whose] and "challenger" in whose


def test_a_challenger_that_cannot_be_loaded_leaves_the_champion_and_is_tried_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, other = served.installation.release(0), served.installation.release(1, probed=2)
    says(served, champion, challenger=challenger_of(other, share=0.9))
    assert set(answered_by(served, range(10)).values()) == {champion.digest}
    assert served.slot.refused is None and other.digest[:12] in served.slot.lacks
    monkeypatch.setattr(LoadedRelease, "prove", lambda self: "as judged")
    served.follower.look()
    assert set(answered_by(served, range(10)).values()) == {champion.digest}, "not at each look"
    served.slot.tried -= 100
    served.follower.look()
    assert other.digest in answered_by(served, range(10)).values() and served.slot.lacks == ""


def test_a_champion_that_takes_over_is_the_model_that_was_warm(served: Served) -> None:
    champion, other = served.installation.release(0), served.installation.release(1)
    says(served, champion, challenger=challenger_of(other))
    before = served.slot.serving
    assert before is not None and before.challenger is not None
    says(served, other)
    assert served.slot.serving is not None and served.slot.serving.champion is before.challenger.release


def test_as_many_earlier_champions_stay_warm_as_the_recipe_says(served: Served) -> None:
    served.slot.keep_warm = 2
    made = [served.installation.release(model) for model in (0, 1, 2)]
    for each in made:
        says(served, each)
    assert [each.release for each in served.slot.previous] == [made[1].digest, made[0].digest]
    served.slot.keep_warm = 0
    says(served, made[0])
    assert served.slot.previous == ()


def test_what_is_in_quarantine_is_answered_by_the_champion_before(served: Served) -> None:
    champion, before = served.installation.release(0), served.installation.release(1)
    ((label, _),) = served.installation.expected(0, [TEXT])
    says(served, champion, quarantine=(taken_from(before, labels=(label,)),))
    said = served.predict(text=TEXT).json()
    ((expected, confidence),) = served.installation.expected(1, [TEXT])
    assert (said["release"], said["label"], said["confidence"]) == (before.digest, expected, confidence)
    assert arms(served) == [("instead", before.digest)]
    assert served.client.get(f"/v1/{RECIPE}").json()["quarantine"] == ["s"]
    says(served, champion, quarantine=(taken_from(before, labels=("no such label",)),))
    assert served.predict(text=TEXT).json()["release"] == champion.digest
    says(served, champion, quarantine=(taken_from(before, characters=(1, 5)),))
    assert served.predict(text=TEXT).json()["release"] == champion.digest
    says(served, champion, quarantine=(taken_from(before, characters=(6, None)),))
    assert served.predict(text=TEXT).json()["release"] == before.digest
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    says(served, champion, quarantine=(taken_from(before, yesterday, characters=(1, None)),))
    assert served.predict(text=TEXT).json()["release"] == champion.digest, "it expires by itself"


def test_a_slice_of_a_column_that_callers_send_is_taken_from_the_champion_without_a_cascade(
    served: Served, tmp_path: Path
) -> None:
    before, champion = served.installation.release(0), served.installation.promote(1)
    by_post = {"name": "by_post", "column": "channel", "values": ["post"], "critical": True}
    until = datetime.now(UTC).date()

    def taken(**serving: Any) -> None:
        file = small_recipe(tmp_path, name=RECIPE, rows=60, slices=[by_post], serving=serving)
        quarantine_slice(served.installation.builds, file, "by_post", by="Ann", reason="They misread it.", until=until)

    with pytest.raises(StillhouseError, match="known of rows by their column 'channel', and not when a request comes"):
        taken()
    taken(request_columns=["channel"])
    served.follower.look()
    assert served.predict(text=TEXT, columns={"channel": "app"}).json()["release"] == champion.digest
    for columns in ({"channel": "post"}, {}):
        assert served.predict(text=TEXT, columns=columns).json()["release"] == before.digest


def test_where_nobody_can_answer_instead_the_champion_does_and_says_so(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, before = served.installation.release(0), served.installation.release(1)
    says(served, champion, quarantine=(taken_from(before, characters=(1, None)),))
    real = LoadedRelease.say

    def raises(self: LoadedRelease, clean: str) -> object:
        if self.release == before.digest:
            raise ValueError("broken")
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", raises)
    said = served.predict(text=TEXT).json()
    assert (said["release"], said["degraded"]) == (champion.digest, True)
    assert f'stillhouse_stood_in_total{{arm="champion",recipe="{RECIPE}"}} 1.0' in served.client.get("/metrics").text


@pytest.mark.parametrize(
    ("what", "label", "characters", "columns", "holds"),
    [
        ({"labels": ("HUM",)}, "HUM", 3, {}, True), ({"labels": ("HUM",)}, "LOC", 3, {}, False),
        ({"characters": (3, 5)}, "x", 2, {}, False), ({"characters": (3, 5)}, "x", 3, {}, True),
        ({"characters": (3, 5)}, "x", 5, {}, True), ({"characters": (3, 5)}, "x", 6, {}, False),
        ({"characters": (3, None)}, "x", 600, {}, True),
        ({"column": "channel", "values": ("post", "fax")}, "x", 3, {"channel": "fax"}, True),
        ({"column": "channel", "values": ("post", "fax")}, "x", 3, {"channel": "app"}, False),
        ({"column": "channel", "values": ("post", "fax")}, "x", 3, {"region": "app"}, True),
    ],
)  # fmt: skip
def test_what_is_meant_is_said_by_label_length_or_column(
    what: Any, label: str, characters: int, columns: dict[str, str], holds: bool
) -> None:
    instead = DeployedRelease(release="r", manifest="m", student="s")
    until = datetime.now(UTC).date()
    meant = Quarantine(slice="s", instead=instead, by="Ann", reason="why", since="", until=until, **what)
    assert Taken(meant, None).holds(label, characters, columns, time.time()) is holds
    assert not Taken(meant, None).holds(label, characters, columns, time.time() + 2 * 86_400)
