"""The teacher's answers are asked once, stored in shards, and believed only if they are its own and unharmed."""

import hashlib
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.weights import fingerprint_of
from stillhouse.records.ledger import Ledger
from stillhouse.teachers.classifier import build_classifier
from stillhouse.teachers.columns import SIGNAL_SCHEMA
from stillhouse.teachers.signal import SignalStore, largest_change
from stillhouse.teachers.teacher import NetworkTeacher
from tests.stillhouse.conftest import LABELS, write_encoder
from tests.warm import WarmParent


def prompts_of(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"prompt_id": [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts], "text": texts}
    )


def store_in(root: Path, **how: int) -> SignalStore:
    """A store whose ledger lies beside it."""
    return SignalStore(root, Ledger(f"sqlite:///{root.parent / 'ledger.db'}"), **how)


@pytest.fixture(scope="module")
def prompts(questions: tuple[list[str], list[int]]) -> pl.DataFrame:
    return prompts_of(questions[0])


@pytest.mark.long
def test_what_is_read_is_what_the_teacher_says(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    store, fingerprint = store_in(tmp_path), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint, batch_size=7))
    rows = store.read(prompts["prompt_id"].to_list(), fingerprint)
    assert rows.schema == pl.Schema(SIGNAL_SCHEMA)
    assert rows["prompt_id"].is_sorted() and rows["fingerprint"].unique().to_list() == [fingerprint]
    texts = prompts.sort("prompt_id")["text"].to_list()
    answers = TorchClassifier(classifier).answer(texts)
    np.testing.assert_allclose(np.array(rows["logits"].to_list()), answers.logits, atol=1e-5)
    np.testing.assert_allclose(np.array(rows["embedding"].to_list()), answers.embeddings, atol=1e-5)
    assert rows["tokens"].to_list() == answers.tokens.tolist()
    assert (store.latencies_ms(prompts["prompt_id"].to_list(), fingerprint)["latency_ms"] > 0).all()


