"""The canary asks rows that nobody can know before."""

import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import checks.teacher_signal
from checks.gate import Finding
from checks.teacher_signal import drawn, the_canary_answers_as_recorded
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.stages.facts import SaidFacts
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.teacher import NetworkTeacher
from tests.checks.hand_made import artifact, ask, ensemble_recipe, teacher_facts
from tests.protocol import Server, serving
from tests.stillhouse.teachers.asked import TASK
from tests.stillhouse.teachers.asked import teacher as endpoint

PROMPTS = pl.DataFrame({"prompt_id": [f"{number:032x}" for number in range(500)], "text": ["t"] * 500})
SIGNAL = PROMPTS.select("prompt_id", logits=pl.lit([1.0, 2.0]))
LIMITS = GateLimits()


def look(monkeypatch: pytest.MonkeyPatch, signal: pl.DataFrame = SIGNAL) -> tuple[Finding, list[str]]:
    """Look at the gate with a teacher that has not changed; return the finding and the prompts that were asked."""
    asked: list[str] = []

    def ask_again(teacher: object, answered: pl.DataFrame) -> float:
        asked.extend(answered["prompt_id"])
        return 1e-7

    monkeypatch.setattr(checks.teacher_signal, "largest_change", ask_again)
    inputs = {"prompts": SimpleNamespace(frame=lambda _: PROMPTS), "teacher": artifact(teacher_facts())}
    recipe = SimpleNamespace(limits=LIMITS, teacher=None)
    builds = SimpleNamespace(device=None)
    context: Any = SimpleNamespace(made_from=inputs.get, frame=lambda _: signal, recipe=recipe, builds=builds)
    return the_canary_answers_as_recorded.evaluate(context), asked


@pytest.mark.experiment("A40")
def test_each_look_asks_other_rows_under_a_key_that_its_sentence_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: it asked the sixteen lowest ids, always, so a forger had to spare only these."""
    looks = [look(monkeypatch) for _ in range(3)]
    assert all(finding.verdict is Verdict.PASS and len(set(asked)) == LIMITS.canary_prompts for finding, asked in looks)
    assert len({tuple(asked) for _, asked in looks}) == 3
    for finding, asked in looks:
        key = re.search(r"drawn by key (\w{16})", finding.sentence)
        assert key is not None
        assert drawn(PROMPTS, key[1], LIMITS.canary_prompts)["prompt_id"].to_list() == asked, (
            "and whoever has the key can draw them again"
        )


@pytest.mark.parametrize(("change", "verdict"), [(1e-7, Verdict.PASS), (0.5, Verdict.FAIL)])
def test_each_member_of_an_ensemble_is_asked_again_by_itself(
    change: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own answers are what is compared, by the fingerprint that they are kept under."""
    kept = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    store = SimpleNamespace(
        read=lambda ids, fingerprint: pl.DataFrame(
            {"prompt_id": ids, "logits": [kept[fingerprint]] * len(ids), "failure": [None] * len(ids)}
        )
    )
    asked: dict[str, list[float]] = {}

    def ask_again(member: NetworkTeacher, answered: pl.DataFrame) -> float:
        name = member.folder.parent.name
        asked[name] = answered["logits"][0].to_list()
        return change if name == "two" else 0.0

    monkeypatch.setattr(checks.teacher_signal, "largest_change", ask_again)
    monkeypatch.setattr(checks.teacher_signal, "signal_store", lambda builds: store)
    members = {name: teacher_facts(fingerprint=kept) for name, kept in (("one", "a"), ("two", "b"))}
    facts = teacher_facts(kind=TeacherKind.ENSEMBLE, members=members)
    inputs = {
        "prompts": SimpleNamespace(frame=lambda _: PROMPTS), "teacher": artifact(facts, folder=Path("/teacher"))
    }  # fmt: skip
    recipe = SimpleNamespace(limits=LIMITS, teacher=ensemble_recipe().teacher)
    context: Any = SimpleNamespace(made_from=inputs.get, recipe=recipe, builds=SimpleNamespace(device=None))
    found = the_canary_answers_as_recorded.evaluate(context)
    assert found.verdict is verdict
    assert f"member two: largest change of a logit over 16 prompts {change:.2g}" in found.sentence
    assert ("member one" in found.sentence) is (verdict is Verdict.PASS), "whoever closes it is named alone"
    assert asked == {"one": [1.0, 2.0], "two": [3.0, 4.0]}


