"""What a server's answers leave in the traffic log, from the request to the sealed file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from stillhouse.home import Home
from stillhouse.live.columns import KeptColumns
from stillhouse.live.feedback import with_wanted
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import answers, arithmetic
from stillhouse.recipe.serving import ServingSpec
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.spool import SpoolLimits, TrafficLog
from stillhouse.serving.tokens import Access, Tokens
from tests.stillhouse.serving.conftest import RECIPE, Installation

pytestmark = pytest.mark.long

PERSONAL = "jane.doe@example.org"


@dataclass
class Keeping:
    slot: Slot
    ids: RequestIds
    client: TestClient
    log: TrafficLog
    store: TrafficStore
    folder: Path


COLUMNS = KeptColumns({"channel": frozenset({"post", "fax"})})
"""Of a recipe with a slice of two values of a column that callers send."""


@pytest.fixture
def keeping(installation: Installation, home: Home, tmp_path: Path) -> Iterator[Keeping]:
    installation.promote(0)
    slot, tokens = Slot(RECIPE, ServingSpec()), Tokens(home.serving)
    Follower(installation.builds, {RECIPE: slot}, tokens, "one").look()
    store = TrafficStore(str(tmp_path / "store"), RECIPE)
    log = TrafficLog(
        tmp_path / "spool", "r1", store, keep_texts=True, columns=COLUMNS, limits=SpoolLimits(write_seconds=0.01)
    )
    ids = RequestIds.of(home.serving)
    server = Server({RECIPE: slot}, ids, Access(tokens, "127.0.0.1"), {RECIPE: log})
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:
        yield Keeping(slot, ids, client, log, store, tmp_path)


def test_an_answer_and_what_was_true_of_it_are_kept_and_nothing_personal(keeping: Keeping) -> None:
    asked = {"text": f"write to {PERSONAL}", "key": PERSONAL}
    said = keeping.client.post(f"/v1/{RECIPE}/predict", json=asked).json()
    for _ in range(2):
        truth = {"id": said["id"], "truth": "place"}
        assert keeping.client.post(f"/v1/{RECIPE}/feedback", json=truth).status_code == 202
    keeping.client.post(f"/v1/{RECIPE}/predict", content=b'{"text": "' + PERSONAL.encode())
    shown = keeping.client.get("/metrics").text
    assert f'stillhouse_log_received_total{{recipe="{RECIPE}"}} 3.0' in shown
    assert f'stillhouse_log_kept_share{{recipe="{RECIPE}"}} 1.0' in shown
    keeping.log.close()
    (day,) = keeping.store.days()
    (row,) = answers(keeping.store, [day], at=0, matures_after_days=7).to_dicts()
    assert {name: row[name] for name in ("id", "label", "release", "deployment")} == {
        name: said[name] for name in ("id", "label", "release", "deployment")
    }
    assert (row["truth"], row["status"], row["matured"]) == ("place", 200, False)
    assert keeping.store.frame(day, "texts")["text"].to_list() == ["write to [EMAIL]"]
    assert arithmetic(keeping.store, day)[0].problems == []
    for path in (*(keeping.folder / "spool").rglob("*"), *(keeping.folder / "store").rglob("*")):
        assert path.is_dir() or PERSONAL.encode() not in path.read_bytes(), path


def test_a_caller_is_told_whose_truth_is_wanted_and_an_auditor_finds_the_same(keeping: Keeping) -> None:
    keeping.slot.feedback_share = 0.3
    texts = [f"who is king {number} ?" for number in range(60)]
    said = keeping.client.post(f"/v1/{RECIPE}/predict", json={"texts": texts}).json()["answers"]
    told = {each["id"] for each in said if each["feedback_wanted"]}
    assert 0 < len(told) < 60
    for each in said:  # of the others feedback is taken, too
        truth = {"id": each["id"], "truth": "place"}
        assert keeping.client.post(f"/v1/{RECIPE}/feedback", json=truth).status_code == 202
    keeping.log.close()
    (day,) = keeping.store.days()
    rows = with_wanted(keeping.store.frame(day, "requests"), keeping.ids.drawing_key(Purpose.TRUTH_IS_ASKED_FOR))
    assert {*rows.filter("wanted")["id"]} == told
    assert rows["wanted_share"].unique().to_list() == [0.3]


def test_where_nothing_is_drawn_the_answer_and_the_row_are_as_ever(keeping: Keeping) -> None:
    said = keeping.client.post(f"/v1/{RECIPE}/predict", json={"text": "who ?"}).json()
    assert "feedback_wanted" not in said
    keeping.log.close()
    assert keeping.store.frame(keeping.store.days()[0], "requests")["wanted_share"].to_list() == [None]


def test_of_what_was_not_answered_nobody_is_asked_for_the_truth(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError

    keeping.slot.feedback_share = 1.0
    assert keeping.slot.serving is not None
    monkeypatch.setattr(keeping.slot.serving.champion, "say", broken)
    assert keeping.client.post(f"/v1/{RECIPE}/predict", json={"text": "who ?"}).status_code == 500
    keeping.log.close()
    (row,) = keeping.store.frame(keeping.store.days()[0], "requests").to_dicts()
    assert (row["status"], row["wanted_share"]) == (500, None)


def test_of_what_callers_say_of_a_text_the_words_of_the_recipe_are_kept_and_nothing_else(keeping: Keeping) -> None:
    """Neither a value nor the name of a column can bring anything into the log, whatever becomes of the request."""
    said = [
        {"channel": " post "}, {"channel": PERSONAL}, {"customer": PERSONAL}, {PERSONAL: "post"}, {"channel": "POST"},
        {"channel": f'fax","customer":"{PERSONAL}'}, {}, {"channel": "fax", "key": PERSONAL},
    ]  # fmt: skip
    for columns in said:
        asked = {"texts": ["who is it ?", "where is it ?"], "columns": columns}
        assert keeping.client.post(f"/v1/{RECIPE}/predict", json=asked).status_code == 200
    assert keeping.client.post(f"/v1/{RECIPE}/predict", json={"text": "who is it ?"}).status_code == 200
    keeping.log.close()
    (day,) = keeping.store.days()
    of_each = [
        '{"channel":"post"}', '{"channel":null}', "{}", "{}", '{"channel":null}', '{"channel":null}', "{}",
        '{"channel":"fax"}',
    ]  # fmt: skip
    kept = keeping.store.frame(day, "requests")["columns"].to_list()
    assert kept == [each for each in of_each for _ in range(2)] + ["{}"]
    assert arithmetic(keeping.store, day)[0].problems == []
    for path in (*(keeping.folder / "spool").rglob("*"), *(keeping.folder / "store").rglob("*")):
        assert path.is_dir() or PERSONAL.encode() not in path.read_bytes(), path


def test_where_a_champion_fails_what_its_caller_said_is_kept_the_same_way(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadedRelease, "say", None)
    asked = {"text": "who is it ?", "columns": {"channel": "post", "customer": PERSONAL}}
    assert keeping.client.post(f"/v1/{RECIPE}/predict", json=asked).status_code == 500
    keeping.log.close()
    (day,) = keeping.store.days()
    assert keeping.store.frame(day, "requests").select("status", "columns").rows() == [(500, '{"channel":"post"}')]


def test_a_server_whose_log_cannot_be_written_is_not_ready(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeping.client.get("/readyz").status_code == 200
    monkeypatch.setattr(TrafficLog, "is_writable", False)
    assert keeping.client.get("/readyz").status_code == 503
    keeping.log.close()


def test_a_server_whose_store_is_away_keeps_its_rows_here_and_says_so(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrafficLog, "problem", "segments cannot be sealed or moved (ConnectionError)")
    ready = keeping.client.get("/readyz")
    assert ready.status_code == 200 and "ConnectionError); its rows of traffic wait on this disk" in ready.text
    assert 'stillhouse_log_troubled{recipe="small"} 1.0' in keeping.client.get("/metrics").text
    keeping.log.close()
