"""Profiles: the numbers of the standards, and what they allow."""

import pytest

from ttl_authenticator.core.profiles import PROFILES, SOME, Profile

MINUTE, HOUR, DAY = 60, 3600, 86400

NUMBERS = {
    # the documents' own, once more
    "nist-800-63b-aal1": (None, 30 * DAY, "NIST SP 800-63B (revision 3) 4.1.3"),
    "nist-800-63b-aal2": (30 * MINUTE, 12 * HOUR, "NIST SP 800-63B (revision 3) 4.2.3"),
    "nist-800-63b-aal3": (15 * MINUTE, 12 * HOUR, "NIST SP 800-63B (revision 3) 4.3.3"),
    "nist-800-63b-4-aal2": (1 * HOUR, 24 * HOUR, "NIST SP 800-63B-4 (2025) 2.2.3"),
    "nist-800-63b-4-aal3": (15 * MINUTE, 12 * HOUR, "NIST SP 800-63B-4 (2025) 2.3.3"),
    "pci-dss-4": (15 * MINUTE, None, "PCI DSS 4 8.2.8"),
    "owasp-asvs-l2": (SOME, SOME, "OWASP ASVS 5.0 7.3.1 and 7.3.2"),
    "hipaa": (SOME, None, "HIPAA, 45 CFR 164.312(a)(2)(iii)"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_profile_has_its_standards_numbers(name):
    """Idle timeout, lifetime, and the clause to look them up in."""
    profile = PROFILES[name]
    found = (profile.idle_timeout, profile.max_lifetime, profile.source)
    assert NUMBERS[name] == found
    assert name == profile.name


def test_these_are_all_profiles():
    """None is left out of the table above."""
    assert NUMBERS.keys() == PROFILES.keys()


NUMBER = Profile("number", "", idle_timeout=900.0, max_lifetime=43200.0)
ANY = Profile("any", "", idle_timeout=SOME, max_lifetime=SOME)
NONE = Profile("none", "")


@pytest.mark.parametrize(
    ("profile", "key", "seconds", "allowed"),
    [
        (NUMBER, "idle_timeout", 1.0, True),
        (NUMBER, "idle_timeout", 900.0, True),
        (NUMBER, "idle_timeout", 900.001, False),
        (NUMBER, "idle_timeout", None, False),
        (NUMBER, "max_lifetime", 901.0, True),
        (NUMBER, "max_lifetime", 43200.0, True),
        (NUMBER, "max_lifetime", 43201.0, False),
        (NUMBER, "max_lifetime", None, False),
        (NUMBER, "warning_period", 1e9, True),
        (NUMBER, "heartbeat_interval", 1e9, True),
        (ANY, "idle_timeout", 315360000.0, True),
        (ANY, "idle_timeout", None, False),
        (ANY, "max_lifetime", 1.0, True),
        (ANY, "max_lifetime", None, False),
        (ANY, "warning_period", 1.0, True),
        (NONE, "idle_timeout", None, True),
        (NONE, "idle_timeout", 315360000.0, True),
        (NONE, "max_lifetime", None, True),
    ],
)
def test_a_ceiling_allows_what_is_as_strict(profile, key, seconds, allowed):
    """The number itself too; a limit that has to be there must not be ``None``."""
    assert allowed is profile.allows(key, seconds)


@pytest.mark.parametrize(
    ("profile", "key", "number"),
    [
        (NUMBER, "idle_timeout", 900.0),
        (NUMBER, "max_lifetime", 43200.0),
        (NUMBER, "warning_period", None),
        (ANY, "idle_timeout", None),
        (ANY, "max_lifetime", None),
        (NONE, "idle_timeout", None),
    ],
)
def test_the_default_is_a_standards_number(profile, key, number):
    """Where it names one: infinity is nobody's default."""
    assert number == profile.default(key)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("key", ["idle_timeout", "max_lifetime"])
def test_a_default_is_allowed_by_its_own_profile(name, key):
    """Who sets nothing but the profile meets it."""
    profile = PROFILES[name]
    number = profile.default(key)
    if number is not None:
        assert profile.allows(key, number)
        assert not profile.allows(key, number + 1)
