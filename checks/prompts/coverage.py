"""How much of the texts models will read.

Belongs here: texts that are cut, word pieces that are unknown.
Does not: counting them (stillhouse/stages/prompts.py).
"""

from collections.abc import Callable

from checks.gate import Finding, GateContext, gate, passed_if
from stillhouse.stages.facts import CoverageFacts, PromptFacts
from stillhouse.statistics.verdicts import Verdict


@gate("no model reads what is cut off, even where the answer stands there", blocking=False)
def few_texts_are_cut(context: GateContext) -> Finding:
    """Texts longer than `max_tokens` of the teacher or of a student."""
    limit = context.recipe.limits.cut_texts_at_most
    return _coverage(context, limit, lambda read: (read.cut_share, read.length_sentence, read.length_remedy))


@gate("a teacher that does not know the signs of a language reads its texts as blanks", blocking=False)
def few_word_pieces_are_unknown(context: GateContext) -> Finding:
    """Word pieces of the kept texts that the teacher's tokenizer has no entry for."""
    limit = context.recipe.limits.unknown_pieces_at_most
    return _coverage(context, limit, lambda read: (read.unknown_share, read.unknown_sentence, read.unknown_remedy))


def _coverage(context: GateContext, limit: float, of: Callable[[CoverageFacts], tuple[float, str, str]]) -> Finding:
    """Hold a share of what models do not read against its limit; `of` gives it with its sentence and a remedy."""
    coverage = context.artifact.facts(PromptFacts).coverage
    if coverage is None:
        return Finding(Verdict.INCONCLUSIVE, "the teacher's weights were refused, so its tokens could not be counted")
    share, sentence, remedy = of(coverage)
    advice = "" if share <= limit else f". {remedy}"
    return passed_if(share <= limit, f"{sentence}, limit {limit:.0%}{advice}", observed=share, limit=limit)
