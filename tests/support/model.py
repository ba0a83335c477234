"""What a hub must know of its sessions, in dicts and plain arithmetic.

Written from the rules of the design, beside the product's code and without any of it:
no schedule, no threads, no database. A session's name is its user and issue second,
as those two make its cookie.
"""

from dataclasses import dataclass, replace

MOST_SESSION_IDS = 16
FUTURE = 60
GRACE_BEATS = 2


@dataclass(frozen=True)
class Limits:
    """Limits of one group: seconds, ``None`` for no limit."""

    idle: float | None
    lifetime: float | None

    @property
    def beat(self):
        return 60.0 if self.idle is None else min(60.0, self.idle / 6)


@dataclass
class Row:
    """What is known of one session."""

    user: int
    issued: int
    active: float
    ids: tuple = ()
    end: tuple | None = None
    """Reason and moment."""
    finished: bool = False


class Model:
    """A hub's memory, its disk, and what it gave out.

    Attributes:
        memory: rows by name.
        disk: rows by name, as the next hub would read them.
        unwritten: names whose row in memory is newer than that on disk.
        restored: names that were read from disk: their people may have been active
            meanwhile.
        last: the last second used for a cookie, by user.
        tokens: pairs of user and session id for which there are OAuth tokens.
        auth: users whose ``auth_state`` is stored.
        doubtful: pairs of user and session id that several sessions hold, as a crash
            after a failure of the store may leave them.
        dead: what may never be accepted again: names whose end is on disk.
        broken: which statements the database refuses.
        hesitant: since the database refused something, no batch has succeeded for
            sure: it is the hub's to choose what it tries.
        offered: by name the rows that it may have written meanwhile.
    """

    def __init__(self, limits, max_age, now):
        self._limits = limits
        self._keep = max_age + 86400
        self.now = self.started = now
        self.group = {}
        self.memory, self.disk = {}, {}
        self.unwritten, self.restored, self.dead = set(), set(), set()
        self.last = {}
        self.tokens, self.auth, self.doubtful = set(), set(), set()
        self.broken = frozenset()
        self.hesitant, self.offered = False, {}

    # -- looking --------------------------------------------------------------

    def limits(self, user):
        return self._limits[self.group.get(user)]

    def alive(self):
        return [name for name, row in self.memory.items() if row.end is None]

    def alive_of(self, user):
        return [name for name in self.alive() if name[0] == user]

    def deadline(self, row):
        """Return reason and moment of the end if nothing happens."""
        limits, ends = self.limits(row.user), []
        if limits.idle is not None:
            ends.append((row.active + limits.idle, "idle"))
        if limits.lifetime is not None:
            ends.append((row.issued + limits.lifetime, "lifetime"))
        return min(ends, default=None)

    def due(self, name):
        """Return when a session is ended though nobody asks."""
        row = self.memory[name]
        deadline = self.deadline(row)
        if deadline is None:
            return None
        at, reason = deadline
        if reason == "idle" and name in self.restored:
            limits = self.limits(row.user)
            at = max(at, self.started + GRACE_BEATS * limits.beat)
            if limits.lifetime is not None:
                at = min(at, row.issued + limits.lifetime)
        return at

    def verdict(self, name):
        """Return what a known session is worth now, and why."""
        row = self.memory[name]
        if row.end is not None:
            return "ended", row.end[0]
        deadline = self.deadline(row)
        if deadline is None or self.now < deadline[0]:
            return "active", None
        state = "waiting" if self.now < self.due(name) else "ended"
        return state, deadline[1]

    def stranger(self, user, issued):
        """Return what a valid cookie is worth that the hub doesn't know."""
        if issued > self.now + FUTURE:
            return "ended", "revoked"
        deadline = self.deadline(Row(user, issued, float(issued)))
        if deadline is None or self.now < deadline[0]:
            return "active", None
        return "ended", deadline[1]

    def holders(self, user, session_id):
        """Return the sessions to which a user's session id may belong."""
        rows = self.memory.items()
        return {n for n, row in rows if n[0] == user and session_id in row.ids}

    # -- what happens ---------------------------------------------------------

    def adopt(self, name):
        user, issued = name
        self._add(name, Row(user, issued, float(issued)))

    def sign_in(self, name, previous):
        """Begin a session; ``previous`` is the browser's, not ended until now."""
        user, issued = name
        self._add(name, Row(user, issued, self.now))
        self.auth.add(user)
        if previous is None:
            self.write([name])
            return
        state, reason = self.verdict(previous)
        row = self.memory[previous]
        if state == "active" and row.user == user:
            self.memory[name].ids, row.ids = row.ids, ()
        row.end = ("replaced" if state == "active" else reason), self.now
        self.unwritten.add(previous)
        self.write([name, previous])
        self._finish(previous)

    def touch(self, name, at):
        """Tell whether a report moves a session's activity, and move it."""
        row, at = self.memory[name], min(at, self.now)
        if row.end is not None or at <= row.active:
            return False
        row.active = at
        self.unwritten.add(name)
        return True

    def hold(self, name, session_id):
        """Make a token in a session."""
        row = self.memory[name]
        self.tokens.add((row.user, session_id))
        if session_id not in row.ids:
            row.ids = (*row.ids, session_id)[-MOST_SESSION_IDS:]
            self.unwritten.add(name)
            self.write([name])

    def end(self, ends):
        """End sessions, to the last step; reasons by name."""
        fresh = self.mark(ends)
        self.write(fresh)
        for name in fresh:
            self._finish(name)

    def mark(self, ends):
        """Do the first step of ends; list those that are news."""
        fresh = [name for name in ends if self.memory[name].end is None]
        for name in fresh:
            self.memory[name].end = ends[name], self.now
        self.unwritten.update(fresh)
        return fresh

    def end_due(self):
        """End whatever is over."""
        verdicts = {name: self.verdict(name) for name in self.alive()}
        self.end({n: why for n, (state, why) in verdicts.items() if state == "ended"})

    def purge(self):
        """Forget cookies that nobody accepts any more."""
        old = {
            name
            for name, row in self.memory.items()
            if row.issued < self.now - self._keep and (row.finished or row.end is None)
        }
        for name in old:
            del self.memory[name]
        self.unwritten -= old
        self.restored -= old
        for user in self.last.keys() - {user for user, _ in self.memory}:
            del self.last[user]
        if not ("delete" in self.broken and old & self.disk.keys()):
            self.disk = {n: row for n, row in self.disk.items() if n not in old}

    def refuse(self, kinds):
        """Let the database refuse some statements, or none again."""
        self.broken = kinds
        self.hesitant = self.hesitant or bool(kinds)

    def flush(self):
        """Write all that isn't on disk."""
        self.hesitant = bool(self.broken)
        self.write(sorted(self.unwritten))

    def write(self, names):
        """Write rows in one transaction, if the database lets us.

        Where only replacing is refused, a hesitant hub may write what is new alone.
        """
        replaces = not self.disk.keys().isdisjoint(names)
        refused = "delete" in self.broken and replaces and not self.hesitant
        if "insert" in self.broken or refused:
            return
        for name in names:
            row = replace(self.memory[name])
            if self.hesitant:
                self.offered.setdefault(name, []).append(row)
            else:
                self._written(name, row)

    def settle(self, name, row):
        """Learn whether a row was written that may have been."""
        if row in self.offered.pop(name):
            self._written(name, row)

    def _written(self, name, row):
        self.disk[name] = row
        if row.end is not None:
            self.dead.add(name)
        if row == self.memory.get(name):
            self.unwritten.discard(name)

    def start(self):
        """Begin anew from the disk, and finish what was interrupted."""
        self.started, self.hesitant = self.now, bool(self.broken)
        self.memory = {name: replace(row) for name, row in self.disk.items()}
        self.unwritten, self.restored = set(), set(self.memory)
        self.last = {}
        for user, issued in self.memory:
            self.last[user] = max(issued, self.last.get(user, 0))
        held = [(r.user, i) for r in self.memory.values() for i in r.ids]
        self.doubtful |= {pair for pair in held if held.count(pair) > 1}
        for name, row in self.memory.items():
            if row.end is not None and not row.finished:
                self._finish(name)

    def _add(self, name, row):
        self.memory[name] = row
        self.unwritten.add(name)
        self.last[row.user] = max(row.issued, self.last.get(row.user, 0))

    def _finish(self, name):
        row = self.memory[name]
        self.tokens -= {(row.user, session_id) for session_id in row.ids}
        if not self.alive_of(row.user):
            self.auth.discard(row.user)
        row.finished = True
        self.unwritten.add(name)
