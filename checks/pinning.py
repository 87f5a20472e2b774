"""What the gates of the contract and of the teacher share: are these the weights that were pinned?"""

from collections.abc import Mapping

from checks.gate import Finding, GateContext, passed_if
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.pinning import pin_of


def are_the_pinned_weights(context: GateContext, fingerprints: Mapping[str, str | None]) -> Finding:
    """Hold fingerprints against the recipe's, or against those of the first round where the recipe has none.

    Args:
        context: the artifact that is looked at.
        fingerprints: of the weights before training, by the part of the recipe that names them; None of refused ones.
    """
    findings = [_is_the_pinned_one(context, part, fingerprint) for part, fingerprint in fingerprints.items()]
    closed = next((each for each in findings if each.verdict is not Verdict.PASS), None)
    if closed is not None or len(findings) == 1:
        return closed or findings[0]
    said = [f"{part}: {each.sentence}" for part, each in zip(fingerprints, findings, strict=True)]
    return passed_if(True, "; ".join(said), fingerprints=dict(fingerprints))


def _is_the_pinned_one(context: GateContext, part: str, fingerprint: str | None) -> Finding:
    spec = context.recipe.all_weights[part]
    if fingerprint is None:
        return Finding(Verdict.INCONCLUSIVE, "the weights were refused, so there is nothing to compare with the pin")
    pin = pin_of(context.builds.store, context.builds.ledger, context.file, part)
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
