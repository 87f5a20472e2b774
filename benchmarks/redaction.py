"""`make bench-redaction`: long texts of what is almost personal data, whose search could grow with their square.

Each text is one part over and over, such as half an address, that some rule begins to take for personal data and does
not find to be any. It is searched at 25,000 characters and at 100,000. Exit code 1 if a limit is broken; the last line
is JSON.

Belongs here: the parts, measuring, the limits.
Does not: what is found in a text, and how far a rule looks from one place (tests/stillhouse/data/test_privacy.py).
"""

import json
import sys
import time

from stillhouse.data.privacy import redact_text

PARTS = (
    "a.b/", "a.bc/", "a.b/u/", "a-", "@", "://a@", "00 1 ", "sk-a", "eyJa.", "api_key:", "name at ", "a dot ",
    "a at b dot ", "(at)a.",
)  # fmt: skip
FEW, MANY = 25_000, 100_000
MOST_TIMES = 8.0
"""Four times the characters take four times as long, or sixteen times by the square."""
MOST_SECONDS = 10.0


def main() -> int:
    """Search each text in both lengths."""
    found = {}
    for part in PARTS:
        few, many = (min(_seconds(part, characters) for _ in range(3)) for characters in (FEW, MANY))
        found[part] = {"seconds": round(many, 3), "times": round(many / few, 1)}
        print(f"{part!r:15} {many:6.2f} s, {many / few:.1f} times as long as for a quarter of it")
    broken = [part for part, each in found.items() if each["times"] > MOST_TIMES or each["seconds"] > MOST_SECONDS]
    for part in broken:
        print(f"{part!r}: more than {MOST_TIMES:g} times as long, or than {MOST_SECONDS:g} s")
    print(json.dumps(found))
    return 1 if broken else 0


def _seconds(part: str, characters: int) -> float:
    """CPU time of one search; what is personal at the end has every rule asked."""
    text = (part * characters)[:characters] + " users/ ann@example.org"
    begun = time.process_time()
    redact_text(text)
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
