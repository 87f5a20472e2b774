"""Every model that a recipe ever judged, as a table, and what its numbers cannot say."""

from rich.table import Table
from rich.text import Text

from orchestration.leaderboard import Board
from stillhouse.wording import MEGABYTE, percent, points


def leaderboard_table(found: Board) -> Table:
    """Models side by side, the most accurate first."""
    title = f"{found.recipe}: judged by golden set {found.golden_digest[:12]}, {found.golden_rows:,} rows"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1, 0, 0))
    columns = ("rank", "model", "kind", "accuracy, 95% interval", "drop, bound", "MB", "faster", "verdict", "round")
    for column in columns:
        folds = column in ("model", "round")
        table.add_column(column, overflow="fold", min_width=10 if folds else None, no_wrap=column in ("rank", "kind"))
    for row in found.rows:
        low, high = row.accuracy_interval
        marks = "".join(mark for mark, is_so in (("*", row.other_terms), ("+", row.another_teacher)) if is_so)
        metric = "" if row.metric == "accuracy" else f" ({row.metric})"
        table.add_row(
            str(row.best_rank) if row.best_rank == row.worst_rank else f"{row.best_rank}-{row.worst_rank}",
            Text(row.model + (", champion" if row.champion else ""), "bold" if row.champion else ""),
            Text(row.kind),
            f"{percent(row.accuracy)} ({points(low)} to {points(high)})",
            f"{points(row.drop)}, {points(row.drop_upper_bound)}{metric}",
            "" if row.size_bytes is None else f"{row.size_bytes / MEGABYTE:.3g}",
            "unknown"
            if row.latency_ratio is None
            else f"{row.latency_ratio:,.{0 if row.latency_ratio >= 100 else 1}f}x" + ("~" if row.by_wall_time else ""),
            row.verdict + marks,
            f"{row.at[:10]} {row.run_id[:8]}",
        )
    return table


def leaderboard_notes(found: Board) -> list[str]:
    """What the numbers of a leaderboard cannot say, and what is not on it."""
    rows = found.rows
    notes = [
        "rows come in groups, which no interval here takes into account: every rank may be another"
        if found.grouped
        else "models that share ranks have intervals that overlap: which of them is better is not shown"
    ]
    if any(row.other_terms for row in rows):
        notes.append("* something else was asked of it than of the newest: accuracy compares, verdicts do not")
    if any(row.by_wall_time for row in rows):
        notes.append("~ of wall time: 0.1.0 measured no other, and of a teacher on a GPU no other compares")
    if any(row.another_teacher for row in rows):
        notes.append("+ drop and speed are against another teacher than the newest")
    if not found.terms_are_current:
        notes.append("what the recipe asks was changed since: no verdict here is of the present terms")
    if not found.current:
        notes.append("this is not the golden set of the newest evaluation")
    left_out = [
        f"{other.models} of {other.golden_digest[:12]} ({other.golden_rows:,} rows, last judged "
        f"{other.last_judged[:10]})"
        for other in found.left_out
    ]
    if left_out:
        notes.append(
            f"left out, since numbers on other golden rows compare with nothing here: {'; '.join(left_out)}. "
            "--golden DIGEST shows them"
        )
    if found.unreadable:
        notes.append(f"left out, since another version wrote them: {'; '.join(found.unreadable)}")
    return notes
