"""The same teacher behind a server and in files of each format, and as sure as it says, as its votes say, or unsaid."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.economics import amount
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.recipe.asking import SoftLabels
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import BASE, BASELINES, CONTRACT, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL
from tests.conftest import a_place, failures
from tests.orchestration.elsewhere import SERVICES, WRONG, mostly_right_about, question_in, small_recipe_elsewhere
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import ALL_UNITS, small_teacher

pytestmark = pytest.mark.slow

UP_TO_THE_SIGNAL = (CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL)
TEMPLATE = "{labels}\nQuestion: {text}\n"


def answer(prompt: str) -> str:
    return f"{mostly_right_about(question_in(prompt))}."


def as_table(asked: Mapping[str, str], folder: Path) -> dict[str, Any]:
    rows = [{"text": question_in(prompt), "answer": said} for prompt, said in asked.items()]
    pl.DataFrame(rows).write_ndjson(folder / "answers.jsonl")
    return {"answers": {"format": "table"}}


def as_conversations(asked: Mapping[str, str], folder: Path) -> dict[str, Any]:
    lines = [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": said}]}
        for prompt, said in asked.items()
    ]
    (folder / "answers.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return {"answers": {"format": "chat", "text_pattern": r"Question: (?P<text>.*)"}}


def as_batch(asked: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What a batch API wrote beside the requests that it was sent, which are not ours."""
    requests, replies = [], []
    for number, (prompt, said) in enumerate(asked.items()):
        message = {"role": "user", "content": prompt}
        requests.append({"custom_id": f"theirs-{number}", "body": {"model": "large", "messages": [message]}})
        choices = [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]
        response = {"status_code": 200, "body": {"model": "large", "choices": choices}}
        replies.append({"custom_id": f"theirs-{number}", "response": response, "error": None})
    random.Random(0).shuffle(replies)  # which batch APIs give back in any order
    for name, lines in (("requests", requests), ("answers", replies)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    sent = {"requests": str(folder / "requests.jsonl"), "text_pattern": r"Question: (?P<text>.*)"}
    return {"answers": {"format": "batch", **sent}}


def behind(server: Server, folder: Path, **ask: Any) -> dict[str, Any]:
    (folder / "prompt.md").write_text(TEMPLATE)
    asking = {"model": "large", "prompt": str(folder / "prompt.md"), "settings": {"max_tokens": 3}, **ask}
    prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 5.0}
    return {"kind": "endpoint", "source": server.url, "answers": {}, "ask": asking, "endpoint": prices}


def signal_and_accuracy(folder: Path, shared: Path, teacher: Callable[[Path], dict[str, Any]]) -> tuple[Any, float]:
    with a_place(folder, seeded=shared, baselines=False) as place:
        file = small_recipe_elsewhere(place.folder, **teacher(place.folder))
        result = place.run(file, *UP_TO_THE_SIGNAL)
        assert result.success, failures(result)
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal")
        said = signal.select("prompt_id", "logits", "failure")
        return said, place.newest(TEACHER).facts(TeacherFacts).validation_accuracy


def test_the_same_answers_teach_the_same_however_they_came(tmp_path: Path, shared: Path) -> None:
    with serving(Server(answer)) as server:
        live, accuracy = signal_and_accuracy(
            tmp_path / "live", shared, lambda folder: behind(server, folder) | {"minimum_accuracy": 0.5}
        )
        asked = {prompt: answer(prompt) for prompt in server.asked}
    assert live.height == len(asked) > 1190 and live["logits"].null_count() == 0
    for written in (as_table, as_conversations, as_batch):

        def stored(folder: Path, written: Callable[..., dict[str, Any]] = written) -> dict[str, Any]:
            (folder / "prompt.md").write_text(TEMPLATE)
            how = written(asked, folder)
            return {"kind": "stored", "source": str(folder / "answers.jsonl"), "minimum_accuracy": 0.5, **how}

        signal, same = signal_and_accuracy(tmp_path / written.__name__, shared, stored)
        assert signal.equals(live), written.__name__
        assert same == accuracy


def shares(prompt: str) -> dict[str, float]:
    """How probable each service is, of which one text in four has two likely ones."""
    service = answer(prompt).rstrip(".")
    likely = 0.7 if len(question_in(prompt)) % 4 == 1 else 0.9
    return {**dict.fromkeys(SERVICES, 0.01), service: likely, WRONG[service]: 0.96 - likely}


