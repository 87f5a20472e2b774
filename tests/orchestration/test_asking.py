"""`stillhouse ask`: requests that are still missing, of later batches too, and nothing that is there is overwritten.

Of an endpoint, also the replies: as if calls had brought them, each booked once, and none taken in silence.
"""

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from orchestration.asking import write_requests
from orchestration.planned import paid_so_far
from stillhouse.data.cleaning import prompt_ids
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.records.builds import BuildStore
from stillhouse.stages.asking import call_log
from stillhouse.stages.preview import prompts_to_come
from stillhouse.tasks import task_in
from stillhouse.teachers.batch_api import LeftOut
from stillhouse.teachers.calls import CallLog, CapReachedError, Reply
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.requests import asking_of
from stillhouse.teachers.stored import Failure
from tests.command import Ended, stillhouse
from tests.conftest import a_place
from tests.protocol import USD_IN, USD_OUT, Server, answer_a_batch, serving
from tests.small import questions, small_recipe
from tests.stillhouse.teachers.answered import Line, reply, written


def nobody_has_asked(folder: Path, rows: pl.DataFrame) -> RecipeFile:
    """A recipe with a teacher that nobody has asked."""
    rows.write_csv(folder / "questions.csv")
    path = small_recipe(folder, slices=[]).path
    document = yaml.safe_load(path.read_text())
    own = document["attributes"]
    own["teacher"] = {
        "kind": "stored", "source": str(folder / "replies" / "*.jsonl"), "revision": "October",
        "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
        "minimum_accuracy": 0.8, "answers": {"format": "batch"}, "ask": {"model": "large"},
    }  # fmt: skip
    own["base"] = {"source": str(folder / "teacher"), "revision": "test", "licence": "Apache-2.0"}
    own["budget"] = {"latency_ms_at_most": 20}
    for student in own["students"]:
        student["training"]["loss"] = "labels" if student.get("learns_from") == "labels" else "kl"
    path.write_text(yaml.safe_dump(document))
    (folder / "replies").mkdir()
    return read_recipe(path)


@pytest.fixture
def recipes(tmp_path: Path, home: Home) -> Path:
    """A folder with such a recipe of a hundred rows."""
    return nobody_has_asked(tmp_path, questions(100)).path.parents[1]


def test_only_what_has_no_answer_yet_is_asked(recipes: Path, tmp_path: Path) -> None:
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "all.jsonl"), "--json", recipes=recipes)
    found = json.loads(ended.stdout)
    assert ended.returncode == 0 and found["requests"] == found["prompts"] == 100
    requests = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {request["custom_id"] for request in requests} == {*prompt_ids(questions(100)["question"])}
    first, second, third, *rest = (request["custom_id"] for request in requests)
    written(tmp_path / "replies" / "1.jsonl", [reply(each, "HUM") for each in rest])
    written(tmp_path / "replies" / "2.jsonl", [reply(first, None, status=500), reply(second, "I do not know")])
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "rest.jsonl"), recipes=recipes)
    assert ended.returncode == 0 and "rest.jsonl: 3 requests for 100 prompts, " in ended.stdout
    asked = {json.loads(line)["custom_id"] for line in (tmp_path / "rest.jsonl").read_text().splitlines()}
    assert asked == {first, second, third}


def test_a_file_that_is_there_is_never_overwritten(recipes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("paid for")
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "mine.jsonl"), recipes=recipes)
    assert ended.returncode == 2 and "there is such a file" in ended.stderr
    assert (tmp_path / "mine.jsonl").read_text() == "paid for"


