"""A digest as a number that is drawn."""

from stillhouse.digests import uniform_of


def test_a_digest_is_a_number_from_0_to_just_below_1_by_its_first_53_bits() -> None:
    assert uniform_of(bytes(32)) == 0.0
    assert uniform_of(b"\x80" + bytes(31)) == 0.5
    assert uniform_of(b"\xff" * 32) == 1 - 2.0**-53, "all 64 bits would round up to 1"
    assert uniform_of(b"\x40" + bytes(6) + b"\x07") == 0.25, "what no float can tell apart is let go"
    assert uniform_of(b"\x40" + bytes(7) + b"\xff") == 0.25
