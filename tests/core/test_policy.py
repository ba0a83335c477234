"""Policies: which layer's limit counts, over the whole space of layers and rules."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import ENDING, KEYS, Person, Policy, Rule, Value
from ttl_authenticator.core.profiles import SOME, Profile

ABSENT = "absent"
RULES = ("strictest", "most-lenient")
CEILING = 100.0
PROFILES = {
    "no profile": None,
    "a number": Profile("number", "a test", CEILING, CEILING),
    "some": Profile("some", "a test", SOME, SOME),
}


def policy(**kwargs):
    """Return a policy; without arguments one that asks for 30 min and 12 h."""
    kwargs.setdefault("defaults", Limits(1800.0, 43200.0, 120.0, 60.0))
    return Policy(**kwargs)


def laxness(seconds):
    """Put a limit on a line, on which no limit at all is the far end."""
    return math.inf if seconds is None else seconds


# -- the whole space ----------------------------------------------------------


def layer(short, long):
    """List what a layer can say; the numbers are its own, to tell layers apart."""
    return (ABSENT, None, short, long)


SPACE = list(
    itertools.product(
        layer(11.0, 1100.0),  # the user's own
        layer(12.0, 1200.0),  # admins'
        (False, True),  # the person is an admin
        layer(13.0, 1300.0),  # one group's
        layer(14.0, 1400.0),  # another's
        (None, 12.5, 1250.0),  # the defaults: between the groups' and beyond
    )
)

SAID_BY = {
    11.0: "user_limits['ann']",
    1100.0: "user_limits['ann']",
    12.0: "admin_limits",
    1200.0: "admin_limits",
    13.0: "group_limits['lab']",
    1300.0: "group_limits['lab']",
    14.0: "group_limits['staff']",
    1400.0: "group_limits['staff']",
}


def oracle(own, admins, is_admin, one, other, default, rule):
    """Say which limit counts, by the sentences of the documentation."""
    if own != ABSENT:
        return own
    if is_admin and admins != ABSENT:
        return admins
    of_groups = [said for said in (one, other) if said != ABSENT]
    if rule == "strictest":
        # a number wins over none, the smaller one over the larger
        numbers = sorted(s for s in [*of_groups, default] if s is not None)
        return numbers[0] if numbers else None
    if not of_groups:
        return default
    return None if None in of_groups else max(of_groups)


def starts(profile, *layers):
    """Tell whether a hub starts with what its layers say of one limit."""
    said = [seconds for seconds in layers if seconds != ABSENT]
    if profile == "a number":
        return all(seconds is not None and seconds <= CEILING for seconds in said)
    return profile == "no profile" or None not in said


def entry(key, seconds):
    """Return an entry that says one thing, or nothing."""
    return {} if seconds == ABSENT else {key: seconds}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("key", ENDING)
def test_every_combination_of_layers_has_the_limit_that_is_documented(
    key, rule, profile
):
    """User, admins, groups by the rule, defaults; never beyond the profile."""
    permitted = 0
    for own, admins, is_admin, one, other, default in SPACE:
        combination = policy(
            defaults=Limits(
                **{"idle_timeout": 77.0, "max_lifetime": 77.0, key: default}
                | {"warning_period": 1.0, "heartbeat_interval": 1.0}
            ),
            users={"ann": entry(key, own), "other": {}},
            admins=entry(key, admins),
            groups={"lab": entry(key, one), "staff": entry(key, other)},
            rule=Rule(rule),
            profile=PROFILES[profile],
        )
        case = (own, admins, is_admin, one, other, default)
        may_start = starts(profile, own, admins, one, other, default)
        assert may_start is (combination.beyond_profile() == []), case
        if not may_start:
            continue
        permitted += 1
        ann = Person("ann", is_admin, frozenset({"lab", "staff", "unheard of"}))
        expected = oracle(own, admins, is_admin, one, other, default, rule)
        assert expected == getattr(combination.limits(ann), key), case
        value = combination.resolve(ann)[key]
        if expected is not None:
            assert SAID_BY.get(expected, key) == value.setting, case
        if profile == "a number":
            assert expected <= CEILING, case
        # what isn't said anywhere stays as it is
        (another,) = set(ENDING) - {key}
        assert 77.0 == getattr(combination.limits(ann), another), case
    least = {"no profile": len(SPACE), "a number": 32, "some": 2 * 3**4 * 2}
    assert least[profile] == permitted


@pytest.mark.parametrize("rule", RULES)
def test_an_entry_of_nobody_concerns_nobody(rule):
    """Other users', other groups' and admins' entries don't reach this person."""
    one = policy(
        users={"ben": {"idle_timeout": 1.0}},
        admins={"idle_timeout": 2.0},
        groups={"lab": {"idle_timeout": 3.0}},
        rule=Rule(rule),
    )
    assert one.defaults == one.limits(Person("ann"))
    assert one.defaults == one.limits(Person("lab", groups=frozenset({"ben"})))


@pytest.mark.parametrize("rule", RULES)
def test_what_an_entry_does_not_hold_is_inherited(rule):
    """Key by key: each from the first layer that says something of it."""
    one = policy(
        users={"ann": {"idle_timeout": 600.0}},
        admins={"idle_timeout": 300.0, "max_lifetime": 7200.0},
        groups={
            "lab": {"max_lifetime": 3600.0, "warning_period": 90.0},
            "staff": {"idle_timeout": 60.0},
        },
        rule=Rule(rule),
    )
    ann = Person("ann", True, frozenset({"lab", "staff"}))
    assert Limits(600.0, 7200.0, 90.0, 60.0) == one.limits(ann)
    said_by = {key: value.setting for key, value in one.resolve(ann).items()}
    assert {
        "idle_timeout": "user_limits['ann']",
        "max_lifetime": "admin_limits",
        "warning_period": "group_limits['lab']",
    } == said_by


def test_a_user_may_be_exempt():
    """``None`` in one's own entry is no limit, however strict the groups are."""
    one = policy(
        users={"ann": {"idle_timeout": None}},
        admins={"max_lifetime": None},
        groups={"lab": {"idle_timeout": 60.0, "max_lifetime": 60.0}},
    )
    limits = one.limits(Person("ann", True, frozenset({"lab"})))
    assert (None, None) == (limits.idle_timeout, limits.max_lifetime)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("lab", "staff", "expected"),
    [
        ({}, {}, 120.0),
        ({"warning_period": 30.0}, {}, 30.0),
        ({"warning_period": 300.0}, {}, 300.0),
        ({"warning_period": 30.0}, {"warning_period": 300.0}, 300.0),
        ({"warning_period": 300.0}, {"warning_period": 30.0}, 300.0),
        ({"warning_period": 30.0}, {"warning_period": 40.0}, 40.0),
        ({"idle_timeout": 900.0}, {"warning_period": 240.0}, 240.0),
    ],
)
def test_the_longest_warning_that_a_group_asks_for_counts(rule, lab, staff, expected):
    """By either rule, as who needs more time to react needs it in all groups."""
    one = policy(groups={"lab": lab, "staff": staff}, rule=Rule(rule))
    ann = Person("ann", groups=frozenset({"lab", "staff"}))
    assert expected == one.limits(ann).warning_period


