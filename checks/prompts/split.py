"""Whether what is trained on and what is judged by are apart.

Belongs here: texts, near texts, texts inside texts, and groups on two sides.
Does not: which row judges, and whether it still does (golden_rows.py).
"""

import polars as pl

from checks.gate import Finding, GateContext, gate, none_of, offenders, passed_if
from checks.prompts.base_batch import beside_base
from stillhouse.data.leakage import shared_groups
from stillhouse.data.near_duplicates import can_be_compared, can_be_looked_for, near_duplicate_pairs, ngram_overlap
from stillhouse.data.record_rows import said_of
from stillhouse.statistics.verdicts import Verdict


@gate("a text that is trained on and judged by makes every student look good")
def no_text_is_on_both_sides_of_a_split(context: GateContext) -> Finding:
    """By the text's own id, after case and white space are set aside; a later batch is held against the base."""
    sides = beside_base(context).group_by("prompt_id").agg(pl.len().alias("rows"), pl.col("text").first())
    both = sides.filter(pl.col("rows") > 1)
    return none_of(both.height, f"{both.height} texts are there more than once", texts=offenders(both))


@gate("a golden question in other words is as well known to a student as the question itself")
def no_near_duplicate_is_on_two_sides(context: GateContext) -> Finding:
    """Pairs of nearly equal texts, one trained on and one held out; of records only those not known to differ."""
    prompts = beside_base(context)
    held_out = prompts["split"] != "train"
    blank = ~can_be_compared(prompts["text"])
    if blank.all():
        return Finding(
            Verdict.INCONCLUSIVE,
            f"none of {prompts.height:,} texts has a letter, digit or symbol, so none could be compared; see `text` in "
            "the recipe",
        )
    data = context.recipe.data
    pairs = near_duplicate_pairs(
        prompts["text"], with_queries=data.query is not None, known=said_of(prompts, data.record)
    )
    across = pairs.filter(held_out.gather(pairs["first"]) != held_out.gather(pairs["second"]))
    texts = [
        {"one": prompts["text"][first], "other": prompts["text"][second], "similarity": similarity}
        for first, second, similarity in across.head(20).iter_rows()
    ]
    alone = int(blank.sum())
    return none_of(
        across.height,
        f"{across.height:,} pairs of nearly equal texts are on two sides"
        + (f"; {alone:,} texts have no letter, digit or symbol to compare" if alone else ""),
        pairs=texts,
    )


@gate("a training text that contains an evaluation text gives its answer away")
def no_golden_text_is_inside_a_training_text(context: GateContext) -> Finding:
    """Thirteen words in a row, or all of a text of eight to twelve; without blanks two characters for a word.

    Of records a training text that is known to say something else counts only where it has the whole of a golden one.
    """
    prompts = beside_base(context)
    golden, train = (prompts.filter(pl.col("split") == side) for side in ("golden", "train"))
    looked_for = int(can_be_looked_for(golden["text"]).sum())
    if not looked_for:
        return Finding(
            Verdict.INCONCLUSIVE,
            f"none of {golden.height:,} golden texts has eight words, or 16 characters without blanks, so none could "
            "be looked for; waive this if the texts are short by nature, since shorter ones stand in others by chance",
        )
    golden_says, train_says = (said_of(side, context.recipe.data.record) for side in (golden, train))
    inside = ngram_overlap(golden["text"], train["text"], golden_says=golden_says, pool_says=train_says)
    texts = [
        {"golden": golden["text"][one], "training": train["text"][other]} for one, other in inside.head(20).iter_rows()
    ]
    short = golden.height - looked_for
    return none_of(
        inside.height,
        f"{inside.height:,} golden texts are inside training texts"
        + (f"; {short:,} of {golden.height:,} are too short to be looked for" if short else ""),
        texts=texts,
    )


@gate("a group on both sides of a split is recognised by what was learned of it in training")
def no_group_is_on_two_sides(context: GateContext) -> Finding:
    """Where the recipe names a group column."""
    group = context.recipe.data.group
    if group is None:
        return passed_if(True, "the recipe names no group")
    prompts = beside_base(context)
    both = shared_groups(prompts[group], prompts["split"])
    return none_of(both.height, f"{both.height:,} groups are on more than one side", groups=offenders(both))