def test_a_prompt_without_an_answer_is_left_to_the_gate_that_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, asked = look(monkeypatch, SIGNAL.head(20))
    assert finding.verdict is Verdict.PASS
    assert set(asked) <= set(SIGNAL.head(20)["prompt_id"])


def test_an_endpoint_is_asked_again_once_a_day_and_a_changed_one_closes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers, day = dict.fromkeys(range(120), "access"), [date(2026, 11, 27)]
    rows = pl.DataFrame({"prompt_id": [f"{n:03}" for n in range(120)], "text": [f"{n}" for n in range(120)]})
    monkeypatch.setattr(checks.teacher_signal, "today", lambda: day[0])
    with serving(Server(lambda asked: answers[int(asked.split()[-1])])) as server:
        teacher = endpoint(server, tmp_path)
        monkeypatch.setattr(checks.teacher_signal, "teachers_of", lambda *about: {"": teacher})
        signal = teacher.ask(rows)
        pilot = SaidFacts(texts=120, failures={}, accuracy=0.9, asked_twice=100, flips=0)

        def look(said: SaidFacts = pilot, occasion: str | None = None) -> Finding:
            facts = teacher_facts(kind=TeacherKind.ENDPOINT, said=said, labels=TASK.names)
            inputs = {"prompts": artifact(frames={"prompts": rows}), "teacher": artifact(facts)}
            looked_at = artifact(SimpleNamespace(task=TASK), frames={"signal": signal}, stage="teacher_signal")
            elsewhere = SimpleNamespace(limits=LIMITS, teacher=None, data=SimpleNamespace(tolerance=None))
            return ask(the_canary_answers_as_recorded, looked_at, recipe=elsewhere, made_from=inputs, occasion=occasion)

        first = look()
        assert first.verdict is Verdict.PASS and server.calls == 120 + 48
        assert first.sentence.startswith(
            "0 of 48 prompts are answered otherwise than recorded (2026-11-27); up to 6 may"
        )
        assert look().verdict is Verdict.PASS and server.calls == 120 + 48, "once a day"

        answers.update({n: "billing" for n in range(120) if n % 3 == 0})
        assert look().verdict is Verdict.PASS and server.calls == 120 + 48
        at_once = look(occasion="2026-11-27T14:00:00+00:00")
        assert at_once.verdict is Verdict.FAIL and server.calls == 120 + 96, "before a release is blamed it is asked"
        day[0] = date(2026, 11, 28)
        closed = look()
        assert closed.verdict is Verdict.FAIL and server.calls == 120 + 144
        assert closed.observed is not None and 0.15 < closed.observed < 0.55

        day[0] = date(2026, 11, 29)
        assert look(pilot.model_copy(update={"asked_twice": 0})).verdict is Verdict.INCONCLUSIVE
        teacher = endpoint(server, tmp_path, usd_at_most=1e-9)
        poor = look()
        assert poor.verdict is Verdict.INCONCLUSIVE and "could not be asked again" in poor.sentence
        assert server.calls == 120 + 144
        teacher, server.faults = endpoint(server, tmp_path, attempts=1), dict.fromkeys(range(999), "500")
        away = look()
        assert away.verdict is Verdict.INCONCLUSIVE and "the server did not answer" in away.sentence

        # Regression: a server that turned texts away counted as a model that answers otherwise.
        day[0], server.faults, server.refuses = date(2026, 11, 30), {}, lambda text: True
        answers.update(dict.fromkeys(range(120), "access"))
        turned_away = look()
        assert turned_away.verdict is Verdict.INCONCLUSIVE
        assert "its server turned 48 of 48 prompts away" in turned_away.sentence
        day[0], server.refuses = date(2026, 12, 1), lambda text: int(text.split()[-1]) % 4 == 0
        some = look()
        assert some.verdict is Verdict.PASS and " more were turned away" in some.sentence
        answers.update({n: "billing" for n in range(120) if n % 4})
        day[0] = date(2026, 12, 2)
        assert look().verdict is Verdict.FAIL, "of those that it hears"