def test_failing_closed_shortens_no_warning():
    """Strict are shorter limits; a short warning is only unkind."""
    one = policy(
        groups={"lab": {"warning_period": 30.0}}, users={"ann": {"warning_period": 1.0}}
    )
    assert 120.0 == one.strictest_of_all().warning_period
    lab = Person("eve", groups=frozenset({"lab"}))
    assert 30.0 == one.strictest(lab).warning_period


def test_limits_are_fitted():
    """A group's short limit shortens the warning and the heartbeat that serve it."""
    one = policy(groups={"lab": {"idle_timeout": 60.0}})
    expected = Limits(60.0, 43200.0, 30.0, 10.0)
    assert expected == one.limits(Person("ann", groups=frozenset({"lab"})))
    assert expected == one.strictest(Person("ann", groups=frozenset({"lab"})))
    assert expected == one.strictest_of_all()


# -- properties ---------------------------------------------------------------

SECONDS = st.sampled_from([1.0, 20.0, 60.0, 99.0, 100.0, 101.0, 900.0, 86400.0]) | (
    st.floats(min_value=1e-3, max_value=3e8)
)
ENDINGS = st.none() | SECONDS
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "idle_timeout": ENDINGS,
        "max_lifetime": ENDINGS,
        "warning_period": SECONDS,
    },
)
GROUPS = ("lab", "staff", "guests")
USERS = ("ann", "ben")
LIMITS = st.builds(Limits, ENDINGS, ENDINGS, SECONDS, SECONDS)
CEILINGS = st.none() | st.just(SOME) | SECONDS
PROFILE = st.none() | st.builds(
    Profile, st.just("any"), st.just("a test"), CEILINGS, CEILINGS
)
POLICIES = st.builds(
    Policy,
    defaults=LIMITS,
    groups=st.dictionaries(st.sampled_from(GROUPS), ENTRIES),
    users=st.dictionaries(st.sampled_from(USERS), ENTRIES),
    admins=ENTRIES,
    rule=st.sampled_from(Rule),
    profile=PROFILE,
)
PEOPLE = st.builds(
    Person,
    st.sampled_from([*USERS, "nobody in particular"]),
    st.booleans(),
    st.frozensets(st.sampled_from([*GROUPS, "unheard of"])),
)


