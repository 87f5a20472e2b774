"""What serves follows the ledger; whatever is wrong with what should, what serves goes on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.serving import ServingSpec
from stillhouse.records.builds import BuildStore
from stillhouse.records.replicas import replicas
from stillhouse.serving import desired
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.tokens import Tokens
from tests.stillhouse.serving.conftest import RECIPE, Installation, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"


def follower_of(builds: BuildStore) -> tuple[Follower, Slot]:
    """One that has just started."""
    slot = Slot(RECIPE, ServingSpec())
    return Follower(builds, {RECIPE: slot}, Tokens(builds.home.serving), "one"), slot


def release_of(slot: Slot) -> str:
    assert slot.serving is not None
    return slot.serving.champion.release


def test_a_promotion_is_served_at_the_next_look_and_the_one_before_stays_warm(served: Served) -> None:
    before = served.slot.serving
    assert before is not None
    made = served.installation.promote(1)
    assert served.predict(text=TEXT).json()["release"] == before.champion.release
    served.follower.look()
    said = served.predict(text=TEXT).json()
    assert said["release"] == made.digest and said["deployment"] > before.deployment
    ((label, confidence),) = served.installation.expected(1, [TEXT])
    assert (said["label"], said["confidence"]) == (label, confidence)
    assert served.slot.previous == (before.champion,)


def test_going_back_takes_the_model_that_is_warm(served: Served) -> None:
    before = served.slot.serving
    served.installation.promote(1)
    served.follower.look()
    served.installation.promote(0)
    served.follower.look()
    assert before is not None and served.slot.serving is not None
    assert served.slot.serving.champion is before.champion
    assert served.slot.serving.deployment > before.deployment


def test_a_request_under_way_keeps_what_it_began_with(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    say, calls = LoadedRelease.say, []

    def swapped_meanwhile(release: LoadedRelease, clean: str) -> object:
        calls.append(release.release)
        if len(calls) == 2:
            served.installation.promote(1)
            monkeypatch.setattr(LoadedRelease, "say", say)  # the probe and the warm-up of the new one
            served.follower.look()
            monkeypatch.setattr(LoadedRelease, "say", swapped_meanwhile)
        return say(release, clean)

    monkeypatch.setattr(LoadedRelease, "say", swapped_meanwhile)
    answers = served.predict(texts=[TEXT] * 4).json()["answers"]
    assert len({each["release"] for each in answers}) == 1
    assert release_of(served.slot) != answers[0]["release"]


def test_a_release_that_answers_otherwise_here_is_refused_and_the_old_one_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = release_of(served.slot)
    number = served.installation.promote(1, probed=2)
    served.follower.look()
    served.follower.look()
    assert release_of(served.slot) == before and served.client.get("/readyz").status_code == 200
    assert "otherwise than where it was judged" in served.slot.why or "a logit differs" in served.slot.why
    assert len([line for line in caplog.messages if "cannot be served" in line]) == 1, "said once"
    shown = served.client.get("/metrics").text
    assert f'stillhouse_refused_deployment{{recipe="{RECIPE}"}} {float(served.slot.refused or 0)}' in shown
    assert number.digest[:12] not in shown


def test_a_replica_whose_only_release_fails_its_probe_never_gets_ready(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.slot.serving = None
    served.installation.promote(1, probed=2)
    served.follower.look()
    assert served.client.get("/readyz").status_code == 503
    refused = served.predict(text=TEXT)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_release_without_a_probe_is_served_and_says_so(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    release = LoadedRelease(served.slot.serving.champion.folder, "d") if served.slot.serving else None
    assert release is not None and "5 texts are answered" in release.prove()
    release.probe = None
    assert "without a probe" in release.prove()


def test_an_altered_bundle_is_refused_and_tried_again_when_it_was_restored(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = served.installation.release(1)
    model = made.folder / "model" / "model.onnx"
    whole = model.read_bytes()
    model.chmod(0o644)
    model.write_bytes(whole[:-1] + b"x")
    before = release_of(served.slot)
    body = {"digest": made.digest, "manifest": made.identity, "student": "model1", "before": None}
    served.installation.builds.ledger.append("promotion", RECIPE, body)
    served.follower.look()
    assert release_of(served.slot) == before and "altered" in served.slot.why
    model.write_bytes(whole)
    served.follower.look()
    assert release_of(served.slot) == before, "not tried every second"
    monkeypatch.setattr(desired, "TRY_AGAIN_SECONDS", 0.0)
    served.follower.look()
    assert release_of(served.slot) == made.digest and served.slot.refused is None


def test_without_its_ledger_a_server_starts_with_what_served_last(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = installation.promote(1)
    follower_of(installation.builds)[0].look()

    def away(*about: object) -> None:
        raise OperationalError("select", {}, OSError("no route"))

    monkeypatch.setattr(desired, "desired", away)
    monkeypatch.setattr(desired, "beat", away)
    follower, slot = follower_of(BuildStore(installation.builds.home))
    follower.look()
    assert release_of(slot) == made.digest and slot.ledger_seen is None
    (made.folder / "report.json").chmod(0o644)
    (made.folder / "report.json").write_text("other")
    follower, slot = follower_of(BuildStore(installation.builds.home))
    follower.look()
    assert slot.serving is None and "altered" in slot.why


def test_from_a_store_out_of_reach_the_local_copy_is_served(installation: Installation, tmp_path: Path) -> None:
    made = installation.promote(0)
    copy = installation.builds.home.cache / made.digest
    copy.parent.mkdir(parents=True)
    shutil.copytree(made.folder, copy)
    elsewhere = BuildStore(replace(installation.builds.home, artifacts="memory://nothing-is-there"))
    follower, slot = follower_of(elsewhere)
    follower.look()
    assert release_of(slot) == made.digest


def test_the_ledger_going_away_later_changes_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*about: object) -> None:
        raise StillhouseError("is locked", where="ledger", expected="a database", do="Wait.")

    monkeypatch.setattr(desired, "desired", locked)
    monkeypatch.setattr(desired, "beat", locked)
    before = release_of(served.slot)
    served.follower.look()
    assert release_of(served.slot) == before and served.predict(text=TEXT).status_code == 200


def test_each_replica_says_what_it_serves(served: Served, home: Home) -> None:
    (said,) = replicas(home.ledger_url, RECIPE)
    assert (said.release, said.refused) == (release_of(served.slot), None)
    served.installation.promote(1, probed=2)
    served.follower.look()
    (said,) = replicas(home.ledger_url, RECIPE)
    assert said.release == release_of(served.slot) and said.refused == served.slot.refused is not None
    assert served.installation.builds.ledger.problems() == [], "it is no part of the chain"


def test_what_is_remembered_is_the_deployment(served: Served, home: Home) -> None:
    content = json.loads((home.serving / f"{RECIPE}.json").read_text())
    assert served.slot.serving is not None
    assert content["deployment"] == served.slot.serving.deployment
    assert content["champion"]["release"] == release_of(served.slot)


@pytest.mark.parametrize(
    "body", [{}, {"champion": {"release": "x"}, "hold": None, "because": "round"}, {"champion": 3}]
)
def test_an_entry_that_is_no_deployment_is_said_once_and_followed_by_whatever_comes_after(
    served: Served, caplog: pytest.LogCaptureFixture, body: dict[str, object]
) -> None:
    before = release_of(served.slot)
    served.installation.builds.ledger.append("deployment", RECIPE, body)
    served.follower.look()
    served.follower.look()
    assert release_of(served.slot) == before
    assert len([line for line in caplog.messages if "it is not a deployment" in line]) == 1
    made = served.installation.promote(1)
    served.follower.look()
    assert release_of(served.slot) == made.digest


def full(*about: object) -> None:
    raise OSError("no space left on the disk")


def test_a_disk_that_is_full_ends_no_follower_and_is_said_once(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patches:
        patches.setattr(desired, "write_atomically", full)
        served.installation.promote(1)
        served.follower.look()
        served.follower.look()
    assert len([line for line in caplog.messages if "no space left on the disk" in line]) == 1
    made = served.installation.promote(2)
    served.follower.look()
    assert release_of(served.slot) == made.digest


@pytest.mark.parametrize("ledger_goes_away_first", [False, True])
def test_a_rollback_that_finds_no_room_is_remembered_once_there_is_some(
    served: Served, home: Home, monkeypatch: pytest.MonkeyPatch, ledger_goes_away_first: bool
) -> None:
    """Regression: it was written once, so that a restart without the ledger served the release that was withdrawn."""
    withdrawn = served.installation.promote(1)
    served.follower.look()
    back = served.installation.promote(0)
    with monkeypatch.context() as patches:
        patches.setattr(desired, "write_atomically", full)
        served.follower.look()
    remembered = home.serving / f"{RECIPE}.json"
    assert release_of(served.slot) == back.digest and withdrawn.digest in remembered.read_text()
    if not ledger_goes_away_first:
        served.follower.look()
    monkeypatch.setattr(desired, "desired", away)
    monkeypatch.setattr(desired, "beat", away)
    served.follower.look()
    follower, slot = follower_of(BuildStore(home))
    follower.look()
    assert release_of(slot) == back.digest


def test_a_server_that_is_cut_off_from_its_ledger_is_ready_and_says_so(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.client.get("/readyz").text == "ready\n"
    before, seen = release_of(served.slot), served.slot.ledger_seen
    assert seen is not None
    served.installation.promote(1)
    with monkeypatch.context() as cut:
        cut.setattr("stillhouse.serving.desired.desired", away)
        served.follower.look()
        served.slot.ledger_seen = seen - 3600
        ready = served.client.get("/readyz")
        assert ready.status_code == 200, "a load balancer would take every server away at once"
        assert f"{RECIPE}: the ledger has not answered since 36" in ready.text
        assert served.predict(text=TEXT).json()["release"] == before == release_of(served.slot)
    served.follower.look()
    assert served.client.get("/readyz").text == "ready\n" and release_of(served.slot) != before


def away(*_: object) -> None:
    raise OperationalError("SELECT", None, ConnectionRefusedError())
