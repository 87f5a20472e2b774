"""The replies of a batch: in the log once, whoever reads them and wherever reading ends.

What of a file is taken, and what is said of the rest, is in tests/orchestration/test_asking.py.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.teachers.batch_api import BatchRead, batch_lines, read_batch
from stillhouse.teachers.calls import CallLog, Reply
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

    def record(self, replies: Sequence[tuple[str, float, Reply]], recipe: str) -> set[str]:
        new = super().record(replies, recipe)
        self.pieces += 1
        if self.pieces == 2:
            raise KeyboardInterrupt
        return new


def test_a_reply_that_is_there_is_kept(tmp_path: Path) -> None:
    """By itself the log lets nobody double, whatever its callers hold."""
    log, said = CallLog(tmp_path / "calls.db"), Reply("access", None, "large", 7, 1, None)
    other = Reply("billing", None, "large", 7, 1, None)
    assert log.record([("a", 0.1, said), ("a", 0.1, other)], "tickets") == {"a"}
    assert log.record([("a", 0.1, other), ("b", 0.2, other)], "tickets") == {"b"}
    assert log.replies(["a", "b"]) == {"a": said, "b": other} and log.spent("tickets") == pytest.approx(0.3)
    call = log.reserve("c", "tickets", usd=0.4, usd_at_most=1.0)
    assert log.record([("c", 0.1, said)], "tickets") == {"c"}, "a call that nobody answered is no reply"
    log.settle(call, usd=0.0, reply=None)
    assert log.replies(["c"]) == {"c": said} and log.spent("tickets") == pytest.approx(0.4)
