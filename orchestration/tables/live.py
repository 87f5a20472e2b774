"""How a champion does on live answers, and what watching it closer would buy, as tables."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from orchestration.live import LiveScreen
from stillhouse.economics import amount
from stillhouse.live.planning import LivePlan
from stillhouse.stages.live_report import KeptAnswers, LiveFacts, MaturedTruth
from stillhouse.summaries.live_report import by_weekday, thinned
from stillhouse.wording import percent


def live_table(shown: LiveScreen) -> Iterator[Table | Text]:
    """The day, what is watched, and what was found."""
    day, agreement = shown.day, shown.day.agreement
    title = f"{shown.recipe}: {day.student} {day.release[:12]} on {day.day}, {day.answers:,} answers{thinned(day)}"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    if agreement is not None:
        table.add_row("agreement, label-free", percent(agreement.label_free), "")
        said = f"± {percent(agreement.half_width)}, {agreement.asked:,} of {agreement.requests:,} asked"
        limit = "" if day.agreement_limit is None else f", limit {percent(day.agreement_limit)}"
        table.add_row("agreement, debiased", percent(agreement.debiased), said + limit)
        table.add_row("gap", percent(agreement.gap), f"± {percent(agreement.gap_half_width)}")
    if day.teacher is not None:
        table.add_row("teacher", "as recorded" if day.teacher.as_recorded else "not as recorded", day.teacher.sentence)
    for row in (*_truth(day.truth), *_kept(day.cascade), *_service(day)):
        table.add_row(*row)
    table.add_row("teacher is asked about", percent(shown.asked_about), f"looked at {shown.looked_at}")
    yield table
    shares = Table("watched", "share", "limit", "reference", "rows", box=None, padding=(0, 2, 0, 0))
    for each in day.shares:
        beyond = each.rows > 0 and each.share > each.limit
        shares.add_row(
            Text(each.subject, "yellow" if beyond else ""),
            each.seen,
            each.allowed,
            each.usual,
            f"{each.rows:,}",
        )
    yield shares
    if by_weekday(day):
        yield Text(by_weekday(day))
    for asked in shown.requested_rows:
        yield Text(f"rows wanted: {asked.sentence}", "yellow")
    for finding in shown.findings:
        moment = datetime.fromtimestamp(finding.at, UTC)
        yield Text(f"{moment:%Y-%m-%d %H:%M} UTC  {finding.sentence}: {finding.action}, {finding.because}")
    if not shown.findings:
        yield Text("nothing was found in 30 days")


def _truth(truth: MaturedTruth) -> Iterator[tuple[str, str, str]]:
    """What turned out to be true, all of it and what was asked for."""
    if truth.known:
        said = f"{percent(truth.low)} to {percent(truth.high)}, {truth.known:,} of {truth.matured:,} mature answers"
        yield "right, by feedback", percent(truth.right / truth.known), f"{said}; selection: {truth.selection}"
    sample = truth.sample
    if sample is not None and sample.wanted:
        interval = "" if sample.right is None else f"{percent(sample.low)} to {percent(sample.high)}, "
        shown = "" if sample.right is None else percent(sample.right)
        yield "right, by what was asked for", shown, f"{interval}{sample.in_words}"


def _kept(kept: KeptAnswers | None) -> Iterator[tuple[str, str, str]]:
    """What the student of a cascade keeps and gets wrong, of all requests."""
    if kept is None:
        return
    found, truth = kept.agreement, kept.truth
    if found is not None and kept.differ_limit is not None:
        said = f"± {percent(found.half_width)}, limit {percent(kept.differ_limit)}; {kept.limits}"
        yield "kept, the teacher disagrees", percent(1 - found.debiased), said
    right = truth.right / truth.known if truth.known else None
    known = f"{truth.known:,} with a truth"
    if truth.sample is not None:
        right, known = truth.sample.right, truth.sample.in_words
    if right is not None and kept.wrong_limit is not None:
        yield "kept and wrong", percent(1 - right), f"{known}, limit {percent(kept.wrong_limit)}; {kept.limits}"


def _service(day: LiveFacts) -> Iterator[tuple[str, str, str]]:
    """What servers took for the day's answers."""
    if day.latency_ms is not None:
        median, most, nearly_all = day.latency_ms
        yield "latency", f"{median:.2g} ms", f"95 % {most:.2g}, 99 % {nearly_all:.2g}"
    if day.memory is not None:
        limit = "" if day.memory.limit_mb is None else f", limit {day.memory.limit_mb:,.0f} MB"
        yield "memory", f"{day.memory.most_mb:,.0f} MB", f"of the server that held most{limit}"


def live_plan_table(recipe: str, plan: LivePlan) -> Table:
    """Days until a fall of agreement is found, by what is asked."""
    falls = sorted({each.fall for each in plan.table})
    title = (
        f"{recipe}: median days until a fall of agreement is found, {plan.requests_a_day:,} requests a day; agreement "
        f"{percent(plan.agreement)}, the limit that golden rows prove {percent(1 - plan.limit)}"
    )
    priced = any(each.usd_a_month is not None for each in plan.table)
    columns = ["teacher answers a day", "ask_teacher", *(f"fall of {fall * 100:g} points" for fall in falls)]
    columns += ["USD in 30 days, up to"] if priced else []
    table = Table(*columns, title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for answers in sorted({each.answers_a_day for each in plan.table}):
        found = {each.fall: each for each in plan.table if each.answers_a_day == answers}
        days = ("never" if found[fall].days is None else f"{found[fall].days}" for fall in falls)
        usd = found[falls[0]].usd_a_month
        table.add_row(f"{answers:,}", f"{found[falls[0]].share:g}", *days, *([] if usd is None else [amount(usd)]))
    return table
