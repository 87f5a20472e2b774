"""Live answers made by hand, and the reference that they are held against."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from stillhouse.live.baseline import AgreementScale, Reference
from stillhouse.live.segments import COLUMNS, SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.slices import LiveSlice, SliceReference
from stillhouse.live.watch import WatchTerms
from stillhouse.recipe.watch import WatchSpec
from stillhouse.statistics.live_agreement import LiveAgreement

RELEASE, OTHER = "a" * 64, "b" * 64
NOON = 20_000.5 * SECONDS_A_DAY
"""Of day 20,000 since 1970."""
LABELS = ("number", "person", "place")
AGREEMENT = LiveAgreement(
    requests=50, asked=20, alpha=0.05, label_free=0.9, debiased=0.91, half_width=0.02, gap=-0.01, gap_half_width=0.02
)
"""Of a day on which the teacher was asked about some answers."""


def reference(release: str = RELEASE, slices: Sequence[SliceReference] = ()) -> Reference:
    """1,000 golden rows: 60, 30 and 10 % by label, five lengths alike, 90 % agreement that goes with confidence."""
    return Reference(
        release=release, origin="golden", rows=1000, labels={"number": 600, "person": 300, "place": 100},
        edges=(20, 40, 60, 80), lengths=(200, 200, 200, 200, 200), unsure_below=0.6, unsure=100,
        agreement=AgreementScale(edges=(0.7, 0.9), rows=(200, 300, 500), agreed=(140, 270, 490)),
        labelled=1000, wrong=120, slices=tuple(slices),
    )  # fmt: skip


def by_label(label: str, rows: int, *, critical: bool = True) -> SliceReference:
    """Golden rows of the slice of one label, of which the student is as good as of the others."""
    of = LiveSlice(name=f"of_{label}", labels=(label,), critical=critical, margin=0.1)
    return SliceReference(slice=of, heard=rows, disagreed=rows // 10, labelled=rows, wrong=rows * 12 // 100)


SLICES = (by_label("number", 600), by_label("person", 300), by_label("place", 100))
"""A slice for each label."""


def terms(*, truth_binds: bool = False, asks: bool = True, **spec: float) -> WatchTerms:
    return WatchTerms(WatchSpec(**spec), truth_binds=truth_binds, asks=asks)  # type: ignore[arg-type]


def rows(
    many: int,
    *,
    at: float = NOON,
    shares: Sequence[float] = (0.6, 0.3, 0.1),
    seed: int = 0,
    first: int = 1,
    replica: str = "r1",
    release: str = RELEASE,
    **columns: object,
) -> pl.DataFrame:
    """Answers as the reference has them, or with other shares of labels, and with what `columns` says."""
    chance = np.random.default_rng(seed)
    values: dict[str, object] = {
        "replica": replica,
        "number": np.arange(first, first + many),
        "id": [f"{replica}-{seed}-{number}" for number in range(first, first + many)],
        "at": at,
        "release": release,
        "deployment": 1,
        "source": "student",
        "label": chance.choice(LABELS, many, p=np.array(shares) / sum(shares)).tolist(),
        "confidence": chance.choice([0.5, 0.65, 0.8, 0.95], many, p=[0.1, 0.1, 0.3, 0.5]),
        "degraded": False,
        "status": 200,
        "latency_ms": 1.0,
        "characters": chance.integers(0, 100, many),
        "tokens": 10,
        "key": None,
        "arm": "champion",
        "student_label": None,
        "student_confidence": None,
        "wanted_share": None,
        "kept_share": 1.0,
        "columns": None,
        **columns,
    }
    schema = {"replica": pl.String, **COLUMNS["requests"]}
    filled = {name: value if hasattr(value, "__len__") and not isinstance(value, str) else [value] * many
              for name, value in values.items()}  # fmt: skip
    return pl.DataFrame(filled, schema=schema)


def put(store: TrafficStore, frame: pl.DataFrame, *, texts: Sequence[str] | None = None) -> None:
    """Keep answers, and their texts, as a server of each replica would have sealed them."""
    if texts is not None:
        said = frame.select("replica", "number", "id").with_columns(pl.Series("text", texts))
        store.put(day_at(frame["at"][0]), "texts", sealed(said))
    store.put(day_at(frame["at"][0]), "requests", sealed(frame))