def by_rule(one, rule):
    """Return the same policy by one of the rules."""
    return Policy(one.defaults, one.groups, one.users, one.admins, rule, one.profile)


@given(POLICIES, st.frozensets(st.sampled_from(GROUPS)), st.sampled_from(ENDING))
def test_the_strictest_is_never_laxer_than_any_layer(one, groups, key):
    """By that rule a group tightens or does nothing, and so do two of them."""
    one = by_rule(one, Rule.STRICTEST)
    limits = one.limits(Person("nobody in particular", groups=groups))
    said = [one.groups[g][key] for g in groups if key in one.groups.get(g, {})]
    for seconds in [getattr(one.defaults, key), *said]:
        assert laxness(getattr(limits, key)) <= laxness(seconds)


@given(POLICIES, PEOPLE, st.sampled_from(GROUPS), st.sampled_from(ENDING))
def test_adding_a_group_never_loosens_by_the_strictest(one, person, group, key):
    """Whoever they are, and whatever the group says."""
    one = by_rule(one, Rule.STRICTEST)
    joined = person._replace(groups=person.groups | {group})
    before, after = one.limits(person), one.limits(joined)
    assert laxness(getattr(after, key)) <= laxness(getattr(before, key))


@given(POLICIES, PEOPLE, st.sampled_from(GROUPS), st.sampled_from(ENDING))
def test_adding_a_group_never_tightens_by_the_most_lenient(one, person, group, key):
    """Once a group of theirs says something; the first one replaces the defaults."""
    one = by_rule(one, Rule.MOST_LENIENT)
    if not any(key in one.groups.get(g, {}) for g in person.groups):
        return
    joined = person._replace(groups=person.groups | {group})
    before, after = one.limits(person), one.limits(joined)
    assert laxness(getattr(after, key)) >= laxness(getattr(before, key))


@given(POLICIES, PEOPLE, st.sampled_from(ENDING))
def test_the_strictest_for_a_person_is_laxer_than_none_that_concerns_them(
    one, person, key
):
    """By either rule, and with what is in force among them: to fail closed."""
    layers = [one.defaults, one.limits(person)]
    entries = [one.users.get(person.name, {})]
    entries += [one.groups.get(group, {}) for group in person.groups]
    entries += [one.admins] if person.admin else []
    said = [getattr(layer, key) for layer in layers]
    said += [entry[key] for entry in entries if key in entry]
    strictest = getattr(one.strictest(person), key)
    assert min(map(laxness, said)) == laxness(strictest)


