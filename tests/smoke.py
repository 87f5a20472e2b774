"""`make smoke`: the whole way on a small recipe, in a home of its own, in under a minute."""

import sys
import tempfile
from pathlib import Path

from tests.small import in_a_home_of_its_own, small_recipe


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        in_a_home_of_its_own(folder)
        from orchestration.run import distil
        from orchestration.terminal import Terminal
        from stillhouse.home import Home

        # Without the control: what distillation was worth is asked of `make demo`.
        student = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}
        outcome = distil(small_recipe(folder, name="smoke", students=[student]), Home.from_environment(), Terminal())
    return 0 if outcome.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
