"""Where a page of the reports folder is found: in a browser beside the UI, and on disk.

Belongs here: the address that `stillhouse ui` serves such a page at, the metadata that leads there, and a copy of an
artifact's report.
Does not: serving it (orchestration/reports.py), what is on it (who has it).
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from stillhouse.files import write_atomically
from stillhouse.records.builds import Artifact

REPORTS_AT = "/stillhouse/reports"


def links(name: str, page: Path, reports: Path) -> dict[str, dg.MetadataValue[Any]]:
    """Metadata that leads to a page: by a click in the UI of `stillhouse ui`, and by its path on this machine.

    Args:
        name: what the page is called in the metadata.
        page: the file.
        reports: the folder of reports; a file elsewhere has a path alone.
    """
    on_disk = dg.MetadataValue.path(str(page))
    if not page.is_relative_to(reports):
        return {name: on_disk}
    address = f"{REPORTS_AT}/{quote(page.relative_to(reports).as_posix())}"
    return {name: dg.MetadataValue.url(address), f"{name}_file": on_disk}


def report_of(artifact: Artifact, name: str, reports: Path) -> dict[str, dg.MetadataValue[Any]]:
    """Copy the report of an artifact to where people find it, and lead there.

    Args:
        artifact: with the report.
        name: of the copy.
        reports: the folder of reports.
    """
    page = reports / name
    write_atomically(page, (artifact.folder / "report.html").read_bytes())
    return links("report", page, reports)
