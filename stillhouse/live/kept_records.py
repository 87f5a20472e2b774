"""Records among live answers, which the traffic log has without the words of a text (tasks/records.py).

Belongs here: columns of them, from the words of an answer to what is kept of it and back.
Does not: the spelling itself, when two of them are alike (tasks/alike.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from stillhouse.live.purposes import Purpose
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.records import NoRecordError, is_of_fields, record_in_cell, spelled_out, with_words, without_words


@dataclass(frozen=True)
class KeptRecords:
    """How the records of an installation are kept.

    Args:
        spec: their fields.
        key: of the installation, for this.
    """

    spec: RecordSpec
    key: bytes

    @classmethod
    def of(cls, spec: RecordSpec | None, key: Callable[[Purpose], bytes]) -> "KeptRecords | None":
        """Of a recipe with these fields, None where it has none.

        Args:
            spec: the fields.
            key: from a purpose to the key of this installation for it.
        """
        return None if spec is None else cls(spec, key(Purpose.WORDS_ARE_COMPARED))

    def kept(self, rows: pl.DataFrame, column: str) -> pl.Series:
        """What is kept of records; null where there is none.

        Args:
            rows: with `id`, of the answer that each is or is said of, and the records as people read them.
            column: of the records.
        """
        found = [
            None if record is None else without_words(record, self.spec, key=self.key, id=id)
            for record, id in rows.select(column, "id").iter_rows()
        ]
        return pl.Series(column, found, dtype=pl.String)

    def kept_of_places(self, rows: pl.DataFrame, column: str) -> pl.Series:
        """The same of answers of a model.

        Args:
            rows: with `id` and `text`, and answers as places in that.
            column: of the answers.
        """
        spelled = [
            None if places is None else spelled_out(places, text, self.spec)
            for places, text in rows.select(column, "text").iter_rows()
        ]
        return self.kept(rows.with_columns(pl.Series(column, spelled, dtype=pl.String)), column)

    def in_words(self, rows: pl.DataFrame, column: str) -> pl.Series:
        """Records as people read them; null where there is none, or its words are not in the text.

        Args:
            rows: with `id`, `text` as the traffic log has it, and what is kept of records.
            column: of these.
        """
        found = [
            None if kept is None else with_words(kept, text, self.spec, key=self.key, id=id)
            for kept, text, id in rows.select(column, "text", "id").iter_rows()
        ]
        return pl.Series(column, found, dtype=pl.String)

    def of_these_fields(self, rows: pl.DataFrame, column: str) -> pl.DataFrame:
        """Rows whose records are of these fields; one that was kept when a field was of another kind is like no other.

        Args:
            rows: with what is kept of records, null where there is none.
            column: of these.
        """
        is_one = [kept is None or is_of_fields(kept, self.spec) for kept in rows[column]]
        return rows.filter(pl.Series(is_one, dtype=pl.Boolean))

    def respelled(self, records: pl.Series) -> pl.Series:
        """Records as people read them in the spelling of these fields; as it is what is none of them.

        A release whose field was of another kind says `1,931.50` where this one says `1931.5`.

        Args:
            records: null where there is none.
        """
        return pl.Series(records.name, [self._respelled(each) for each in records], dtype=pl.String)

    def _respelled(self, record: str | None) -> str | None:
        try:
            return None if record is None else record_in_cell(record, self.spec)
        except NoRecordError:
            return record
