"""Typed answers as tables and lines for a terminal.

Belongs here: what of an answer is shown, and in which words.
Does not: finding the answers (status.py, leaderboard.py, economics.py), commands (commands/).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestration.economics import Account
from orchestration.event_list import Events
from orchestration.fleet import Fleet, FleetLine
from orchestration.leaderboard import Board
from orchestration.live import LiveScreen
from orchestration.planned import Duration
from orchestration.status import RecipeStatus, Verified
from stillhouse.economics import amount
from stillhouse.live.planning import LivePlan
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.gate_status import GateStatus
from stillhouse.stages.live_report import KeptAnswers, LiveFacts, MaturedTruth
from stillhouse.summaries.live_report import by_weekday, thinned
from stillhouse.wording import MEGABYTE, in_minutes, percent, points

if TYPE_CHECKING:
    from orchestration.asking import Asked
    from stillhouse.teachers.batch_api import BatchRead

SHORT_SECONDS = 5.0


def fleet_tables(shown: Fleet) -> Iterator[Table]:
    """One line for each recipe of what serves, and one of its rounds: together they are wider than a terminal."""
    lines = shown.recipes.values()
    recipes = [Text(name) for name in shown.recipes]
    yield _columns_in_use(
        {
            "recipe": recipes,
            "champion": [_champion_in_short(line) for line in lines],
            "serves": [_serves_in_short(line) for line in lines],
            "servers": [_servers_in_short(line) for line in lines],
            "memory": [Text(_memory_in_short(line)) for line in lines],
            "a day": [Text(_number(line.requests_a_day)) for line in lines],
            "agrees": [Text(_agreement_in_short(line)) for line in lines],
            "teacher": [Text("" if line.fallback_share is None else f"{line.fallback_share:.0%}") for line in lines],
            "alarms": [_alarms_in_short(line) for line in lines],
            "closed": [Text(_number(line.gates_closed or None), "red") for line in lines],
        }
    )
    yield _columns_in_use(
        {
            "recipe": recipes,
            "last round": [Text(_last_round_in_short(line)) for line in lines],
            "rounds": [Text(_of(f"{line.rounds}", line.rounds_at_most)) for line in lines],
            "took over": [Text(f"{line.promotions}") for line in lines],
            "USD": [Text(_usd_in_short(line)) for line in lines],
            "events": [Text(_number(line.events or None)) for line in lines],
            "rows wanted": [Text(_number(line.requested_rows or None)) for line in lines],
            "risks": [Text(_number(line.risks or None), "yellow") for line in lines],
        }
    )


def _columns_in_use(columns: dict[str, list[Text]]) -> Table:
    """A table without the columns in which nothing stands, since a terminal is narrow."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    for name in shown:
        table.add_column(name, overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    return table


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def next_lines(shown: Fleet) -> Iterator[str]:
    """What is on its way to take over, what is wrong with servers, and what each recipe needs next."""
    for name, line in shown.recipes.items():
        on_its_way = line.champion.challenger if line.champion else None
        if on_its_way is not None:
            yield f"{name}: {on_its_way.in_words}"
            if on_its_way.truth is not None:
                yield f"{name}: what people said: {on_its_way.truth}"
        yield from (f"{name}: {each}" for each in (*line.behind, *line.clocks))
        if line.over_memory is not None:
            yield f"{name}: {line.over_memory}"
        yield f"{name}: {f'{line.working} works on it' if line.working else line.next}"


def _champion_in_short(line: FleetLine) -> Text:
    if line.champion is None:
        return Text("none yet")
    name = Text(f"{line.champion.student} {line.champion.digest[:12]}")
    return name + Text(", held" if line.champion.hold else "", "yellow")


def _serves_in_short(line: FleetLine) -> Text:
    days = "" if line.days_served is None else f"{line.days_served:.0f} days"
    return Text(days) + Text(", overdue" if line.overdue else "", "red")


def _servers_in_short(line: FleetLine) -> Text:
    return Text(f"{line.servers or ''}") + Text(f", {len(line.behind)} behind" if line.behind else "", "red")


def _memory_in_short(line: FleetLine) -> str:
    return f"{max(line.memory_mb.values()):,.0f} MB" if line.memory_mb else ""


def _agreement_in_short(line: FleetLine) -> str:
    found = line.agreement
    return "" if found is None else f"{100 * found.debiased:.0f}±{100 * found.half_width:.0f} %"


def _alarms_in_short(line: FleetLine) -> Text:
    """Findings of the watch, marked where there are more than stable traffic may cause in a month."""
    if not line.alarms or line.false_alarms_a_month is None:
        return Text("")
    return Text(f"{line.alarms} ({line.false_alarms_a_month:.1g})", "yellow")


def _usd_in_short(line: FleetLine) -> str:
    return "" if line.usd is None else _of(amount(line.usd), line.usd_at_most)


def _of(now: str, at_most: float | None) -> str:
    """A count, and its limit where there is one."""
    return now if at_most is None else f"{now}/{at_most:g}"


def _last_round_in_short(line: FleetLine) -> str:
    return "none" if line.last_round is None else f"{line.last_round.at[:10]} {line.last_round.ending}"


def live_table(shown: LiveScreen) -> Iterator[Table | Text]:
    """The day, what is watched, and what was found."""
    day, agreement = shown.day, shown.day.agreement
    title = f"{shown.recipe}: {day.student} {day.release[:12]} on {day.day}, {day.answers:,} answers{thinned(day)}"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    if agreement is not None:
        table.add_row("agreement by confidence", percent(agreement.label_free), "")
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
    shares = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("watched", "share", "limit", "reference", "rows"):
        shares.add_column(column)
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
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    priced = any(each.usd_a_month is not None for each in plan.table)
    columns = ("teacher answers a day", "ask_teacher", *(f"fall of {fall * 100:g} points" for fall in falls))
    for column in (*columns, *(["USD in 30 days, up to"] if priced else [])):
        table.add_column(column)
    for answers in sorted({each.answers_a_day for each in plan.table}):
        found = {each.fall: each for each in plan.table if each.answers_a_day == answers}
        days = ("never" if found[fall].days is None else f"{found[fall].days}" for fall in falls)
        usd = found[falls[0]].usd_a_month
        table.add_row(f"{answers:,}", f"{found[falls[0]].share:g}", *days, *([] if usd is None else [amount(usd)]))
    return table


def prune_lines(shown: Fleet) -> list[str]:
    """What is measured and decides nothing, by recipe."""
    return [f"{name}: {each}" for name, line in shown.recipes.items() for each in line.prune]


def status_table(recipe: str, state: RecipeStatus) -> Table:
    """Digest, age and gates of each stage, under what serves."""
    champion = state.champion
    serving = f"champion {champion.student} {champion.digest[:12]}" if champion else "no champion yet"
    if champion and champion.rolled_back:
        back = champion.rolled_back
        serving += f" serves since {back.by} went back to it on {champion.since[:10]}: {back.reason}"
    if champion and champion.promoted:
        chosen = champion.promoted
        serving += f" serves since {chosen.by} promoted it on {champion.since[:10]}: {chosen.reason}"
    if champion and champion.hold:
        hold = champion.hold
        serving += f"; {hold.by} holds it since {hold.since[:10]}: {hold.reason}"
    if champion and champion.challenger:
        serving += f"; {champion.challenger.in_words}"
        serving += f": {champion.challenger.missing}" if champion.challenger.missing else ""
        serving += f"; what people said: {champion.challenger.truth}" if champion.challenger.truth else ""
    for taken in champion.quarantine if champion else ():
        serving += f"; {taken}"
    if state.running:
        serving += f"; {state.running.by} works on it since {state.running.since[:16].replace('T', ' ')} UTC"
        serving += f", because {state.running.because}" if state.running.because else ""
    table = Table(title=Text(f"{recipe}: {serving}"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("stage", "digest", "age", "gates"):
        table.add_column(column)
    for stage, shown in {**state.stages, **state.beside}.items():
        closed = [
            Text.assemble(
                (
                    f"{gate.asset.split('/', 1)[1]}: {gate.name} is {gate.state}",
                    "yellow" if gate.state is GateStatus.WAIVED else "red",
                ),
                f": {gate.sentence}",
            )
            for gate in shown.gates
            if gate.state is not GateStatus.PASSED
        ]
        closed += [Text.assemble(("stale", "red"), f": {why}") for why in shown.stale]
        made = shown.digest is not None
        gates = (
            Text("\n").join(closed)
            if made and closed
            else Text(f"{len(shown.gates)} open", "green")
            if made
            else Text("not made yet", "dim")
        )
        table.add_row(Text(stage), (shown.digest or "")[:12], _age(shown.age_seconds), gates)
    return table


def round_lines(state: RecipeStatus) -> list[str]:
    """What the last round was for, what waits for the next, whether anybody looks, and which rows are asked for."""
    last, lines = state.last_round, [*([state.closed] if state.closed else []), *state.risks]
    if last is not None:
        because = last.because or "it was asked for in the UI"
        lines.append(f"last round {last.at[:16].replace('T', ' ')} UTC, because {because}: {last.sentence}")
    for event in state.events:
        what = "starts a round" if event.starts_a_round else "waits for the next round"
        lines.append(f"{event.kind.in_words}: {event.sentence} ({what})")
    lines += [asked.sentence for asked in state.requested_rows]
    return lines if state.nobody_looks is None else [*lines, state.nobody_looks]


def events_table(shown: Events) -> Table:
    """What has happened, the oldest first."""
    table = Table(title=Text(f"{shown.recipe}: events"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("since", "times", "event", "what happened", "round"):
        table.add_column(column, overflow="fold")
    for event in shown.events:
        waits = "starts one" if event.starts_a_round else "waits for the next"
        table.add_row(
            event.first_seen[:16].replace("T", " "),
            f"{event.times}",
            Text(event.kind.in_words),
            Text(event.sentence),
            Text(event.answered_by[:8])
            if event.answered_by
            else Text(waits, "yellow" if event.starts_a_round else "dim"),
        )
    return table


def verified_lines(verified: Verified | None) -> list[str]:
    """What `status` says about bytes, so that nobody takes open gates for hashed artifacts."""
    if verified is None:
        return ["gates and champion as the ledger has them; no artifact was hashed: --verify does"]
    return [*verified.problems, f"{verified.artifacts} artifacts hashed, {len(verified.problems)} problems"]


def leaderboard_table(found: Board) -> Table:
    """Models side by side, the most accurate first."""
    title = f"{found.recipe}: judged by golden set {found.golden_digest[:12]}, {found.golden_rows:,} rows"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1, 0, 0))
    columns = ("rank", "model", "kind", "accuracy, 95% interval", "drop, bound", "MB", "faster", "verdict", "round")
    for column in columns:
        folds = column in ("model", "round")
        table.add_column(column, overflow="fold", min_width=10 if folds else None, no_wrap=column in ("rank", "kind"))
    for row in found.rows:
        low, high = row.accuracy_interval
        marks = "".join(mark for mark, is_so in (("*", row.other_terms), ("+", row.another_teacher)) if is_so)
        metric = "" if row.metric == "accuracy" else f" ({row.metric})"
        table.add_row(
            str(row.best_rank) if row.best_rank == row.worst_rank else f"{row.best_rank}-{row.worst_rank}",
            Text(row.model + (", champion" if row.champion else ""), "bold" if row.champion else ""),
            Text(row.kind),
            f"{percent(row.accuracy)} ({points(low)} to {points(high)})",
            f"{points(row.drop)}, {points(row.drop_upper_bound)}{metric}",
            "" if row.size_bytes is None else f"{row.size_bytes / MEGABYTE:.3g}",
            "unknown"
            if row.latency_ratio is None
            else f"{row.latency_ratio:,.{0 if row.latency_ratio >= 100 else 1}f}x" + ("~" if row.by_wall_time else ""),
            row.verdict + marks,
            f"{row.at[:10]} {row.run_id[:8]}",
        )
    return table


def leaderboard_notes(found: Board) -> list[str]:
    """What the numbers of a leaderboard cannot say, and what is not on it."""
    rows = found.rows
    notes = [
        "rows come in groups, which no interval here knows: no rank is told apart"
        if found.grouped
        else "models that share ranks have intervals that overlap: which of them is better is not shown"
    ]
    if any(row.other_terms for row in rows):
        notes.append("* something else was asked of it than of the newest: accuracy compares, verdicts do not")
    if any(row.by_wall_time for row in rows):
        notes.append("~ of wall time: 0.1.0 measured no other, and of a teacher on a GPU no other compares")
    if any(row.another_teacher for row in rows):
        notes.append("+ drop and speed are against another teacher than the newest")
    if not found.terms_are_current:
        notes.append("what the recipe asks was changed since: no verdict here is of the present terms")
    if not found.current:
        notes.append("this is not the golden set of the newest evaluation")
    left_out = [
        f"{other.models} of {other.golden_digest[:12]} ({other.golden_rows:,} rows, last judged "
        f"{other.last_judged[:10]})"
        for other in found.left_out
    ]
    if left_out:
        notes.append(
            f"left out, since numbers on other golden rows compare with nothing here: {'; '.join(left_out)}. "
            "--golden DIGEST shows them"
        )
    if found.unreadable:
        notes.append(f"left out, since another version wrote them: {'; '.join(found.unreadable)}")
    return notes


def duration_table(found: Duration) -> Table:
    """What each stage will take, and what it took; stages of a few seconds are one line."""
    table = Table(title="how long a run takes on this machine", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("stage", "forecast", "took"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    short = [each for each in found.forecast.stages if max(each.seconds, found.took.get(each.stage, 0)) < SHORT_SECONDS]
    for each in found.forecast.stages:
        if each not in short:
            took = found.took.get(each.stage)
            table.add_row(Text(each.stage), in_minutes(each.seconds), "" if took is None else in_minutes(took))
    if short:
        known = [found.took[each.stage] for each in short if each.stage in found.took]
        forecast = in_minutes(sum((each.seconds for each in short), 0.0))
        table.add_row(f"{len(short)} shorter ones", forecast, in_minutes(sum(known, 0.0)) if known else "")
    return table


def account_table(account: Account) -> Table:
    """What the student costs and saves, as forecast and as measured."""
    table = Table(box=None)
    for column in ("USD", "forecast", "actual"):
        table.add_column(column, justify="left" if column == "USD" else "right")
    both = (account.forecast, account.actual)
    for kind in sorted({kind for side in both if side for kind in side.upfront}):
        table.add_row(Text(kind), *(_usd(side.upfront.get(kind) if side else None) for side in both))
    for model in ("teacher", "student", "cascade", "saving"):
        costs = (getattr(side, f"{model}_usd_per_1000_calls", None) for side in both)
        table.add_row(f"{model}, 1,000 calls", *map(_usd, costs))
    table.add_row("payback, months", *(_usd(side.payback_months if side else None) for side in both))
    return table


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def asked_lines(path: Path, asked: "Asked", file: RecipeFile, of: str | None) -> Iterator[Text]:
    """What was written for a batch API, and what to do with it.

    Args:
        path: of the file.
        asked: what is in it.
        file: the recipe, as if who is asked were its teacher.
        of: who is asked, where that is not the teacher itself.
    """
    said = f"{asked.requests:,} requests for {asked.prompts:,} prompts, {asked.characters:,} characters of text"
    yield Text(f"{path}: {said}")
    if asked.usd_at_most is None or asked.tokens_at_most is None or asked.usd_left is None:
        yield Text(f"When they are answered, put the replies into {file.recipe.teacher.source}", "dim")
        return
    yield Text(
        f"at most {asked.tokens_at_most:,} tokens and {amount(asked.usd_at_most)} USD at the prices of the recipe; "
        f"{amount(max(asked.usd_left, 0.0))} USD are left of its usd_at_most"
    )
    if asked.left_for_calls:
        yield Text(
            f"{asked.left_for_calls:,} golden rows are left for calls of the next run, which are timed: nobody knows "
            "how long an answer of a batch took"
        )
    named = f" --of {of}" if of else ""
    yield Text(
        f"When they are answered: `stillhouse ask {file.name}{named} --read FILE`. The next run then asks only what is "
        "still missing; before a student is trained, the gates of the pilot look at the replies to validation rows.",
        "dim",
    )


def batch_read_lines(path: Path, found: "BatchRead") -> Iterator[Text]:
    """What became of the replies of a batch."""
    yield Text(
        f"{path}: {found.taken:,} of {found.replies:,} replies are new in the log of calls, booked as "
        f"{amount(found.usd)} USD: their usage at the prices of the recipe. What a batch is billed is not known here."
    )
    if found.there_already:
        yield Text(f"{found.there_already:,} are to requests that have a reply in the log, and are not booked again")
    for failure, replies in found.failures.items():
        yield Text(f"{replies:,} of the new ones: {failure}. They are paid for, and not asked again", "yellow")
    for each in found.left_out:
        yield Text(f"{each.lines:,} left out, as {each.why}: {'; '.join(each.first)}", "yellow")
        if each.do:
            yield Text(f"  {each.do}", "dim")
    if found.booked_beside:
        yield Text(
            f"{found.booked_beside:,} lines whose reply is not used are billed all the same, and booked as "
            f"{amount(found.usd_beside)} USD",
            "yellow",
        )
    if found.over_counted:
        yield Text(
            f"for {found.over_counted:,} the server counts more tokens than a call can take. Raise tokens_around if "
            "its template is that long; else do not trust it",
            "yellow",
        )
    if found.is_beyond_the_cap:
        yield Text(
            f"{amount(found.usd_spent)} USD are spent, and usd_at_most is {found.usd_at_most:g}: no run makes a call "
            "until you raise it",
            "yellow",
        )
    yield Text(
        f"{found.missing:,} requests have no reply yet; the next run makes them, or `--write` writes them again"
        if found.missing
        else "every request has a reply"
    )
