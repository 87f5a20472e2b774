"""The report for machines keeps its shape, and the one for people needs nothing but itself."""

import json
import re
from html.parser import HTMLParser

import pytest

from stillhouse.evaluation.measures.footprint import Footprint
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.recipe.bar import BarSpec, SliceSpec
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.losses import Gives
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.report.options import ruled_out
from stillhouse.report.record import report_of
from tests.reported import report_json
from tests.stillhouse.evaluation.conftest import answers_block


class Page(HTMLParser):
    """Collects what a page would fetch, and its visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "action")]

    def handle_data(self, data) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


def test_nothing_of_one_page_is_in_the_next(run) -> None:
    one, other = run(wrong=[1, 2]), run(wrong=range(0, 1200, 3))
    first, second = report_html(one, title="one"), report_html(other, title="other")
    assert (report_html(one, title="one"), report_html(other, title="other")) == (first, second)
    assert len(first) != len(second)


@pytest.mark.parametrize(("at_most", "said"), [(0.1, True), (0.2, False)])
def test_mistakes_of_the_teacher_are_said_from_the_recipes_limit_on(run, at_most: float, said: bool) -> None:
    wrong = range(0, 1200, 8)
    evaluation, limits = run(wrong=wrong, teacher_wrong=wrong), GateLimits(repeated_mistakes_at_most=at_most)
    sentence = "12.5% of all rows are mistakes of the teacher that it repeats"
    assert (sentence in (report_json(evaluation, limits=limits)["fidelity"]["warning"] or "")) is said
    assert (sentence in read(report_html(evaluation, ReportContext(limits=limits))).text) is said


@pytest.mark.long
def test_the_json_has_the_agreed_shape(run) -> None:
    report = json.loads(json.dumps(report_json(run(wrong=[1, 2], teacher_wrong=[1]))))
    assert report["verdict"] == "pass"
    assert report["golden_rows"] == 1200
    assert report["teacher"]["accuracy"] == pytest.approx(1199 / 1200)
    assert report["student"]["name"] == "student"
    assert report["student"]["accuracy"] == pytest.approx(1198 / 1200)
    assert report["agreement"] == pytest.approx(1199 / 1200)
    assert report["latency_ratio"] == 8.0
    assert report["size_ratio"] == 40.0
    first = report["slices"][0]
    assert {"name", "rows", "teacher_accuracy", "student_accuracy", "verdict"} <= set(first)
    assert (first["name"], first["rows"], first["verdict"]) == ("app", 600, "pass")


@pytest.mark.long
def test_a_slice_is_shown_with_its_own_margin_and_not_with_the_bars(run) -> None:
    app = SliceSpec(name="app", column="channel", values=("app",), critical=True, margin=0.08)
    evaluation = run(wrong=[1, 2], teacher_wrong=[1], slices=[app])
    assert report_json(evaluation)["slices"][0]["margin"] == 0.08
    text = read(report_html(evaluation, title="t")).text
    slices = text[text.index("Drop, bound") : text.rindex("Slices nobody declared")]
    assert "8.0" in slices
    assert "3.0" not in slices


def test_the_json_has_the_test_that_binds_where_it_is_not_that_of_accuracy(run) -> None:
    assert report_json(run())["metric_test"] is None
    found = json.loads(json.dumps(report_json(run(wrong=[1], bar=BarSpec(margin=0.03, metric="macro_f1")))))
    assert (found["metric_test"]["metric"], found["metric_test"]["verdict"]) == ("macro_f1", "pass")


def test_what_was_not_measured_is_null_and_not_a_number(run) -> None:
    report = report_json(run(latency=None))
    assert report["latency_ratio"] is None and report["verdict"] == "inconclusive"


@pytest.mark.long
@pytest.mark.figures
def test_the_page_says_the_verdict_first_and_fetches_nothing(run) -> None:
    student = run(name="tiny", wrong=[1, 2])
    int8 = run(name="int8 teacher", kind=ModelKind.BASELINE, size_bytes=110_000_000)
    page = read(
        report_html(
            student,
            ReportContext(others=[int8], selection=smallest_that_clears([student, int8])),
            title="intents",
            curve=([1.0, 0.4], [1.0, 0.6]),
        )
    )
    linked = [each for each in page.fetched if not each.startswith("#")]
    assert linked and all(each.startswith("data:image/png;base64,") for each in linked)
    assert page.text.index("tiny clears the bar") < page.text.index("What the bar asks")
    assert "Holds the quality, but the budget rules it out: only 3.64 times smaller" in page.text


@pytest.mark.long
def test_of_a_teacher_that_gives_answers_alone_nothing_says_how_sure_it_is(run) -> None:
    """What it is taught as is made of its accuracy, and would be read as measured."""
    about = run(wrong=[1, 2])
    sure, unsure = (report_html(about, ReportContext(gives=gives)) for gives in (Gives.PROBABILITIES, Gives.ANSWERS))
    beside = '<th class="n">Calibration error</th><th class="n">Teacher</th>'
    assert "mean KL to the teacher" in sure and beside in sure
    assert "mean KL to the teacher" not in unsure and beside not in unsure
    assert "The teacher gives answers alone. How sure it was is not known" in unsure and "answers alone" not in sure
    assert unsure.count("the teacher by") < sure.count("the teacher by")
    assert [report_of(about, ReportContext(gives=gives)).teacher_gives for gives in Gives] == [
        "answers", "votes", "probabilities", "logits"
    ]  # fmt: skip


@pytest.mark.long
def test_the_page_says_the_metric_that_binds(run) -> None:
    page = read(report_html(run(wrong=[1], bar=BarSpec(margin=0.03, metric="recall", metric_class="block"))))
    assert "Recall of 'block' within 3.0 points of the teacher: drop 0.2, 95% bound" in page.text


@pytest.mark.long
def test_the_worst_pairs_are_listed_with_the_teachers_count_beside(run) -> None:
    """Rows 0, 3 and 6 are 'balance' given 'block', of 400 such rows; the teacher gives it to row 3 alone."""
    evaluation = run(wrong=[0, 3, 6, 1], teacher_wrong=[3])
    first, second = report_json(evaluation)["worst_pairs"]
    assert first == {"label": "balance", "answered": "block", "rows": 3, "label_rows": 400, "teacher_rows": 1}
    assert (second["label"], second["answered"], second["rows"], second["teacher_rows"]) == ("block", "travel", 1, 0)
    assert "balance block 3 400 1 block travel 1 400 0" in read(report_html(evaluation)).text
    assert "No label is taken for another." in read(report_html(run())).text
    older = evaluation.model_copy(update={"teacher_confusion": None})
    assert report_json(older)["worst_pairs"][0]["teacher_rows"] is None
    assert "balance block 3 400 not kept" in read(report_html(older)).text


@pytest.mark.long
def test_the_contents_lead_to_every_part_in_order(run) -> None:
    html = report_html(run(wrong=[1, 2], teacher_wrong=[1]))
    linked = re.findall(r'<li><a href="#(part-\d+)">(.*?)</a></li>', html)
    parts = re.findall(r'<h2 id="(part-\d+)">(.*?)</h2>', html)
    assert linked == parts and len(parts) > 8 and html.count("<h2") == len(parts)
    assert html.index("<nav") < html.index('id="part-1"')


@pytest.mark.long
def test_claims_that_bind_come_before_those_that_are_only_reported(run) -> None:
    said, binding = (SliceSpec(name=f"app {c}", column="channel", values=("app",), critical=c) for c in (False, True))
    evaluation = run(wrong=[1, 2], slices=[said, binding])
    binds = [claim.binding for claim in evaluation.claims]
    assert binds != sorted(binds, reverse=True), "they come mixed"
    table = report_html(evaluation).partition("What the bar asks</h2>")[2].partition("</table>")[0]
    shown = re.findall(r'data-label="Binds">(yes|reported only)<', table)
    assert shown == sorted(shown, reverse=True) and {*shown} == {"yes", "reported only"}


@pytest.mark.long
def test_it_says_when_and_beside_what_load_models_were_judged(run, latency) -> None:
    text = read(report_html(run(), judged_at="2026-11-27T05:31:09+00:00")).text
    assert "Judged 2026-11-27 05:31 UTC." in text and "2026-11-27T05:31:09+00:00" in text
    assert "load the models waited 0.0% of the time for a processor: nothing else kept them from it" in text
    busy = run(latency=latency(waiting_share=0.4))
    assert "waited 40.0% of the time for a processor: the machine was busy" in read(report_html(busy)).text


@pytest.mark.long
@pytest.mark.figures
def test_nothing_is_cut_on_a_phone(run, probed, tmp_path) -> None:
    browser = pytest.importorskip("tests.end_to_end.browser", exc_type=ImportError)
    if browser.DRIVER is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    long = "a_name_without_a_blank_that_goes_on_for_longer_than_a_phone_is_wide_and_then_some"
    evaluation = probed(answers_block, drop_at_most=0.1)
    (tmp_path / "report.html").write_text(
        report_html(
            evaluation,
            ReportContext(others=[run(wrong=range(0, 1200, 10), name=long)]),
            title=long,
            task="Route. " * 30,
        )
    )
    with browser.chromium() as person:
        person.on_a_phone(390)
        person.open(f"file://{tmp_path / 'report.html'}")
        assert person.wider_than(390) == [], person.wider_than(390)


@pytest.mark.long
@pytest.mark.experiment("F2")
def test_text_of_rows_cannot_become_markup(run) -> None:
    html = report_html(run(wrong=[3]))
    assert "text &lt;b&gt;3&lt;/b&gt;" in html
    assert "text <b>3" not in html


@pytest.mark.long
@pytest.mark.figures
@pytest.mark.parametrize("rows", [3, 60])
def test_a_hardly_populated_report_still_renders(run, rows: int) -> None:
    page = read(report_html(run(rows=rows, slices=(), latency=None)))
    assert "is not shown to clear the bar" in page.text
    assert "latency not measured" in page.text


@pytest.mark.long
def test_memory_and_cost_are_said_for_each_model_that_has_them(run) -> None:
    served = {"footprint": Footprint(teacher_mb=550.3, student_mb=68.4, texts=20), "machine_usd_per_hour": 0.36}
    student = run(**served)
    bare = run(name="majority", footprint=Footprint(teacher_mb=550.3, student_mb=None, texts=20), latency=None)
    report = report_json(student, others=[bare])
    assert report["footprint"] == {"teacher_mb": 550.3, "student_mb": 68.4, "texts": 20}
    # 5 ms at 0.36 USD an hour: 1,000 calls are 5 s, 0.0005 USD; the teacher takes 40 ms.
    assert report["running_cost"]["student_usd_per_1000_calls"] == pytest.approx(0.0005)
    assert report["running_cost"]["teacher_usd_per_1000_calls"] == pytest.approx(0.004)
    assert report["others"][0]["memory_mb"] is None and report["others"][0]["usd_per_1000_calls"] is None
    page = read(report_html(student, ReportContext(others=[bare])))
    assert "68.4 MB; teacher 550 MB; resident at the peak" in page.text
    cost = "0.5 USD for a million calls in one stream, at 0.36 USD an hour for this machine; teacher 4 USD"
    assert cost in page.text, "and not 0.0005 USD for a thousand"


@pytest.mark.long
def test_what_answers_of_a_server_cost_is_said_whatever_else_was_judged(run) -> None:
    """Regression: it was on the page where cheaper models were named as alternatives, and nowhere else."""
    page = read(report_html(run(), billed_usd=1.2)).text
    assert "1.2 USD for 1,000 answers, by the tokens that its server counted in the pilot" in page
    options = page[page.index("million calls") :]
    assert "1,200" in options, "and beside the students, for a million"
    assert "tokens that its server counted" not in read(report_html(run())).text


def test_what_ruled_a_model_out(run) -> None:
    assert ruled_out(run()) == ""
    assert ruled_out(run(latency=None)).startswith("holds the quality, but the budget is not shown to hold")
    lost = ruled_out(run(wrong=range(0, 1200, 10), size_bytes=100_000_000))
    assert lost.startswith("accuracy not within 3.0 points of the teacher")
    assert lost.endswith("Also: slice 'app', size ratio")


@pytest.mark.long
def test_the_report_says_in_a_field_whether_only_the_budget_is_missed(run) -> None:
    slow, lost = run(latency=None), run(wrong=range(0, 1200, 10), size_bytes=100_000_000)
    others = report_json(run(), others=[run(), slow, lost])["others"]
    assert [other["misses_only_the_budget"] for other in others] == [False, True, False]


@pytest.mark.long
def test_behaviour_and_stress_are_in_both_reports(probed) -> None:
    evaluation = probed(answers_block, drop_at_most=0.1)
    report = json.loads(json.dumps(report_json(evaluation)))
    (behaviour,), (stress,) = report["behaviour"], report["stress"]
    assert (behaviour["failures"], behaviour["teacher_failures"], behaviour["verdict"]) == (1, 0, "fail")
    assert (stress["student"]["drop"], stress["verdict"]) == (pytest.approx(2 / 3), "fail")
    page = read(report_html(evaluation))
    assert "plain words minimum, critical 1 1 0 0.0% ✕ fail" in page.text
    assert "where is my money plain words balance block holds" in page.text
    # The student loses 200 of 300 rows and the teacher none.
    assert "on texts put as 'so: {text}' 33.3% 66.7 61.2 to 71.8 200 100.0% 0.0 -1.3 to 1.3 0 200, 0" in page.text
    assert "stress by 'so: {text}'" in ruled_out(evaluation)


@pytest.mark.long
def test_what_was_not_asked_says_so(probed) -> None:
    evaluation = probed(None)
    assert report_json(evaluation)["stress"][0]["student"] is None
    page = read(report_html(evaluation))
    assert "plain words minimum, critical 1 not asked 0 0.0% ? inconclusive" in page.text
    assert "so all of this is reported only" in page.text
    plain = read(report_html(probed(None).model_copy(update={"behaviour": (), "stress": ()})))
    assert "Behaviour" not in plain.text and "Under stress" not in plain.text


@pytest.mark.long
def test_the_page_and_the_json_say_that_the_machine_was_busy_or_that_cpu_time_is_missing(run, latency) -> None:
    busy = run(latency=latency(wall_ratio=12, waiting_share=0.6))
    old = run(latency=latency(wall_ratio=12).model_copy(update={"cpu": None}))
    for evaluation, words in ((busy, "the machine was busy while speed was measured"), (old, "by Stillhouse 0.1.0")):
        assert words in report_json(evaluation)["latency"]["caveat"]
        assert words in read(report_html(evaluation)).text
    assert report_json(run())["latency"]["caveat"] is None


@pytest.mark.long
def test_a_page_has_one_latency_of_the_teacher(run, latency) -> None:
    others = [run(name="probe", kind=ModelKind.BASELINE, latency=latency(student_ms=7.777))]
    text = read(report_html(run(latency=latency(student_ms=5.0)), ReportContext(others=others))).text
    assert "62.2" not in text and "7.78" not in text, "milliseconds of another measurement"
    assert "teacher 40" in text
