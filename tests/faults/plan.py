"""Which fault happens where: one injected fault, its text form for re-running it, and the choice of a sweep."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from tests.faults.power_cut import Surviving
from tests.faults.shim import Action, Kind

KILLS: Final = (Action.KILL_BEFORE, Action.KILL_AFTER, Action.KILL_TORN)
FAILURES: Final = (Action.FAIL, Action.SHORT)
ERRORS: Final = (errno.EIO, errno.ENOSPC)
SOON: Final = 12
"""Points after a failure within which a kill still meets its consequences."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at the `point`-th point of the process's life, `action`; then a power cut that leaves `surviving`.

    `kinds` restricts what is counted as a point (empty: everything). `repeat` failures follow each other (a full disk).
    `death`, when it is not 0, is a later point before which the program is killed: the next start finds what a failure
    left half done. `point` 0 never happens: the process lives until the workload is done, and is killed then.
    """

    action: Action
    point: int
    surviving: Surviving = Surviving.LOST
    seed: int = 0
    error: int = errno.EIO
    kinds: tuple[Kind, ...] = ()
    repeat: int = 1
    death: int = 0

    @property
    def mask(self) -> int:
        """The kinds as shim.c wants them."""
        return sum(1 << kind for kind in self.kinds)

    def __str__(self) -> str:
        kinds = "+".join(kind.name.lower() for kind in self.kinds) or "any"
        head = (self.action.name.lower(), self.point, kinds, self.surviving.value)
        return ":".join(map(str, (*head, self.seed, self.error, self.repeat, self.death)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of str(); raises ValueError, KeyError."""
        action, point, kinds, surviving, seed, error, repeat, death = text.split(":")
        return cls(
            action=Action[action.upper()],
            point=int(point),
            surviving=Surviving(surviving),
            seed=int(seed),
            error=int(error),
            kinds=() if kinds == "any" else tuple(Kind[kind.upper()] for kind in kinds.split("+")),
            repeat=int(repeat),
            death=int(death),
        )


def sweep(points: int, *, runs: int, seed: int, kinds: tuple[Kind, ...] = ()) -> Iterator[Fault]:
    """`runs` faults spread evenly over `points` points: seven in ten kill, the others fail; `seed` settles it."""
    chance = random.Random(seed)
    for run in range(runs):
        point = 1 + (run * points) // runs if runs < points else 1 + run % points
        point = min(points, point + chance.randrange(max(1, points // runs)))
        failing = chance.random() < 0.3
        yield Fault(
            action=chance.choices(FAILURES, (4, 1))[0] if failing else chance.choices(KILLS, (5, 4, 2))[0],
            point=point,
            surviving=chance.choice((Surviving.LOST, Surviving.LOST, Surviving.TORN, Surviving.KEPT)),
            seed=chance.randrange(1 << 30),
            error=chance.choice(ERRORS),
            kinds=kinds,
            repeat=chance.choice((1, 1, 1, 5)) if failing else 1,
            death=point + chance.randint(1, SOON) if failing and chance.random() < 0.4 else 0,
        )
