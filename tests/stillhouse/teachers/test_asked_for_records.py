"""A server that is asked for records: each reply is one of its own text, or has its reason, and is paid once."""

import json
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter

from stillhouse.arrays import FloatArray
from stillhouse.recipe.record import RecordSpec
from stillhouse.records.ledger import Ledger
from stillhouse.tasks import counts_as_people_read_them
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import RecordFault, spelled_out
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.batch_api import batch_lines, read_batch
from stillhouse.teachers.calls import CallLog, CapReachedError, Reply
from stillhouse.teachers.columns import RATIONALE, RAW, VOTES
from stillhouse.teachers.flips import flips
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure
from tests.protocol import Server, answer_a_batch, serving
from tests.stillhouse.teachers.asked import FAULTS, require_that_every_call_ends
from tests.stillhouse.teachers.asked_for_records import (
    AS_SAID,
    FORM,
    RIGHT,
    SPEC,
    TASK,
    WORDS,
    WORTH,
    asked,
    bills,
)
from tests.warm import WarmParent

THREE = replace(WORDS, samples=3, settings={"temperature": 0.7, "max_tokens": 60})

WITHOUT = '{"currency":"USD","due":null,"payee":[5,2]}'
REPLIES: dict[str, str] = {
    AS_SAID: RIGHT,
    '{"currency": "usd", "due": 1999, "payee": "ACME  bank"}': RIGHT,
    f"Here it is: {AS_SAID} Anything else?": RIGHT,
    f"```json\n{AS_SAID}\n```": RIGHT,
    f"<think>For {{payee}} I see a bank.</think> {AS_SAID}": RIGHT,
    f'{AS_SAID} that is {{"currency": "USD", "due": "1999", "payee": "acme bank"}}': RecordFault.NO_RECORD,
    f"{AS_SAID} or once more {AS_SAID}": RIGHT,
    '{"payee": "Acme Bank", "due": null, "currency": "USD"}': WITHOUT,
    '{"payee": "Acme Bank", "currency": "USD"}': WITHOUT,
    '{"payee": "Acme", "due": "1999", "currency": "USD"}': '{"currency":"USD","due":[8,1],"payee":[5,1]}',
    '{"payee": "Acme Holdings", "due": "1999", "currency": "USD"}': RecordFault.NOT_IN_TEXT,
    '{"payee": "Acme Bank", "due": 2000, "currency": "USD"}': RecordFault.NOT_IN_TEXT,
    '{"payee": "Acme Bank", "due": 1999.0, "currency": "USD"}': RecordFault.NOT_IN_TEXT,
    '{"payee": "cme Ban", "due": "1999", "currency": "USD"}': RecordFault.INSIDE_A_WORD,
    '{"payee": "the Acme Bank", "due": "1999", "currency": "USD"}': RecordFault.TOO_MANY_WORDS,
    '{"payee": "Acme Bank", "due": "1999", "currency": "EUR", "note": "I guessed"}': RecordFault.NO_RECORD,
    '{"payee": null, "due": "1999", "currency": "USD"}': RecordFault.NO_RECORD,
    '{"payee": "Acme Bank", "due": "1999", "currency": null}': RecordFault.NO_RECORD,
    '{"payee": "Acme Bank", "due": "1999", "currency": "dollars"}': RecordFault.NO_RECORD,
    '{"payee": ["Acme Bank"], "due": "1999", "currency": "USD"}': RecordFault.NO_RECORD,
    '{"payee": {"name": "Acme Bank"}, "currency": "USD"}': RecordFault.NO_RECORD,
    '{"payee": "Acme Bank", "payee": "Acme", "currency": "USD"}': RecordFault.NO_RECORD,
    f'{AS_SAID} or {{"payee": "Acme", "currency": "USD"}}': RecordFault.NO_RECORD,
    f"[{AS_SAID}]": RIGHT,
    AS_SAID[:-9]: RecordFault.NO_RECORD,
    f"Sure: {AS_SAID[:20]}": RecordFault.NO_RECORD,
    '{"payee": "\\ud83d", "currency": "USD"}': RecordFault.NOT_IN_TEXT,
    "{" * 5_000: RecordFault.NO_RECORD,
    '{"payee": ' * 5_000: RecordFault.NO_RECORD,
    "Acme Bank, 1999, USD": RecordFault.NO_RECORD,
    "I cannot help with that.": RecordFault.NO_RECORD,
}
"""What is said, and the places that it is, or why it is no record of its text."""


