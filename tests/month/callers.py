"""Who asks what: questions of people that no model has seen, in a mix that may change from day to day.

Belongs here: texts and their mix. Does not: asking (world.py), the days (story.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase

from tests.small import questions

ROWS = 1_200
"""Questions of which the recipe has the labels; callers ask the others."""
RARE = "ABBR"
MIX: Mapping[str, float] = {"ABBR": 0.02, "DESC": 0.22, "ENTY": 0.23, "HUM": 0.23, "LOC": 0.15, "NUM": 0.15}
"""Share of each class among the questions, about as in the rows."""
CALLERS = 20_000
FIRST_HOUR = 2
"""Before it nobody asks, and the day before is summed up."""
_FOR_LETTERS = (
    "What does {0} stand for ?",
    "What does the abbreviation {0} stand for ?",
    "What do the letters {0} stand for ?",
    "What does the acronym {0} stand for ?",
)


@dataclass(frozen=True)
class Request:
    """One question of one caller.

    Args:
        moment: seconds since midnight.
        text: what is asked.
        key: who asks.
        truth: the right answer.
    """

    moment: float
    text: str
    key: str
    truth: str


def abbreviations(many: int, seed: int) -> list[str]:
    """Questions for what letters stand for, of which there are more than of the data's."""
    random = Random(seed)
    return [
        random.choice(_FOR_LETTERS).format("".join(random.choices(ascii_uppercase, k=random.randint(2, 5))))
        for _ in range(many)
    ]


class Callers:
    """All who ask in a month.

    Args:
        a_day: how many questions.
    """

    def __init__(self, a_day: int) -> None:
        self._a_day = a_day
        texts = questions(10_000, skip=ROWS)
        self._texts = {name: texts.filter(texts["service"] == name)["question"].to_list() for name in MIX}

    def on(self, day: int, changes: Mapping[str, float]) -> Iterator[Request]:
        """The questions of a day in the order in which they come.

        Args:
            day: whose number also decides who asks what.
            changes: shares of classes that differ from `MIX`; the others keep their proportions.
        """
        random = Random(day)
        left = (1 - sum(changes.values())) / (1 - sum(MIX[name] for name in changes))
        mix = {name: changes.get(name, share * left) for name, share in MIX.items()}
        surge = abbreviations(self._a_day, seed=10_000 + day)
        for place, truth in enumerate(random.choices([*mix], [*mix.values()], k=self._a_day)):
            text = surge[place] if truth == RARE else random.choice(self._texts[truth])
            moment = 3600 * (FIRST_HOUR + (24 - FIRST_HOUR) * place / self._a_day)
            yield Request(moment, text, f"caller {random.randrange(CALLERS)}", truth)
