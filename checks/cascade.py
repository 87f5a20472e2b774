"""Gates on the student with its teacher behind it: does it hold what it promises, at the price that was allowed?"""

import polars as pl

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if, share_at_most
from checks.golden_set_usage import within_the_limit
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.release.cascade import CASCADE, Cascade
from stillhouse.stages.cascade import GOLDEN, ROWS, CascadeFacts, spec_of
from stillhouse.stages.names import CASCADE as STAGE
from stillhouse.statistics.fixed_sequence import cascade_threshold
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent

_CLEARLY = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


@gate("a threshold can fit the rows that it was chosen on by chance, and then fail on all others")
def the_cascade_holds_its_margin(context: GateContext) -> Finding:
    """On golden rows, with all else that the bar asks of all rows together."""
    (judged,) = read_evaluations(context.artifact.folder)
    test = judged.non_inferiority
    claims = [claim for claim in judged.claims if claim.binding and claim.group != "slices"]
    return _gravest(claims, observed=test.drop, limit=test.margin)


@gate("a small loss over all rows can hide a large one on a slice that must not be lost")
def the_cascade_holds_every_critical_slice(context: GateContext) -> Finding:
    """Critical slices at their own margins and floors; of one that callers name and that is protected, all is the
    teacher's."""
    (judged,) = read_evaluations(context.artifact.folder)
    facts = context.artifact.facts(CascadeFacts)
    critical = {item.name for item in context.recipe.slices if item.critical}
    lost = sorted(critical & set(facts.failing))
    if lost:
        return passed_if(
            False,
            f"the student fails on {', '.join(lost)}, and no server can tell which texts are in it: name its column in "
            "cascade.request_columns, so that callers send it, or train a student that holds it",
        )
    claims = [claim for claim in judged.claims if claim.binding and claim.group == "slices"]
    protected = f"; always the teacher: {', '.join(facts.protected)}" if facts.protected else ""
    if not claims:
        return passed_if(True, f"no critical slice is the student's{protected}")
    return _gravest(claims, protected)


@gate("each question that goes to the teacher costs what the student was there to save")
def the_teacher_is_asked_within_its_share(context: GateContext) -> Finding:
    """The share of golden rows that goes to the teacher, at most the recipe's."""
    facts, limit = context.artifact.facts(CascadeFacts), spec_of(context.recipe).share_at_most
    cost = f"; 1,000 calls cost {facts.cost}" if facts.cost else ""
    sentence = f"{facts.sentence}, at most {percent(limit)} allowed{cost}"
    return share_at_most(facts.golden_to_teacher, facts.golden_rows, limit, sentence)


@gate(
    "a threshold that was found by the rows that judge it, or that taught the student, proves nothing", waivable=False
)
def the_threshold_was_found_by_other_rows(context: GateContext) -> Finding:
    """Each row that calibrated is a validation row, and the rows that are kept give this very threshold again."""
    rows, cascade = context.frame(ROWS), _cascade(context)
    prompts = context.made_from("prompts").frame("prompts")
    allowed = prompts.filter(pl.col("split") == "validation")["prompt_id"].implode()
    others = rows.filter(~pl.col("prompt_id").is_in(allowed)).height
    if others or rows["prompt_id"].is_duplicated().any():
        return none_of(
            max(others, 1), f"{others:,} of {rows.height:,} rows are not validation rows, or a row counts twice"
        )
    spec, found = spec_of(context.recipe), cascade.rule.threshold
    confidence = rows.select(pl.when("protected").then(0.0).otherwise("confidence")).to_series().to_numpy()
    right = (rows[f"{who}_right"].to_numpy() for who in ("teacher", "student"))
    again = cascade_threshold(confidence, *right, margin=spec.margin, delta=spec.delta)
    return passed_if(
        again == found,
        f"{rows.height:,} validation rows give {_shown(again.threshold)}, and the release {_shown(found.threshold)}",
    )


@gate("a cascade of another student or teacher than ships promises what nobody judged")
def the_cascade_is_of_what_ships(context: GateContext) -> Finding:
    """Student and teacher are the very artifacts that it was made from, and the golden rows are answered as written."""
    facts, cascade = context.artifact.facts(CascadeFacts), _cascade(context)
    export, teacher = context.made_from(f"exports/{facts.student}"), context.made_from("teacher")
    asked = context.frame(GOLDEN)
    wrong = {
        "student": facts.export != export.digest,
        "teacher": cascade.teacher.artifact != teacher.digest,
        "golden rows": (asked.height, asked["to_teacher"].sum()) != (facts.golden_rows, facts.golden_to_teacher),
    }
    named = [what for what, is_wrong in wrong.items() if is_wrong]
    return none_of(
        len(named), f"not those that ship: {', '.join(named)}" if named else f"{facts.student} and its teacher"
    )


@gate("golden rows that judge cascade after cascade until one passes prove nothing", waivable=False)
def cascades_are_judged_within_the_limit(context: GateContext) -> Finding:
    """Cascades judged by golden rows of this split key, as the rounds of candidates are counted for themselves."""
    return within_the_limit(context, STAGE)


def _cascade(context: GateContext) -> Cascade:
    return Cascade.model_validate_json((context.artifact.folder / CASCADE).read_bytes())


def _gravest(claims: list[Claim], more: str = "", observed: float | None = None, limit: float | None = None) -> Finding:
    """The gravest verdict of some claims, with what each of them says."""
    verdict = min((claim.verdict for claim in claims), key=_CLEARLY.index)
    said = [claim.sentence for claim in claims if claim.verdict is verdict or verdict is Verdict.PASS]
    return Finding(verdict, "; ".join(said) + more, observed=observed, limit=limit)


def _shown(threshold: float | None) -> str:
    return "no threshold" if threshold is None else f"{threshold:.4f}"


GATES = gates_of_module(__name__)