@pytest.mark.long
@pytest.mark.parametrize("asking", [WORDS, FORM], ids=["words", "form"])
def test_every_reply_is_a_record_of_its_text_or_says_why_not_and_is_asked_and_paid_once(
    tmp_path: Path, asking: Asking
) -> None:
    rows = bills(len(REPLIES))
    said = dict(zip(rows["text"], REPLIES, strict=True))
    with serving(Server(said.__getitem__)) as server:
        found = with_answers(asked(server, tmp_path, asking).ask(rows), TASK)
        again = asked(server, tmp_path, asking).ask(rows)
        assert server.calls == rows.height and set(server.asked.values()) == {1}
        assert found["usd"].sum() == pytest.approx(server.usd)
    faults = {fault.value for fault in RecordFault}
    expected = [None if meant in faults else meant for meant in REPLIES.values()]
    assert dict(zip(said.values(), found["answer"], strict=True)) == dict(zip(REPLIES, expected, strict=True))
    why = [meant if meant in faults else None for meant in REPLIES.values()]
    assert found["failure"].to_list() == why and again["failure"].to_list() == why
    sure = found.drop_nulls("answer")
    assert sure["confidence"].to_list() == pytest.approx([WORTH] * sure.height, rel=1e-6), "as probable as it is right"


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_for_a_record_ends_in_one_or_in_a_reason(tmp_path: Path, fault: str) -> None:
    with serving(Server(lambda text: AS_SAID, {1: fault})) as server:
        one = asked(server, tmp_path)
        require_that_every_call_ends(one, server, bills(3), TASK, fault, answer=RIGHT, outside=RecordFault.NO_RECORD)


@pytest.mark.long
def test_what_the_cap_does_not_pay_is_not_asked(tmp_path: Path) -> None:
    rows = bills(50)
    with serving(Server(lambda text: AS_SAID)) as server:
        with pytest.raises(CapReachedError):
            asked(server, tmp_path, usd_at_most=0.002, concurrency=4).ask(rows)
        assert 0 < server.calls < rows.height and server.usd <= CallLog(tmp_path / "calls.db").spent("tickets") <= 0.002
        before = server.calls
        said = asked(server, tmp_path, usd_at_most=1.0).ask(rows)
        assert said["failure"].null_count() == server.calls == rows.height > before


@pytest.mark.long
def test_a_batch_of_requests_for_records_is_read_as_calls_are(tmp_path: Path) -> None:
    rows, said = bills(3), [AS_SAID, AS_SAID.replace("Acme", "Coyote"), "no idea"]
    texts = dict(zip(rows["text"], said, strict=True))
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(texts.__getitem__)) as server:
        by_batch, by_calls = (asked(server, tmp_path / name, FORM) for name in ("batch", "calls"))
        requests.write_text("".join(f"{line}\n" for line in batch_lines(by_batch.requests(rows))))
        answer_a_batch(server, requests, replies)
        assert len(server.formats) == 3 and {*server.formats[0]["json_schema"]["schema"]["required"]} == {*SPEC.fields}
        found = read_batch(by_batch, rows, replies)
        assert found.all_is_well and found.taken == 3 and found.usd == pytest.approx(server.usd)
        of_the_batch, calls = by_batch.ask(rows), server.calls
        assert calls == 3, "and none of these is made again"
        of_calls = by_calls.ask(rows)
    taught = ["prompt_id", "logits", "failure", "error", RAW]
    assert of_the_batch.select(taught).equals(of_calls.select(taught))
    assert of_calls["failure"].to_list() == [None, RecordFault.NOT_IN_TEXT, RecordFault.NO_RECORD]


CAPTURING = """
    import sys
    from pathlib import Path
    from stillhouse.records.ledger import Ledger
    from stillhouse.teachers.signal import SignalStore
    from tests.protocol import Server
    from tests.stillhouse.teachers.asked_for_records import AS_SAID, asked, bills

    place = Path(sys.argv[2])
    store = SignalStore(place / "signal", Ledger(f"sqlite:///{place / 'ledger.db'}"), shard_rows=16)
    store.capture(bills(int(sys.argv[3])), asked(Server(lambda text: AS_SAID, url=sys.argv[1]), place, concurrency=4))
"""


