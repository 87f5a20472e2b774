"""A day that is reported on again keeps what the teacher said of it, when nobody could ask the teacher any more."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.live_report import earlier_report
from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.baseline import CascadeReference
from stillhouse.live.estimate import AskedFrom, Heard, together
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at
from stillhouse.live.thinning import kept_by
from stillhouse.live.watch import TeacherHealth, WatchTerms
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.recipe.watch import WatchSpec
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.deployments import DeployedRelease
from stillhouse.stages.live_reference import terms_of
from stillhouse.stages.live_report import LiveDay, LiveFacts, Watched, live_day, plan, report
from stillhouse.stages.names import LIVE_REPORT
from stillhouse.statistics.weekly_pattern import WeeklyPattern
from stillhouse.summaries.live_report import by_weekday, headline, numbers
from tests.small import small_recipe
from tests.stillhouse.live.made import AGREEMENT, NOON, OTHER, RELEASE, put, reference, rows
from tests.stillhouse.live.test_records import KEPT, SPEC, answered, golden, kept
from tests.stillhouse.live.test_records import reference as of_records

DAY = day_at(NOON)


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    small_recipe(tmp_path, rows=100, name="r", traffic={}, watch={"ask_teacher": 0.0})
    return read_recipe(tmp_path / "recipes" / "r" / "defs.yaml")


def teacher(as_recorded: bool) -> TeacherHealth:
    return TeacherHealth(at=NOON, day=20_000, as_recorded=as_recorded, sentence="as it was")


def watched(file: RecipeFile) -> Watched:
    champion = DeployedRelease(release=RELEASE, manifest="m", student="one")
    budgets = [AskedFrom(after=0.0, share=0.05)]
    return Watched(champion, "2024-01-01T00:00:00", terms_of(file), reference(), budgets, teacher(False), {}, {})


def again(builds: BuildStore, file: RecipeFile, days: float, earlier: LiveFacts | None) -> LiveDay:
    store = TrafficStore(builds.home.artifacts, "r")
    return live_day(
        builds,
        file,
        watched(file),
        store,
        DAY,
        key=str.encode,
        is_ours=bool,
        at=NOON + days * SECONDS_A_DAY,
        earlier=earlier,
    )


def the_first_report(builds: BuildStore, file: RecipeFile) -> LiveFacts:
    put(TrafficStore(builds.home.artifacts, "r"), rows(50))
    facts = report(again(builds, file, 1, None), watched(file), traffic=TrafficSpec())
    return facts.model_copy(update={"agreement": AGREEMENT, "silent": 3, "teacher": teacher(True)})


def test_what_the_teacher_said_of_a_day_stays_and_its_truth_is_read_again(builds: BuildStore, file: RecipeFile) -> None:
    first = the_first_report(builds, file)
    assert first.truth.matured == 0
    later = report(again(builds, file, 9, first), watched(file), traffic=TrafficSpec())
    assert (later.agreement, later.silent, later.teacher) == (AGREEMENT, 3, teacher(True))
    assert (later.answers, later.truth.matured) == (50, 50)


def test_a_thinned_day_is_reported_on_by_the_least_share_of_any_of_its_hours(
    builds: BuildStore, file: RecipeFile
) -> None:
    """All of a failing evening and a tenth of the morning before would say that most answers fail; half did."""
    store = TrafficStore(builds.home.artifacts, "r")
    morning, evening = rows(2_000, seed=1, kept_share=0.1), rows(2_000, seed=2, first=3_000, status=500, kept_share=1.0)
    put(store, kept_by(morning, 0.1))
    put(store, evening)
    facts = report(again(builds, file, 1, None), watched(file), traffic=TrafficSpec())
    failed = next(each for each in facts.shares if each.kind == "errors")
    assert facts.kept_share == 0.1 and facts.answers == kept_by(pl.concat([morning, evening]), 0.1).height
    # Five standard deviations of a share of about 400 answers.
    assert abs(failed.share - 0.5) < 5 * (0.25 / 400) ** 0.5
    assert headline(facts).startswith(f"{facts.answers:,} answers (10.0% of the day's: the log was full)")
    assert numbers(facts)["kept_share"] == 0.1


def test_a_report_has_the_limits_of_its_weekday(builds: BuildStore, file: RecipeFile) -> None:
    """Day 20,000 is a Friday, on which so few places are asked for that they may vanish."""
    counts = {"events": (20,) * 5 + (960,) * 2, "rows": (1600,) * 7, "effective_rows": (1600.0,) * 7}
    pattern = WeeklyPattern(**counts, degrees_of_freedom=21)  # type: ignore[arg-type]
    held = dataclasses.replace(
        watched(file), reference=reference().model_copy(update={"weekly": {"label place": pattern}})
    )
    put(TrafficStore(builds.home.artifacts, "r"), rows(50))
    put(TrafficStore(builds.home.artifacts, "r"), rows(50, at=NOON + SECONDS_A_DAY))
    friday = report(again(builds, file, 1, None), held, traffic=TrafficSpec())
    saturday = report(dataclasses.replace(again(builds, file, 1, None), day="2024-10-05"), held, traffic=TrafficSpec())
    of_friday, of_saturday = ({each.name: each for each in facts.shares} for facts in (friday, saturday))
    assert "label place falls" not in of_friday and of_saturday["label place falls"].weekday == "Saturday"
    rises = of_friday["label place rises"], of_saturday["label place rises"]
    assert rises[0].limit < 0.1 < 0.6 < rises[1].limit and rises[0].reference == 20 / 1600
    assert by_weekday(friday) == "label place: limits differ by weekday (UTC), and these are of Fridays"
    assert (
        plan(file, again(builds, file, 1, None), held).depends_on
        != plan(file, again(builds, file, 1, None), watched(file)).depends_on
    )
    made = Path(builds.home.artifacts) / "shares"
    made.mkdir(parents=True)
    plan(file, again(builds, file, 1, None), held).build(made)
    assert pl.read_parquet(made / "shares.parquet").height == len(friday.shares)


def test_while_the_teacher_is_asked_about_a_day_its_answers_are_heard_again(
    builds: BuildStore, file: RecipeFile
) -> None:
    first = the_first_report(builds, file)
    of_other = first.model_copy(update={"release": OTHER})
    for days, earlier in ((2, first), (9, None), (9, of_other)):
        assert again(builds, file, days, earlier).earlier is None


def test_a_report_depends_on_what_it_keeps(builds: BuildStore, file: RecipeFile) -> None:
    live = again(builds, file, 9, the_first_report(builds, file))
    assert live.earlier is not None
    silent = dataclasses.replace(live, earlier=live.earlier.model_copy(update={"silent": 4}))
    one, other = (plan(file, each, watched(file)).depends_on for each in (live, silent))
    assert one != other


def test_the_newest_report_of_a_day_is_found(builds: BuildStore, file: RecipeFile) -> None:
    def made(facts: LiveFacts) -> Artifact:
        order = BuildRequest("r", LIVE_REPORT, "run", "1", {"silent": facts.silent}, batch=DAY)
        return builds.make(order, lambda folder: (folder / "x").touch() or facts)  # type: ignore[func-returns-value]

    assert earlier_report(builds, file, DAY) is None
    first = the_first_report(builds, file)
    made(first)
    made(first.model_copy(update={"silent": 7}))
    found = earlier_report(builds, file, DAY)
    assert found is not None and found.silent == 7
    assert earlier_report(builds, file, day_at(NOON + SECONDS_A_DAY)) is None


def test_what_a_student_keeps_from_its_teacher_is_reported_as_a_share_of_all_requests(
    builds: BuildStore, file: RecipeFile
) -> None:
    cascade = CascadeReference(margin=0.02, threshold=0.9, rows=1000, differ=45, lost=25, won=10, wrong=50)
    behind = reference().model_copy(update={"handed_on": (300, 1000), "cascade": cascade})
    terms = WatchTerms(WatchSpec(), truth_binds=True, asks=True)
    held = dataclasses.replace(watched(file), reference=behind, terms=terms)
    given = rows(3, first=5, source="teacher", student_label="person", student_confidence=0.4)
    told = pl.concat([rows(5), given]).with_columns(
        matured=True, truth=pl.Series(["another", *["number"] * 4, "another", None, "another"]), wanted=False,
        label=pl.lit("number"),
    )  # fmt: skip
    sure = [Heard(np.array([0.9]), np.array([0.5]), np.array([True]), np.array([each])) for each in (True, False)]
    live = LiveDay(DAY, [], told, together(sure), 0, of_all=together([*sure, *sure]))
    found = report(live, held, traffic=TrafficSpec(feedback="complete")).cascade
    assert found is not None and (found.margin, found.threshold) == (0.02, 0.9)
    assert (found.truth.matured, found.truth.known, found.truth.right) == (8, 7, 6), "one is kept and wrong"
    assert found.agreement is not None and found.agreement.requests == 4
    limits = {each.kind.value: each.limit for each in terms.watches(behind)}
    assert found.differ_limit == limits["cascade_agreement"] and found.wrong_limit == limits["cascade_truth"]
    facts = report(live, held, traffic=TrafficSpec(feedback="complete"))
    assert facts.truth.known == 5 and numbers(facts)["kept_and_wrong"] == pytest.approx(1 / 7)
    assert numbers(facts)["kept_and_differs"] == pytest.approx(1 - found.agreement.debiased)
    later = dataclasses.replace(live, heard=together([]), of_all=None, earlier=facts)
    assert report(later, held, traffic=TrafficSpec(feedback="complete")).cascade == found
    depends_on = [plan(file, each, held).depends_on for each in (live, dataclasses.replace(live, of_all=None))]
    assert depends_on[0] != depends_on[1] and "of_all" not in plan(file, later, watched(file)).depends_on
    plain = report(live, watched(file), traffic=TrafficSpec(feedback="complete"))
    assert plain.cascade is None and "cascade" not in plain.model_dump(mode="json")


def test_records_that_were_kept_under_another_secret_are_counted_and_are_no_disagreement(
    builds: BuildStore, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: after a restore without `serving/secret` each counted as if the teacher had said otherwise."""
    texts, places = golden(400)
    ours, theirs = answered(300), answered(100, first=300).with_columns(replica=pl.lit("r2"))
    theirs = theirs.with_columns(id="r2-" + pl.col("id"))
    of_other_secret = KeptRecords(SPEC, b"another secret")
    store = TrafficStore(builds.home.artifacts, "r")
    put(store, kept(ours), texts=texts[:300])
    put(store, theirs.with_columns(of_other_secret.kept(theirs, "label")), texts=texts[300:])
    said = pl.DataFrame({"answer": places}).with_columns(prompt_ids(pl.Series(texts)), failure=pl.lit(None, pl.String))
    LiveAnswers.of(builds.home).keep("f", said, at=NOON)
    behind = SimpleNamespace(facts=lambda _: SimpleNamespace(fingerprint="f", record=SPEC))
    monkeypatch.setattr("stillhouse.stages.live_report.teacher_behind", lambda *_: behind)
    held = dataclasses.replace(
        watched(file),
        reference=of_records(),
        terms=WatchTerms(WatchSpec(), truth_binds=False, asks=True),
        budgets=[AskedFrom(after=0.0, share=0.9)],
        asked={DAY: {"r1": 1_000, "r2": 1_000}},
    )

    def of_day(**how: Any) -> LiveFacts:
        live = live_day(builds, file, held, store, DAY, key=lambda _: KEPT.key, at=NOON + SECONDS_A_DAY, **how)
        return report(live, held, traffic=TrafficSpec())

    facts = of_day(is_ours=lambda id: not id.startswith("r2"))
    assert facts.agreement is not None and facts.agreement.debiased > 0.99 and facts.agreement.requests == 300
    assert (facts.answers, facts.of_another_secret) == (400, 100)
    assert numbers(facts)["answers_of_another_secret"] == 100 and "100 of them not to be compared" in headline(facts)
    later = of_day(is_ours=bool, earlier=facts)
    assert later.of_another_secret == 0, "the teacher is still asked about the day"
    assert later.agreement is not None and later.agreement.debiased < 0.9
    assert "of_another_secret" not in later.model_dump(mode="json")
