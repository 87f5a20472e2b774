"""What is true right now of a recipe, as a table and lines."""

from rich.table import Table
from rich.text import Text

from orchestration.status import RecipeStatus, Verified
from stillhouse.records.gate_status import GateStatus


def status_table(recipe: str, state: RecipeStatus) -> Table:
    """Digest, age and gates of each stage, under what serves."""
    champion = state.champion
    serving = f"champion {champion.student} {champion.digest[:12]}" if champion else "no champion yet"
    if champion and champion.rolled_back:
        back = champion.rolled_back
        serving += f" serves since {back.by} went back to it on {champion.since[:10]}: {back.reason}"
    if champion and champion.promoted:
        chosen = champion.promoted
        serving += f" serves since {chosen.by} promoted it on {champion.since[:10]}: {chosen.reason}"
    if champion and champion.hold:
        hold = champion.hold
        serving += f"; {hold.by} holds it since {hold.since[:10]}: {hold.reason}"
    if champion and champion.challenger:
        serving += f"; {champion.challenger.in_words}"
        serving += f": {champion.challenger.missing}" if champion.challenger.missing else ""
        serving += f"; what people said: {champion.challenger.truth}" if champion.challenger.truth else ""
    for taken in champion.quarantine if champion else ():
        serving += f"; {taken}"
    if state.running:
        serving += f"; {state.running.by} works on it since {state.running.since[:16].replace('T', ' ')} UTC"
        serving += f", because {state.running.because}" if state.running.because else ""
    title = Text(f"{recipe}: {serving}")
    table = Table("stage", "digest", "age", "gates", title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for stage, shown in {**state.stages, **state.beside}.items():
        closed = [
            Text.assemble(
                (
                    f"{gate.asset.split('/', 1)[1]}: {gate.name} is {gate.state}",
                    "yellow" if gate.state is GateStatus.WAIVED else "red",
                ),
                f": {gate.sentence}",
            )
            for gate in shown.gates
            if gate.state is not GateStatus.PASSED
        ]
        closed += [Text.assemble(("stale", "red"), f": {why}") for why in shown.stale]
        made = shown.digest is not None
        gates = (
            Text("\n").join(closed)
            if made and closed
            else Text(f"{len(shown.gates)} open", "green")
            if made
            else Text("not made yet", "dim")
        )
        table.add_row(Text(stage), (shown.digest or "")[:12], _age(shown.age_seconds), gates)
    return table


def round_lines(state: RecipeStatus) -> list[str]:
    """What the last round was for, what waits for the next, whether anybody looks, and which rows are asked for."""
    last, lines = state.last_round, [*([state.closed] if state.closed else []), *state.risks]
    if last is not None:
        because = last.because or "it was asked for in the UI"
        lines.append(f"last round {last.at[:16].replace('T', ' ')} UTC, because {because}: {last.sentence}")
    for event in state.events:
        what = "starts a round" if event.starts_a_round else "waits for the next round"
        lines.append(f"{event.kind.in_words}: {event.sentence} ({what})")
    lines += [asked.sentence for asked in state.requested_rows]
    return lines if state.nobody_looks is None else [*lines, state.nobody_looks]


def verified_lines(verified: Verified | None) -> list[str]:
    """What `status` says about bytes, so that nobody takes open gates for hashed artifacts."""
    if verified is None:
        return ["gates and champion as the ledger has them; no artifact was hashed: --verify does"]
    return [*verified.problems, f"{verified.artifacts} artifacts hashed, {len(verified.problems)} problems"]


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
