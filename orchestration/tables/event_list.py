"""What has happened to a recipe, as a table."""

from rich.table import Table
from rich.text import Text

from orchestration.event_list import Events


def events_table(shown: Events) -> Table:
    """What has happened, the oldest first."""
    table = Table(title=Text(f"{shown.recipe}: events"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("since", "times", "event", "what happened", "round"):
        table.add_column(column, overflow="fold")
    for event in shown.events:
        waits = "starts one" if event.starts_a_round else "waits for the next"
        table.add_row(
            event.first_seen[:16].replace("T", " "),
            f"{event.times}",
            Text(event.kind.in_words),
            Text(event.sentence),
            Text(event.answered_by[:8])
            if event.answered_by
            else Text(waits, "yellow" if event.starts_a_round else "dim"),
        )
    return table
