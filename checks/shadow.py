"""Gates on the shadow of the champion: has a challenger shown that it may answer callers?

They stop no round. A rollout moves on only when each of them is open on the newest look (orchestration/rollout.py).
"""

from datetime import datetime, timedelta

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, share_at_most
from stillhouse.live.shadow import Judged
from stillhouse.records.deployments import Challenger, desired
from stillhouse.release.bundle import MODEL, task_of_bundle
from stillhouse.release.probe import PROBE, Probe, probe_problems
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.statistics.verdicts import Verdict
from stillhouse.summaries import shadow as summary
from stillhouse.wording import points


def _challenger(context: GateContext) -> Challenger | None:
    """The release on its way, if what was replayed is of this rollout."""
    deployment = desired(context.builds.ledger, context.file.name)
    challenger = None if deployment is None else deployment.challenger
    of_it = challenger is not None and challenger.salt == context.artifact.facts(ShadowFacts).rollout
    return challenger if of_it else None


@gate("a challenger that answers worse than the champion has to be found before callers find it", blocking=False)
def the_challenger_is_not_worse(context: GateContext) -> Finding:
    """Over all requests since it was offered, by an e-value: the drop from the champion is below the margin."""
    facts = context.artifact.facts(ShadowFacts)
    found, test = facts.overall, facts.overall.test
    sentence = f"{_counts(found)}; {_in_points(found)}, margin {points(test.limit)}{summary.missing(found)}"
    table = {"parts": summary.parts(facts), "e_within": test.e_within, "e_beyond": test.e_beyond}
    if (said := summary.truth(facts)) is not None:
        table |= {"truth": said, "parts_by_truth": summary.parts_by_truth(facts)}
    return Finding(test.verdict, sentence, table, observed=test.mean, limit=test.limit)


@gate("what is well on average may be much worse for a few, who are then all of it that they see", blocking=False)
def no_critical_slice_is_worse(context: GateContext) -> Finding:
    """Each critical slice that is known of a request shows no loss; one too rare to prove it shows no harm in time."""
    parts, late = context.artifact.facts(ShadowFacts).critical, _is_late(context)
    if not parts:
        of = "slices of classes are, and of columns that callers send"
        return Finding(Verdict.PASS, f"no critical slice is known when a request comes: {of}")
    verdicts = {name: _of_slice(part, late) for name, part in parts.items()}
    worst = Verdict.worst(verdicts.values())
    named = [name for name, verdict in verdicts.items() if verdict is worst and worst is not Verdict.PASS]
    lines = [
        f"{name}: {_counts(parts[name])}; {_in_points(parts[name])}{summary.missing(parts[name])}" for name in named
    ]
    rare = [name for name, part in parts.items() if part.test.verdict is Verdict.INCONCLUSIVE]
    if worst is Verdict.PASS and rare:
        lines = [f"too rare to prove it, and no harm was seen: {', '.join(rare)}; their golden rows stand for them"]
    return Finding(worst, "; ".join(lines) or f"{len(parts)} critical slices show no loss beyond their margin")


@gate("where nobody could say who was right, nothing was compared", blocking=False)
def the_judge_answered_where_they_differ(context: GateContext) -> Finding:
    """Of the requests that the two answer otherwise, nearly all have an answer of the teacher."""
    found = context.artifact.facts(ShadowFacts).overall
    sentence = f"{found.unanswered:,} of {found.differ:,} requests that they answer otherwise have no answer to go by"
    limit = context.recipe.limits.unanswered_prompts_at_most
    return share_at_most(found.unanswered, found.differ, limit, sentence)


@gate("on another processor int8 may answer otherwise than the model that was judged", blocking=False)
def the_challenger_answers_as_judged(context: GateContext) -> Finding:
    """Its answers to the texts that it carries are those that it gave where it was judged."""
    from stillhouse.models.predictor import OnnxClassifier

    challenger = _challenger(context)
    if challenger is None:
        return Finding(Verdict.INCONCLUSIVE, "the release that this is about is no longer on its way")
    folder = context.builds.artifact(challenger.deployed.release, challenger.deployed.manifest).folder
    model = OnnxClassifier(folder / MODEL)
    probe = Probe.model_validate_json((folder / PROBE).read_bytes())
    task = task_of_bundle(folder, model.labels)
    problems = probe_problems(probe, lambda text: model.logits([text]), task)
    sentence = "; ".join(problems) if problems else f"{len(probe.texts)} texts are answered as where it was judged"
    return none_of(len(problems), sentence)


def _is_late(context: GateContext) -> bool:
    """Whether the shadow has taken as long as it may."""
    rollout, challenger = context.recipe.rollout, _challenger(context)
    if rollout is None or challenger is None:
        return False
    waited = context.builds.ledger.now() - datetime.fromisoformat(challenger.since)
    return waited >= timedelta(days=rollout.shadow.days_at_most)


def _of_slice(part: Judged, late: bool) -> Verdict:
    """Of a rare slice it is enough, once there was time, that it shows no loss beyond its margin."""
    test = part.test
    if test.verdict is Verdict.INCONCLUSIVE and late and (test.mean is None or test.mean <= test.limit):
        return Verdict.PASS
    return test.verdict


def _counts(part: Judged) -> str:
    return f"{part.rows:,} requests, {part.differ:,} answered otherwise, {part.lost:,} lost, {part.won:,} won"


def _in_points(part: Judged) -> str:
    return "nothing was asked" if part.test.mean is None else f"a drop of {points(part.test.mean)} points"


GATES = gates_of_module(__name__)
