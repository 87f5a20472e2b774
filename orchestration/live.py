"""How a champion does on live answers, on one screen; and what watching it closer would buy.

Belongs here: putting together what the watch remembers and what a day says, without asking anybody.
Does not: the watch (watch.py), the report's numbers (stillhouse/stages/live_report.py), printing (tables/).
"""

from datetime import UTC, datetime

from pydantic import Field

from assets.live_report import what_to_report
from assets.requested_rows import RequestedRows, requested_of_traffic
from orchestration.planned import paid_so_far
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.live.findings import LiveFinding
from stillhouse.live.planning import AnswersCost, AnswersPrice, LivePlan, live_plan
from stillhouse.live.segments import SECONDS_A_DAY, day_at
from stillhouse.live.state import WatchBook
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.watch import WatchSpec
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import BY_A_PERSON, withdrawal_of
from stillhouse.records.deployments import desired, serving_now
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.live_reference import reference_of, terms_of
from stillhouse.stages.live_report import LiveFacts, report
from stillhouse.stages.live_teacher import teacher_behind

_DAYS_OF_FINDINGS = 30
_LINES_AT_MOST = 5


class LiveScreen(Record):
    """The day of a champion."""

    recipe: str
    day: LiveFacts
    looked_at: str = Field(description="When the watch looked last, ISO 8601, UTC.")
    asked_about: float = Field(description="Share of answers that the teacher is asked about now.")
    drifting: tuple[str, ...] = Field(description="What of the inputs differs from the reference.")
    requested_rows: tuple[RequestedRows, ...] = Field(description="Rows of weak slices that are asked for.")
    findings: tuple[LiveFinding, ...] = Field(description="Of the last 30 days, the newest first.")


def live_screen(builds: BuildStore, file: RecipeFile, day: str, *, at: float) -> LiveScreen:
    """Put a day on one screen; nothing is asked and nothing changes.

    Args:
        builds: with ledger and traffic.
        file: a recipe with `watch:`.
        day: as `2026-11-28`, UTC.
        at: now, in seconds since 1970.

    Raises:
        StillhouseError: if the recipe has no watch, or nothing was looked at yet.
    """
    require_a_watch(file)
    assert file.recipe.traffic is not None
    book = WatchBook(builds.ledger.url, file.name)
    state = book.read().state
    if state is None:
        raise StillhouseError(
            "nobody has looked yet", where=file.name, expected="a watch over the champion",
            do=f"`stillhouse watch {file.name} --once` looks; so does the sensor `watch_{file.name}`.",
        )  # fmt: skip
    live, watched = what_to_report(builds, file, state, day, at=at)
    found = book.findings(since=at - _DAYS_OF_FINDINGS * SECONDS_A_DAY)
    return LiveScreen(
        recipe=file.name,
        day=report(live, watched, traffic=file.recipe.traffic),
        looked_at=datetime.fromtimestamp(state.newest, UTC).isoformat(timespec="seconds"),
        asked_about=state.share_asked,
        drifting=tuple(sorted(state.drifting)),
        requested_rows=requested_of_traffic(builds, file),
        findings=tuple(reversed(found)),
    )


def planned_watch(builds: BuildStore, file: RecipeFile, *, requests_a_day: int) -> LivePlan:
    """What each budget of teacher answers buys and costs, for the release that serves.

    Raises:
        StillhouseError: if the recipe has no watch or no champion, or its teacher cannot be asked.
    """
    require_a_watch(file)
    champion = serving_now(builds.ledger, file.name).champion
    terms, reference = terms_of(file), reference_of(builds, file, champion)
    watches = terms.watches(reference)
    watch = next((each for each in watches if each.kind is WatchKind.AGREEMENT), None)
    if watch is None or reference.agreement is None:
        raise StillhouseError(
            "its teacher is not asked about live answers",
            where=file.where("watch", "ask_teacher"),
            expected="a teacher that can be asked, texts that are kept, and ask_teacher above 0",
            do="See docs/live.md on which teachers can be asked.",
        )
    price = _price_of(teacher_behind(builds, champion).facts(TeacherFacts), file)
    found = live_plan(
        reference.agreement, watch, len(watches), terms.spec, requests_a_day=requests_a_day, price=price
    )  # fmt: skip
    return found if price is None else found.model_copy(update={"cost": _cost(builds, file, terms.spec, price, found)})


def _price_of(teacher: TeacherFacts, file: RecipeFile) -> AnswersPrice | None:
    """What an answer of a teacher costs, or of its members together; None where nobody is paid."""
    said = [each.said for each in teacher.by_member.values() if each.said is not None]
    usd = sum(each.usd_a_prompt_at_most or each.usd_a_prompt or 0.0 for each in said)
    return AnswersPrice(usd_an_answer=usd, canary_a_day=file.recipe.limits.canary_flips_prompts) if usd > 0 else None


def _cost(
    builds: BuildStore, file: RecipeFile, spec: WatchSpec, price: AnswersPrice, found: LivePlan
) -> AnswersCost | None:
    paid = paid_so_far(builds, file)
    if paid is None:
        return None  # the recipe has another teacher by now
    usual, drifting = (
        price.usd_a_month(share * found.requests_a_day) for share in (spec.ask_teacher, spec.ask_when_drifting)
    )
    return AnswersCost(
        **dict(price), usd_usually=usual, usd_when_drifting=drifting, usd_left=paid.usd_at_most - paid.usd,
        rounds_usd_a_month=file.recipe.refresh.usd_per_month,
    )  # fmt: skip


class NotWatchedError(StillhouseError):
    """A recipe has no `watch:`."""


def require_a_watch(file: RecipeFile) -> None:
    """Refuse a recipe that is not watched.

    Raises:
        NotWatchedError: if it has no `watch:`.
    """
    if file.recipe.watch is None or file.recipe.traffic is None:
        raise NotWatchedError(
            "it is not watched", where=str(file.path), expected="`traffic:` and `watch:` in the recipe",
            do="Add `traffic: {}` and `watch: {}`; `stillhouse schema watch` shows what can be said there.",
        )  # fmt: skip


def release_lines(builds: BuildStore, file: RecipeFile) -> tuple[str, ...]:
    """What a person should know of the release that answers, and of the one that was taken from it last.

    A withdrawal is said until a round has promoted another release or a person has brought it back, a finding while the
    release answers of which it is.
    """
    ledger, name, lines = builds.ledger, file.name, list[str]()
    withdrawn = ledger.newest(name, "withdrawal")
    promotions = ledger.entries(name, "promotion")
    by_rounds = [entry.sequence for entry in promotions if entry.body.get("because") not in BY_A_PERSON]
    body = {} if withdrawn is None else withdrawn.body
    if (
        withdrawn is not None
        and withdrawn.sequence > max(by_rounds, default=0)
        and withdrawal_of(ledger, name, release=body["release"], export=body["export"]) is not None
    ):
        day = withdrawn.at[:10]
        lines.append(f"{body['release'][:12]} was withdrawn on {day} by {body['by']}: {body['reason']}")
    serves = desired(ledger, name)
    found = [] if serves is None or file.recipe.watch is None else WatchBook(ledger.url, name).findings()
    of_it = [each for each in found if serves is not None and each.release == serves.champion.release]
    for each in of_it[-_LINES_AT_MOST:]:
        lines.append(f"{day_at(each.at)}: {each.sentence}: {each.action}, {each.because}")
    return tuple(lines)
