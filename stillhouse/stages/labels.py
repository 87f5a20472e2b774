"""What people said of texts that champion and challenger answer otherwise, once it has come back.

Belongs here: which texts those are, reading the file that people filled in, what its labels say of the two releases.
Does not: writing the file (orchestration/harvest.py, `stillhouse harvest --differing`), drawing its rows
(stillhouse/live/harvest.py), requests whose truth is known by feedback (shadow.py).

The file lies in the drop folder and is taken in as any other, so that what people said is read from the edition that
was taken in last. The rows were drawn with chances that stand in it, and each counts for as many texts as that is one
of: half of them are of critical slices, which are not half of the traffic.
"""

from dataclasses import dataclass

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.data.dropped import read_like_the_source
from stillhouse.data.sources import RowColumns
from stillhouse.live import shadow
from stillhouse.live.columns import COLUMNS
from stillhouse.live.feedback import is_enough
from stillhouse.live.harvest import ID, PI
from stillhouse.live.segments import Differing, Harvest, TrafficStore
from stillhouse.live.shadow import Say
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.record import RecordSpec
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.records import NoRecordError, placed, spelled_out


class Labelled(Record):
    """The labels of texts that two releases answer otherwise, and what they say of the drop over all texts."""

    file: str = Field(description="That people were given.")
    edition: str | None = Field(description="Digest of the edition that was taken in; null where none was yet.")
    given: int = Field(description="Texts in it.")
    labelled: int = Field(description="Of them, those with a label.")
    champion_right: int
    challenger_right: int
    texts: int = Field(
        description="Different texts that were put to both when it was drawn, and that neither hands on."
    )
    differ: int = Field(description="Of them, those that the two answered otherwise.")
    drop: float | None = Field(description="Over all texts, each label weighted by 1 / its chance; null without any.")
    low: float = Field(description="95 % interval of it (Wilson, by as many labels as the weights are worth).")
    high: float
    labelled_at_least: float = Field(description="The share of the texts that has to have a label before it tells.")

    @property
    def neither_right(self) -> int:
        """Labelled texts that both have wrong."""
        return self.labelled - self.champion_right - self.challenger_right

    @property
    def missing(self) -> int:
        """Labels that have to come before they tell anything: those that came need not be like the others."""
        left = range(self.given - self.labelled + 1)
        return next(more for more in left if is_enough(self.given, self.labelled + more, self.labelled_at_least))


@dataclass(frozen=True)
class GivenTexts:
    """The file of a rollout that people were given.

    Args:
        name: of the file.
        ids: of the answers whose texts are in it.
        of: which texts it is a sample of.
        edition: digest of the edition that was taken in; None where none was yet.
    """

    name: str
    ids: tuple[str, ...]
    of: Differing
    edition: str | None


@dataclass(frozen=True)
class AnsweredOtherwise:
    """Texts on which two releases differ.

    Args:
        rows: as they were given, of those that the two students answer otherwise.
        texts: that were put to both, and that neither hands on.
        handed_on: further texts, that either release hands on: callers get the teacher's word of them.
    """

    rows: pl.DataFrame
    texts: int
    handed_on: int


def answered_otherwise(asked: pl.DataFrame, champion: Say, challenger: Say) -> AnsweredOtherwise:
    """Put texts to champion and challenger; no teacher is asked.

    Args:
        asked: as `asked_texts` gives them; of more than one look replays a sample.
        champion: what it says.
        challenger: likewise.
    """
    rows = shadow.replayed(shadow.sample(asked.with_columns(id=ID)), champion, challenger)
    by_students = rows.filter(~(pl.col("champion_asks") | pl.col("challenger_asks")))
    found = by_students.filter(pl.col("champion") != pl.col("challenger")).select("prompt_id")
    differing = asked.join(found, on="prompt_id", how="semi", maintain_order="left")
    return AnsweredOtherwise(differing, by_students.height, rows.height - by_students.height)


def files_of(store: TrafficStore, rollout: str) -> list[Harvest]:
    """The files of texts of a rollout that were noted, whether they were written or not."""
    return [each for each in store.harvests() if each.differing is not None and each.differing.rollout == rollout]


