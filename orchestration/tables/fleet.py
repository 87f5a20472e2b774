"""Every recipe on a line, as tables."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from orchestration.fleet import Fleet, FleetLine
from stillhouse.economics import amount


def fleet_tables(shown: Fleet) -> Iterator[Table]:
    """One line for each recipe of what serves, and one of its rounds: together they are wider than a terminal."""
    lines = shown.recipes.values()
    recipes = [Text(name) for name in shown.recipes]
    yield _columns_in_use(
        {
            "recipe": recipes,
            "champion": [_champion_in_short(line) for line in lines],
            "serves": [_serves_in_short(line) for line in lines],
            "servers": [_servers_in_short(line) for line in lines],
            "memory": [Text(f"{max(line.memory_mb.values()):,.0f} MB" if line.memory_mb else "") for line in lines],
            "a day": [Text(_number(line.requests_a_day)) for line in lines],
            "agrees": [Text(_agreement_in_short(line)) for line in lines],
            "teacher": [Text("" if line.fallback_share is None else f"{line.fallback_share:.0%}") for line in lines],
            "alarms": [_alarms_in_short(line) for line in lines],
            "closed": [Text(_number(line.gates_closed or None), "red") for line in lines],
        }
    )
    yield _columns_in_use(
        {
            "recipe": recipes,
            "last round": [
                Text(f"{line.last_round.at[:10]} {line.last_round.ending}" if line.last_round else "none")
                for line in lines
            ],
            "rounds": [Text(_of(f"{line.rounds}", line.rounds_at_most)) for line in lines],
            "took over": [Text(f"{line.promotions}") for line in lines],
            "USD": [Text("" if line.usd is None else _of(amount(line.usd), line.usd_at_most)) for line in lines],
            "events": [Text(_number(line.events or None)) for line in lines],
            "rows wanted": [Text(_number(line.requested_rows or None)) for line in lines],
            "risks": [Text(_number(line.risks or None), "yellow") for line in lines],
        }
    )


def _columns_in_use(columns: dict[str, list[Text]]) -> Table:
    """A table without the columns in which nothing stands, since a terminal is narrow."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    for name in shown:
        table.add_column(name, overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    return table


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def next_lines(shown: Fleet) -> Iterator[str]:
    """What is on its way to take over, what is wrong with servers, and what each recipe needs next."""
    for name, line in shown.recipes.items():
        on_its_way = line.champion.challenger if line.champion else None
        if on_its_way is not None:
            yield f"{name}: {on_its_way.in_words}"
            if on_its_way.truth is not None:
                yield f"{name}: what people said: {on_its_way.truth}"
        yield from (f"{name}: {each}" for each in (*line.behind, *line.clocks))
        if line.over_memory is not None:
            yield f"{name}: {line.over_memory}"
        yield f"{name}: {f'{line.working} works on it' if line.working else line.next}"


def _champion_in_short(line: FleetLine) -> Text:
    if line.champion is None:
        return Text("none yet")
    name = Text(f"{line.champion.student} {line.champion.digest[:12]}")
    return name + Text(", held" if line.champion.hold else "", "yellow")


def _serves_in_short(line: FleetLine) -> Text:
    days = "" if line.days_served is None else f"{line.days_served:.0f} days"
    return Text(days) + Text(", overdue" if line.overdue else "", "red")


def _servers_in_short(line: FleetLine) -> Text:
    return Text(f"{line.servers or ''}") + Text(f", {len(line.behind)} behind" if line.behind else "", "red")


def _agreement_in_short(line: FleetLine) -> str:
    found = line.agreement
    return "" if found is None else f"{100 * found.debiased:.0f}±{100 * found.half_width:.0f} %"


def _alarms_in_short(line: FleetLine) -> Text:
    """Findings of the watch, marked where there are more than stable traffic may cause in a month."""
    if not line.alarms or line.false_alarms_a_month is None:
        return Text("")
    return Text(f"{line.alarms} ({line.false_alarms_a_month:.1g})", "yellow")


def _of(now: str, at_most: float | None) -> str:
    """A count, and its limit where there is one."""
    return now if at_most is None else f"{now}/{at_most:g}"


def prune_lines(shown: Fleet) -> list[str]:
    """What is measured and decides nothing, by recipe."""
    return [f"{name}: {each}" for name, line in shown.recipes.items() for each in line.prune]