@pytest.mark.long
def test_a_capture_that_is_killed_in_the_middle_pays_nothing_twice_that_was_read(
    parent: WarmParent, tmp_path: Path
) -> None:
    rows, killed = bills(80), threading.Event()

    def answer_some(text: str) -> str:
        if server.calls >= 40:
            killed.wait(60)
        return AS_SAID if "Bill 7 " not in text else AS_SAID.replace("Acme", "Coyote")

    with serving(Server(answer_some)) as server:
        process = parent.start(CAPTURING, server.url, tmp_path, rows.height)
        while server.calls < 40:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
        one = asked(server, tmp_path)
        store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), shard_rows=16)
        found = store.capture(rows, one)
        assert found.already_stored >= 16 and found.computed >= 16, "it was killed in the middle"
        said = with_answers(store.read(rows["prompt_id"].to_list(), one.fingerprint), TASK)
        assert said["failure"].drop_nulls().to_list() == [RecordFault.NOT_IN_TEXT]
        assert set(said["answer"].drop_nulls()) == {RIGHT}
        assert rows.height <= server.calls <= rows.height + 4, "only calls that were under way are made again"
        assert {count for count in server.asked.values()} <= {1, 2}
        assert server.usd <= one.calls.spent("tickets") < 1.0
        calls = server.calls
        store.capture(rows, asked(server, tmp_path))
        assert server.calls == calls


def replied(*contents: str | None) -> list[Reply]:
    return [Reply(content, None, "large", 5, 1, 2.0) for content in contents]


def said_to(asking: Asking, **replies: list[Reply]) -> Replies:
    texts = dict.fromkeys(replies, bills(1)["text"][0])
    return Replies(replies, asking, TASK, texts)


def of(outputs: FloatArray, field: str) -> FloatArray:
    """The probability of each answer to a field."""
    part = next(each for each in TASK.fields if each.name == field)
    return np.asarray(np.exp(part.of(outputs)))


def test_of_several_replies_each_value_is_as_sure_as_the_share_that_has_it() -> None:
    other, short = AS_SAID.replace("USD", "EUR"), AS_SAID.replace("Acme Bank", "Bank")
    found = said_to(
        THREE,
        p=replied(AS_SAID, other, short),
        q=replied(AS_SAID.replace("Acme", "Coyote"), "nothing", other),
        r=replied("weather", None, AS_SAID[:-4]),
        s=[*replied(AS_SAID), Reply(None, Failure.REFUSED, "large", 5, 0, 1.0), *replied(AS_SAID)],
    )
    assert found.answers.rows() == [
        ("p", RIGHT, None), ("q", RIGHT.replace("USD", "EUR"), None), ("r", None, RecordFault.NO_RECORD),
        ("s", RIGHT, None),
    ]  # fmt: skip
    votes = dict(found.as_said.select("prompt_id", VOTES).iter_rows())
    text = bills(1)["text"][0]
    assert counts_as_people_read_them(TASK, votes["p"], text) == {
        "currency: EUR": 1, "currency: USD": 2, "due: 1999": 3, "payee: Acme Bank": 2, "payee: Bank": 1,
    }  # fmt: skip
    assert counts_as_people_read_them(TASK, votes["r"], text) == {} and sum(votes["s"]) == 6
    assert len(votes["p"]) == len(TASK.names)
    assert found.as_said.filter(pl.col("prompt_id") == "p")[RAW][0].to_list() == [AS_SAID, other, short]
    outputs = found.outputs(WORTH)
    assert outputs is not None and outputs["prompt_id"].to_list() == ["p", "q", "s"]
    p, q, s = np.array(outputs["logits"].to_list())
    assert of(p, "currency") == pytest.approx([1 / 3 * 0.9 + 2 / 3 * 0.1, 2 / 3 * 0.9 + 1 / 3 * 0.1], rel=1e-6)
    assert of(q, "currency") == pytest.approx([0.9, 0.1], rel=1e-6), "what is no record of the text has no vote"
    assert of(s, "currency") == pytest.approx([0.1, 0.9], rel=1e-6)
    assert of(p, "payee").max() == pytest.approx(2 / 3 * 0.9, rel=0.01) and of(p, "due").max() == pytest.approx(0.9)