def given_texts(builds: BuildStore, file: RecipeFile, store: TrafficStore, rollout: str) -> GivenTexts | None:
    """What people were given of a rollout; None where that is nothing.

    A file that was noted and never written, because the command was killed, was given to nobody.
    """
    noted = files_of(store, rollout)
    if not noted:
        return None
    taken_in = {
        each.name: each.digest for batch in batches_of(builds.ledger, file.name).values() for each in batch.files
    }
    written = {entry.body["file"] for entry in builds.ledger.entries(file.name, "harvest")}
    for each in noted:
        if each.differing is not None and (each.file in taken_in or each.file in written):
            return GivenTexts(each.file, each.ids, each.differing, taken_in.get(each.file))
    return None


def labelled(builds: BuildStore, file: RecipeFile, given: GivenTexts, champion: Say, challenger: Say) -> Labelled:
    """Read the labels that people gave, and put their texts to both once more.

    Args:
        builds: with the bytes of what was taken in.
        file: the recipe.
        given: what people were given.
        champion: what it says.
        challenger: likewise.
    """
    rows = _with_a_label(builds, file, given)
    if (record := file.recipe.data.record) is not None:
        rows = rows.with_columns(_as_the_text_has_them(rows, record))
    both = shadow.replayed(rows.with_columns(pl.lit(None, pl.String).alias(COLUMNS)), champion, challenger)
    found = shadow.outcomes(both.with_columns(right="label"))
    drop, low, high = _drop(found, given.of)
    traffic = file.recipe.traffic
    assert traffic is not None
    return Labelled(
        file=given.name, edition=given.edition, given=len(given.ids), labelled=found.height,
        champion_right=int(found["lost"].sum()), challenger_right=int(found["won"].sum()),
        texts=given.of.texts, differ=given.of.differ, drop=drop, low=low, high=high,
        labelled_at_least=traffic.feedback_returned_at_least,
    )  # fmt: skip


def _with_a_label(builds: BuildStore, file: RecipeFile, given: GivenTexts) -> pl.DataFrame:
    """Rows of the file that were drawn, and have a label and their chance; what people wrote beside them counts not."""
    nothing = pl.DataFrame(schema={"text": pl.String, "label": pl.String, ID: pl.String, PI: pl.Float64})
    if given.edition is None:
        return nothing
    data = file.recipe.data
    columns = RowColumns(data.text, data.label, (ID, PI), (ID, PI))
    kept = {given.name: builds.store.kept(given.edition)}
    rows = read_like_the_source(data, given.name, columns, batch="labels", kept=kept).rows
    rows = rows.select("text", "label", pl.col(ID).cast(pl.String), pl.col(PI).cast(pl.Float64, strict=False))
    drawn = pl.col(ID).is_in(given.ids) & (pl.col(PI) > 0) & (pl.col(PI) <= 1)
    return rows.filter(drawn & pl.col("label").is_not_null()).unique(ID, keep="first", maintain_order=True)


def _as_the_text_has_them(rows: pl.DataFrame, spec: RecordSpec) -> pl.Series:
    """Records that people wrote with the words as their text has them; what is not in it is an answer of nobody."""
    found = list[str]()
    for record, text in rows.select("label", "text").iter_rows():
        try:
            found.append(spelled_out(placed(record, text, spec), text, spec))
        except NoRecordError:
            found.append(record)
    return pl.Series("label", found, dtype=pl.String)


def _drop(found: pl.DataFrame, of: Differing) -> tuple[float | None, float, float]:
    """The drop over all texts and its interval: on those that both answer alike it is 0.

    Each label is 1 / chance texts (Hajek 1971); the interval is that of a share of as many as the weights are worth
    (Kish 1965), of which a won text is 0, a lost one 1 and any other a half: wider than it need be.
    """
    share = of.differ / of.texts
    if found.is_empty():
        return None, -share, share
    weight, total = 1 / found[PI], float((1 / found[PI]).sum())
    worth = total**2 / float((weight**2).sum())
    drop = float((weight * (found["lost"].cast(pl.Int8) - found["won"].cast(pl.Int8))).sum()) / total
    low, high = wilson_interval(min(max((1 + drop) / 2, 0.0), 1.0) * worth, worth)
    return drop * share, (2 * low - 1) * share, (2 * high - 1) * share


def labels_due(given: GivenTexts | None, counted: Labelled | None) -> bool:
    """Whether people were given texts, or have given labels, since they were counted."""
    return given is not None and (counted is None or counted.edition != given.edition)
