"""Which packages were installed is the same question wherever a process was started."""

import sys
from pathlib import Path

import pytest

from stillhouse.records.manifest import lock_digest


def installed(folder: Path, name: str, version: str) -> Path:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def test_a_distribution_that_is_on_the_path_twice_counts_once_as_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `dagster dev`, with the checkout on its path, and the command line had digests of their own."""

    def digest_with(*first: Path) -> str:
        """What a process says with more folders at the head of its path."""
        monkeypatch.setattr(sys, "path", [*map(str, first), *path])
        return lock_digest.__wrapped__()

    path = [str(installed(tmp_path / "usual", "usual", "3.0"))]
    one, same, other = (
        installed(tmp_path / folder, "stands-alone", version)
        for folder, version in [("one", "1.0"), ("same", "1.0"), ("other", "2.0")]
    )
    plain, with_one, with_other = digest_with(), digest_with(one), digest_with(other)
    assert len({plain, with_one, with_other}) == 3, "what is there counts, and its version"
    assert digest_with(one, same) == digest_with(one, other) == with_one
    assert digest_with(other, one) == with_other