def test_only_what_is_missing_is_computed(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    store, fingerprint = store_in(tmp_path), fingerprint_of(classifier)
    first = store.capture(prompts.head(20), NetworkTeacher(classifier, fingerprint))
    assert (first.requested, first.already_stored, first.computed) == (20, 0, 20)
    assert set(store.missing(prompts["prompt_id"].to_list(), fingerprint)) == set(prompts["prompt_id"][20:])
    second = store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    assert (second.requested, second.already_stored, second.computed) == (60, 20, 40)
    third = store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    assert (third.already_stored, third.computed, third.tokens) == (60, 0, 0)


@pytest.mark.long
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_answers_do_not_depend_on_the_order_of_the_prompts(
    classifier: Path, prompts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    fingerprint = fingerprint_of(classifier)
    read = []
    for frame in (prompts, prompts.sample(fraction=1, shuffle=True, seed=seed)):
        store = store_in(tmp_path_factory.mktemp("store"), shard_rows=16)
        store.capture(frame, NetworkTeacher(classifier, fingerprint))
        read.append(store.read(frame["prompt_id"].to_list(), fingerprint))
    assert read[0].equals(read[1])


def test_a_shard_is_named_by_its_content(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    fingerprint = fingerprint_of(classifier)
    store_in(tmp_path, shard_rows=16).capture(prompts, NetworkTeacher(classifier, fingerprint))
    shards = list((tmp_path / fingerprint).glob("*.parquet"))
    assert len(shards) == 4  # 60 rows in shards of 16
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in shards)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def edited(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


def empty(content: bytes) -> bytes:
    return b""


@pytest.mark.long
@pytest.mark.experiment("A39")
@pytest.mark.parametrize("harm", [cut, edited, empty])
def test_a_harmed_shard_counts_as_absent_and_only_its_rows_are_asked_again(
    classifier: Path, prompts: pl.DataFrame, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    store, fingerprint = store_in(tmp_path / "store", shard_rows=16), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    ids = prompts["prompt_id"].to_list()
    before = store.read(ids, fingerprint)
    shard = sorted((store.root / fingerprint).glob("*.parquet"))[0]
    rows = pl.read_parquet(shard).height
    shard.write_bytes(harm(shard.read_bytes()))
    assert len(store.missing(ids, fingerprint)) == rows

    heard: list[progress.News] = []
    with progress.listening(heard.append):
        assert store.capture(prompts, NetworkTeacher(classifier, fingerprint)).computed == rows
    (moved,) = (store.root / fingerprint / "set_aside").iterdir()
    remarks = [news.sentence for news in heard if isinstance(news, progress.Remark)]
    assert remarks == [f"{shard} does not hold the bytes that its name says: moved to {moved}, made again"]
    assert_frame_equal(store.read(ids, fingerprint), before, abs_tol=1e-5)
    assert store.capture(prompts, NetworkTeacher(classifier, fingerprint)).computed == 0


def forged(rows: pl.DataFrame, folder: Path) -> Path:
    """A shard of somebody's own answers, with its own right digest for a name."""
    answers = rows.with_columns(pl.col("logits").list.eval(pl.element() * 0 + 7), latency_ms=pl.lit(1.0, pl.Float32))
    answers.write_parquet(folder / "new")
    content = (folder / "new").read_bytes()
    return (folder / "new").rename(folder / f"{hashlib.sha256(content).hexdigest()}.parquet")


@pytest.mark.long
@pytest.mark.experiment("A40")
def test_a_forged_shard_is_not_believed_though_its_name_is_its_digest(
    classifier: Path, prompts: pl.DataFrame, tmp_path: Path
) -> None:
    """Regression: answers put beside the store for rows that were not asked yet were taken for the teacher's."""
    fingerprint, ids = fingerprint_of(classifier), prompts["prompt_id"].to_list()
    honest = store_in(tmp_path / "elsewhere" / "store")
    honest.capture(prompts, NetworkTeacher(classifier, fingerprint))
    said = honest.read(ids, fingerprint)

    store = store_in(tmp_path / "store")
    store.capture(prompts.head(10), NetworkTeacher(classifier, fingerprint))
    forged(said.tail(30), store.root / fingerprint)
    assert store.capture(prompts, NetworkTeacher(classifier, fingerprint)).computed == 50
    assert_frame_equal(store.read(ids, fingerprint), said, abs_tol=1e-5)


def test_shards_of_the_first_version_are_asked_again_once(
    classifier: Path, prompts: pl.DataFrame, tmp_path: Path
) -> None:
    """Version 0.1.0 entered no shard in any ledger."""
    store, fingerprint = store_in(tmp_path / "store"), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
    upgraded = SignalStore(store.root, Ledger(f"sqlite:///{tmp_path / 'other.db'}"))
    assert [upgraded.capture(prompts, NetworkTeacher(classifier, fingerprint)).computed for _ in range(2)] == [60, 0]


def test_a_shard_of_another_teacher_does_not_count_in_this_ones_folder(
    classifier: Path, prompts: pl.DataFrame, tmp_path: Path
) -> None:
    store, fingerprint = store_in(tmp_path / "store"), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    (shard,) = (store.root / fingerprint).glob("*.parquet")
    other = store.root / ("0" * 64)
    other.mkdir()
    (other / shard.name).write_bytes(shard.read_bytes())
    assert store.missing(prompts["prompt_id"].to_list(), "0" * 64) == prompts["prompt_id"].to_list()


def test_every_shard_is_in_the_ledger(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    store, fingerprint = store_in(tmp_path / "store", shard_rows=16), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    entries = store.ledger.entries(kind="signal_shard", subject=fingerprint)
    shards = {path.stem for path in (store.root / fingerprint).glob("*.parquet")}
    assert {entry.body["digest"] for entry in entries} == shards and len(shards) == 4
    assert sum(entry.body["rows"] for entry in entries) == 60


def test_a_prompt_without_an_answer_is_refused(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    store, fingerprint = store_in(tmp_path), fingerprint_of(classifier)
    store.capture(prompts.head(59), NetworkTeacher(classifier, fingerprint))
    with pytest.raises(StillhouseError, match=f"1 prompts have no answer, {prompts['prompt_id'][59]}"):
        store.read(prompts["prompt_id"].to_list(), fingerprint)


def test_a_row_in_two_shards_is_read_once(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    fingerprint = fingerprint_of(classifier)
    for place in ("one", "other"):  # as two machines would write that do not see each other's lock
        store_in(tmp_path / place).capture(prompts.head(30), NetworkTeacher(classifier, fingerprint))
    (shard,) = (tmp_path / "other" / fingerprint).glob("*.parquet")
    shard.rename(tmp_path / "one" / fingerprint / shard.name)
    ids = prompts.head(30)["prompt_id"].to_list()
    assert store_in(tmp_path / "one").read(ids, fingerprint)["prompt_id"].to_list() == sorted(ids)


def test_another_models_answers_are_not_stored_under_this_fingerprint(
    classifier: Path, prompts: pl.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(StillhouseError, match="the teacher hashes to"):
        store_in(tmp_path).capture(prompts, NetworkTeacher(classifier, "0" * 64))


@pytest.mark.parametrize("fingerprint", ["../../etc", "", "ABCDEF0123"])
def test_a_fingerprint_cannot_lead_out_of_the_store(tmp_path: Path, fingerprint: str) -> None:
    with pytest.raises(StillhouseError, match="not a fingerprint"):
        store_in(tmp_path).read(["x"], fingerprint)


def test_two_prompts_with_one_id_are_refused(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="comes twice"):
        store_in(tmp_path).capture(pl.concat([prompts, prompts.head(1)]), NetworkTeacher(classifier, "0" * 64))


def test_the_canary_hears_another_teacher(classifier: Path, prompts: pl.DataFrame, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    store, fingerprint = store_in(tmp_path / "store"), fingerprint_of(classifier)
    store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    answers = store.read(prompts["prompt_id"].to_list(), fingerprint)
    asked = prompts.head(8).join(answers, on="prompt_id").select("prompt_id", "text", "logits")
    assert largest_change(NetworkTeacher(classifier, fingerprint), asked) < 1e-5

    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (changed / name).write_bytes((classifier / name).read_bytes())
    weights = load_file(classifier / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"] + 0.25
    save_file(weights, changed / "model.safetensors")
    assert largest_change(NetworkTeacher(changed, fingerprint), asked) == pytest.approx(0.25, abs=1e-5)


KILLED_CAPTURE = """
    import os, signal, sys
    from pathlib import Path
    import polars as pl
    from stillhouse.records.ledger import Ledger
    from stillhouse.teachers.signal import SignalStore
    from stillhouse.teachers.teacher import NetworkTeacher

    store, model, fingerprint, prompts, shards = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:6]
    written, fsync = 0, os.fsync

    def die_with_the_shard_half_written(handle):
        global written
        written += 1
        if written > 2 * int(shards):  # a shard is synced once as a file and once as a name
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)

    ledger = Ledger(f"sqlite:///{store.parent / 'ledger.db'}")
    ledger.head()
    (store / fingerprint).mkdir(parents=True)
    os.fsync = die_with_the_shard_half_written
    SignalStore(store, ledger, shard_rows=16).capture(pl.read_parquet(prompts), NetworkTeacher(model, fingerprint))
"""


@pytest.mark.long
def test_a_killed_capture_loses_only_the_shard_under_way(
    parent: WarmParent, classifier: Path, prompts: pl.DataFrame, tmp_path: Path
) -> None:
    fingerprint, file, root = fingerprint_of(classifier), tmp_path / "prompts.parquet", tmp_path / "store"
    prompts.write_parquet(file)
    done = parent.run(KILLED_CAPTURE, root, classifier, fingerprint, file, 2)
    assert done.returncode == -signal.SIGKILL
    assert len(list((root / fingerprint).glob(".*.parquet.*"))) == 1

    store = store_in(root, shard_rows=16)
    report = store.capture(prompts, NetworkTeacher(classifier, fingerprint))
    assert (report.already_stored, report.computed) == (32, 28)
    assert store.read(prompts["prompt_id"].to_list(), fingerprint).height == 60
    assert not list((root / fingerprint).glob(".*.parquet.*"))
    stored = pl.concat([pl.read_parquet(path) for path in (root / fingerprint).glob("*.parquet")])
    assert stored["prompt_id"].is_unique().all()


CAPTURED = """
    import sys
    from pathlib import Path

    import polars as pl
    from stillhouse.evaluation.measures.footprint import _peak_bytes
    from stillhouse.models.weights import fingerprint_of
    from stillhouse.records.ledger import Ledger
    from stillhouse.teachers.signal import SignalStore
    from stillhouse.teachers.teacher import NetworkTeacher

    folder, model, rows = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    prompts = pl.DataFrame({"prompt_id": [f"{row:032x}" for row in range(rows)], "text": ["who is it ?"] * rows})
    store = SignalStore(folder / "signal", Ledger(f"sqlite:///{folder / 'ledger.db'}"))
    assert store.capture(prompts, NetworkTeacher(model, fingerprint_of(model))).computed == rows
    print(_peak_bytes() / 1e6)
"""
FEW, MANY, WIDTH = 1_000, 100_000, 384
MEGABYTES_AT_MOST = 75.0
"""More at its peak with many prompts than with few: ids and texts of prompts are held, and a shard of answers. All that
is said of so many is twice as much."""


@pytest.mark.slow
@pytest.mark.long
def test_what_a_capture_takes_of_memory_is_a_shard_and_not_all_that_was_said(tmp_path: Path) -> None:
    """The largest resident size of a process of its own, in 1e6 bytes; the figures are in docs/benchmarks.md.

    Regression: that of `getrusage` begins with what the process had that started this one, and had hidden any growth.
    """
    assert MANY * WIDTH * 4 / 1e6 > 2 * MEGABYTES_AT_MOST
    changes = {"hidden_size": WIDTH, "num_hidden_layers": 1, "intermediate_size": 16}
    build_classifier(write_encoder(tmp_path / "encoder", **changes), LABELS, tmp_path / "model", seed=3)
    megabytes = dict[int, float]()
    for rows in (FEW, MANY):
        (folder := tmp_path / str(rows)).mkdir()
        code = [sys.executable, "-c", textwrap.dedent(CAPTURED), str(folder), str(tmp_path / "model"), str(rows)]
        ended = subprocess.run(code, capture_output=True, text=True, check=True)
        megabytes[rows] = float(ended.stdout)
    print(json.dumps({f"{rows} rows, MB": round(peak) for rows, peak in megabytes.items()}))
    assert megabytes[MANY] - megabytes[FEW] < MEGABYTES_AT_MOST, megabytes
