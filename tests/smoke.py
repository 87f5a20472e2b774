"""`make smoke`: the whole way on a small recipe, in a home of its own, in under a minute.

`make smoke ENCODER=roberta` goes it with the same weights as an encoder of that type.
"""

import sys
import tempfile
from pathlib import Path

from tests.small import as_roberta, in_a_home_of_its_own, small_recipe, small_teacher

ENCODERS = {"bert": lambda folder: folder, "roberta": as_roberta}


def main() -> int:
    kind = next(iter(sys.argv[1:]), "bert")
    if kind not in ENCODERS:
        print(f"ENCODER={kind}: expected one of {', '.join(ENCODERS)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        in_a_home_of_its_own(folder)
        from orchestration.run import distil
        from orchestration.terminal import Terminal
        from stillhouse.home import Home

        ENCODERS[kind](small_teacher(folder / "teacher"))
        # Without the control: what distillation was worth is asked of `make demo`.
        student = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}
        outcome = distil(small_recipe(folder, name="smoke", students=[student]), Home.from_environment(), Terminal())
    return 0 if outcome.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
