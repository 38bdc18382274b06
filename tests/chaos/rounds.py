"""Many rounds, each a kill, shared out over whole rollouts; and the table that docs/crash-safety.md shows."""

from __future__ import annotations

import os
import platform
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tests.chaos.verdict import differences
from tests.chaos.whole_rollout import KINDS, WITHOUT_PREFECT, Plan, Told, WholeRollout

DECK = (
    ("effect",) * 34
    + ("moment",) * 24
    + ("flow effect",) * 12
    + ("flow moment",) * 10
    + ("endpoint",) * 9
    + ("router",) * 7
    + ("server",) * 2
    + ("worker",) * 2
)
"""Of a hundred rounds."""
PER_ROLLOUT = 50
BEGIN, END = "<!-- made by make chaos: begin -->", "<!-- made by make chaos: end -->"
PAGE = Path(__file__).parents[2] / "docs" / "crash-safety.md"


def plans(rounds: int, seed: int, *, prefect: bool) -> list[Plan]:
    """How many rounds of which kind each rollout gets."""
    source = random.Random(seed)
    deck = [kind for kind in DECK if prefect or kind in WITHOUT_PREFECT]
    cards = [deck[number % len(deck)] for number in range(-(-rounds // len(deck)) * len(deck))]
    source.shuffle(cards)
    cards = cards[:rounds]
    pieces = [cards[start : start + PER_ROLLOUT] for start in range(0, rounds, PER_ROLLOUT)]
    stories = ("worse", "better")  # the shorter one first
    return [Plan(stories[number % 2], seed * 1000 + number, tuple(piece)) for number, piece in enumerate(pieces)]


@dataclass
class Played:
    """What came of all rounds.

    Attributes:
        seed: Of everything.
        wholes: The disturbed rollouts.
        wrong: What was not as it must be, in words.
        seconds: Wall time.
    """

    seed: int
    wholes: list[WholeRollout] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rounds(self) -> list[Told]:
        return [told for whole in self.wholes for told in whole.rounds]


def play(folder: Path, rounds: int, seed: int, *, prefect: bool, say: Callable[[str], None]) -> Played:
    """Kill everything around whole rollouts, and compare each with the undisturbed one of its story."""
    begun, references, played = time.monotonic(), {}, Played(seed)
    queue = plans(rounds, seed, prefect=prefect)
    while queue:
        plan = queue.pop(0)
        number = len(played.wholes) + 1
        if plan.story not in references:
            say(f"{plan.story}, undisturbed")
            references[plan.story] = WholeRollout(folder / plan.story, Plan(plan.story, 0)).run()
        whole = WholeRollout(folder / f"{number}-{plan.story}", plan).run()
        found = list(differences(references[plan.story], whole))
        state = whole.world.state(whole.rollout).state
        say(f"rollout {number}, {plan.story}: {len(whole.rounds)} rounds, {state}, {len(found)} differences")
        for line in found[:10]:
            say(f"  {line}")
        played.wrong += [f"rollout {number}, {plan.story}, seed {plan.seed}: {line}" for line in found]
        played.wholes.append(whole)
        rest = list(plan.kinds)
        for told in whole.rounds:
            rest.remove(told.kind)
        if rest:  # the rollout ended first: what is left is played in another one
            queue.append(Plan("better" if plan.story == "worse" else "worse", plan.seed + 500, tuple(rest)))
    played.seconds = time.monotonic() - begun
    return played


def write(text: str) -> None:
    """Replace the page's summary."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def summary(played: Played) -> str:
    """The page's table."""
    done, rounds = played.wholes, played.rounds
    ends = Counter(f"{whole.plan.story}: {whole.world.state(whole.rollout).state}" for whole in done)
    made_with = f"Python {platform.python_version()}, Prefect {version('prefect')}"
    took = f"in {played.seconds / 60:.0f} minutes on {os.cpu_count()} processors"
    lines = [
        f"{len(rounds)} rounds, seed {played.seed}, {took}, {made_with}: **{len(played.wrong)} differences**.",
        "",
        "| killed | rounds | died in it | in a tick | in a watch | in traffic | median seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        rows = [told for told in rounds if told.kind == kind]
        if not rows:
            continue
        places = Counter(told.where for told in rows)
        median = sorted(told.seconds for told in rows)[len(rows) // 2]
        died = sum(told.died for told in rows)
        cells = (kind, len(rows), died, places["tick"], places["watch"], places["traffic"], f"{median:.1f}")
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    seen: Counter[str] = sum((whole.seen for whole in done), Counter())
    sent, refused = sum(len(whole.story.sent) for whole in done), sum(whole.refused for whole in done)
    looked = (
        f"- Looked at meanwhile: the document in force {seen['document']:,} times, the endpoint's weights "
        f"{seen['endpoint']:,} times, the router's answer to a stranger {seen['router']:,} times; "
        f"{sum(whole.excused for whole in done):,} of them found a killed server not back yet."
    )
    asked = (
        f"- Customers' requests: {sent:,} made and answered; {refused:,} attempts failed, all while endpoint or router "
        "was down."
    )
    endings = ", ".join(f"{end} x{times}" for end, times in sorted(ends.items()))
    lines += ["", f"- Rollouts: {len(done)}; {endings}.", looked, asked]
    lines += [f"- **Difference:** {line}" for line in played.wrong]
    return "\n".join(lines)
