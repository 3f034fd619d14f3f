"""Tells refusals that come by chance from those of a server that has no more places.

A server that bears c requests at once refuses what comes above. A load balancer with a sick machine
behind it refuses a share p of everything, however little is asked of it. Both say 503, or break the
connection. The first is helped by sending less; the second only gets slower. What is known of a try
is its level (requests in flight when it was sent, itself included) and whether it was refused.

The *base* is the highest level that has proved no worse than lower ones. The share that is refused
up to there is taken for p; counts forget what is older than some hundred tries. What comes next is
held against it. A test adds log(P(try | load) / P(try | chance)) for every try until the sum
decides (Wald's sequential test, 1945, and Page's CUSUM, 1954, which starts anew at zero):

1. *Does the share rise with the level?* A server that bears no more than the base refuses, of tries
   at a level l, a share 1 - (1 - p) base / l; chance goes on refusing p. Decided for chance, l
   becomes the base. Within a tenth above the base these two differ too little to be told apart
   soon: there only a rise by a tenth is looked for, and the base stays.
2. *Do refusals come together?* At any level: has the share risen from p by three tenths of what is
   left? This one sees a server that restarts, or has lost places that it had.

Decided for load, the caller sends less, and what is observed next is the share at a lower level. If
refusals go on there, they are counted towards p, and as many of them decide nothing any more: that
is the question whether the share falls with the level, asked the other way round. A server that
has never refused below its limit is believed at its first refusal above.

What says itself that it is too much (429, or Retry-After) is put to no test.

What this cannot see: a server whose silent refusals take as long as its answers hides seven of a
hundred of them where it has 40 places, and up to a quarter where it has 10. Its rate is the same.
"""

from __future__ import annotations

from math import log

_PRIOR_REFUSED, _PRIOR_TRIES = 0.2, 6.0
"""What is taken as seen before anything is."""
_REMEMBERED = 400.0
"""Tries that the share is counted from; of more, the older ones are forgotten."""
_LOAD = 5.0
"""Log of the odds at which the share is taken to rise with the level: 150 to 1."""
_CHANCE = -3.0
"""Log of the odds at which it is taken not to: 20 to 1."""
_LEAST_RISE = 0.1
"""A smaller rise of the share is not looked for: that would take long, and it costs little."""
_TOGETHER = 9.0
"""Log of the odds at which refusals are taken to come together: five or more with little between.
Larger than the other, because this test never ends while the client works."""
_JUMP = 0.3
"""Of the share that is left, what load is taken to add at least where refusals come together."""
_LEAST_SHARE = 0.02
"""What that test takes the share for at least, or two would be together after long silence."""
_KEPT = 0.98
"""Of the base when a higher level is refused: one that was taken too high comes down with time."""


class OverloadTest:
    """Decides of each refusal of one server whether it means load.

    Args:
        level: requests in flight that are taken as borne before anything is known.

    Attributes:
        base: the highest level that has proved no worse than lower ones.
    """

    def __init__(self, level: float):
        self.base = level
        self._refused, self._tries = _PRIOR_REFUSED, _PRIOR_TRIES
        self._far, self._near = _Evidence(), _Evidence()
        self._together, self._at_base = _Evidence(), _Evidence()

    @property
    def share(self) -> float:
        """The share of tries that is refused by chance, as far as is known."""
        return self._refused / self._tries

    def note_try(self, level: float, *, refused: bool) -> bool:
        """Take in a try; True says that the server is asked for more than it bears.

        Args:
            level: requests in flight when it was sent, itself included.
        """
        if level <= self.base:
            self._at_base.add(level, refused)
        else:
            rise = 1 - self.base / level
            test = self._far if rise >= _LEAST_RISE else self._near
            test.weigh(level, refused, self._predict(test), max(rise, _LEAST_RISE))
        share = max(self._predict(self._together), _LEAST_SHARE)
        self._together.weigh(level, refused, share, _JUMP)
        if max(self._far.score, self._near.score) >= _LOAD or self._together.score >= _TOGETHER:
            return True
        if self._together.score <= 0:
            # What is suspected counts towards chance when the suspicion has passed, not before.
            self._remember(self._at_base)
            self._together, self._at_base = _Evidence(), _Evidence()
        if self._near.score <= 0:
            self._remember(self._near)
            self._near = _Evidence()
        if self._far.score <= _CHANCE:
            self.base = self._far.levels / self._far.tries
            self._remember(self._far)
            self._far = _Evidence()
        return False

    def note_load(self, level: float, left: float) -> None:
        """Take in that a level was too much.

        Args:
            level: that was.
            left: what is asked of the server from now on.
        """
        self.base = min(self.base, left if level <= self.base else max(left, _KEPT * self.base))
        # What was seen on the way to this says nothing of chance.
        self._far, self._near = _Evidence(), _Evidence()
        self._together, self._at_base = _Evidence(), _Evidence()

    def _predict(self, seen: _Evidence) -> float:
        """The share if all that a test has seen so far was chance, too."""
        return (self._refused + seen.refused) / (self._tries + seen.tries)

    def _remember(self, seen: _Evidence) -> None:
        self._refused += seen.refused
        self._tries += seen.tries
        kept = min(1.0, _REMEMBERED / self._tries)
        self._refused, self._tries = self._refused * kept, self._tries * kept


class _Evidence:
    """Tries of a test that is under way, and the log of the odds for load."""

    def __init__(self) -> None:
        self.tries = self.refused = 0
        self.levels = self.score = 0.0

    def add(self, level: float, refused: bool) -> None:
        self.tries += 1
        self.refused += refused
        self.levels += level

    def weigh(self, level: float, refused: bool, share: float, rise: float) -> None:
        """Add a try of which `share` is refused by chance, and `rise` of the rest by load."""
        self.score += log(1 + rise * (1 - share) / share) if refused else log(1 - rise)
        self.add(level, refused)
