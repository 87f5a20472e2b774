"""What the gates of the contract and of the teacher share: are these the weights that were pinned?"""

from checks.gate import Finding, GateContext, passed_if
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.pinning import pin_of


def are_the_pinned_weights(context: GateContext, fingerprint: str | None) -> Finding:
    """Hold a fingerprint against the recipe's, or against that of the first round where the recipe has none.

    Args:
        context: the artifact that is looked at.
        fingerprint: of the weights before training; None where they were refused.
    """
    spec, part = context.recipe.weights, "teacher" if context.recipe.base is None else "base"
    if fingerprint is None:
        return Finding(Verdict.INCONCLUSIVE, "the weights were refused, so there is nothing to compare with the pin")
    pin = pin_of(context.builds.store, context.builds.ledger, context.file)
    if pin is None:
        return passed_if(
            True,
            f"trusted on first use: the recipe has no {part}.fingerprint and no teacher was made of {spec.address} "
            f"yet; later rounds are held to {fingerprint[:12]}",
            fingerprint=fingerprint,
        )
    source = (
        "the recipe pins"
        if pin.trusted_since is None
        else f"the recipe has no {part}.fingerprint; trusted since their first use on {pin.trusted_since} are"
    )
    if pin.fingerprint == fingerprint:
        return passed_if(True, f"{source} weights {fingerprint[:12]}, and these are they", fingerprint=fingerprint)
    return passed_if(
        False,
        f"{source} weights {pin.fingerprint[:12]}, but {spec.address} holds {fingerprint[:12]}: put the pinned weights "
        f"back, or accept these with `fingerprint: {fingerprint}` in the recipe's {part}",
        pinned=pin.fingerprint,
        fingerprint=fingerprint,
    )
