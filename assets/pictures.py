"""Pictures as a person sees them in the UI.

Belongs here: drawing one once, however often its artifact is found again, and showing it.
Does not: what is on it (stillhouse/report/figures/).
"""

import base64
from collections.abc import Callable
from typing import ParamSpec

import dagster as dg

from assets.stage import StageContext
from stillhouse.files import write_atomically
from stillhouse.records.builds import Artifact
from stillhouse.report.figures.learning_curve import learning_curve as drawn_curve
from stillhouse.source_code import closure_digest
from stillhouse.stages.facts import TrainingFacts

OfPicture = ParamSpec("OfPicture")


def picture(
    context: StageContext,
    artifact: Artifact,
    name: str,
    draw: Callable[OfPicture, bytes],
    *about: OfPicture.args,
    **how: OfPicture.kwargs,
) -> dg.MarkdownMetadataValue:
    """Show a PNG about an artifact.

    Args:
        context: whose cache keeps it.
        artifact: what it shows.
        name: of this picture among those of the artifact.
        draw: gives the PNG; the picture is drawn again when its module, or what that imports, was changed.
        about: what it is drawn from.
        how: further arguments.
    """
    drawn_by = closure_digest(draw.__module__)[:12]
    path = context.builds.home.cache / "pictures" / f"{artifact.digest}-{drawn_by}-{name}.png"
    if not path.exists():
        write_atomically(path, draw(*about, **how))
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})")


def learning_curve(context: StageContext, artifact: Artifact, training: TrainingFacts) -> dg.MarkdownMetadataValue:
    """Show training and validation loss by epoch."""
    return picture(context, artifact, "learning_curve", drawn_curve, *training.losses)
