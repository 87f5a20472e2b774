"""A teacher behind an API, on a real server of this machine: nothing is paid twice, and never more than is allowed."""

import json
import signal
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import stillhouse.teachers.pace
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.recipe.asking import EndpointSpec
from stillhouse.recipe.record import RecordSpec
from stillhouse.records.ledger import Ledger
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import CallLog, CapReachedError
from stillhouse.teachers.columns import ANSWER_SCHEMA, ERROR, RAW, SAID, TOOK
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.pace import pace_of, tokens_of
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.stillhouse.teachers.asked import ASKING, PILOT, TASK, answer, teacher, texts
from tests.warm import WarmParent


@pytest.fixture(autouse=True)
def _no_server_of_another_test() -> None:
    """A port that was used before, on another clock, is another server."""
    pace_of.cache_clear()
    tokens_of.cache_clear()


@pytest.mark.long
def test_each_prompt_is_asked_once_and_paid_once(tmp_path: Path) -> None:
    rows = texts(40)
    with serving(Server(answer, takes=0.05)) as server:
        asked = teacher(server, tmp_path, concurrency=4)
        said = asked.ask(rows)
        assert said.schema == pl.Schema({**ANSWER_SCHEMA, **TOOK, ERROR: pl.String(), RAW: SAID[RAW]})
        assert said["prompt_id"].to_list() == rows["prompt_id"].to_list()
        assert with_answers(said, TASK)["answer"].to_list() == [answer(text) for text in rows["text"]]
        assert set(said["observed"]) == {"large-2026-06"} and said["latency_ms"].min() >= 10
        assert said["usd"].sum() == pytest.approx(server.usd)
        assert 1 < server.at_once <= 4, "as many at a time as the recipe allows"
        again = teacher(server, tmp_path).ask(texts(50))
        assert again.height == 50 and server.calls == 50 and set(server.asked.values()) == {1}
        assert (
            asked.calls.spent("tickets") == pytest.approx(server.usd)
            and sum(asked.costs(asked.replies(rows), rows)) < server.usd
        )


FAULTS = {
    "429": None, "500": None, "503": None, "408": None, "cut": None, "page": None, "deep": None,
    "400": Failure.TURNED_AWAY, "422": Failure.TURNED_AWAY,
    "error": None, "usage": None, "negative": None,
    "null": Failure.EMPTY, "refusal": Failure.REFUSED, "length": Failure.CUT_OFF, "outside": Failure.NO_LABEL,
}  # fmt: skip
"""How the answer of a prompt fails whose first call ends so; None where the next one gives it."""


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_ends_in_an_answer_or_in_a_reason(tmp_path: Path, fault: str) -> None:
    rows = texts(6)
    with serving(Server(answer, {2: fault})) as server:
        asked = teacher(server, tmp_path, concurrency=1)
        said = with_answers(asked.ask(rows), TASK)
        expected = FAULTS[fault]
        assert said["failure"].to_list() == [None, None, expected, None, None, None]
        right = [answer(text) for text in rows["text"]]
        assert said["answer"].to_list() == [None if n == 2 and expected else right[n] for n in range(6)]
        once = expected or fault in ("usage", "negative")  # what is no count is no reason to ask again
        assert server.calls == (6 if once else 7)
        asked.ask(rows)
        # What was said is not asked again; a server that said nothing of a text may say something yet.
        assert server.calls == (6 if once and fault not in ("400", "422") else 7)
        assert server.usd <= asked.calls.spent("tickets") < 1.0


@pytest.mark.long
def test_half_of_a_character_ends_no_run_and_is_paid_once(tmp_path: Path) -> None:
    """Regression: JSON may hold one and no file of ours can, so each run ended where it read the reply, paid or not."""
    rows = texts(3)
    with serving(Server(lambda text: f"\ud83d{answer(text)}", {1: "null"}, lambda number: "large\ud83d")) as server:
        asked = teacher(server, tmp_path, concurrency=1)
        said = with_answers(asked.ask(rows), TASK)
        assert asked.ask(rows).equals(said.select(*asked.ask(rows).columns)) and server.calls == 3
    right = [answer(text) for text in rows["text"]]
    assert said["answer"].to_list() == [right[0], None, right[2]] and set(said["observed"]) == {"large"}
    assert said[RAW].to_list() == [[right[0]], [None], [right[2]]]


@pytest.mark.long
def test_an_answer_that_takes_too_long_is_asked_again(tmp_path: Path) -> None:
    with serving(Server(answer, takes=0.5)) as server:
        with pytest.raises(StillhouseError, match=r"did not answer: .*[Tt]imeout"):
            teacher(server, tmp_path, timeout_s=0.1, attempts=3).ask(texts(1))
        assert server.calls == 3


