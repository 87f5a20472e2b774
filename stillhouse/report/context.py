"""What a report shows beside the model that it is about: what the same round judged, decided and found.

Belongs here: the one record of it, which the page (document.py) and the record for machines (record.py) are made of.
Does not: how any of it is found (stages/, evaluation/) or shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stillhouse.error_analysis.rules import ErrorAnalysis
from stillhouse.evaluation.against_champion import AgainstChampion
from stillhouse.evaluation.comparison import Comparison
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.score import Score
from stillhouse.evaluation.selection import Selection
from stillhouse.recipe.fields import Precision
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.losses import Gives
from stillhouse.teachers.own_scale import OwnScale


@dataclass(frozen=True)
class ReportContext:
    """What was judged, decided and found in the same round.

    Args:
        others: candidates, controls and baselines evaluated on the same golden set.
        selection: which of them was chosen and why.
        comparison: the model beside its control.
        ablations: each student with a further step beside the same one without it.
        analyses: why each student that learns from the teacher is as good as it is, by name.
        against_champion: the chosen student beside the release that it would replace.
        precisions: the same student in each of its precisions, in the order of the recipe.
        members: how well each member of a teacher that is an ensemble does by itself.
        gives: how much the teacher says of each answer; of one that gives answers or votes alone nothing is shown that
            would be about how sure it is.
        own_scale: how the numbers of a teacher that has its own became those of the recipe.
        limits: of the recipe, from which numbers on a page says that something is wrong.
    """

    others: Sequence[Evaluation] = ()
    selection: Selection | None = None
    comparison: Comparison | None = None
    ablations: Sequence[Comparison] = ()
    analyses: Mapping[str, ErrorAnalysis] = field(default_factory=dict)
    against_champion: AgainstChampion | None = None
    precisions: Mapping[Precision, Evaluation] = field(default_factory=dict)
    members: Sequence[Score] = ()
    gives: Gives = Gives.LOGITS
    own_scale: OwnScale | None = None
    limits: GateLimits = field(default_factory=GateLimits)

    @property
    def teacher_is_sure(self) -> bool:
        """Whether the teacher says how sure it is, and not only what it answers."""
        return self.gives >= Gives.PROBABILITIES


NOTHING = ReportContext()