@pytest.mark.long
def test_each_of_several_replies_is_a_call_and_the_values_that_most_have_are_the_answer(tmp_path: Path) -> None:
    asked_before: Counter[str] = Counter()

    def changing(text: str) -> str:
        asked_before[text] += 1
        return AS_SAID.replace("Acme Bank", "Bank") if asked_before[text] == 2 else AS_SAID

    rows = bills(5)
    with serving(Server(changing)) as server:
        one = asked(server, tmp_path, THREE)
        said = one.ask(rows)
        assert server.calls == 15 and one.ask(rows).equals(said) and server.calls == 15
        assert one.calls.spent("tickets") == pytest.approx(server.usd)
        before = with_answers(said, TASK)
        assert before["answer"].to_list() == [RIGHT] * 5
        assert flips(before, one.replies(rows, "another day").answers) == 0


def test_two_spellings_of_a_record_are_no_flip_and_one_other_value_is_one() -> None:
    before, same, other, invented = (
        said_to(WORDS, p=replied(each)).answers
        for each in (
            AS_SAID,
            '```{"due": 1999, "currency": "usd", "payee": "acme bank"}```',
            AS_SAID.replace("1999", "in"),
            AS_SAID.replace("Acme", "Coyote"),
        )
    )
    assert [flips(before, each) for each in (same, other, invented)] == [0, 1, 1]


def test_why_it_is_so_stands_beside_the_fields_and_is_none_of_them() -> None:
    why = replace(FORM, rationale="why")
    told = json.dumps({"why": "It names a bank.", **json.loads(AS_SAID)})
    found = said_to(why, p=replied(told), q=replied(AS_SAID), r=replied(f"Well: {told}")).answers
    assert found.select("answer", RATIONALE).rows() == [(RIGHT, "It names a bank."), (RIGHT, None), (RIGHT, None)]
    (without,) = said_to(FORM, p=replied(told)).answers["failure"]
    assert without == RecordFault.NO_RECORD, "where nobody asks why, it is a field that the recipe does not have"


def test_a_pattern_takes_the_record_out_of_a_reply_with_others_around_it() -> None:
    asking = replace(WORDS, answer_pattern=r"FINAL:(?P<answer>.*)")
    said = f'{{"payee": "Acme", "currency": "EUR"}} was my draft.\nFINAL:\n{AS_SAID}'
    assert said_to(asking, p=replied(said)).answers["answer"].to_list() == [RIGHT]
    assert said_to(WORDS, p=replied(said)).answers["failure"].to_list() == [RecordFault.NO_RECORD]
    assert said_to(asking, p=replied("no mark")).answers["failure"].to_list() == [Failure.EMPTY]


def test_a_joiner_is_part_of_a_word_that_was_answered() -> None:
    """Regression: labels are read without signs that nobody sees, and a word of Persian has one in the middle."""
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 Acme"
    spec = RecordSpec.model_validate({"fields": {"verb": {"kind": "verbatim"}}, "words": 8})
    asking = replace(WORDS, record=spec)
    said = {"p": replied(json.dumps({"verb": text.split()[0]}, ensure_ascii=False))}
    (answer,) = Replies(said, asking, Extraction(spec), {"p": text}).answers["answer"]
    assert json.loads(spelled_out(answer, text, spec)) == {"verb": text.split()[0]}


def test_what_is_asked_has_another_digest_where_a_field_is_another_and_is_read_back_as_it_was() -> None:
    kept = TypeAdapter(Asking)
    again = kept.validate_json(kept.dump_json(FORM))
    assert (again.record, again.digest) == (SPEC, FORM.digest)
    assert "record" not in kept.dump_python(replace(WORDS, answer="single_label", record=None))
    wider = SPEC.model_copy(update={"words": 17})
    others = [replace(WORDS, record=None), replace(WORDS, record=wider), FORM]
    assert len({WORDS.digest, *(each.digest for each in others)}) == 4