@pytest.mark.long
def test_a_server_that_never_answers_ends_the_run_and_keeps_what_it_said(tmp_path: Path) -> None:
    with serving(Server(answer, dict.fromkeys(range(3, 99), "500"))) as server:
        asked = teacher(server, tmp_path, concurrency=1, attempts=4)
        with pytest.raises(StillhouseError, match=r"status 500, .*not now.* within 4 attempts"):
            asked.ask(texts(10))
        assert server.calls == 3 + 4
        server.faults = {}
        assert asked.ask(texts(10))["failure"].null_count() == 10
        assert server.calls == 7 + 7, "the three that were answered are not asked again"


@pytest.mark.long
def test_a_wrong_key_ends_it_at_once_and_is_nowhere_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-wrong-1234567890")
    with serving(Server(answer, key="sk-right")) as server:
        with pytest.raises(StillhouseError) as refused:
            teacher(server, tmp_path, api_key_env="TEACHER_KEY", concurrency=1).ask(texts(5))
        assert server.calls == 1 and "status 401" in str(refused.value) and "Bearer ***" in str(refused.value)
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert "sk-wrong" not in str(refused.value) and b"sk-wrong" not in written
        monkeypatch.setenv("TEACHER_KEY", "sk-right")
        assert teacher(server, tmp_path, api_key_env="TEACHER_KEY").ask(texts(5))["failure"].null_count() == 5
        monkeypatch.delenv("TEACHER_KEY")
        with pytest.raises(StillhouseError, match="the variable TEACHER_KEY is not set"):
            teacher(server, tmp_path, api_key_env="TEACHER_KEY").ask(texts(6))


@pytest.mark.long
def test_never_more_is_paid_than_is_allowed(tmp_path: Path) -> None:
    rows = texts(60)
    with serving(Server(answer)) as server:
        rich = teacher(server, tmp_path / "rich")
        rich.ask(rows)
        half, server.usd = server.usd / 2, 0.0
        asked = teacher(server, tmp_path / "poor", usd_at_most=half, tokens_around=0)
        with pytest.raises(CapReachedError, match="USD are spent or reserved"):
            asked.ask(rows)
        assert 0 < server.usd <= asked.calls.spent("tickets") <= half
        calls = server.calls
        more = teacher(server, tmp_path / "poor", usd_at_most=1.0)
        assert more.ask(rows)["failure"].null_count() == 60
        assert server.calls < calls + 60, "what was answered before the cap is not asked again"


@pytest.mark.long
def test_a_cap_that_the_real_cost_fits_into_ends_no_run_while_calls_are_open(tmp_path: Path) -> None:
    """Regression: eight calls at a time were reserved at their most, and a run ended though each cost a tenth of it."""
    rows = texts(40)
    with serving(Server(answer, takes=0.02)) as server:
        rich = teacher(server, tmp_path / "rich")
        rich.ask(rows)
        most = max(rich.endpoint.most(body) for body in rich.requests(rows).values())
        enough, server.usd = server.usd + most, 0.0
        assert enough < 8 * most, "less than what is reserved for all calls at a time"
        asked = teacher(server, tmp_path / "poor", usd_at_most=enough, concurrency=8)
        assert asked.ask(rows)["failure"].null_count() == 40
        assert server.usd == pytest.approx(asked.calls.spent("tickets")) and server.usd <= enough
        assert server.at_once > 1
        nothing = teacher(server, tmp_path / "none", usd_at_most=most / 2, concurrency=8)
        with pytest.raises(CapReachedError):
            nothing.ask(rows)


@pytest.mark.long
def test_another_revision_under_the_same_name_is_asked_again(tmp_path: Path) -> None:
    with serving(Server(answer)) as server:
        teacher(server, tmp_path).ask(texts(3))
        teacher(server, tmp_path, asking=replace(ASKING, revision="November")).ask(texts(3))
        assert server.calls == 6


@pytest.mark.long
def test_a_run_that_is_broken_off_waits_for_no_server(parent: WarmParent, tmp_path: Path) -> None:
    code = f"""
        import signal, sys
        from pathlib import Path
        from dataclasses import asdict, replace
        from tests.protocol import Server
        from tests.stillhouse.teachers.asked import answer, teacher, texts

        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts in the background
        asked = replace(teacher(Server(answer, url=sys.argv[1]), Path({str(tmp_path)!r})), sleep=None)
        asked.ask(texts(20))
    """
    with serving(Server(answer, dict.fromkeys(range(999), "429"), retry_after="60")) as server:
        process = parent.start(code, server.url)
        while server.calls < 8:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0 and "KeyboardInterrupt" in process.said("stderr")


@pytest.mark.long
@pytest.mark.parametrize("status", ["402", "404", "413"])
def test_a_refusal_that_is_no_texts_fault_ends_the_run(tmp_path: Path, status: str) -> None:
    with serving(Server(answer, {3: status})) as server:
        with pytest.raises(StillhouseError, match=f"status {status}"):
            teacher(server, tmp_path, concurrency=1).ask(texts(10))
        assert server.calls == 4


@pytest.mark.long
def test_the_first_error_is_the_one_that_is_said(tmp_path: Path) -> None:
    faults = {0: "429", **dict.fromkeys(range(1, 99), "401")}
    with serving(Server(answer, faults, retry_after="30", takes=0.05)) as server:
        asked = replace(teacher(server, tmp_path, concurrency=4), sleep=None)
        with pytest.raises(StillhouseError, match="status 401"):
            asked.ask(texts(10))


