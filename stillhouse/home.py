"""Where the state of a Stillhouse installation lives: one folder, moved by one variable.

Belongs here: the names of the places under STILLHOUSE_HOME.
Does not: what is written there (records/, teachers/signal.py).
"""

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Home:
    """The places of one installation.

    Args:
        root: the folder that holds all state.
        artifacts: where artifacts go, a folder or any fsspec URL such as `s3://bucket/prefix`.
        ledger_url: SQLAlchemy URL of the ledger.
    """

    root: Path
    artifacts: str
    ledger_url: str

    @classmethod
    def from_environment(cls) -> "Home":
        """Read STILLHOUSE_HOME, STILLHOUSE_ARTIFACTS and STILLHOUSE_LEDGER_URL, with defaults in the checkout."""
        root = Path(os.environ.get("STILLHOUSE_HOME", CHECKOUT / ".stillhouse")).expanduser().absolute()
        return cls(
            root=root,
            artifacts=os.environ.get("STILLHOUSE_ARTIFACTS", str(root / "artifacts")),
            ledger_url=os.environ.get("STILLHOUSE_LEDGER_URL", f"sqlite:///{root / 'ledger.db'}"),
        )

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: Dagster's own runs, events and schedules."""
        return self.root / "dagster"

    @property
    def signal(self) -> Path:
        """What teachers have said, kept per row across runs."""
        return self.root / "signal"

    @property
    def checkpoints(self) -> Path:
        """Half-trained students, so that a killed run goes on where it was."""
        return self.root / "checkpoints"

    @property
    def workbench(self) -> Path:
        """Artifacts being built; anything here may be deleted while nothing runs."""
        return self.root / "workbench"

    @property
    def cache(self) -> Path:
        """Local copies of artifacts whose store is remote."""
        return self.root / "cache"

    @property
    def reports(self) -> Path:
        """Reports that a person opens in a browser."""
        return self.root / "reports"

    @property
    def locks(self) -> Path:
        """A file for each recipe, locked while a run of it works."""
        return self.root / "locks"

    @property
    def looks(self) -> Path:
        """What each drop folder looked like when it was last looked at; anything here may be deleted at any time."""
        return self.root / "looks"

    def inbox(self, recipe: str) -> Path:
        """The drop folder of a recipe that names none of its own."""
        return self.root / "inbox" / recipe