@given(POLICIES, PEOPLE, st.sampled_from(ENDING))
def test_the_strictest_of_all_is_laxer_than_nothing_at_all(one, person, key):
    """For somebody who isn't in the database."""
    strictest = laxness(getattr(one.strictest_of_all(), key))
    for said in (*one.groups.values(), *one.users.values(), one.admins):
        if key in said:
            assert strictest <= laxness(said[key])
    assert strictest <= laxness(getattr(one.defaults, key))
    assert strictest <= laxness(getattr(one.strictest(person), key))


@given(POLICIES, PEOPLE)
def test_all_limits_are_fitted(one, person):
    """Whoever asks, whichever layers speak."""
    for limits in (one.limits(person), one.strictest(person), one.strictest_of_all()):
        assert limits == limits.fitted()
        assert limits.shortest is None or limits.warning_period < limits.shortest
        assert not limits.provisional


@given(POLICIES, PEOPLE)
def test_people_who_differ_in_nothing_are_one(one, person):
    """Reduced to what the policy looks at, a person has the same limits."""
    reduced = one.reduced(person)
    assert one.limits(person) == one.limits(reduced)
    assert one.strictest(person) == one.strictest(reduced)
    assert reduced == one.reduced(reduced)
    assert reduced.name in ("", *one.users)
    assert reduced.groups <= one.groups.keys()


def test_strangers_are_reduced_to_the_same():
    """Thousands of people with nothing of their own share what is equal."""
    one = policy(groups={"lab": {}}, users={"ann": {}})
    groups = frozenset({"lab", "other"})
    expected = Person("", False, frozenset({"lab"}))
    assert expected == one.reduced(Person("eve", groups=groups))
    assert expected == one.reduced(Person("fred", groups=frozenset({"lab"})))
    assert "ann" == one.reduced(Person("ann", True)).name
    assert one.reduced(Person("ann", True)).admin


def meets(profile, limits):
    """Tell whether limits are within a profile, each on its own."""
    for key in ENDING:
        ceiling, seconds = getattr(profile, key), getattr(limits, key)
        if ceiling is not None and (seconds is None or seconds > ceiling):
            return False
    return True


@given(POLICIES, PEOPLE)
def test_nobody_exceeds_a_profile_with_which_the_hub_starts(one, person):
    """If no layer is beyond the ceiling, no combination of them is."""
    if one.profile is None or one.beyond_profile():
        return
    assert meets(one.profile, one.limits(person))
    assert meets(one.profile, one.strictest(person))
    assert meets(one.profile, one.strictest_of_all())


@given(POLICIES, PEOPLE, LIMITS)
def test_a_ceiling_is_never_exceeded_whatever_a_hook_returns(one, person, answer):
    """Held under it, and left alone where it is strict enough already."""
    if one.profile is None:
        assert answer == one.clamped(answer, one.limits(person))
        return
    if one.beyond_profile():
        return
    clamped = one.clamped(answer, one.limits(person))
    assert meets(one.profile, clamped)
    for key in ENDING:
        asked, held = getattr(answer, key), getattr(clamped, key)
        assert laxness(held) <= laxness(asked)
        if one.profile.allows(key, asked):
            assert asked == held
    assert answer.warning_period == clamped.warning_period
    assert answer.heartbeat_interval == clamped.heartbeat_interval


@pytest.mark.parametrize("answered", [None, 101.0, 3e8])
def test_what_a_hook_takes_away_is_put_back(answered):
    """The number of the profile; where it has none, what is configured."""
    static = Limits(30.0, 40.0, 1.0, 1.0)
    asked = Limits(answered, answered, 1.0, 1.0)
    number = policy(profile=PROFILES["a number"])
    assert Limits(CEILING, CEILING, 1.0, 1.0) == number.clamped(asked, static)
    some = policy(profile=PROFILES["some"])
    expected = static if answered is None else asked
    assert expected == some.clamped(asked, static)