@pytest.mark.long
def test_a_server_that_counts_more_than_was_reserved_ends_the_run_and_all_of_it_is_in_the_books(tmp_path: Path) -> None:
    """Regression: what was reserved was booked, so that the cap let more be spent than it said."""
    with serving(Server(answer, {1: "lies"})) as server:
        asked = teacher(server, tmp_path, concurrency=1)
        with pytest.raises(StillhouseError, match="the server counts 1,000,000 tokens read"):
            asked.ask(texts(5))
        of_the_first = (5 * USD_IN + USD_OUT) / 1e6
        billed = of_the_first + USD_IN + USD_OUT / 1e6
        assert server.calls == 2 and asked.calls.spent("tickets") == pytest.approx(billed)
        with pytest.raises(CapReachedError, match=r"2\.0000 USD are spent or reserved"):
            asked.ask(texts(5))
        more = teacher(server, tmp_path, usd_at_most=3.0)
        assert more.ask(texts(5))["failure"].null_count() == 5 and server.calls == 5, "and what it said is kept"


@dataclass
class Clock:
    """In the place of the machine's: nobody waits, and how long somebody would have is known."""

    goes_on: bool = True
    now: float = 1000.0
    waited: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds if self.goes_on else 0.0

    def of(self, asked: EndpointTeacher, monkeypatch: pytest.MonkeyPatch) -> EndpointTeacher:
        """The teacher, with this clock."""
        stands_in = SimpleNamespace(monotonic=self.monotonic, perf_counter=time.perf_counter)
        monkeypatch.setattr(stillhouse.teachers.pace, "time", stands_in)
        return replace(asked, sleep=self.sleep)


@pytest.mark.long
def test_calls_are_begun_no_faster_than_the_recipe_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that stands still each call waits for its own place, whichever thread makes it."""
    clock = Clock(goes_on=False)
    with serving(Server(answer)) as server:
        asked = clock.of(teacher(server, tmp_path, concurrency=4, requests_per_minute=240), monkeypatch)
        asked.ask(texts(12))
        assert server.calls == 12 and sorted(clock.waited) == pytest.approx([n / 4 for n in range(1, 12)])
        clock.waited.clear()
        clock.of(teacher(server, tmp_path, concurrency=4), monkeypatch).ask(texts(24))
        assert server.calls == 24 and not clock.waited, "without a limit nobody waits"


@pytest.mark.long
def test_teachers_of_one_process_share_what_a_server_takes_in_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each had a pace of its own, so that two recipes asked a server twice as often as it takes."""
    clock = Clock(goes_on=False)
    with serving(Server(answer)) as server:
        both = [
            clock.of(teacher(server, tmp_path / name, concurrency=2, requests_per_minute=240), monkeypatch)
            for name in ("one", "other")
        ]
        threads = [threading.Thread(target=each.ask, args=(texts(6),)) for each in both]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert server.calls == 12 and sorted(clock.waited) == pytest.approx([n / 4 for n in range(1, 12)])
        clock.waited.clear()
        clock.of(teacher(server, tmp_path / "third", requests_per_minute=240), monkeypatch).ask(texts(1))
        assert clock.waited == [12 / 4], "whichever of them comes later, too"
    clock.waited.clear()
    with serving(Server(answer)) as another:
        clock.of(teacher(another, tmp_path / "fourth", requests_per_minute=240), monkeypatch).ask(texts(1))
        assert clock.waited == [], "another server takes as many of its own"


@pytest.mark.long
def test_a_server_that_asks_one_teacher_to_wait_is_left_alone_by_all_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(goes_on=False)
    with serving(Server(answer, {0: "429"}, retry_after="7")) as server:
        clock.of(teacher(server, tmp_path / "one", concurrency=1), monkeypatch).ask(texts(1))
        clock.of(teacher(server, tmp_path / "other", concurrency=1), monkeypatch).ask(texts(1))
    assert clock.waited == [7.0, 7.0]


