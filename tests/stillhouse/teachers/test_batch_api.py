"""The replies of a batch: in the log once, whoever reads them and wherever reading ends.

What of a file is taken, and what is said of the rest, is in tests/orchestration/test_asking.py.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.teachers.batch_api import BatchRead, batch_lines, read_batch
from stillhouse.teachers.calls import BatchLine, CallLog, Recorded, Reply
from tests.protocol import USD_IN, USD_OUT, Server
from tests.stillhouse.teachers.asked import answer, teacher, texts
from tests.warm import WarmParent

READ = """
    import sys
    from pathlib import Path
    from stillhouse.teachers.batch_api import read_batch
    from tests.protocol import Server
    from tests.stillhouse.teachers.asked import answer, teacher, texts

    place = Path(sys.argv[1])
    found = read_batch(teacher(Server(answer), place), texts(int(sys.argv[2])), place / "output.jsonl")
    print(found.model_dump_json())
"""
ROWS = 1300
"""Written in three pieces."""
BOOKED = ROWS * (7 * USD_IN + USD_OUT) / 1e6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the output of a batch, seven tokens read and one written for each request."""
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    choices = [{"message": {"content": "access"}, "finish_reason": "stop"}]
    response = {"status_code": 200, "body": {"model": "large", "choices": choices, "usage": usage}}
    asked = map(json.loads, batch_lines(teacher(Server(answer), tmp_path).requests(texts(ROWS))))
    lines = (json.dumps({"custom_id": each["custom_id"], "response": response, "error": None}) for each in asked)
    (tmp_path / "output.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


@pytest.mark.long
def test_two_processes_that_read_at_once_book_once(parent: WarmParent, place: Path) -> None:
    both = [parent.start(READ, place, ROWS) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    found = [BatchRead.model_validate_json(process.said("stdout")) for process in both]
    assert sorted(each.taken for each in found) == sorted(ROWS - each.there_already for each in found)
    assert sum(each.taken for each in found) == ROWS
    assert CallLog(place / "calls.db").spent("tickets") == pytest.approx(BOOKED)


def test_what_came_in_a_batch_took_what_is_booked_for_it_and_no_time_that_anybody_knows(place: Path) -> None:
    asked = teacher(Server(answer), place)
    read_batch(asked, texts(ROWS), place / "output.jsonl")
    said = asked.ask(texts(ROWS))
    assert said["usd"].sum() == pytest.approx(BOOKED) and said["seconds"].null_count() == ROWS
    assert (said["tokens"].sum(), said["tokens_out"].sum()) == (7 * ROWS, ROWS)


def test_who_is_killed_in_the_middle_has_booked_what_is_in_the_log(place: Path) -> None:
    dying = Dying(place / "calls.db")
    with pytest.raises(KeyboardInterrupt):
        read_batch(replace(teacher(Server(answer), place), calls=dying), texts(ROWS), place / "output.jsonl")
    booked = dying.spent("tickets")
    assert 0 < booked < BOOKED
    found = read_batch(teacher(Server(answer), place), texts(ROWS), place / "output.jsonl")
    assert 0 < found.taken < ROWS and found.taken + found.there_already == ROWS and found.missing == 0
    assert found.usd == pytest.approx(BOOKED - booked) and found.usd_spent == pytest.approx(BOOKED)


class Dying(CallLog):
    """A log whose process ends after the second piece."""

    pieces = 0

    def record(self, lines: Sequence[BatchLine], recipe: str, *, twice: str) -> Recorded:
        new = super().record(lines, recipe, twice=twice)
        self.pieces += 1
        if self.pieces == 2:
            raise KeyboardInterrupt
        return new


def test_a_reply_that_is_there_is_kept(tmp_path: Path) -> None:
    """By itself the log lets nobody double, whatever its callers hold."""
    log, said = CallLog(tmp_path / "calls.db"), Reply("access", None, "large", 7, 1, None)
    other = Reply("billing", None, "large", 7, 1, None)
    first, second = BatchLine("1", "a", 0.1, said, None), BatchLine("2", "a", 0.4, other, None)
    found = log.record([first, second], "tickets", twice="twice")
    assert (found.requests, found.beside) == ({"a"}, (0.4,)), "it was billed as well"
    found = log.record([second, BatchLine("3", "b", 0.2, other, None), first], "tickets", twice="twice")
    assert (found.requests, found.beside) == ({"b"}, ())
    assert log.replies(["a", "b"]) == {"a": said, "b": other} and log.spent("tickets") == pytest.approx(0.7)
    call = log.reserve("c", "tickets", usd=0.4, usd_at_most=2.0)
    found = log.record([BatchLine("4", "c", 0.1, said, None)], "tickets", twice="twice")
    assert found.requests == {"c"}, "a call that nobody answered is no reply"
    log.settle(call, usd=0.0, reply=None)
    assert log.replies(["c"]) == {"c": said} and log.spent("tickets") == pytest.approx(0.8)


def test_what_was_no_use_is_booked_once_and_its_reply_taken_from_when_it_is_of_use(tmp_path: Path) -> None:
    log, said = CallLog(tmp_path / "calls.db"), Reply("access", None, "larger", 7, 1, None)
    unused = BatchLine("1", "a", 0.1, said, "of another model")
    for booked in ((0.1,), ()):
        found = log.record([unused, unused], "tickets", twice="twice")
        assert (found.requests, found.beside) == (set(), booked)
    assert log.replies(["a"]) == {} and log.spent("tickets") == pytest.approx(0.1)
    with closing(sqlite3.connect(tmp_path / "calls.db")) as database:
        assert database.execute("SELECT line, why FROM batch_lines").fetchall() == [("1", "of another model")]
    found = log.record([replace(unused, why=None)], "mail", twice="twice")
    assert (found.requests, found.beside) == ({"a"}, ())
    assert log.replies(["a"]) == {"a": said} and log.booked(["a"]) == {"a": pytest.approx(0.1)}
    assert (log.spent("tickets"), log.spent("mail")) == (0, pytest.approx(0.1)), "who uses it pays"
    assert log.record([unused], "tickets", twice="twice") == log.record([], "tickets", twice="twice")


def test_a_line_that_was_read_before_lines_were_known_is_not_booked_as_another(tmp_path: Path) -> None:
    log, said = CallLog(tmp_path / "calls.db"), Reply("access", None, "large", 7, 1, None, [("A", -0.5)])
    log.record([BatchLine("1", "a", 0.1, said, None)], "tickets", twice="twice")
    with closing(sqlite3.connect(tmp_path / "calls.db")) as database:
        database.execute("DROP TABLE batch_lines")
        database.commit()
    for why in (None, "no request of the recipe as it is now"):
        found = log.record([BatchLine("1", "a", 0.1, said, why)], "tickets", twice="twice")
        assert (found.requests, found.beside) == (set(), ())
    assert log.spent("tickets") == pytest.approx(0.1)
    found = log.record([BatchLine("2", "a", 0.1, said, None)], "tickets", twice="twice")
    assert found.beside == (0.1,), "a second one that says the same is a second one"
