"""Rows in a file and a folder elsewhere, for the tests of what is read."""

from pathlib import Path

import pytest
from upath import UPath

CSV = "question,topic,region\na,x,north\nb,,\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(CSV)
    return tmp_path


@pytest.fixture
def memory() -> UPath:
    folder = UPath("memory://inbox")
    folder.fs.store.clear()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