def test_a_teacher_that_runs_here_is_asked_by_the_run(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("ask", "small", "--write", str(tmp_path / "r.jsonl"), recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and "the recipe does not say how its teacher is asked" in ended.stderr
    assert not (tmp_path / "r.jsonl").exists()


def test_the_prompts_of_a_dropped_file_are_asked_too(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        of_three = questions(1000).filter(pl.col("service").is_in(["HUM", "LOC", "NUM"])).head(300)
        file = nobody_has_asked(place.folder, of_three)
        services = dict(zip(prompt_ids(of_three["question"]), of_three["service"], strict=True))
        written(tmp_path / "replies" / "1.jsonl", [reply(*answered) for answered in services.items()])
        assert place.run(file, "contract", "source", "prompts").success
        assert write_requests(place.builds, file, tmp_path / "none.jsonl").requests == 0
        later = questions(20, skip=1000).select("question", pl.lit(None, pl.String).alias("service"))
        place.drop("monday.csv", later)
        assert place.run(file, "source", "prompts", batch="monday.csv").success
        assert write_requests(place.builds, file, tmp_path / "later.jsonl").requests == 20
        asked = {json.loads(line)["custom_id"] for line in (tmp_path / "later.jsonl").read_text().splitlines()}
        assert asked == {*prompt_ids(later["question"])}


ROWS = 40


def answer(prompt: str) -> str:
    return "NUM" if "How" in prompt else "HUM"


def letters(prompt: str) -> dict[str, float]:
    """By letter; the server tells the one that its answer begins with."""
    sure = 0.9 if "How" in prompt else 0.6
    return {"A": math.log(sure), "B": math.log(0.99 - sure)}


def behind(server: Server, folder: Path, *, usd_at_most: float = 1.0, **ask: Any) -> RecipeFile:
    """A recipe whose teacher is behind a server."""
    path = nobody_has_asked(folder, questions(ROWS)).path
    document = yaml.safe_load(path.read_text())
    own = document["attributes"]
    own["data"]["provenance"] = {"teacher_may_see": ["internal"]}
    del own["teacher"]["answers"]
    own["teacher"] |= {
        "kind": "endpoint", "source": server.url,
        "ask": {"model": "large", "settings": {"max_tokens": 4, "temperature": 1}, **ask},
        "endpoint": {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": usd_at_most},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    return read_recipe(path)


def asked_by(file: RecipeFile, log: CallLog) -> tuple[EndpointTeacher, pl.DataFrame]:
    """The teacher of a recipe as a run makes it, and all prompts."""
    prompts, spec = prompts_to_come(file), file.recipe.teacher
    assert spec.endpoint is not None
    task = task_in(file.recipe.data, prompts["label"].drop_nulls().unique().sort().to_list())
    return EndpointTeacher(spec.source, spec.endpoint, asking_of(file, task.names), file.name, log, task), prompts


def ask(file: RecipeFile, *arguments: str) -> Ended:
    return stillhouse("ask", file.name, *arguments, recipes=file.path.parents[1])


def read(file: RecipeFile, path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    ended = ask(file, "--read", str(path), "--json", *arguments)
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("how", "samples"),
    [
        ({}, 1),
        ({"structured": True}, 1),
        ({"soft_labels": {"by": "samples", "samples": 2}}, 2),
        ({"soft_labels": {"by": "logprobs"}}, 1),
    ],
    ids=["answers", "structured", "samples", "logprobs"],
)
def test_a_batch_leaves_the_log_that_calls_leave(tmp_path: Path, home: Home, how: dict[str, Any], samples: int) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer, alternatives=letters)) as server:
        file = behind(server, tmp_path, **how)
        asked = json.loads(ask(file, "--write", str(requests), "--json").stdout)
        assert asked["requests"] == ROWS * samples and asked["prompts"] == ROWS
        assert asked["usd_left"] == 1.0 and asked["tokens_at_most"] > asked["characters"] * samples
        names = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
        assert len(set(names)) == len(names) == ROWS * samples
        answer_a_batch(server, requests, replies)
        billed = server.usd
        code, found = read(file, replies)
        assert (code, found["taken"], found["missing"], found["left_out"]) == (0, ROWS * samples, 0, [])
        assert found["usd"] == pytest.approx(billed) and found["usd_spent"] == pytest.approx(billed)
        assert billed < asked["usd_at_most"]

        teacher, prompts = asked_by(file, call_log(home))
        alone, _ = asked_by(file, CallLog(tmp_path / "live.db"))
        of_the_batch, calls = teacher.replies(prompts), server.calls
        assert calls == ROWS * samples, "and none of these is made again"
        alone.replies(prompts)
        kept = alone.calls.replies(names)
        assert len(kept) == ROWS * samples == server.calls - calls
        assert teacher.calls.replies(names) == {name: replace(kept[name], milliseconds=None) for name in names}
        assert of_the_batch.counts["latency_ms"].null_count() == ROWS, "nobody timed it"

        assert json.loads(ask(file, "--write", str(tmp_path / "rest.jsonl"), "--json").stdout)["requests"] == 0
        code, again = read(file, replies)
        assert (code, again["taken"], again["there_already"], again["usd"]) == (0, 0, ROWS * samples, 0)
        assert again["usd_spent"] == found["usd_spent"], "read twice, booked once"


def test_only_what_the_log_lacks_is_written(tmp_path: Path, home: Home) -> None:
    with serving(Server(answer)) as server:
        file = behind(server, tmp_path)
        teacher, prompts = asked_by(file, call_log(home))
        teacher.replies(prompts.head(10))
        ended = ask(file, "--write", str(tmp_path / "requests.jsonl"))
        assert "requests.jsonl: 30 requests for 40 prompts, " in ended.stdout
        assert " USD at the prices of the recipe; " in ended.stdout and "the gates of the pilot look at" in ended.stdout
        written = {json.loads(line)["custom_id"] for line in (tmp_path / "requests.jsonl").read_text().splitlines()}
        assert written == {*teacher.requests(prompts.tail(30))} and server.calls == 10
        answer_a_batch(server, tmp_path / "requests.jsonl", tmp_path / "output.jsonl")
        code, found = read(file, tmp_path / "output.jsonl")
        assert (code, found["taken"], found["there_already"], found["missing"]) == (0, 30, 0, 0)
        assert found["usd_spent"] == pytest.approx(server.usd)


def of_requests(requests: Path) -> list[Line]:
    """A good reply to each request, in their order."""
    return [reply(json.loads(line)["custom_id"], "HUM") for line in requests.read_text().splitlines()]


def of_model(line: Line, model: str | None) -> Line:
    return {**line, "response": {**line["response"], "body": {**line["response"]["body"], "model": model}}}


def test_what_is_no_reply_to_a_request_is_named_by_its_line_and_asked_again(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    good = of_requests(requests)
    expired = {"code": "batch_expired", "message": "not run\x1b[31m in time"}
    lines = [
        json.dumps(good[0]),
        json.dumps(reply(good[1]["custom_id"], None, status=429)),
        json.dumps({**good[2], "response": None, "error": expired}),
        json.dumps(reply("somebody else's", "HUM")),
        json.dumps(of_model(good[3], "large-mini")),
        json.dumps(good[0]),
        "",
        '["no line of a batch"]',
        json.dumps({"custom_id": good[4]["custom_id"]}),
        json.dumps(reply(good[5]["custom_id"], None, status=500)),
        json.dumps(good[5]),
        json.dumps({**good[6], "response": {"status_code": 200, "body": {"choices": []}}}),
        json.dumps(good[7])[:-20],
    ]
    replies.write_text("\n".join(lines))
    code, found = read(file, replies)
    assert (code, found["replies"], found["taken"], found["missing"]) == (1, 12, 2, ROWS - 2)
    left = {
        each["why"]: (each["lines"], [said.partition(":")[0] for said in each["first"]]) for each in found["left_out"]
    }
    assert left == {
        LeftOut.FAILED: (4, ["line 2", "line 3", "line 10"]),
        LeftOut.UNKNOWN: (1, ["line 4"]),
        LeftOut.OTHER_MODEL: (1, ["line 5"]),
        LeftOut.TWICE: (1, ["line 6"]),
        LeftOut.UNREADABLE: (3, ["line 8", "line 9", "line 13"]),
    }
    log = call_log(home)
    assert {*log.replies(line["custom_id"] for line in good)} == {good[0]["custom_id"], good[5]["custom_id"]}
    ended = ask(file, "--read", str(replies))
    assert ended.returncode == 1 and "0 of 12 replies are new" in ended.stdout
    for said in ("line 2: status 429, ", "line 3: ", "batch_expired", "large-mini", "line 13: no JSON, or cut off"):
        assert said in ended.stdout, said
    assert "\x1b[31m in time" not in ended.stdout and "`--answered-by`" in ended.stdout
    ask(file, "--write", str(tmp_path / "rest.jsonl"))
    assert len((tmp_path / "rest.jsonl").read_text().splitlines()) == ROWS - 2


def test_a_recipe_that_asks_otherwise_takes_nothing_of_what_was_asked_before(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    written(replies, of_requests(requests))
    before = file.path.read_text()
    for changed in ("revision: November", "model: larger", "max_tokens: 5", "task: Route each question."):
        field = changed.partition(":")[0]
        file.path.write_text(re.sub(rf"\b{field}: .*", changed, before))
        code, found = read(read_recipe(file.path), replies)
        assert (code, found["taken"], [each["why"] for each in found["left_out"]]) == (1, 0, [LeftOut.UNKNOWN]), changed
    assert call_log(home).spent("small") == 0
    file.path.write_text(before)
    assert read(file, replies)[1]["taken"] == ROWS


@pytest.mark.parametrize(
    ("model", "is_taken"),
    [("large", True), ("large-2026-06", True), ("large@002", True), (None, True), ("large:latest", True),
     ("large-mini", False), ("larger", False), ("a/large", False), ("large-3b", False), ("", False)],
)  # fmt: skip
def test_a_version_of_the_model_is_the_model_and_another_is_not(
    tmp_path: Path, home: Home, model: str | None, is_taken: bool
) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    written(replies, [of_model(line, model) for line in of_requests(requests)])
    assert read(file, replies)[1]["taken"] == (ROWS if is_taken else 0)
    if model and not is_taken:
        code, found = read(file, replies, "--answered-by", model)
        assert (code, found["taken"]) == (0, ROWS), "a person has said that it is"


def test_a_model_that_has_answered_calls_may_answer_a_batch(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer, model=lambda number: "what stands behind it")) as server:
        file = behind(server, tmp_path)
        ask(file, "--write", str(requests))
        answer_a_batch(server, requests, replies)
        assert read(file, replies)[1]["taken"] == 0
        teacher, prompts = asked_by(file, call_log(home))
        teacher.replies(prompts.head(1))
        assert read(file, replies)[1]["taken"] == ROWS - 1


def test_what_was_billed_is_booked_beyond_the_cap_and_nothing_more_is_asked(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer, {9: "lies", 10: "usage", 11: "length", 12: "refusal"})) as server:
        file = behind(server, tmp_path, usd_at_most=0.5)
        ask(file, "--write", str(requests))
        answer_a_batch(server, requests, replies)
        code, found = read(file, replies)
        assert (code, found["taken"], found["over_counted"]) == (1, ROWS, 1)
        assert found["failures"] == {Failure.CUT_OFF: 1, Failure.REFUSED: 1}
        (uncounted,) = (reply for reply in replies_in(home, requests) if not reply.tokens_in)
        assert uncounted.tokens_out == 0 and found["usd_spent"] > USD_IN > found["usd_at_most"], "a million tokens read"
        ended = ask(file, "--read", str(replies))
        assert ended.returncode == 1 and "usd_at_most is 0.5: no run makes a call until you raise it" in ended.stdout
        teacher, prompts = asked_by(file, call_log(home))
        teacher.replies(prompts)
        with pytest.raises(CapReachedError):
            teacher.replies(prompts, "the pilot's second time")
        assert server.calls == ROWS


def test_what_a_person_corrects_counts_in_the_cap_the_account_and_the_plan(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer)) as server:
        file = behind(server, tmp_path, usd_at_most=0.5)
        recipes, month = file.path.parents[1], f"{datetime.now(UTC):%Y-%m}"
        ask(file, "--write", str(requests))
        written(replies, [billed(line, 10_000) for line in of_requests(requests)[:-1]])
        booked = read(file, replies)[1]["usd_spent"]
        assert booked > 0.5, "the cap is used up"
        teacher, prompts = asked_by(file, call_log(home))
        with pytest.raises(CapReachedError):
            teacher.replies(prompts)

        who = ("--by", "Ada Lovelace", "--reason", "a batch costs half the price of the calls")
        half = f"{-booked / 2:.4f}"
        ended = stillhouse("correct", "small", "--usd", half, "--month", month, *who, recipes=recipes)
        assert ended.returncode == 0, ended.stderr
        assert f"answers of {month}: -0.39 USD" in ended.stdout and "by Ada Lovelace, because a batch" in ended.stdout
        assert f"0.39 USD now count for answers of {month}" in ended.stdout
        for usd, said in (("-0.4", "USD are booked"), ("0", "USD are booked"), ("nan", "USD are booked")):
            ended = stillhouse("correct", "small", "--usd", usd, "--month", month, *who, recipes=recipes)
            assert ended.returncode == 2 and said in ended.stderr
        ended = stillhouse("correct", "small", "--usd", "1", "--month", "2026-31", *who, recipes=recipes)
        assert ended.returncode == 2 and "that is not a month" in ended.stderr

        now = booked + float(half)
        assert read(file, replies)[1]["usd_spent"] == pytest.approx(now)
        said = json.loads(ask(file, "--write", str(tmp_path / "rest.jsonl"), "--json").stdout)
        assert (said["requests"], said["usd_left"]) == (1, pytest.approx(0.5 - now))
        account = json.loads(stillhouse("roi", "small", "--json", recipes=recipes).stdout)
        assert account["spent_usd"] == {"teacher's answers": pytest.approx(now)}
        assert [(each["book"], each["by"]) for each in account["corrections"]] == [("answers", "Ada Lovelace")]
        assert "corrected: answers of" in stillhouse("roi", "small", recipes=recipes).stdout
        paid = paid_so_far(BuildStore(home), file)
        assert paid is not None and paid.usd == pytest.approx(now) and paid.corrected_usd == float(half)
        assert paid.sentence.startswith("answers so far: 0.39 USD, -0.39") and "0.11 of usd_at_most" in paid.sentence
        teacher.replies(prompts)
        assert server.calls == 1, "and what is left may be spent"


def replies_in(home: Home, requests: Path) -> list[Reply]:
    names = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
    return [*call_log(home).replies(names).values()]


def test_replies_without_the_probabilities_that_were_asked_for_are_left_out(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer)) as server:
        file = behind(server, tmp_path, soft_labels={"by": "logprobs"})
        ask(file, "--write", str(requests))
        answer_a_batch(server, requests, replies)
    ended = ask(file, "--read", str(replies))
    assert ended.returncode == 1 and f"{ROWS} left out, as {LeftOut.NO_PROBABILITIES}" in ended.stdout
    assert f"{ROWS} lines whose reply is not used are billed all the same" in ended.stdout
    assert "Set `by: samples`" in ended.stdout and call_log(home).spent("small") == pytest.approx(server.usd)


def billed(line: Line, read: int, written: int = 1) -> Line:
    """A line whose server counts tokens."""
    usage = {"prompt_tokens": read, "completion_tokens": written}
    return {**line, "response": {**line["response"], "body": {**line["response"]["body"], "usage": usage}}}


def test_what_a_provider_has_billed_is_booked_once_though_its_reply_is_no_use(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    good = of_requests(requests)
    others = {**billed(reply("somebody else's", "HUM"), 50_000), "id": "x"}
    empty = {**billed(good[5], 32), "response": billed(good[5], 32)["response"] | {"status_code": 500}}
    nothing: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 64, "completion_tokens": 0}}
    lines = [
        billed(good[0], 1),
        {**billed(good[0], 2), "id": "another"},
        of_model(billed(good[1], 4), "large-mini"),
        billed({**good[2], "custom_id": "0" * 64}, 8),
        {**billed(good[3], 16), "error": {"code": "too late"}},
        empty,
        {**good[6], "response": {"status_code": 200, "body": nothing}},
        others,
        billed(good[7], -128),
        reply(good[8]["custom_id"], None, status=429),
        billed(of_model(good[9], "large-mini"), 2**40),
    ]
    written(replies, [*lines, lines[2]])
    code, found = read(file, replies)
    beside = ((2 + 4 + 8 + 16 + 32 + 64) * USD_IN + 5 * USD_OUT) / 1e6
    assert (code, found["taken"], found["booked_beside"]) == (1, 2, 6), "what is no count is no bill"
    assert found["usd_beside"] == pytest.approx(beside) and found["usd_spent"] == pytest.approx(found["usd"] + beside)
    of_one = call_log(home).booked([good[1]["custom_id"]])
    assert [*of_one.values()] == pytest.approx([(4 * USD_IN + USD_OUT) / 1e6]), "of its own request"

    replies.write_text("".join(json.dumps(each, indent=None, sort_keys=True) + "\r\n" for each in reversed(lines)))
    code, again = read(file, replies)
    assert (code, again["taken"], again["booked_beside"], again["usd_beside"]) == (1, 0, 0, 0)
    assert again["usd_spent"] == found["usd_spent"], "read in another order and spelling, booked once"

    code, now = read(file, replies, "--answered-by", "large-mini")
    assert now["taken"] == 2 and now["booked_beside"] == 0
    assert now["usd_spent"] - found["usd_spent"] == pytest.approx(uncounted_usd(file, home, good[9]["custom_id"]))
    assert {good[1]["custom_id"]} == {*call_log(home).replies([good[1]["custom_id"]])}


