"""What a server says of itself to Prometheus: names, labels and buckets.

Belongs here: counting answers and refusals, and showing what is served.
Does not: deciding anything by them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stillhouse.records.looks import LookKind
from stillhouse.serving.answer import Answer
from stillhouse.serving.desired import Slot
from stillhouse.serving.handing_on import Final
from stillhouse.serving.memory import resident_mb
from stillhouse.serving.requests import Log
from stillhouse.wording import MEGABYTE

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0)
"""Seconds: a student takes one to four milliseconds, and what is slower has waited."""
NOT_SERVED = "none"
"""For requests to what is not served here: a label must not be what a caller chose."""


class Metrics:
    """Counters of one process.

    Args:
        slots: what is served, by recipe.
        logs: keep what was answered, by recipe.
    """

    def __init__(self, slots: Mapping[str, Slot], logs: Mapping[str, Log]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_State(slots))
        self._registry.register(_Rows(logs))
        self._every = _EveryRequest(slots)
        self._registry.register(self._every)
        self._handed_on = Counter(
            "stillhouse_handed_on", "Texts that the teacher was to answer, by reason.", ["recipe", "why"],
            registry=self._registry,
        )  # fmt: skip
        self._degraded = Counter(
            "stillhouse_degraded_texts", "Texts that the teacher was to answer and did not, by reason.",
            ["recipe", "why"], registry=self._registry,
        )  # fmt: skip
        self._failed = Counter(
            "stillhouse_stood_in", "Texts that the champion answered because another release failed.",
            ["recipe", "arm"], registry=self._registry,
        )  # fmt: skip
        self._in_the_shadow = Counter(
            "stillhouse_shadow_texts",
            "Texts that a challenger in the shadow was to be asked about, once they were answered: those that it "
            "answered, failed to answer, and was not asked about (skipped).",
            ["recipe", "outcome"],
            registry=self._registry,
        )

    def ended(self, recipe: str, endpoint: str, status: int) -> None:
        """Count a request."""
        self._every.requests[recipe, endpoint, status] += 1

    def answered(self, recipe: str, answers: Sequence[Answer], seconds: float) -> None:
        """Count a request's answers, and how long all of them took."""
        for answer in answers:
            self._every.texts[recipe, answer["release"], answer["source"]] += 1
        self._every.took(recipe, seconds)

    def handed_on(self, recipe: str, final: Final) -> None:
        """Count a text that the teacher was to answer, and whether it did."""
        self._handed_on.labels(recipe, final.why).inc()
        if final.away is not None:
            self._degraded.labels(recipe, final.away).inc()

    def failed(self, recipe: str, arm: str) -> None:
        """Count a text that another release than the champion failed to answer, so that the champion did."""
        self._failed.labels(recipe, arm).inc()

    def in_the_shadow(self, recipe: str, outcome: str) -> None:
        """Count a text that a challenger in the shadow was to be asked about."""
        self._in_the_shadow.labels(recipe, outcome).inc()

    def shown(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _EveryRequest(Collector):
    """What every request is counted in: plain numbers of the event loop, where a lock and checks would cost more.

    Args:
        recipes: that are served.
    """

    def __init__(self, recipes: Iterable[str]) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.texts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._took = {name: [0] * (len(BUCKETS) + 1) for name in recipes}
        self._seconds = dict.fromkeys(self._took, 0.0)

    def took(self, recipe: str, seconds: float) -> None:
        """Count how long an answer took."""
        self._took[recipe][bisect_left(BUCKETS, seconds)] += 1  # a limit belongs to the bucket below it
        self._seconds[recipe] += seconds

    def collect(self) -> Iterable[Metric]:
        """Since the process began."""
        requests = CounterMetricFamily(
            "stillhouse_requests", "Requests by endpoint and how they ended.", labels=["recipe", "endpoint", "status"]
        )
        for (recipe, endpoint, status), number in self.requests.items():
            requests.add_metric([recipe, endpoint, str(status)], number)
        texts = CounterMetricFamily(
            "stillhouse_answered_texts", "Texts that were answered.", labels=["recipe", "release", "source"]
        )
        for (recipe, release, source), number in self.texts.items():
            texts.add_metric([recipe, release[:12], source], number)
        took = HistogramMetricFamily(
            "stillhouse_request_seconds", "Seconds from a request's arrival to its answer.", labels=["recipe"]
        )
        limits = (*map(str, BUCKETS), "+Inf")
        for recipe, numbers in self._took.items():
            buckets = list(zip(limits, accumulate(numbers), strict=True))
            took.add_metric([recipe], buckets, self._seconds[recipe])
        return requests, texts, took


class _Rows(Collector):
    """What becomes of the rows of the traffic log."""

    def __init__(self, logs: Mapping[str, Log]) -> None:
        self._logs = logs

    def collect(self) -> Iterable[Metric]:
        """Counters since the process began, and how many rows wait."""
        received, stored, dropped, thinned = (
            CounterMetricFamily(
                f"stillhouse_log_{name}", f"Rows of the traffic log that were {name}.", labels=["recipe"]
            )
            for name in ("received", "stored", "dropped", "thinned")
        )
        waiting, troubled, share = (
            GaugeMetricFamily(f"stillhouse_log_{name}", text, labels=["recipe"])
            for name, text in (
                ("waiting", "Rows in the queue of the traffic log."),
                ("troubled", "1 while rows cannot be written down, or wait on this disk for the store, else 0."),
                (
                    "kept_share",
                    "Share of the answers that was kept when rows were last sealed; 1 where there is room for all.",
                ),
            )
        )
        for name, log in self._logs.items():
            received.add_metric([name], log.received)
            stored.add_metric([name], log.stored)
            dropped.add_metric([name], log.dropped)
            waiting.add_metric([name], log.depth)
            thinned.add_metric([name], log.thinned)
            troubled.add_metric([name], log.problem is not None)
            share.add_metric([name], log.kept_share)
        return received, stored, dropped, thinned, waiting, troubled, share


class _State(Collector):
    """What is served, read at the moment of asking."""

    def __init__(self, slots: Mapping[str, Slot]) -> None:
        self._slots = slots

    def collect(self) -> Iterable[Metric]:
        """A gauge for each thing that an operator is woken for."""
        of_recipe = ["recipe"]
        applied, refused, waiting, unseen, share, broken = (
            GaugeMetricFamily(f"stillhouse_{name}", text, labels=of_recipe)
            for name, text in (
                ("applied_deployment", "Number of the deployment that serves, 0 for none."),
                ("refused_deployment", "Number of the deployment that should serve and cannot, else 0."),
                ("waiting_requests", "Requests that were read and are not answered yet."),
                ("ledger_age_seconds", "Seconds since the ledger last answered; NaN if it never did."),
                ("challenger_share", "Share of the callers that a challenger answers here, 0 for none."),
                ("challenger_stopped", "1 while the challenger is not asked here because it failed so often."),
            )
        )
        for name, slot in self._slots.items():
            applied.add_metric([name], 0 if slot.serving is None else slot.serving.deployment)
            refused.add_metric([name], slot.refused or 0)
            waiting.add_metric([name], slot.waiting)
            unseen.add_metric([name], slot.ledger_age)
            challenger = None if slot.serving is None else slot.serving.challenger
            stopped = challenger is not None and challenger.breaker.is_open
            share.add_metric([name], 0 if challenger is None or stopped else challenger.share)
            broken.add_metric([name], int(stopped))
        rounds, watch, unsent = (
            GaugeMetricFamily(f"stillhouse_{name}", text, labels=of_recipe)
            for name, text in (
                ("rounds_look_age_seconds", "Seconds since a daemon last looked for new rows; NaN if none ever did."),
                ("watch_look_age_seconds", "Seconds since a watch last looked at live answers; NaN if none ever did."),
                (
                    "unsent_notice_age_seconds",
                    "Seconds for which the oldest unsent notice has waited; 0 if none waits.",
                ),
            )
        )
        for name, slot in self._slots.items():
            if slot.daemon is not None:
                rounds.add_metric([name], _age(slot.daemon.looks.get(LookKind.ROUNDS), or_else=float("nan")))
                watch.add_metric([name], _age(slot.daemon.looks.get(LookKind.WATCH), or_else=float("nan")))
                unsent.add_metric([name], _age(slot.daemon.unsent_since, or_else=0.0))
        breaker, usd, usd_at_most = (
            GaugeMetricFamily(f"stillhouse_teacher_{name}", text, labels=of_recipe)
            for name, text in (
                ("breaker_open", "1 while the teacher is not asked because it failed."),
                (
                    "usd_this_month",
                    "USD spent or reserved for calls of the teacher, by all servers, as this one last saw it.",
                ),
                (
                    "usd_per_month",
                    "USD that calls of the teacher may cost all servers in a month; only where they cost money.",
                ),
            )
        )
        for name, slot in self._slots.items():
            teacher = None if slot.serving is None else slot.serving.champion.teacher
            if teacher is not None:
                breaker.add_metric([name], float(teacher.breaker.is_open))
                usd.add_metric([name], teacher.usd_this_month)
                if teacher.usd_per_month is not None:
                    usd_at_most.add_metric([name], teacher.usd_per_month)
        of_the_teacher = breaker, usd, usd_at_most
        beside = *of_the_teacher, *self._memory()
        return applied, refused, waiting, unseen, share, broken, rounds, watch, unsent, *beside

    def _memory(self) -> Iterable[Metric]:
        """Of the process, beside the limit of each recipe; none where the system does not say."""
        held = GaugeMetricFamily(
            "stillhouse_resident_memory_bytes", "Bytes that the whole process holds, the same for each recipe.",
            labels=["recipe"],
        )  # fmt: skip
        at_most = GaugeMetricFamily(
            "stillhouse_memory_bytes_at_most",
            "Bytes that the whole process may hold now; only where the recipe has a limit.",
            labels=["recipe"],
        )
        memory = resident_mb()
        for name, slot in self._slots.items():
            if memory is not None:
                held.add_metric([name], memory * MEGABYTE)
            if slot.memory_mb_at_most is not None:
                at_most.add_metric([name], slot.memory_mb_at_most * MEGABYTE)
        return held, at_most


def _age(moment: datetime | None, *, or_else: float) -> float:
    """Seconds since a moment; on another machine's clock it may be a little ahead."""
    return or_else if moment is None else max((datetime.now(UTC) - moment).total_seconds(), 0.0)
