"""What a run can prove and how long it takes, as tables."""

from rich.table import Table
from rich.text import Text

from orchestration.planned import Duration, Planned
from stillhouse.wording import in_minutes

SHORT_SECONDS = 5.0


def claims_table(recipe: str, found: Planned) -> Table:
    """What the golden rows can support, claim by claim."""
    title = f"{recipe}: what the golden set can support, at discordance {found.discordance:.1%}"
    table = Table("claim", "rows", "needed", "margin", "smallest margin", "", title=title, box=None)
    for claim in found.claims:
        smallest = "none" if claim.smallest_margin is None else f"{claim.smallest_margin:.1%}"
        verdict = "supported" if claim.supported else "too few rows"
        verdict += "" if claim.binding else ", reported only"
        rows = (f"{claim.rows:,}", f"{claim.rows_needed:,}", f"{claim.margin:.1%}", smallest, verdict)
        table.add_row(Text(claim.name), *rows)
    return table


def duration_table(found: Duration) -> Table:
    """What each stage will take, and what it took; stages of a few seconds are one line."""
    table = Table(title="how long a run takes on this machine", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("stage", "forecast", "took"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    short = [each for each in found.forecast.stages if max(each.seconds, found.took.get(each.stage, 0)) < SHORT_SECONDS]
    for each in found.forecast.stages:
        if each not in short:
            took = found.took.get(each.stage)
            table.add_row(Text(each.stage), in_minutes(each.seconds), "" if took is None else in_minutes(took))
    if short:
        known = [found.took[each.stage] for each in short if each.stage in found.took]
        forecast = in_minutes(sum((each.seconds for each in short), 0.0))
        table.add_row(f"{len(short)} shorter ones", forecast, in_minutes(sum(known, 0.0)) if known else "")
    return table
