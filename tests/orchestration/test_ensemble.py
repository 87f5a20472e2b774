"""The whole way with tiny teachers that answer together."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.asking import read_replies, write_requests
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.comparison import read_ablations
from stillhouse.evaluation.harness import read_members
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import BASELINES, CONTRACT, MODEL, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL
from stillhouse.teachers.flips import ASKED_TWICE
from tests.conftest import a_place, failures
from tests.language_models import PROMPT, of_three_services, taught_language_model
from tests.orchestration.elsewhere import question_in, right_about
from tests.protocol import USD_IN, USD_OUT, Server, answer_a_batch, serving
from tests.small import questions, small_recipe, small_teacher

pytestmark = pytest.mark.slow

SERVICES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
WRONG = dict(zip(SERVICES, [*SERVICES[1:], SERVICES[0]], strict=True))
CAP_OF_ONE = 0.08
"""USD that the answers of one server cost, and those of two do not."""


def write_replies(path: Path) -> None:
    """What somebody's large model answered: each twelfth answer is wrong."""
    rows = questions(1200).with_row_index()
    answers = [
        WRONG[service] if number % 12 == 0 else service for number, service in rows.select("index", "service").rows()
    ]
    rows.select(pl.col("question").alias("text"), pl.Series("answer", answers)).write_csv(path)


SAID = {
    "revision": "test", "licence": "Apache-2.0", "training_on_outputs": "allowed", "reason": "It answers today.",
    "minimum_accuracy": 0.5,
}  # fmt: skip
LEARNING = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}


def test_an_encoder_a_language_model_and_two_servers_are_copied_into_one_student(tmp_path: Path, shared: Path) -> None:
    """Each is asked once for each prompt, and what they cost together is known before the rest is asked."""
    rows = of_three_services(1200)
    services = dict(rows.select("question", "service").iter_rows())

    def answer(asked: str) -> str:
        text = question_in(asked)
        service = services[text]
        if len(text) % 12:
            return service
        return next(each for each in sorted(set(services.values())) if each != service)

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        rows.write_csv(place.folder / "questions.csv")
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        (place.folder / "plain.md").write_text(PROMPT)
        model = taught_language_model(place.folder / "model")
        base = {"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"}

        def recipe(usd_at_most: float) -> RecipeFile:
            prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": usd_at_most}
            own = str(place.folder / "prompt.md")
            members = {
                "mine": {
                    **SAID, "source": str(small_teacher(place.folder / "mine")),
                    "training": {**LEARNING, "loss": "labels"},
                },
                "here": {
                    **SAID, "kind": "causal_lm", "source": str(model),
                    "causal_lm": {"prompt": str(place.folder / "plain.md")},
                },
                **{
                    name: {
                        **SAID, "kind": "endpoint", "source": server.url, "endpoint": prices,
                        "ask": {"model": name, "prompt": own, "settings": {"max_tokens": 3}},
                    }
                    for name in ("large", "larger")
                },
            }  # fmt: skip
            teacher = {
                "kind": "ensemble", "ensemble": {"members": members, "combine": "votes"},
                "reason": "Four see more than one.", "minimum_accuracy": 0.8,
            }  # fmt: skip
            return small_recipe(
                place.folder, teacher=teacher, base=base, slices=[], bar={"margin": 0.07},
                students=[{"name": "one", "layers": [0, 1], "training": {**LEARNING, "loss": "kl"}}],
                budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
                data__provenance={"teacher_may_see": ["internal"]}, data__hidden_label_share=0.85,
            )  # fmt: skip

        assert check(Recipes((recipe(1.0),), ())).all_is_well
        poor = place.run(recipe(CAP_OF_ONE))
        counts = place.newest("prompts", "base").facts(PromptFacts)
        (refused,) = failures(poor)
        assert f"{2 * (counts.kept - counts.validation):,} prompts more are expected to cost up to" in refused
        assert "teacher.ensemble.members.large.endpoint.usd_at_most" in refused
        asked_twice = min(ASKED_TWICE, counts.validation)
        assert server.calls == 2 * (counts.validation + asked_twice), "the pilots alone"

        file = recipe(1.0)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, (outcome.closed, outcome.errors)
        again = asked_twice + file.recipe.limits.canary_flips_prompts
        assert server.calls == 2 * (counts.kept + again)
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        facts = place.newest("teacher").facts(TeacherFacts)
        assert facts.validation_accuracy > 0.85
        assert {name: each.kind for name, each in facts.members.items()} == {
            "mine": "encoder", "here": "causal_lm", "large": "endpoint", "larger": "endpoint",
        }  # fmt: skip
        canary = place.states("teacher_signal", "base")["the_canary_answers_as_recorded"].sentence
        assert all(f"member {name}: " in canary for name in facts.members)
        assert {each.name for each in read_members(place.newest("evaluation").folder)} == set(facts.members)
        audit = audit_recipe(place.home, "small")
        assert audit.ok, audit.problems
        told = audit_teachers_row(
            place.home, "small", place.newest("transfer_set").frame("transfer_set")["prompt_id"][0]
        )
        assert told.ok and told.taught and told.said.raw is None and told.members.keys() == facts.members.keys()
        assert told.members["large"].raw == (told.members["large"].answer,)
        assert told.members["here"].mass is not None and told.members["here"].raw is None
        assert told.members["mine"].answer is not None and told.members["mine"].mass is None
        weights = f"{file.recipe.teacher.members['here'].address}/model.safetensors"
        chain = {link.asset: link.external_inputs for link in audit.chain}
        assert chain["small/contract"][weights] == chain["small/teacher"][weights]
        asked = server.calls
        assert distil(file, place.home, Terminal(quiet=True)).succeeded and server.calls == asked