def test_probabilities_in_a_file_teach_what_a_server_teaches_that_tells_them(tmp_path: Path, shared: Path) -> None:
    letters = dict(zip(SERVICES, "ABCDEF", strict=True))

    def told(prompt: str) -> dict[str, float]:
        return {letters[service]: float(np.log(share)) for service, share in shares(prompt).items()}

    def asked_for_letters(folder: Path) -> dict[str, Any]:
        return behind(server, folder, soft_labels={"by": "logprobs"}) | {"minimum_accuracy": 0.5}

    def in_a_file(folder: Path) -> dict[str, Any]:
        rows = [
            {"text": question_in(prompt), "answer": answer(prompt), "scores": shares(prompt)} for prompt in server.asked
        ]
        (folder / "answers.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        how = {"answers": {"probabilities": "scores"}, "ask": None, "minimum_accuracy": 0.5}
        return {"kind": "stored", "source": str(folder / "answers.jsonl"), **how}

    with serving(Server(lambda prompt: letters[answer(prompt).rstrip(".")], alternatives=told)) as server:
        live, accuracy = signal_and_accuracy(tmp_path / "live", shared, asked_for_letters)
    stored, same = signal_and_accuracy(tmp_path / "stored", shared, in_a_file)
    assert live.height > 1190 and live["logits"].null_count() == 0 and same == accuracy
    assert stored.select("prompt_id", "failure").equals(live.select("prompt_id", "failure"))
    signals = [np.array(signal["logits"].to_list()) for signal in (stored, live)]
    np.testing.assert_allclose(*signals, rtol=1e-5)
    assert np.ptp(np.exp(signals[0]).max(axis=1)) > 0.19, "it is not as sure of each"


def sure(prompt: str) -> float:
    """One text in four has two likely labels."""
    return 0.8 if len(question_in(prompt)) % 4 == 1 else 0.97


@pytest.mark.parametrize("by", [SoftLabels.LOGPROBS, SoftLabels.SAMPLES, None])
def test_a_student_learns_how_sure_its_teacher_is_or_that_it_did_not_say(
    by: SoftLabels | None, tmp_path: Path, shared: Path
) -> None:
    drawn, letters = random.Random(0), dict(zip(SERVICES, "ABCDEF", strict=True))

    def likely(prompt: str) -> dict[str, float]:
        service = answer(prompt).rstrip(".")
        return {service: sure(prompt), WRONG[service]: 1 - sure(prompt)}

    def shown(prompt: str) -> dict[str, float]:
        return {letters[service]: float(np.log(share)) for service, share in likely(prompt).items()}

    def reply(prompt: str) -> str:
        labels = likely(prompt)
        if by is SoftLabels.SAMPLES:
            return drawn.choices([*labels], [*labels.values()])[0]
        likeliest = max(labels, key=labels.__getitem__)
        return letters[likeliest] if by is SoftLabels.LOGPROBS else likeliest

    ask = {} if by is None else {"soft_labels": {"by": by.value, **({"samples": 5} if by == "samples" else {})}}
    settings = {"max_tokens": 3, "temperature": 1.0 if by is SoftLabels.SAMPLES else 0.0}
    with (
        a_place(tmp_path, seeded=shared, baselines=False) as place,
        serving(Server(reply, alternatives=shown)) as server,
    ):
        teacher = behind(server, place.folder, **ask, settings=settings) | {"minimum_accuracy": 0.5}
        able = str(small_teacher(place.folder / "able", units=ALL_UNITS))
        base = {"source": able, "revision": "test", "licence": "Apache-2.0"}
        file = small_recipe_elsewhere(place.folder, changed={"base": base, "bar": {"margin": 0.18}}, **teacher)
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        asked = 5 if by is SoftLabels.SAMPLES else 1
        assert server.calls >= asked * place.newest(PROMPTS, BASE).facts(PromptFacts).kept
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        texts = place.newest(PROMPTS, BASE).frame("prompts").select("prompt_id", "text")
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(texts, on="prompt_id")
        (judged,) = (each for each in read_evaluations(place.newest("evaluation").folder) if each.name == "one")
        report = (place.newest("selection").folder / "report.html").read_text()
        usd = place.newest(TEACHER).facts(TeacherFacts).said.usd_a_prompt
    most = np.exp(np.array(signal["logits"].to_list())).max(axis=1)
    in_doubt = signal["text"].map_elements(lambda text: sure(f"Question: {text}") < 0.9, pl.Boolean).to_numpy()
    if by is None:
        assert np.ptp(most) < 1e-6, "the same trust in every answer"
    else:
        assert most[in_doubt].mean() < most[~in_doubt].mean() - 0.08
    assert judged.score.calibration is not None and judged.score.accuracy > 0.6
    assert f"{amount(1000 * usd)} USD for 1,000 answers" in report
