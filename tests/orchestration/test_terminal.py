"""What reaches a person's terminal: the words of the data, and nothing that the terminal or rich would obey."""

import ast
import io
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from orchestration import cli
from orchestration.screens import result_screen
from orchestration.terminal import Terminal, print_json, printable
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.report.reading import ReadReport
from tests.reported import REPORT, SCORE
from tests.small import small_recipe

RICH_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class Said(Record):
    """What a command prints."""

    label: str


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31mevery gate is open\r\u202edesrever\u2028\udcff"


def shown(renderable: RenderableType, *, colours: bool = False) -> str:
    """What a terminal is sent."""
    file = io.StringIO()
    Terminal(file=file, width=200, force_terminal=colours, color_system="truecolor" if colours else None).print(
        renderable
    )
    return file.getvalue()


def obeyed(text: str) -> list[str]:
    """Characters that a terminal acts upon, other than newline and tab, and those that it cannot show."""
    direction = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return [
        letter
        for letter in text
        if (unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") and letter not in "\n\t")
        or unicodedata.bidirectional(letter) in direction
    ]


def everywhere(text: str) -> RenderableType:
    """The same text in each place where commands put data."""
    table = Table(text, title=text)
    table.add_row(text)
    table.add_row(Text(text, "red"))
    return Group(text, Text.assemble((text, "bold")), table, Panel(text, title=Text(text)))


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
@example(HOSTILE)
@pytest.mark.experiment("F3")
def test_no_control_character_of_a_text_is_sent(text: str) -> None:
    assert obeyed(shown(everywhere(text))) == []
    assert obeyed(RICH_STYLES.sub("", shown(everywhere(text), colours=True))) == []


def test_where_nobody_looks_nothing_is_wrapped_cut_or_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("name", "sentence", box=None)
    table.add_row("a", "word " * 60)
    table.add_row("b", "short")
    piped = io.StringIO()
    Terminal(file=piped).print(Group(table, "sentence " * 40))
    lines = piped.getvalue().splitlines()
    assert lines[:3] == [" name  sentence", f" a     {('word ' * 60).strip()}", " b     short"]
    assert lines[3:] == [("sentence " * 40).strip()]
    asked = io.StringIO()
    monkeypatch.setenv("COLUMNS", "60")
    Terminal(file=asked).print(Group(table, "sentence " * 40))
    assert max(len(line) for line in asked.getvalue().splitlines()) <= 60, "who asks for a width gets it"


@pytest.mark.parametrize("call", ["out.print", "print_json"])
def test_who_stops_reading_ends_nothing(call: str) -> None:
    """Such as `head`: there is more to say than a pipe holds, and nobody takes it."""
    script = (
        f"from orchestration.terminal import flush_output, out, print_json\n"
        f"for _ in range(2000): {call}('a line of a table ' * 20)\n"
        "flush_output()\n"
        "raise SystemExit(3)"
    )
    saying = subprocess.Popen(
        [sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert saying.stdout is not None and saying.stderr is not None
    assert saying.stdout.readline().startswith("a line of a table")
    saying.stdout.close()
    assert (saying.stderr.read(), saying.wait()) == ("", 3), "it ends as it would have"


def test_json_says_everything_and_sends_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    """Regression: JSON escapes C0 alone, and the introducer of C1 clears a screen as well."""
    text = "".join(chr(code) for code in range(1, 0x2100)) + "\u2066 grün 漢字 🙂"
    print_json(Said(label=text).model_dump_json(indent=1))
    printed = capsys.readouterr().out
    assert Said.model_validate_json(printed).label == text
    assert printable(printed) == printed and "grün 漢字 🙂" in printed


def test_styles_of_our_own_still_reach_a_terminal() -> None:
    assert shown(Text("passed", "green"), colours=True) == "\x1b[32mpassed\x1b[0m\n"


def test_the_words_beside_control_characters_stay() -> None:
    assert printable("a\x1b[2Jb\tc\nd") == "ab\tc\nd"
    assert printable("naïve 漢字 👩‍👩‍👧 عربي") == "naïve 漢字 👩‍👩‍👧 عربي"


@pytest.mark.parametrize("text", ["[bold]x", "[/]", "[link=http://evil]x[/link]", ":smile:", "a[/red]b", "[0]"])
@pytest.mark.experiment("F4")
def test_brackets_and_colons_are_shown_as_they_are(text: str) -> None:
    assert shown(everywhere(text)).count(text) == 8


@pytest.mark.parametrize("name", ["[/b] people", "urgent [red] tickets", "who [vip]", "a[/]b"])
def test_the_result_shows_names_as_they_are_on_any_console(name: str) -> None:
    """Regression: a name such as [/b] ended the last screen of a run with an error, on a console that reads markup."""
    score = {**SCORE, "name": name, "kind": "baseline", "note": name}
    other = {**score, "latency_ratio": None, "size_ratio": 2.0, "verdict": "fail", "ruled_out": name}
    claim = {"binding": True, "verdict": "pass", "sentence": f"recall of '{name}'"}
    report = {
        **REPORT, "student": score, "teacher": score, "claims": [claim], "selection": {"reason": name},
        "others": [{**other, "misses_only_the_budget": True}], "error_analysis": {name: {"sentence": name}},
        "comparison": {"sentence": name, "verdict": "pass", "gain": 0.1}, "against_champion": {"sentence": name},
    }  # fmt: skip
    file, home = io.StringIO(), Home(Path("/home"), "", "")
    Console(file=file, width=200).print(result_screen(name, ReadReport.model_validate(report), home))
    assert file.getvalue().count(name) == 13
    old = {key: value for key, value in report.items() if key not in ("error_analysis", "against_champion")}
    by_0_1_0 = ReadReport.model_validate({**old, "reasons": {name: {"sentence": name}}})
    assert shown(result_screen(name, by_0_1_0, home)).count(name) == 12


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_another_encoding_is_shown_a_code(
    home: Home, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr(cli, "app", lambda: print("people 漢"))
    cli.main()
    stream.flush()
    assert written.getvalue() == b"people \\u6f22\n"


def test_a_progress_bar_shows_a_description_as_it_is() -> None:
    file = io.StringIO()
    terminal = Terminal(file=file, width=200, force_terminal=True, color_system=None)
    with Progress(TextColumn("{task.description}", markup=False), console=terminal) as bars:
        bars.add_task("[bold]\x1b]0;owned\x07 batch")
    assert "[bold]]0;owned batch" in file.getvalue() and "\x1b]" not in file.getvalue()


@pytest.mark.experiment("F4")
def test_a_hostile_task_is_listed_as_it_is(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    small_recipe(tmp_path, rows=50, task="Route [bold]a[/red] question \x1b[2J now.")
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    ended = CliRunner().invoke(cli.app, ["list"])
    assert (ended.exit_code, ended.stdout) == (0, "small  Route [bold]a[/red] question  now.\n")


@pytest.mark.experiment("F3")
def test_a_mistake_that_quotes_hostile_text_is_one_clean_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake() -> None:
        raise StillhouseError(f"no [bold]such[/] {HOSTILE}", where="rows.csv", expected="one", do="Look.")

    monkeypatch.setattr(cli, "app", mistake)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    message = capsys.readouterr().err
    assert ended.value.code == 2 and obeyed(message) == []
    assert message == "rows.csv: no [bold]such[/] ]0;owned31mevery gate is opendesrever; expected one. Look.\n"


def test_an_error_of_ours_is_printed_clean_too(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"could not parse {HOSTILE}")
    except ValueError as error:
        Terminal(stderr=True).show_uncaught(type(error), error, error.__traceback__)
    message = capsys.readouterr().err
    assert "ValueError: could not parse ]0;owned31mevery gate is open" in message and obeyed(message) == []


@pytest.mark.parametrize("module", sorted((CHECKOUT / "orchestration").rglob("*.py")), ids=lambda path: path.name)
def test_nothing_is_printed_past_the_terminal(module: Path) -> None:
    tree = ast.parse(module.read_text())
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [text for text in strings if "[/]" in text] == [], "markup is printed as it is: use Text or style="
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    named = [(call.func.id, ast.unparse(call)) for call in calls]  # type: ignore[attr-defined]
    assert [call for name, call in named if name == "print"] == []
    as_json = [call for name, call in named if name == "print_json"]
    assert [call for call in as_json if "json.dumps(" not in call and "model_dump_json(" not in call] == []