def test_what_batches_bring_of_two_members_is_not_asked_of_their_servers(tmp_path: Path, shared: Path) -> None:
    def answer(asked: str) -> str:
        return right_about(question_in(asked))

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 2.0}
        own = str(place.folder / "prompt.md")
        members = {
            name: {
                **SAID, "kind": "endpoint", "source": server.url, "endpoint": prices,
                "ask": {"model": model, "prompt": own, "settings": {"max_tokens": 3}},
            }
            for name, model in (("first", "large"), ("second", "larger"))
        }  # fmt: skip
        file = small_recipe(
            place.folder, slices=[], bar={"margin": 0.07}, budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
            teacher={
                "kind": "ensemble", "ensemble": {"members": members, "combine": "votes"},
                "reason": "Two see more than one.", "minimum_accuracy": 0.8,
            },
            base={"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"},
            students=[{"name": "one", "layers": [0, 1], "training": {**LEARNING, "loss": "kl"}}],
            data__provenance={"teacher_may_see": ["internal"]},
        )  # fmt: skip
        for wrong, expected in ((None, "named by `--of`"), ("large", "first or second")):
            with pytest.raises(StillhouseError) as refused:
                write_requests(place.builds, file, place.folder / "no.jsonl", of=wrong)
            assert expected in str(refused.value) and not (place.folder / "no.jsonl").exists()
        for name, model in (("first", "large-2026-06"), ("second", "larger-2026-06")):
            server.model = lambda number, model=model: model
            requests, replies = (place.folder / f"{name}.{which}" for which in ("requests", "replies"))
            assert write_requests(place.builds, file, requests, of=name).requests > 1190
            answer_a_batch(server, requests, replies)
            if name == "second":
                mistaken = read_replies(place.builds, file, replies, of="first")
                assert mistaken.taken == 0 and mistaken.usd_beside == pytest.approx(server.usd / 2)
            found = read_replies(place.builds, file, replies, of=name)
            assert found.all_is_well and found.taken == found.replies and found.usd_spent == pytest.approx(server.usd)
        asked, by_batch = server.calls, len(server.asked)
        server.model = lambda number: "another now"
        result = place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES)
        counts = place.newest(PROMPTS, "base").facts(PromptFacts)
        assert result.success, failures(result)
        twice = min(ASKED_TWICE, counts.validation)
        assert server.calls == asked + 2 * twice and len(server.asked) == by_batch == counts.kept
        assert place.run(file, TEACHER_SIGNAL, gates=False).success and server.calls == asked + 2 * twice
        signal = place.newest(TEACHER_SIGNAL, "base").frame("signal")
        assert signal.height == counts.kept and signal["failure"].null_count() == counts.kept
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)