# -- what is told of a policy -------------------------------------------------

ALL_LAYERS = policy(
    groups={"lab": {"idle_timeout": 60.0, "max_lifetime": None}, "empty": {}},
    users={"ann": {"max_lifetime": 86400.0}},
    admins={"warning_period": 30.0},
)


def test_the_values_of_all_layers_are_listed():
    """With the setting that says so, as an administrator would write it."""
    expected = {
        "c.TTLAuthenticator.idle_timeout": 1800.0,
        "c.TTLAuthenticator.max_lifetime": 43200.0,
        "c.TTLAuthenticator.warning_period": 120.0,
        "c.TTLAuthenticator.group_limits['lab']['idle_timeout']": 60.0,
        "c.TTLAuthenticator.group_limits['lab']['max_lifetime']": None,
        "c.TTLAuthenticator.user_limits['ann']['max_lifetime']": 86400.0,
        "c.TTLAuthenticator.admin_limits['warning_period']": 30.0,
    }
    assert expected == {value.name: value.seconds for value in ALL_LAYERS.values()}


def test_no_limit_is_longer_than_any():
    """What is ``None`` is compared as infinite."""
    assert math.inf == Value("", "idle_timeout", None).length


@pytest.mark.parametrize(
    ("layers", "personal"),
    [
        ({}, False),
        ({"groups": {"lab": {}}}, True),
        ({"users": {"ann": {}}}, True),
        ({"admins": {"idle_timeout": 60.0}}, True),
        ({"admins": {}, "users": {}, "groups": {}}, False),
        ({"profile": PROFILES["some"], "rule": Rule.MOST_LENIENT}, False),
    ],
)
def test_a_policy_without_entries_is_everybodys(layers, personal):
    """Then nobody has to be read from a database."""
    assert personal is policy(**layers).is_personal


def test_what_groups_say_in_vain_is_listed():
    """By the strictest rule a longer limit than the default's has no effect."""
    groups = {
        "lab": {"idle_timeout": 1801.0, "max_lifetime": None, "warning_period": 600.0},
        "staff": {"idle_timeout": 1800.0, "max_lifetime": 60.0},
    }
    vain = [(v.setting, v.key) for v in policy(groups=groups).without_effect()]
    lab = "group_limits['lab']"
    assert [(lab, "idle_timeout"), (lab, "max_lifetime")] == vain
    assert [] == policy(groups=groups, rule=Rule.MOST_LENIENT).without_effect()


@pytest.mark.parametrize("key", ENDING)
def test_what_is_beyond_a_profile_is_listed_in_every_layer(key):
    """Wherever it is said, with or without effect; exactly the ceiling isn't."""
    for setting, layers in {
        "group_limits['lab']": {"groups": {"lab": {key: CEILING + 1}}},
        "user_limits['ann']": {"users": {"ann": {key: None}}},
        "admin_limits": {"admins": {key: CEILING + 0.001}},
    }.items():
        one = policy(
            defaults=Limits(CEILING, CEILING, 1.0, 1.0),
            profile=PROFILES["a number"],
            **layers,
        )
        beyond = [(value.setting, value.key) for value in one.beyond_profile()]
        assert [(setting, key)] == beyond
    changed = {"idle_timeout": CEILING, "max_lifetime": CEILING, key: CEILING + 1}
    one = policy(
        defaults=Limits(**changed, warning_period=1.0, heartbeat_interval=1.0),
        profile=PROFILES["a number"],
    )
    assert [(key, key)] == [(v.setting, v.key) for v in one.beyond_profile()]


def test_a_warning_is_under_no_ceiling():
    """Standards limit sessions, not what is told of their ends."""
    one = policy(
        defaults=Limits(1.0, 1.0, 9999.0, 9999.0), profile=PROFILES["a number"]
    )
    assert [] == one.beyond_profile()
    assert ("idle_timeout", "max_lifetime", "warning_period") == KEYS
