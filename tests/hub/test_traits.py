"""Traits of our own: what configuration may say, and what it is told otherwise."""

import logging
from datetime import timedelta

import pytest
from traitlets import HasTraits, TraitError
from traitlets.config import Application, Config, Configurable
from traitlets.config.loader import DeferredConfigString, KVArgParseConfigLoader

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.core.durations import FORMS
from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Person
from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.messages import DEFAULTS
from ttl_authenticator.hub.traits import Duration, Texts

DURATIONS = ("idle_timeout", "max_lifetime", "warning_period", "heartbeat_interval")
MAY_BE_NONE = ("idle_timeout", "max_lifetime")


class Oven(Configurable):
    """Something with a duration that must be, one that may be missing, and texts."""

    bake = Duration("1h").tag(config=True)
    rest = Duration(None, allow_none=True).tag(config=True)
    texts = Texts({"done": "It is done.", "hot": "It is hot."}).tag(config=True)


def made(how, section, cls=Oven, **values):
    """Return an object configured in a file, in code or on a command line."""
    if how == "kwargs":
        return cls(config=Config(), **values)
    if how == "command line":
        values = {k: DeferredConfigString(v) for k, v in values.items()}
    return cls(config=Config({section: values}))


def authenticator(how="config", **values):
    """Return our authenticator around the dummy."""
    kwargs = {"authenticator_class": "dummy", **values}
    return made(how, "TTLAuthenticator", TTLAuthenticator, **kwargs)


# -- durations ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["config", "kwargs"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (900, 900.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        (" 15m ", 900.0),
        (timedelta(minutes=15), 900.0),
    ],
)
def test_a_duration_is_seconds_however_it_is_given(how, value, seconds):
    """Numbers, texts and timedeltas, in a file and in code."""
    oven = made(how, "Oven", bake=value)
    assert seconds == oven.bake
    assert float is type(oven.bake)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("900", 900.0), ("0.5", 0.5), ("15m", 900.0), ("2d", 172800.0)],
)
def test_a_command_line_gives_durations_as_text(text, seconds):
    """``--Oven.bake=900`` counts seconds; a file's "900" would be no duration."""
    assert seconds == made("command line", "Oven", bake=text).bake
    with pytest.raises(TraitError):
        made("config", "Oven", bake="900")


def test_a_real_command_line_is_understood():
    """As traitlets' own loader reads it, with quotes left to the shell."""
    arguments = ["--Oven.bake=45m", "--Oven.rest=None", "--Oven.texts=done=Ready."]
    loader = KVArgParseConfigLoader(log=logging.getLogger(), classes=[Oven])
    oven = Oven(config=loader.load_config(arguments))
    assert (2700.0, None) == (oven.bake, oven.rest)
    assert {"done": "Ready.", "hot": "It is hot."} == oven.texts


def test_defaults_are_seconds_too():
    """What nobody configured is as usable as what somebody did."""
    oven = Oven(config=Config())
    assert (3600.0, None) == (oven.bake, oven.rest)


def test_a_duration_set_later_is_checked_as_well():
    """Assigning is configuring; a wrong value leaves the old one."""
    oven = Oven(config=Config())
    oven.bake = "5m"
    with pytest.raises(TraitError):
        oven.bake = 0
    assert 300.0 == oven.bake


BAD = [
    0,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    True,
    False,
    "",
    "soon",
    "1m1h",
    "-5m",
    "5",
]
BAD += [[], {}, timedelta(0), timedelta(seconds=-1), 10**400, object, b"5m", "3651d"]


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize("how", ["config", "kwargs"])
@pytest.mark.parametrize("name", DURATIONS)
def test_a_wrong_duration_is_an_error_that_helps(name, how, value):
    """It names the trait, the value and the accepted forms."""
    with pytest.raises(TraitError) as caught:
        authenticator(how, **{name: value})
    message = str(caught.value)
    assert f"c.TTLAuthenticator.{name} " in message
    assert repr(value) in message
    assert FORMS in message
    assert ("None" in message) is (name in MAY_BE_NONE)


@pytest.mark.parametrize(
    "value", [-(10**400), 10**5000], ids=["huge negative", "too long to print"]
)
def test_a_number_beyond_all_bounds_is_an_error_that_helps(value):
    """Not an overflow's traceback."""
    with pytest.raises(TraitError, match=r"c\.Oven\.bake"):
        Oven(config=Config(), bake=value)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", "", "1e999", "true"])
def test_a_wrong_duration_on_a_command_line_is_the_same_error(text):
    """As informative as in a file."""
    with pytest.raises(TraitError) as caught:
        authenticator("command line", idle_timeout=text)
    message = str(caught.value)
    assert "c.TTLAuthenticator.idle_timeout" in message
    assert repr(text) in message
    assert FORMS in message


def test_an_error_names_the_section_that_defines_the_trait():
    """A subclass's user reads it in the documentation of the parent's section."""

    class Grill(Oven):
        pass

    with pytest.raises(TraitError, match=r"c\.Oven\.bake is 0"):
        Grill(config=Config(), bake=0)


def test_an_error_names_the_trait_where_no_class_owns_it():
    """A trait that is added to an object later is named as well."""
    one = HasTraits()
    one.add_traits(nap=Duration("1m"))
    with pytest.raises(TraitError, match=r"\.nap is 'soon'"):
        one.nap = "soon"


