"""What is shown of a challenger beside its champion.

Belongs here: the counts, the parts of the requests as rows, and both in one line.
Does not: comparing (stillhouse/stages/shadow.py), gates (checks/shadow.py).
"""

from stillhouse.stages.shadow import ShadowFacts


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
    }


def parts(facts: ShadowFacts) -> list[dict[str, object]]:
    """What was found of each part of the requests."""
    return [
        {
            "part": name,
            "requests": part.rows,
            "answered otherwise": part.differ,
            "lost": part.lost,
            "won": part.won,
            "verdict": str(part.test.verdict) if part.critical else f"reported only: {part.test.verdict}",
            "requests needed": part.test.rows_needed,
        }
        for name, part in facts.parts.items()
    ]