def test_members_of_which_none_answers_a_validation_row_are_a_weak_teacher_and_no_error(tmp_path: Path) -> None:
    """Regression: with a wrong column of answers in both files the stage ended with a traceback."""
    with a_place(tmp_path, baselines=False) as place:
        rows = questions(1200)
        rows.select(pl.col("question").alias("text"), pl.lit("none").alias("answer")).write_csv(
            place.folder / "said.csv"
        )
        member = {**SAID, "kind": "stored", "source": str(place.folder / "said.csv")}
        file = small_recipe(
            place.folder, slices=[], bar={"margin": 0.07}, budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
            teacher={
                "kind": "ensemble", "ensemble": {"members": {"first": member, "second": member}},
                "reason": "Two see more than one.", "minimum_accuracy": 0.8,
            },
            base={"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"},
            students=[{"name": "one", "layers": [0, 1], "training": {**LEARNING, "loss": "kl"}}],
        )  # fmt: skip
        result = place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER)
        assert failures(result) == []
        assert "member first: accuracy 0.000" in place.states(TEACHER)["teacher_accuracy_reaches_the_minimum"].sentence


def test_two_encoders_and_stored_answers_are_copied_into_one_student(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        members: dict[str, Any] = {
            name: {
                **SAID, "source": str(small_teacher(place.folder / name)),
                "training": {**LEARNING, "epochs": epochs, "loss": "labels", "seed": epochs},
            }
            for name, epochs in (("short", 3), ("long", 5))
        }  # fmt: skip
        write_replies(place.folder / "replies.csv")
        members["large"] = {**SAID, "kind": "stored", "source": str(place.folder / "replies.csv")}
        teacher = {
            "kind": "ensemble", "ensemble": {"members": members, "agree_at_least": 0.6},
            "reason": "Three see more than one.", "minimum_accuracy": 0.5,
        }  # fmt: skip
        further = [{"loss": "labels", "weight": 0.5, "first_weight": 0.0}]
        mixed = {**LEARNING, "loss": "kl", "mixture": further}
        students = [
            {"name": "one", "layers": [0, 1], "training": mixed},
            {"name": "weighed", "layers": [0, 1], "weigh_by_agreement": True, "training": mixed},
            {"name": "labels", "layers": [0, 1], "learns_from": "labels", "training": {**LEARNING, "loss": "labels"}},
        ]
        file = small_recipe(
            place.folder, teacher=teacher, students=students, bar={"margin": 0.16},
            base={"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"},
            budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
        )  # fmt: skip
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, (outcome.closed, outcome.errors)

        facts = place.newest("teacher").facts(TeacherFacts)
        fingerprints = {each.fingerprint for each in facts.members.values()}
        assert len(fingerprints | {facts.fingerprint}) == 4
        signal = place.newest("teacher_signal", "base").frame("signal")
        assert {0, 1, 2} <= {round(3 * each) for each in signal["disagreement"]} and signal[
            "failure"
        ].null_count() == signal.height
        rejects = place.newest("transfer_set").frame("rejects")
        left_out = rejects.filter(pl.col("reason") == RejectReason.MEMBERS_DISAGREE)
        assert 0 < left_out.height <= signal.filter(pl.col("disagreement") > 0.4).height
        evaluation = place.newest("evaluation")
        alone = {each.name: each for each in read_members(evaluation.folder)}
        assert set(alone) == {"short", "long", "large"} and all(each.calibration is not None for each in alone.values())
        report = (place.newest("selection").folder / "report.html").read_text()
        assert "One teacher against many" in report and ">short</span>" in report
        (ablation,) = read_ablations(evaluation.folder)
        assert (ablation.student, ablation.control, ablation.against) == ("weighed", "one", "unweighted")
        assert "weighing rows by agreement" in ablation.sentence and ablation.sentence[1:] in report
        assert audit_recipe(place.home, "small").ok
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]
