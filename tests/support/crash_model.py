"""What a hub has told its browsers, and what it may therefore never say again.

The hub is judged by its answers alone. What was asked for without an answer may have
been done or not; the first answer after that decides, and holds from then on.
"""

from dataclasses import dataclass, field

from ttl_authenticator.hub import cookies

ROUNDING = 0.001
"""Seconds by which times may differ that went through JSON and floats."""


@dataclass
class Kind:
    """What the people of one kind are subject to, in seconds."""

    idle: float
    lifetime: float

    @property
    def grace(self):
        """How long an idle end waits for reports after a start."""
        return 2 * min(60, self.idle / 6)


@dataclass
class Beat:
    """Activity that the hub has acknowledged; both in seconds of its clock."""

    active_at: float
    answered_at: float


@dataclass(eq=False)
class Login:
    """A session, as the browsers that hold its cookie or tokens know it.

    Attributes:
        user: who signed in.
        kind: what limits it.
        cookie: the hub's login cookie.
        floor: the oldest that its last activity can be; this much is on disk.
        latest: the newest that it can be.
        beats: what was acknowledged since, and need not be on disk yet.
        tokens: OAuth tokens that were given out for it.
        reference: its pseudonym, once the hub has said it.
        leaving: the reasons by which it may have ended, for want of an answer.
        over: the reasons by which it may have ended, none while it may live.
    """

    user: str
    kind: Kind
    cookie: str
    floor: float
    latest: float
    beats: list = field(default_factory=list)
    tokens: list = field(default_factory=list)
    reference: str | None = None
    leaving: set = field(default_factory=set)
    over: set = field(default_factory=set)

    def __post_init__(self):
        self.issued_at = cookies.read(self.cookie).issued_at

    def beat(self, sent_at, answered_at, idle_seconds):
        """Note activity that the hub has acknowledged."""
        self.beats.append(Beat(sent_at - idle_seconds, answered_at))

    def may_be_active_at(self, at):
        """Note activity that the hub may have heard of."""
        self.latest = max(self.latest, at)

    @property
    def active_at(self):
        """The oldest that its last activity can be in the hub that runs."""
        return max([self.floor, *(beat.active_at for beat in self.beats)])

    def written(self, began_at):
        """Note that a batch is on disk which was begun at a time."""
        done = [beat for beat in self.beats if beat.answered_at <= began_at]
        self.floor = max([self.floor, *(beat.active_at for beat in done)])

    def crashed(self):
        """Forget what the hub need not remember after a crash."""
        self.beats.clear()

    # -- what may be answered -------------------------------------------------

    def may_be_over(self, now):
        """Return the reasons by which it may have ended until ``now``."""
        reasons = set(self.leaving)
        if now >= self.active_at + self.kind.idle - ROUNDING:
            reasons.add("idle")
        if now >= self.issued_at + self.kind.lifetime - ROUNDING:
            reasons.add("lifetime")
        return reasons

    def is_ended(self, reason, answered_at):
        """Hear that it has ended."""
        reasons = self.over or self.may_be_over(answered_at)
        assert reason in reasons, ("a live session is lost", reason, reasons, self)
        self.over = {reason}

    def is_refused(self, answered_at):
        """Hear a refusal that says no more than that."""
        assert self.over or self.may_be_over(answered_at), (
            "a live session is lost",
            self,
        )

    def is_alive(self, model, sent_at, answered_at, served_at):
        """Hear that it lives, and what is left of it.

        Args:
            model: the session endpoint's answer.
            sent_at: when that was asked for.
            answered_at: when it came.
            served_at: when the hub was seen to serve; it restored its sessions before.
        """
        assert not self.over, ("it has ended and works again", self)
        self.leaving.clear()
        self.reference = self.reference or model["session"]
        assert self.user == model["user"]
        assert self.reference == model["session"], ("another session", self)
        self._check_idle(model["idle_remaining"], sent_at, answered_at, served_at)
        self._check_lifetime(model["lifetime_remaining"], sent_at, answered_at)

    def _check_idle(self, left, sent_at, answered_at, served_at):
        least = max(0, self.active_at + self.kind.idle - answered_at)
        most = max(0, self.latest + self.kind.idle - sent_at)
        assert least - ROUNDING <= left, ("activity is lost", least, left, self)
        assert left <= most + ROUNDING, ("activity is invented", most, left, self)
        waits = sent_at < served_at + self.kind.grace
        assert most > 0 or waits, ("it works beyond its idle limit", self)

    def _check_lifetime(self, left, sent_at, answered_at):
        end = self.issued_at + self.kind.lifetime
        assert sent_at < end + ROUNDING, ("it works beyond its lifetime", self)
        # two logins within a second: the other one's begins in the next
        least = min(self.kind.lifetime, end - answered_at)
        most = min(self.kind.lifetime, end - sent_at)
        assert least - ROUNDING <= left <= most + ROUNDING, (least, left, most, self)
