"""What the README shows to somebody with a notebook runs as it stands there, on files of the shape it names."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import stillhouse
from stillhouse.home import CHECKOUT

ROWS, CLASSES = 600, ("billing", "delivery", "refund")


def snippet() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), flags=re.DOTALL)
    return str(found)


def logits(truth: np.ndarray, wrong: int) -> pl.DataFrame:
    """Sure of the label, but for the first rows, which get the next class."""
    answers = np.where(np.arange(ROWS) < wrong, (truth + 1) % len(CLASSES), truth)
    return pl.DataFrame({"prompt_id": [f"{n:04}" for n in range(ROWS)], "logits": (4.0 * np.eye(3)[answers]).tolist()})


@pytest.mark.long
@pytest.mark.parametrize(("wrong", "quality"), [(33, "pass"), (150, "fail")])
def test_the_snippet_judges_a_student(
    wrong: int, quality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.random.default_rng(0).integers(3, size=ROWS)
    texts = {"prompt_id": [f"{n:04}" for n in range(ROWS)], "text": [f"question {n}" for n in range(ROWS)]}
    pl.DataFrame({**texts, "label": [CLASSES[n] for n in truth]}).write_parquet(tmp_path / "golden.parquet")
    logits(truth, 30).write_parquet(tmp_path / "teacher.parquet")
    logits(truth, wrong).write_parquet(tmp_path / "student.parquet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(snippet(), names)
    judged = names["judged"]
    assert isinstance(judged, stillhouse.Evaluation)
    verdicts = {claim.name: str(claim.verdict) for claim in judged.claims if claim.binding}
    assert verdicts == {"non_inferiority": quality, "latency_ratio": "inconclusive", "size_ratio": "pass"}
    first, *sentences = printed.getvalue().splitlines()
    assert first == ("fail" if quality == "fail" else "inconclusive"), "nobody has measured its speed"
    assert len(sentences) == 3 and "points" in sentences[0]


def test_a_name_that_is_not_there_is_an_error_and_each_that_is_named_is_there() -> None:
    assert all(getattr(stillhouse, name) for name in stillhouse.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'distil'"):
        _ = stillhouse.distil