def uncounted_usd(file: RecipeFile, home: Home, request: str) -> float:
    """What is booked for a reply whose tokens nobody has counted: the most that it can cost."""
    teacher, prompts = asked_by(file, call_log(home))
    return teacher.endpoint.most(teacher.requests(prompts)[request])


def test_what_was_billed_for_a_reply_of_no_use_counts_against_the_cap(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    with serving(Server(answer)) as server:
        file = behind(server, tmp_path, usd_at_most=0.5)
        ask(file, "--write", str(requests))
        written(replies, [of_model(billed(line, 10_000), "larger") for line in of_requests(requests)])
        code, found = read(file, replies)
        assert (code, found["taken"]) == (1, 0) and found["usd_spent"] > 0.5
        assert "no run makes a call until you raise it" in ask(file, "--read", str(replies)).stdout
        teacher, prompts = asked_by(file, call_log(home))
        with pytest.raises(CapReachedError):
            teacher.replies(prompts)
        assert server.calls == 0


def test_a_file_that_is_no_answer_of_a_batch_api_is_refused(tmp_path: Path, home: Home) -> None:
    requests = tmp_path / "requests.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "packed.jsonl").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    for path, said in {
        requests: "line 1: neither a response nor an error",
        tmp_path / "empty.jsonl": "it has no lines",
        tmp_path / "packed.jsonl": "line 1: no JSON",
        tmp_path / "nowhere.jsonl": "cannot be read: No such file",
        tmp_path: "cannot be read: Is a directory",
    }.items():
        ended = ask(file, "--read", str(path))
        assert ended.returncode == 2 and said in ended.stderr and str(path) in ended.stderr, ended.stderr
    for wrong in ([], ["--write", "a", "--read", "b"], ["--write", "a", "--answered-by", "b"]):
        ended = ask(file, *wrong)
        assert ended.returncode == 2 and "--write, --read, --answered-by" in ended.stderr
    assert not (tmp_path / "a").exists()


