"""Gates on the traffic of a day: is all of it accounted for, and is nothing kept that may not be?"""

from datetime import UTC, datetime

import polars as pl

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of
from stillhouse.data.privacy import redact
from stillhouse.live.columns import COLUMNS, columns_sent
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import overdue
from stillhouse.stages.traffic import TrafficFacts, spec_of

_KEY = r"^[0-9a-f]{32}$"


def _store(context: GateContext) -> TrafficStore:
    return TrafficStore(context.builds.home.artifacts, context.file.name)


@gate("an answer of a release that nobody promoted leads back to no rows")
def every_answer_names_a_known_release(context: GateContext) -> Finding:
    """Each release that answered was promoted, deployed or offered by the ledger."""
    answers, ledger, name = context.frame("answers"), context.builds.ledger, context.file.name
    unknown = [
        release
        for release in answers["release"].unique().sort()
        if ledger.newest(name, "promotion", content=release) is None
        and ledger.newest(name, "deployment", content=release) is None
        and ledger.newest(name, "deployment", subject=release) is None
    ]
    rows = answers.filter(pl.col("release").is_in(unknown))["rows"].sum()
    known = answers["release"].n_unique() - len(unknown)
    return none_of(
        int(rows),
        f"{rows:,} answers of {len(unknown)} releases that the ledger does not know"
        if unknown
        else f"{answers['rows'].sum():,} answers of {known} releases, each of which the ledger knows",
        releases=unknown[:20],
    )


@gate("what is missing without a count makes every number that is drawn from the rest a guess")
def nothing_was_lost_unseen(context: GateContext) -> Finding:
    """Of each replica, received = stored + dropped + lost + thinned, and what it stored is there, once."""
    facts = context.artifact.facts(TrafficFacts)
    problems = context.frame("replicas")["problems"].explode().drop_nulls().to_list()
    counted = f"{facts.received:,} received, {facts.stored:,} stored, {facts.dropped:,} dropped, {facts.lost:,} lost"
    counted += f", {facts.thinned:,} thinned" if facts.thinned else ""
    return none_of(len(problems), "; ".join([counted, *problems[:5]]), problems=problems[:20])


@gate("what is kept of people has to be what the recipe says, which is nothing that names them")
def no_personal_data_is_left(context: GateContext) -> Finding:
    """Texts, truths and who said them are redacted, keys are stand-ins, and columns have words of the recipe alone."""
    store, day = _store(context), context.artifact.facts(TrafficFacts).day
    feedback, requests = store.frame(day, "feedback"), store.frame(day, "requests")
    keys = requests["key"].drop_nulls()
    columns = {
        "values that callers sent": _values_of_no_slice(requests, context),
        "texts": store.frame(day, "texts")["text"],
        "truths": feedback["truth"],
        "names of who says so": feedback["by"].drop_nulls(),
    }
    found = {what: redact(values).found["row"].n_unique() for what, values in columns.items()}
    found["keys"] = int((~keys.str.contains(_KEY)).sum())
    left = [f"{rows:,} {what}" for what, rows in found.items() if rows]
    looked = sum(map(len, columns.values())) + len(keys)
    sentence = f"personal data is in {', '.join(left)}" if left else f"none is in {looked:,} texts, truths and keys"
    return none_of(sum(found.values()), sentence)


def _values_of_no_slice(requests: pl.DataFrame, context: GateContext) -> pl.Series:
    """Values that callers sent and no slice of the recipe names, of which a server keeps none."""
    sent = [columns_sent(each) or {} for each in requests[COLUMNS].drop_nulls().unique().sort()]
    named = {value for each in context.recipe.slices for value in each.values}
    found = sorted({value for each in sent for value in each.values()} - named)
    return pl.Series(found, dtype=pl.String)


@gate("a text that is kept for longer than was promised is a promise that was broken")
def retention_holds(context: GateContext) -> Finding:
    """No file of any day is older than the recipe allows, none has texts where none may be, and all fit its bytes."""
    store, spec = _store(context), spec_of(context.file)
    late = [f"{kind} of {day}" for day, kind in overdue(store, spec, datetime.now(UTC).date())]
    if not context.recipe.keeps_texts:
        late += [f"texts of {day}" for day in store.days() if store.segments(day, "texts")]
    sentence = (
        f"kept for longer than the recipe allows: {', '.join(late[:5])}"
        if late
        else f"answers are kept for {spec.days} days, texts for {spec.text_days if context.recipe.keeps_texts else 0}"
    )
    taken = 0 if spec.bytes_at_most is None else sum(store.taken(day).size for day in store.days())
    if spec.bytes_at_most is not None and taken > spec.bytes_at_most:
        late.append("bytes")
        sentence += f"; they take {taken:,} bytes, and the recipe allows {spec.bytes_at_most:,}"
    return none_of(len(late), sentence, files=late[:20])


GATES = gates_of_module(__name__)
