"""Whether rows were lost on the way in.

Belongs here: counts of what came, what was kept and what was rejected.
Does not: why a row is rejected (stillhouse/data/), what the columns of a kept row hold (expectations/prompts.py).
"""

import polars as pl

from checks.gate import Finding, GateContext, gate, offenders, passed_if, share_at_most
from stillhouse.data.rejects import COPIES


@gate("a filter that loses rows without saying so hides whatever it was that it removed", waivable=False)
def kept_and_rejected_are_all_that_came_in(context: GateContext) -> Finding:
    """In = kept + rejected, counted again from the tables and from the source."""
    source = context.made_from("source").frame("rows").height
    kept, rejected = context.frame("prompts").height, context.frame("rejects").height
    return passed_if(
        source == kept + rejected,
        f"{source:,} rows = {kept:,} kept + {rejected:,} rejected",
        observed=kept + rejected,
        limit=source,
    )


@gate("many rejected rows in one batch usually mean a broken export")
def few_rows_of_the_batch_were_rejected(context: GateContext) -> Finding:
    """Copies do not count: they are what cleaning is for."""
    rejects = context.frame("rejects").filter(~pl.col("reason").is_in(COPIES))
    came = context.made_from("source").frame("rows").height
    share = rejects.height / max(came, 1)
    limit = context.recipe.limits.rejected_rows_at_most
    return share_at_most(
        rejects.height,
        came,
        limit,
        f"batch {context.artifact.batch}: {rejects.height:,} of {came:,} rows rejected ({share:.0%}), "
        f"limit {limit:.0%}",
        rejected=offenders(rejects),
    )
