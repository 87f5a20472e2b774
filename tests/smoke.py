"""`make smoke`: the whole way on a small recipe, in a home of its own, in under a minute."""

import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["STILLHOUSE_HOME"] = str(folder / "home")
        from rich.console import Console

        from orchestration.run import distil
        from stillhouse.home import Home
        from tests.small import small_recipe

        outcome = distil(small_recipe(folder, name="smoke"), Home.from_environment(), Console())
    return 0 if outcome.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
