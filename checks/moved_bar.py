"""Under which bar the newest candidate was made.

Belongs here: finding the contract that froze it, and reading a bar that an earlier version froze.
Does not: whether another one may be frozen now (contract.py), accepting it (orchestration/approvals.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from stillhouse.digests import digest_of
from stillhouse.recipe.bar import Terms
from stillhouse.records.builds import BuildStore
from stillhouse.stages.contract import bar_values
from stillhouse.stages.names import CANDIDATES, CONTRACT, kind_of


@dataclass(frozen=True)
class FrozenBar:
    """A bar that a contract froze, as this version would: what it did not know yet has its default."""

    digest: str
    terms: Mapping[str, Any]


def bar_of_the_newest_candidate(builds: BuildStore, recipe: str) -> FrozenBar | None:
    """The bar that was in force when the newest candidate was made, of whatever student that the recipe ever had."""
    ledger = builds.ledger
    made = ledger.subjects(recipe, "materialization")
    candidates = [asset for asset in made if kind_of(asset.removeprefix(f"{recipe}/")) == CANDIDATES]
    newest = max((each.sequence for each in ledger.newest_materializations(recipe, candidates).values()), default=0)
    contract = ledger.newest(recipe, "materialization", subject=f"{recipe}/{CONTRACT}", before=newest)
    if contract is None:
        return None
    return frozen_bar(builds.store.read_manifest(contract.body["digest"], contract.body["manifest"]).facts)


def frozen_bar(facts: Mapping[str, Any]) -> FrozenBar | None:
    """The bar in the facts of a contract; None where it has none."""
    if "bar" not in facts:
        return None
    terms = {name: value for name, value in facts["bar"].items() if name in Terms.model_fields}
    try:
        known = Terms.model_validate(terms)
    except ValidationError:  # a bar of a version with other fields is another bar
        return FrozenBar(str(facts["bar_digest"]), facts["bar"])
    values = bar_values(known, facts["bar"].get("golden_rounds_at_most"))
    values |= {name: facts["bar"][name] for name in ("cascade",) if name in facts["bar"]}
    return FrozenBar(digest_of(values), values)
