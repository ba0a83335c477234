"""What standards ask of sessions: defaults for a hub that must meet one, and ceilings.

Any process; standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

SOME = math.inf
"""A ceiling for a limit that has to be there and may be of any length."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits that one standard allows.

    Attributes:
        name: as in ``c.TTLAuthenticator.profile``.
        source: document and clause.
        idle_timeout: the longest idle timeout in seconds; :data:`SOME` where there
            has to be one of any length, ``None`` where the standard asks for none.
        max_lifetime: the longest lifetime, likewise.
    """

    name: str
    source: str
    idle_timeout: float | None = None
    max_lifetime: float | None = None

    def ceiling(self, key: str) -> float | None:
        """Return the ceiling of a limit by its name, ``None`` where there is none."""
        ceilings = {
            "idle_timeout": self.idle_timeout,
            "max_lifetime": self.max_lifetime,
        }
        return ceilings.get(key)

    def allows(self, key: str, seconds: float | None) -> bool:
        """Tell whether a limit is as strict as the standard asks.

        Args:
            key: the name of the limit.
            seconds: its value, ``None`` for no limit.
        """
        ceiling = self.ceiling(key)
        return ceiling is None or (seconds is not None and seconds <= ceiling)

    def default(self, key: str) -> float | None:
        """Return the number of a standard for a limit, ``None`` where it has none."""
        ceiling = self.ceiling(key)
        return None if ceiling == SOME else ceiling


NIST_AAL1 = Profile(
    "nist-800-63b-aal1",
    "NIST SP 800-63B (revision 3) 4.1.3",
    max_lifetime=30 * DAY,
)
"""NIST SP 800-63B, revision 3, 4.1.3: sign in again after 30 days at the latest."""

NIST_AAL2 = Profile(
    "nist-800-63b-aal2",
    "NIST SP 800-63B (revision 3) 4.2.3",
    idle_timeout=30 * MINUTE,
    max_lifetime=12 * HOUR,
)
"""NIST SP 800-63B, revision 3, 4.2.3: 12 hours, and 30 minutes of inactivity."""

NIST_AAL3 = Profile(
    "nist-800-63b-aal3",
    "NIST SP 800-63B (revision 3) 4.3.3",
    idle_timeout=15 * MINUTE,
    max_lifetime=12 * HOUR,
)
"""NIST SP 800-63B, revision 3, 4.3.3: 12 hours, and 15 minutes of inactivity."""

NIST_4_AAL2 = Profile(
    "nist-800-63b-4-aal2",
    "NIST SP 800-63B-4 (2025) 2.2.3",
    idle_timeout=1 * HOUR,
    max_lifetime=24 * HOUR,
)
"""NIST SP 800-63B-4, 2.2.3: should be 24 hours and 1 hour of inactivity at most."""

NIST_4_AAL3 = Profile(
    "nist-800-63b-4-aal3",
    "NIST SP 800-63B-4 (2025) 2.3.3",
    idle_timeout=15 * MINUTE,
    max_lifetime=12 * HOUR,
)
"""NIST SP 800-63B-4, 2.3.3: 12 hours, and should be 15 minutes of inactivity."""

PCI_DSS_4 = Profile(
    "pci-dss-4",
    "PCI DSS 4 8.2.8",
    idle_timeout=15 * MINUTE,
)
"""PCI DSS 4, 8.2.8: sign in again after 15 minutes of inactivity."""

OWASP_ASVS_L2 = Profile(
    "owasp-asvs-l2",
    "OWASP ASVS 5.0 7.3.1 and 7.3.2",
    idle_timeout=SOME,
    max_lifetime=SOME,
)
"""OWASP ASVS 5.0 level 2, 7.3.1 and 7.3.2: both limits, of a length of one's own."""

HIPAA = Profile(
    "hipaa",
    "HIPAA, 45 CFR 164.312(a)(2)(iii)",
    idle_timeout=SOME,
)
"""HIPAA, 45 CFR 164.312(a)(2)(iii): automatic logoff after some time of inactivity."""

PROFILES = {
    profile.name: profile
    for profile in (
        NIST_AAL1,
        NIST_AAL2,
        NIST_AAL3,
        NIST_4_AAL2,
        NIST_4_AAL3,
        PCI_DSS_4,
        OWASP_ASVS_L2,
        HIPAA,
    )
}
"""The profiles by name."""
