"""What is shown of a challenger beside its champion.

Belongs here: the counts, the parts of the requests as rows, both in one line, and what people said beside a teacher.
Does not: comparing (stillhouse/stages/shadow.py), gates (checks/shadow.py).
"""

from stillhouse.live.shadow import ALL, Judged
from stillhouse.stages.labels import Labelled
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent, points


def headline(facts: ShadowFacts) -> str:
    """What was found, in one line."""
    overall = facts.overall
    return (
        f"{overall.rows:,} requests {facts.compared}, {overall.differ:,} answered otherwise, "
        f"{overall.lost:,} lost, {overall.won:,} won"
    )


def numbers(facts: ShadowFacts) -> dict[str, int | str]:
    """Who was held against whom, and what was found over all requests."""
    overall = facts.overall
    return {
        "champion": facts.champion,
        "challenger": facts.challenger,
        "requests": overall.rows,
        "answered_otherwise": overall.differ,
        "lost": overall.lost,
        "won": overall.won,
        "verdict": str(overall.test.verdict),
        **({"left_out": facts.left_out} if facts.left_out else {}),
        **({"replayed_whole": ", ".join(facts.whole)} if facts.whole else {}),
        **({} if (said := truth(facts)) is None else {"truth": said}),
    }


def parts(facts: ShadowFacts) -> list[dict[str, object]]:
    """What was found of each part of the requests, by the judge whose word binds."""
    return _rows(facts.parts, binding=True)


def parts_by_truth(facts: ShadowFacts) -> list[dict[str, object]]:
    """The same by what people said, where a teacher judges; none where nobody said anything."""
    return [] if facts.truth is None else _rows(facts.truth.parts, binding=False)


def truth(facts: ShadowFacts) -> str | None:
    """How both do against what people said, in one line; None where nobody is asked and nobody says it."""
    said = [] if facts.by_truth is None else [_by_feedback(facts, facts.by_truth[ALL])]
    said += [] if facts.labelled is None else [_by_labels(facts.labelled, facts.overall.test.limit)]
    return "; ".join(said) or None


def _by_feedback(facts: ShadowFacts, found: Judged) -> str:
    said = "nothing that people said has matured" if found.rows == 0 else _against_truth(found)
    if facts.truth is None:
        return f"{said}: truth judges"
    if facts.truth.waiting:
        said += f"; of {facts.truth.waiting:,} days no truth counts yet"
    if facts.truth.selection == "unknown":
        said += "; said by whoever cared to, which is not a sample"
    return f"{said}: shown beside the teacher, which judges"


def _by_labels(found: Labelled, margin: float) -> str:
    """What people said of the texts that they were given because the two answer them otherwise."""
    said = f"of {found.given:,} texts that the two answer otherwise people have labelled {found.labelled:,}"
    if found.drop is None:
        return f"{said} ({found.file}): not enough to tell, {found.missing:,} more labels are needed"
    said += (
        f": {found.champion_right:,} as the champion answers, {found.challenger_right:,} as the challenger, "
        f"{found.neither_right:,} as neither; a drop of {points(found.drop)} points over all texts "
        f"({points(found.low)} to {points(found.high)}), margin {points(margin)}"
    )
    if found.missing:
        return f"{said}: not enough to tell, {found.missing:,} more labels are needed"
    if found.high < margin:
        return f"{said}: {_IN_WORDS[Verdict.PASS]}"
    return f"{said}: {_IN_WORDS[Verdict.FAIL if found.low > margin else Verdict.INCONCLUSIVE]}"


def missing(part: Judged) -> str:
    """How many requests are missing, where that is why there is no verdict."""
    test = part.test
    if test.verdict is not Verdict.INCONCLUSIVE:
        return ""
    if test.rows == 0:
        return "; how many requests are missing shows once there are some"
    if test.rows_needed is None:
        return "; it is so near the margin that no number of requests like these would settle it"
    return f"; about {max(test.rows_needed - test.rows, 1):,} more requests are needed if they go on like these"


_IN_WORDS = {
    Verdict.PASS: "within the margin", Verdict.FAIL: "beyond the margin", Verdict.INCONCLUSIVE: "not enough to tell",
}  # fmt: skip


def _against_truth(found: Judged) -> str:
    """Both accuracies, the pairs and the verdict, with what is missing for one."""
    test = found.test
    assert test.mean is not None
    right = f"{found.rows:,} requests with their truth"
    if found.champion_right is not None and found.challenger_right is not None:
        champion, challenger = (each / found.rows for each in (found.champion_right, found.challenger_right))
        right = f"of {right} the champion has {percent(champion)} right and the challenger {percent(challenger)}"
    drop = f"a drop of {points(test.mean)} points, margin {points(test.limit)}"
    e_values = f"e-values {test.e_within:.3g} for it and {test.e_beyond:.3g} against it"
    pairs = f"{found.lost:,} lost, {found.won:,} won"
    return f"{right}, {pairs}, {drop}: {_IN_WORDS[test.verdict]} ({e_values}){missing(found)}"


def _rows(found: dict[str, Judged], *, binding: bool) -> list[dict[str, object]]:
    """One row for each part, with the accuracies where they are known."""
    return [
        {
            "part": name,
            "requests": part.rows,
            "answered otherwise": part.differ,
            "lost": part.lost,
            "won": part.won,
            **_accuracies(part),
            "verdict": str(part.test.verdict) if binding and part.critical else f"reported only: {part.test.verdict}",
            "requests needed": part.test.rows_needed,
        }
        for name, part in found.items()
    ]


def _accuracies(part: Judged) -> dict[str, str]:
    right = {"champion right": part.champion_right, "challenger right": part.challenger_right}
    return {name: percent(rows / part.rows) if part.rows else "" for name, rows in right.items() if rows is not None}
