"""What a student costs and saves, as a table."""

from rich.table import Table
from rich.text import Text

from orchestration.economics import Account


def account_table(account: Account) -> Table:
    """What the student costs and saves, as forecast and as measured."""
    table = Table(box=None)
    for column in ("USD", "forecast", "actual"):
        table.add_column(column, justify="left" if column == "USD" else "right")
    both = (account.forecast, account.actual)
    for kind in sorted({kind for side in both if side for kind in side.upfront}):
        table.add_row(Text(kind), *(_usd(side.upfront.get(kind) if side else None) for side in both))
    for model in ("teacher", "student", "cascade", "saving"):
        costs = (getattr(side, f"{model}_usd_per_1000_calls", None) for side in both)
        table.add_row(f"{model}, 1,000 calls", *map(_usd, costs))
    table.add_row("payback, months", *(_usd(side.payback_months if side else None) for side in both))
    return table


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