# -- None ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["config", "kwargs", "command line"])
@pytest.mark.parametrize("name", MAY_BE_NONE)
def test_none_disables_a_limit(how, name):
    """In a file, in code and as the word on a command line."""
    value = "None" if how == "command line" else None
    assert None is getattr(authenticator(how, **{name: value}), name)


@pytest.mark.parametrize("how", ["config", "kwargs", "command line"])
@pytest.mark.parametrize("name", ["warning_period", "heartbeat_interval"])
def test_none_is_no_period(how, name):
    """Only limits can be disabled."""
    value = "None" if how == "command line" else None
    with pytest.raises(TraitError, match=name):
        authenticator(how, **{name: value})


@pytest.mark.parametrize("word", ["none", "null", "NONE", "off", "never"])
def test_only_one_word_disables_a_limit(word):
    """A typing error must not be taken for "no limit"."""
    with pytest.raises(TraitError):
        authenticator("command line", idle_timeout=word)
    with pytest.raises(TraitError):
        authenticator("config", idle_timeout=word)


def test_the_word_none_in_a_file_disables_nothing():
    """There it is a text, and no duration."""
    with pytest.raises(TraitError):
        authenticator("config", idle_timeout="None")


# -- limits -------------------------------------------------------------------


def limits(**values):
    """Return the limits of somebody for whom nothing special is configured."""
    return authenticator(**values).policy.limits(Person("alice"))


def test_the_documented_defaults():
    """Half an hour, half a day, two minutes, one minute."""
    assert Limits(1800.0, 43200.0, 120.0, 60.0) == limits()


@pytest.mark.parametrize(
    ("idle", "asked", "beat"),
    [("30m", "60s", 60), ("5m", "60s", 50), ("6m", "61s", 60), (None, "1h", 3600)],
)
def test_a_heartbeat_is_a_sixth_of_the_idle_timeout_at_most(idle, asked, beat):
    """Shortened to it, so that a few lost ones don't sign anybody out."""
    one = limits(idle_timeout=idle, heartbeat_interval=asked)
    assert beat == one.heartbeat_interval


def test_a_hub_stops_with_one_line_for_a_wrong_limit(caplog):
    """Through JupyterHub, too, the error is one line and status 1."""
    app = Application(
        config=Config(
            {"TTLAuthenticator": {"authenticator_class": "dummy", "idle_timeout": 0}}
        )
    )
    app.log = logging.getLogger("test_traits")
    with pytest.raises(SystemExit) as caught:
        TTLAuthenticator(parent=app)
    assert 1 == caught.value.code
    (line,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "c.TTLAuthenticator.idle_timeout is 0" in line.getMessage()
    assert line.exc_info is None


# -- texts --------------------------------------------------------------------


def test_every_reason_has_a_text():
    """Nobody is signed out without a sentence."""
    assert {reason.value for reason in Reason} <= set(DEFAULTS)
    assert all(DEFAULTS.values())


def test_texts_without_configuration_are_the_defaults():
    """All of them."""
    assert DEFAULTS == authenticator().messages


@pytest.mark.parametrize("how", ["config", "kwargs"])
def test_configured_texts_replace_theirs_only(how):
    """The others keep their defaults."""
    one = authenticator(how, messages={"idle": "Bye."})
    assert DEFAULTS | {"idle": "Bye."} == one.messages


def test_texts_can_be_updated_in_a_file():
    """``c.TTLAuthenticator.messages.update(...)``, as for other dicts of traitlets."""
    config = Config()
    config.TTLAuthenticator.authenticator_class = "dummy"
    config.TTLAuthenticator.messages.update({"idle": "Bye."})
    assert DEFAULTS | {"idle": "Bye."} == TTLAuthenticator(config=config).messages


def test_no_texts_are_the_defaults():
    """An empty dict replaces nothing."""
    assert DEFAULTS == authenticator(messages={}).messages


def test_texts_are_not_shared():
    """Changing one object's changes neither the defaults nor another's."""
    before = dict(DEFAULTS)
    one = authenticator()
    one.messages["idle"] = "changed"
    mine = {"idle": "mine"}
    other = authenticator("kwargs", messages=mine)
    other.messages["stay"] = "changed"
    assert before == DEFAULTS == authenticator().messages
    assert {"idle": "mine"} == mine


@pytest.mark.parametrize("key", ["Idle", "idel", "", " idle", 1, None])
def test_an_unknown_text_is_an_error_that_helps(key):
    """It names the trait, the key and the keys that there are."""
    with pytest.raises(TraitError) as caught:
        authenticator(messages={key: "text"})
    message = str(caught.value)
    assert "c.TTLAuthenticator.messages" in message
    assert repr(key) in message
    assert all(known in message for known in DEFAULTS)


@pytest.mark.parametrize("text", [None, 7, b"bytes", ["a", "b"], {"en": "Bye."}, True])
def test_a_text_that_is_no_string_is_an_error_that_helps(text):
    """It names the trait, the key and the value."""
    with pytest.raises(TraitError) as caught:
        authenticator(messages={"idle": text})
    message = str(caught.value)
    assert "c.TTLAuthenticator.messages['idle']" in message
    assert repr(text) in message
    assert "string" in message


@pytest.mark.parametrize("value", [None, "Bye.", ["idle", "Bye."], 7])
def test_texts_that_are_no_dict_are_an_error(value):
    """It names the trait."""
    with pytest.raises(TraitError, match="messages"):
        authenticator(messages=value)