def test_whom_nobody_knows_is_asked_nothing(recipes: Path, tmp_path: Path) -> None:
    for way in ("--write", "--read"):
        ended = stillhouse("ask", "small", way, str(tmp_path / "r.jsonl"), "--of", "large", recipes=recipes)
        assert ended.returncode == 2 and "an alternative is called 'large'" in ended.stderr
        assert "the recipe has neither" in ended.stderr and not (tmp_path / "r.jsonl").exists()


def test_a_file_as_windows_writes_it_is_read(tmp_path: Path, home: Home) -> None:
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "output.jsonl"
    file = behind(Server(answer, url="http://127.0.0.1:9/v1"), tmp_path)
    ask(file, "--write", str(requests))
    lines = "".join(f"{json.dumps(line)}\r\n" for line in of_requests(requests))
    replies.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert read(file, replies)[1]["taken"] == ROWS


def test_the_replies_of_a_stored_teacher_are_read_from_where_its_recipe_says(recipes: Path, tmp_path: Path) -> None:
    written(tmp_path / "output.jsonl", [reply("p", "HUM")])
    ended = stillhouse("ask", "small", "--read", str(tmp_path / "output.jsonl"), recipes=recipes)
    assert ended.returncode == 2 and "where `teacher.source` says" in ended.stderr