@pytest.mark.long
def test_a_bulk_within_the_tokens_of_a_minute_is_never_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server counts the tokens of its last sixty seconds and answers 429 beyond its limit; the clock is a false
    one, on which bulk and pilot are minutes long and follow each other at once."""
    clock, rows = Clock(), texts(90)
    with serving(Server(answer, tokens_per_minute=300, now=clock.monotonic)) as server:
        limits = {"concurrency": 4, "tokens_around": 0, "tokens_per_minute": 300}
        for some in (rows[:30], rows):
            said = clock.of(teacher(server, tmp_path, **limits), monkeypatch).ask(some)
            assert said["failure"].null_count() == some.height
        assert (server.calls, server.turned_away) == (90, 0)
        tokens = sum(server.tokens_of(text) * times for text, times in server.asked.items())
        assert clock.now - 1000 >= 60 * (tokens / 300 - 1) > 0 and clock.waited, "and it did take minutes"
    with serving(Server(answer, tokens_per_minute=300, now=clock.monotonic, retry_after="5")) as server:
        clock.of(teacher(server, tmp_path / "other", concurrency=4, attempts=99), monkeypatch).ask(rows)
        assert server.turned_away > 0, "without the field this server turns calls away"


def test_a_call_that_is_broken_off_before_it_is_made_takes_no_tokens(tmp_path: Path) -> None:
    """Regression: whoever asked next in the same process waited a minute for it."""
    over = threading.Event()
    over.set()
    with serving(Server(answer)) as server:
        asked = teacher(server, tmp_path, tokens_around=0, tokens_per_minute=300)
        asked = replace(asked, sleep=lambda seconds: pytest.fail(f"waits {seconds} seconds"))
        (body,) = asked.requests(texts(1)).values()
        for _ in range(9):
            assert asked._attempt_in_its_turn("digest", body, 0.0, over) is None
        assert asked.ask(texts(1))["failure"].null_count() == 1 and server.calls == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("said", "waits"), [("7", 7.0), ("0.5", 0.5), ("3600", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_a_server_that_says_how_long_to_wait_is_left_alone_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, waits: float | None
) -> None:
    begun, clock = list[float](), Clock()

    def answer_and_look(text: str) -> str:
        begun.append(clock.now - 1000)
        return answer(text)

    with serving(Server(answer_and_look, {1: "429"}, retry_after=said)) as server:
        clock.of(teacher(server, tmp_path, concurrency=1), monkeypatch).ask(texts(3))
    (waited,) = clock.waited
    assert waited == waits if waits is not None else 0.5 <= waited <= 1, "by itself it waits a while"
    assert begun == [0, waited, waited], "and no other text is asked meanwhile"


@pytest.mark.long
def test_two_processes_pay_once(parent: WarmParent, tmp_path: Path) -> None:
    with serving(Server(answer, takes=0.05)) as server:
        both = [parent.start(KILLED, server.url, tmp_path, 40, NEVER, 10) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0] and server.calls == 40


@pytest.mark.long
def test_a_server_that_is_down_costs_nothing(tmp_path: Path) -> None:
    with serving(Server(answer)) as server:
        pass
    asked = teacher(server, tmp_path, attempts=2)
    with pytest.raises(StillhouseError, match="ConnectError"):
        asked.ask(texts(3))
    assert asked.calls.spent("tickets") == 0


@pytest.mark.long
@pytest.mark.parametrize("key", ["", "sk with blanks", "schlüssel"])
def test_what_is_no_key_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("TEACHER_KEY", key)
    with serving(Server(answer)) as server:
        with pytest.raises(StillhouseError) as refused:
            teacher(server, tmp_path, api_key_env="TEACHER_KEY").ask(texts(1))
        assert server.calls == 0 and (not key or key not in str(refused.value))
        monkeypatch.setenv("TEACHER_KEY", "sk-right\n")
        server.key = "sk-right"
        assert teacher(server, tmp_path, api_key_env="TEACHER_KEY").ask(texts(1))["failure"].null_count() == 1


@pytest.mark.long
def test_a_log_that_is_broken_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"no database at all" * 100)
    with serving(Server(answer)) as server:
        with pytest.raises(StillhouseError, match="the log of paid calls cannot be used"):
            teacher(server, tmp_path).ask(texts(1))
        assert server.calls == 0


@pytest.mark.long
def test_what_was_refused_is_asked_again_by_the_next_capture(tmp_path: Path) -> None:
    rows = texts(6)
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with serving(Server(answer, {2: "400", 4: "400"})) as server:
        asked = teacher(server, tmp_path, concurrency=1)
        assert store.capture(rows, asked).computed == 6
        said = store.read(rows["prompt_id"].to_list(), asked.fingerprint)
        assert said["failure"].drop_nulls().to_list() == [Failure.TURNED_AWAY] * 2
        assert store.capture(rows, asked).computed == 2 and server.calls == 8
        assert store.read(rows["prompt_id"].to_list(), asked.fingerprint)["failure"].null_count() == 6
        assert store.capture(rows, asked).computed == 0


@pytest.mark.long
def test_what_the_model_itself_refuses_is_its_reply_and_is_asked_no_second_time(tmp_path: Path) -> None:
    """Regression: each capture read it out of the log again, and wrote another shard of it."""
    rows = texts(4)
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with serving(Server(answer, {1: "refusal", 2: "400"})) as server:
        asked, ids = teacher(server, tmp_path, concurrency=1), rows["prompt_id"].to_list()
        store.capture(rows, asked)
        assert store.asked_again(ids, asked.fingerprint) == {
            "asked_again": store.read(ids, asked.fingerprint).filter(failure=Failure.TURNED_AWAY)["prompt_id"].to_list()
        }
        assert store.capture(rows, asked).computed == 1 and server.calls == 5
        assert store.asked_again(ids, asked.fingerprint) == {}
        assert store.read(ids, asked.fingerprint)["failure"].drop_nulls().to_list() == [Failure.REFUSED]
        assert store.capture(rows, asked).computed == 0 and server.calls == 5
        assert asked.calls.spent("tickets") == pytest.approx(server.usd)


@pytest.mark.long
@pytest.mark.parametrize(
    ("faults", "expected"), [({1: "400"}, None), ({0: "outside", 1: "400", 2: "null"}, Failure.TURNED_AWAY)]
)
def test_one_of_several_samples_that_is_turned_away_is_asked_again_unless_another_answers(
    faults: dict[int, str], expected: str | None, tmp_path: Path
) -> None:
    rows = texts(1)
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with serving(Server(answer, faults)) as server:
        asked = teacher(server, tmp_path, asking=replace(ASKING, samples=3), concurrency=1)
        store.capture(rows, asked)
        assert store.read(rows["prompt_id"].to_list(), asked.fingerprint)["failure"].to_list() == [expected]
        assert store.capture(rows, asked).computed == (expected is not None)
        assert store.read(rows["prompt_id"].to_list(), asked.fingerprint)["failure"].to_list() == [None]
        assert server.calls == (3 if expected is None else 4)


def test_rows_of_an_earlier_version_are_read_beside_those_that_say_what_the_model_said(tmp_path: Path) -> None:
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    rows = texts(4)
    with serving(Server(lambda asked: f" {answer(asked)}.")) as server:
        asked = teacher(server, tmp_path)
        store._write(asked.ask(rows[:2]).drop(*SAID, strict=False), asked.fingerprint)
        assert store.capture(rows, asked).computed == 2
    said = store.read(rows["prompt_id"].to_list(), asked.fingerprint)
    by_id = dict(said.select("prompt_id", RAW).iter_rows())
    full = [by_id[name] for name in rows["prompt_id"]]
    assert full == [None, None, *([f"{answer(text)}."] for text in rows["text"][2:])]
    old = store.read(rows["prompt_id"][:2].to_list(), asked.fingerprint)
    assert not {*SAID} & {*old.columns} or old[RAW].null_count() == 2


def test_what_an_earlier_version_called_a_refusal_is_asked_again_where_no_reply_came(tmp_path: Path) -> None:
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    took = {"p": 0.0, "q": 3.5, "r": None}
    rows = pl.DataFrame(
        [(name, "a" * 64, Failure.REFUSED.value, each) for name, each in took.items()],
        schema=["prompt_id", "fingerprint", "failure", "latency_ms"], orient="row",
    )  # fmt: skip
    everything = rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, kind).alias(name) for name, kind in ANSWER_SCHEMA.items()
    )
    store._write(everything, "a" * 64)
    assert store.missing([*took], "a" * 64) == ["p"], "a call took its time, and a batch took none that is known"


CAPTURING = """
    import sys
    from pathlib import Path
    from stillhouse.records.ledger import Ledger
    from stillhouse.teachers.signal import SignalStore
    from tests.protocol import Server
    from tests.stillhouse.teachers.asked import answer, teacher, texts

    place = Path(sys.argv[2])
    store = SignalStore(place / "signal", Ledger(f"sqlite:///{place / 'ledger.db'}"), shard_rows=16)
    store.capture(texts(int(sys.argv[3])), teacher(Server(answer, url=sys.argv[1]), place, concurrency=4))
