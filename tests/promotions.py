"""Releases that serve, by name alone: the entries of the ledger, without artifacts behind them."""

from stillhouse.records.champions import Served, promoted
from stillhouse.records.deployments import DeployedRelease, Deployment, desired
from stillhouse.records.ledger import Ledger
from stillhouse.records.promotion import go_back, promote
from stillhouse.records.witness import Witness


def named(release: str, student: str = "one") -> DeployedRelease:
    """A release as a deployment names it."""
    return DeployedRelease(release=release, manifest=f"m{release}", student=student)


def model_of(release: str) -> str:
    """The model in a release: its first letter, so that "b2" is the second release of model b."""
    return release[0]


def serve(ledger: Ledger, release: str, *, recipe: str = "r", student: str = "one") -> Served:
    """A round promotes a release."""
    promote(
        ledger, Witness.from_environment(), recipe, named(release, student), seen=desired(ledger, recipe),
        export=model_of(release), run_id="run", relied_on=(),
    )  # fmt: skip
    return promoted(ledger, recipe)[0]


def seen(ledger: Ledger, recipe: str = "r") -> Deployment:
    """What serves now."""
    found = desired(ledger, recipe)
    assert found is not None
    return found


def back(ledger: Ledger, release: str, *, by: str, reason: str, recipe: str = "r", student: str = "one") -> None:
    """A person goes back to a release."""
    now = seen(ledger, recipe)
    exports = model_of(now.champion.release), model_of(release)
    go_back(ledger, recipe, now, named(release, student), exports=exports, by=by, reason=reason)
