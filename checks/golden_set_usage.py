"""How often a golden set has judged, for the gates that limit it and the advice that counts it.

Belongs here: the rounds by one stage, and holding them against the recipe's limit.
Does not: the log of who read golden rows (stillhouse/records/golden_set_usage.py).
"""

from checks.gate import Finding, GateContext, passed_if
from stillhouse.records.golden_set_usage import GoldenRead, golden_set_usage
from stillhouse.stages.facts import PromptFacts


def rounds_judged(context: GateContext, reader: str) -> list[GoldenRead]:
    """Every round that a stage has judged by golden rows of this split key; one that crashed had begun.

    Args:
        context: of an artifact that was made from the prompt set.
        reader: the stage.
    """
    golden = context.made_from("prompts").facts(PromptFacts).golden_digest
    return golden_set_usage(
        context.builds.ledger, context.file.name, golden=golden, split_key=_split_key(context), reader=reader
    )


def within_the_limit(context: GateContext, reader: str) -> Finding:
    """Whether a stage has judged in no more rounds than `split.golden_rounds_at_most` allows."""
    limit, rounds = context.recipe.split.golden_rounds_at_most, rounds_judged(context, reader)
    if limit is None:
        return passed_if(True, "the recipe sets no limit")
    detail = f"{len(rounds)} of at most {limit} rounds judged by golden rows of key {_split_key(context)!r}"
    if len(rounds) > limit:
        when = ", ".join(map(str, rounds))
        detail += f": {when}; another split key is a fresh golden set, and nothing else is"
    return passed_if(len(rounds) <= limit, detail, observed=len(rounds), limit=limit)


def _split_key(context: GateContext) -> str:
    """The key that made the golden rows golden, as their own manifest has it."""
    return str(context.made_from("prompts").manifest.config["split"]["key"])