"""


@pytest.mark.long
def test_what_the_rows_took_adds_up_to_the_bill_after_failed_attempts_and_a_kill(
    parent: WarmParent, tmp_path: Path
) -> None:
    rows = texts(80)
    faults = {3: "500", 5: "cut", 7: "429", 9: "page", 11: "400", 13: "refusal", 15: "outside"}
    killed = threading.Event()

    def answer_some(text: str) -> str:
        if server.calls >= 40:
            killed.wait(60)
        return answer(text)

    with serving(Server(answer_some, faults)) as server:
        process = parent.start(CAPTURING, server.url, tmp_path, rows.height)
        while server.calls < 40:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
        asked = teacher(server, tmp_path)
        store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), shard_rows=16)
        found = store.capture(rows, asked)
        assert found.already_stored >= 16 and found.computed >= 16, "it was killed in the middle"
        said = store.read(rows["prompt_id"].to_list(), asked.fingerprint)
        assert server.usd < said["usd"].sum() == pytest.approx(asked.calls.spent("tickets"))

        once = said.filter(pl.col("failure").is_null()).with_columns(
            once=(pl.col("tokens") * USD_IN + pl.col("tokens_out") * USD_OUT) / 1e6
        )
        assert set(once["tokens"]) == {5} and set(once["tokens_out"]) == {1} and (once["seconds"] > 0).all()
        more = once.filter(pl.col("usd") > 1.5 * pl.col("once"))
        assert more.height >= 3, "of 500, a cut line and a page nobody knows that they cost nothing"
        least = once.join(more, on="prompt_id", how="anti")
        assert least.height > 60 and least["usd"].to_list() == pytest.approx(least["once"].to_list())

        asked_then = server.calls
        store.capture(rows, asked)
        assert server.calls == asked_then
        assert store.read(rows["prompt_id"].to_list(), asked.fingerprint).equals(said), "kept as it was then"


@pytest.mark.long
def test_a_prompt_without_an_answer_says_what_came_in_its_place(tmp_path: Path) -> None:
    rows = texts(6)
    with serving(Server(lambda asked: "Write to  ann@example.org", {1: "422", 2: "refusal", 3: "null"})) as server:
        said = teacher(server, tmp_path, concurrency=1).ask(rows)
    assert said["failure"].to_list() == [
        Failure.NO_LABEL, Failure.TURNED_AWAY, Failure.REFUSED, Failure.EMPTY, Failure.NO_LABEL, Failure.NO_LABEL
    ]  # fmt: skip
    assert said["error"].to_list() == [
        "Write to [EMAIL]", 'status 422, {"error": {"message": "not now"}}', "I cannot help with that", None,
        "Write to [EMAIL]", "Write to [EMAIL]",
    ]  # fmt: skip
    assert said["usd"].sum() == pytest.approx(server.usd) and said["usd"][1] == 0
    assert said["seconds"].is_null().to_list() == [False, True, False, False, False, False], "no call answered it"


@pytest.mark.long
def test_of_a_text_that_is_refused_time_and_again_all_attempts_count(tmp_path: Path) -> None:
    rows = texts(1)
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with serving(Server(answer, {0: "500", 1: "400", 2: "500", 3: "400"})) as server:
        asked = teacher(server, tmp_path)
        for times in (1, 2):
            store.capture(rows, asked)
            (usd,) = store.read(rows["prompt_id"].to_list(), asked.fingerprint)["usd"]
            assert 0 < usd == pytest.approx(asked.calls.spent("tickets")) and server.calls == 2 * times


def test_another_recipe_has_a_cap_of_its_own(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.db")
    log.reserve("a", "one", usd=0.9, usd_at_most=1.0)
    log.reserve("a", "two", usd=0.9, usd_at_most=1.0)
    with pytest.raises(CapReachedError, match=r"0\.9000 USD are spent or reserved"):
        log.reserve("b", "one", usd=0.2, usd_at_most=1.0)
    assert (log.spent("one"), log.spent("three")) == (0.9, 0.0)


EARLIER_INDEX = """
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, request TEXT NOT NULL, recipe TEXT NOT NULL, sent_at TEXT NOT NULL, usd REAL NOT NULL,
    reply TEXT
);
CREATE INDEX calls_by_recipe ON calls (recipe, usd);
CREATE INDEX calls_by_request ON calls (request) WHERE reply IS NOT NULL;
"""


@pytest.mark.parametrize("written_earlier", [False, True])
def test_what_is_spent_is_summed_without_reading_the_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_earlier: bool
) -> None:
    """Regression: each paid call read every row of its recipe, replies and all."""
    path, said = tmp_path / "calls.db", list[str]()
    if written_earlier:
        with sqlite3.connect(path) as earlier:
            earlier.executescript(EARLIER_INDEX)
    connect = sqlite3.connect

    def overheard(*about: Any, **how: Any) -> sqlite3.Connection:
        connection = connect(*about, **how)
        connection.set_trace_callback(said.append)
        return connection

    log = CallLog(path)
    with monkeypatch.context() as listening:
        listening.setattr(sqlite3, "connect", overheard)
        log.reserve("a", "one", usd=0.5, usd_at_most=1.0)
        assert log.spent("one", since=datetime(2026, 1, 1, tzinfo=UTC)) == log.spent("one") == 0.5
        assert log.booked(["a", "b"]) == {"a": 0.5}
    sums = [statement for statement in said if "SUM(usd)" in statement]
    by_time = "SEARCH calls USING COVERING INDEX calls_by_time (recipe=? AND sent_at>? AND sent_at<?)"
    with sqlite3.connect(path) as database:
        plans = [str(plan) for statement in sums for (*_, plan) in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert plans == [by_time] * 3 + ["SEARCH calls USING COVERING INDEX calls_of_request (request=?)"]
        kept_up = {name for (_, name, *_) in database.execute("PRAGMA index_list(calls)")}
    assert kept_up == {"calls_of_request", "calls_by_time"}, "an index that nobody reads costs each call a write"


@pytest.mark.parametrize("change", ASKING.__dict__)
def test_the_fingerprint_is_of_all_that_is_asked_and_of_no_server(tmp_path: Path, change: str) -> None:
    other = {
        "model": "small", "template": "Which queue: {text}", "settings": {"max_tokens": 5},
        "answer_pattern": "(?P<answer>.*)", "spellings": {"Invoice": "billing"}, "revision": "November",
        "codes": {"A": "access"}, "samples": 3, "choices": ("access", "billing"), "rationale": "why",
        "rationale_pattern": "(?P<rationale>.*)", "answer": "multi_label",
        "record": RecordSpec.model_validate({"fields": {"vendor": {"kind": "verbatim"}}, "words": 8}),
    }  # fmt: skip
    here = teacher(Server(answer, url="http://here/v1"), tmp_path)
    there = teacher(Server(answer, url="http://there/v1"), tmp_path, usd_at_most=9.0, concurrency=2)
    changed = Asking(**{**ASKING.__dict__, change: other[change]})
    assert here.fingerprint == there.fingerprint
    assert here.fingerprint != teacher(Server(answer), tmp_path, asking=changed).fingerprint
    assert here.fingerprint != replace(here, pilot=replace(PILOT, accuracy=0.8)).fingerprint


@pytest.mark.long
def test_a_reply_is_read_as_the_recipe_says(tmp_path: Path) -> None:
    asking = Asking("large", "{text}", {"max_tokens": 9}, r"queue: (?P<answer>.*)$", {"money": "billing"}, "")
    replies = {"a": "queue: Money", "b": "I think\nqueue:  money ", "c": "Access", "d": "queue: ACCESS."}
    column = pl.Series("text", list(replies))
    with serving(Server(lambda text: replies[text])) as server:
        asked = teacher(server, tmp_path, asking=asking)
        said = asked.replies(pl.DataFrame([column.alias("prompt_id"), column])).answers
    assert said["answer"].to_list() == ["billing", "billing", None, "access"]
    assert said["failure"].to_list() == [None, None, Failure.EMPTY, None]


KILLED = """
    import os, signal, sqlite3, sys, threading
    from pathlib import Path
    from stillhouse.records.ledger import Ledger
    from stillhouse.teachers.signal import SignalStore
    from tests.protocol import Server
    from tests.stillhouse.teachers.asked import answer, teacher, texts

    url, place, rows, write, usd_at_most = sys.argv[1], Path(sys.argv[2]), *map(float, sys.argv[3:])
    left, one_at_a_time, connect = int(write), threading.Lock(), sqlite3.connect

    def about_to(statement):
        global left
        if statement.startswith(("INSERT", "UPDATE", "COMMIT")):
            with one_at_a_time:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    def connected(path, **how):
        connection = connect(path, **how)
        connection.set_trace_callback(about_to)
        return connection

    sqlite3.connect = connected  # as the log of calls does
    asked = teacher(Server(answer, url=url), place, concurrency=8, usd_at_most=usd_at_most)
    store = SignalStore(place / "signal", Ledger(f"sqlite:///{place / 'ledger.db'}"), shard_rows=16)
    store.capture(texts(int(rows)), asked)
"""
NEVER = 0
"""Of the writes before which a capture is killed: none."""
KILLS, AT_ONCE, WRITES_BETWEEN_KILLS = 20, 8, 3
"""A capture is killed before its write 1, 4, 7 and so on to the log of calls: each call is written and committed before
it is made, and once more after it, so that each of these four is killed before several times."""


def killed_again_and_again(parent: WarmParent, server: Server, place: Path, rows: int, usd_at_most: float) -> list[int]:
    """Have captures of the same rows killed; after each, all that was billed is booked, and no more than may be.

    Returns:
        The exit code of each.
    """
    codes = []
    for number in range(KILLS):
        ended = parent.run(KILLED, server.url, place, rows, 1 + WRITES_BETWEEN_KILLS * number, usd_at_most)
        assert ended.returncode == -signal.SIGKILL or "CapReachedError" in ended.stderr, ended.stderr
        assert server.usd - 1e-9 <= CallLog(place / "calls.db").spent("tickets") <= usd_at_most
        codes.append(ended.returncode)
    return codes


@pytest.mark.slow
@pytest.mark.long
def test_a_capture_killed_before_twenty_writes_loses_at_most_the_calls_under_way(
    parent: WarmParent, tmp_path: Path
) -> None:
    rows = texts(300)
    with serving(Server(answer, takes=0.02)) as server:
        codes = killed_again_and_again(parent, server, tmp_path, rows.height, 1.0)
        assert codes == [-signal.SIGKILL] * KILLS
        asked = teacher(server, tmp_path)
        store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), shard_rows=16)
        store.capture(rows, asked)
        said = store.read(rows["prompt_id"].to_list(), asked.fingerprint)
        assert said.height == said["failure"].null_count() == rows.height
        assert rows.height <= server.calls <= rows.height + AT_ONCE * KILLS
        assert server.usd <= asked.calls.spent("tickets") < 1.0, "open calls count at the most that they can cost"
        assert {*server.asked} == {f"Queue of: {text}" for text in rows["text"]}


@pytest.mark.slow
@pytest.mark.long
def test_a_capture_killed_before_twenty_writes_spends_no_more_than_the_cap_with_those_after_it(
    parent: WarmParent, tmp_path: Path
) -> None:
    rows, usd_at_most = texts(300), 0.03
    with serving(Server(answer, takes=0.02)) as server:
        codes = killed_again_and_again(parent, server, tmp_path, rows.height, usd_at_most)
        assert codes.count(-signal.SIGKILL) >= KILLS // 2 and server.usd > 0
        for _ in range(2):
            with pytest.raises(CapReachedError):
                teacher(server, tmp_path, usd_at_most=usd_at_most).ask(rows)
            assert server.usd - 1e-9 <= CallLog(tmp_path / "calls.db").spent("tickets") <= usd_at_most
        assert teacher(server, tmp_path).ask(rows)["failure"].null_count() == rows.height


@pytest.mark.long
def test_a_server_can_be_held_to_json_with_one_of_the_labels(tmp_path: Path) -> None:
    asking = replace(ASKING, choices=TASK.names)
    replies = {
        "0": '{"label": "billing"}',
        "1": "billing",
        "2": '{"label": 7}',
        "3": '{"label": "Billing "}',
        "4": "[]",
    }
    rows = pl.DataFrame({"prompt_id": list(replies), "text": list(replies)})
    with serving(Server(lambda asked: replies[asked.split()[-1]])) as server:
        said = teacher(server, tmp_path, asking=asking).replies(rows).answers
        (body,) = {json.dumps(each) for each in server.formats}
    assert said["answer"].to_list() == ["billing", "billing", None, "billing", None]
    assert said["failure"].to_list() == [None, None, Failure.NO_LABEL, None, Failure.NO_LABEL]
    schema = json.loads(body)["json_schema"]["schema"]
    assert schema["properties"] == {"label": {"type": "string", "enum": ["access", "billing"]}}


@pytest.mark.long
def test_a_server_says_why_in_the_same_json(tmp_path: Path) -> None:
    asking = replace(ASKING, choices=TASK.names, rationale="why")
    replies = {
        "0": '{"why": "It asks  for money.", "label": "billing"}',
        "1": "billing",
        "2": '{"why": "A password is named.", "label": "queue"}',
        "3": '{"why": " ", "label": "access"}',
    }
    rows = pl.DataFrame({"prompt_id": list(replies), "text": list(replies)})
    with serving(Server(lambda asked: replies[asked.split()[-1]])) as server:
        asked = teacher(server, tmp_path, asking=asking)
        store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        store.capture(rows, asked)
        (schema,) = {json.dumps(each["json_schema"]["schema"]) for each in server.formats}
    assert list(json.loads(schema)["properties"]) == json.loads(schema)["required"] == ["why", "label"], "why first"
    said = store.read(rows["prompt_id"].to_list(), asked.fingerprint)
    assert said["rationale"].to_list() == ["It asks for money.", None, None, None]
    assert with_answers(said, TASK)["answer"].to_list() == ["billing", "billing", None, "access"]


@pytest.mark.long
def test_a_pattern_takes_label_and_rationale_out_of_a_sentence(tmp_path: Path) -> None:
    patterns = {"answer_pattern": r"Queue: (?P<answer>\w+)", "rationale_pattern": r"^(?P<rationale>.*?) Queue:"}
    replies = {"0": "An invoice is named.\nQueue: billing", "1": "Queue: access"}
    rows = pl.DataFrame({"prompt_id": list(replies), "text": list(replies)})
    with serving(Server(lambda asked: replies[asked.split()[-1]])) as server:
        said = teacher(server, tmp_path, asking=replace(ASKING, **patterns)).replies(rows).answers
    assert said.select("answer", "rationale").rows() == [("billing", "An invoice is named."), ("access", None)]


@pytest.mark.long
@pytest.mark.parametrize("way", ["json", "pattern"])
def test_a_rationale_is_kept_without_personal_data_wherever_it_is_kept(way: str, tmp_path: Path) -> None:
    why = "Write to ann\u200b@exam\x07ple.org, an  invoice."  # the marks hide the address until they are gone
    said, spec = {
        "json": (json.dumps({"why": why, "label": "billing"}), {"choices": TASK.names, "rationale": "why"}),
        "pattern": (
            f"{why} Queue: billing",
            {"answer_pattern": r"Queue: (?P<answer>\w+)", "rationale_pattern": r"^(?P<rationale>.*?) Queue:"},
        ),
    }[way]
    with serving(Server(lambda asked: said)) as server:
        asked = teacher(server, tmp_path, asking=replace(ASKING, **spec))
        store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        store.capture(texts(2), asked)
        assert set(asked.replies(texts(2)).answers["rationale"]) == {"Write to [EMAIL], an invoice."}, "of a pilot"
    shards = [pl.read_parquet(path) for path in (tmp_path / "signal").rglob("*.parquet")]
    assert [set(rows["rationale"]) for rows in shards] == [{"Write to [EMAIL], an invoice."}]


def test_a_recipe_without_a_limit_on_tokens_has_the_digest_of_before_there_was_one() -> None:
    limits = {"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": 1}
    assert "tokens_per_minute" not in EndpointSpec(**limits).model_dump()
    assert EndpointSpec(**limits, tokens_per_minute=9).model_dump()["tokens_per_minute"] == 9


def test_who_is_asked_neither_why_nor_for_a_set_has_the_digest_of_before_anybody_was() -> None:
    """Else a new version would have every teacher behind a server asked again."""
    later = ("rationale", "rationale_pattern", "answer", "record")
    assert ASKING.digest == digest_of({name: value for name, value in asdict(ASKING).items() if name not in later})
