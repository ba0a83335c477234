"""Sessions that end together: what follows is done for many at once, and for each."""

from collections import Counter

import pytest
import sqlalchemy as sa
from jupyterhub import orm
from support import turns
from support.server import until
from support.statements import sent_by

from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.enforcement import CROWD as AT_ONCE
from ttl_authenticator.hub.enforcement import TOGETHER

CROWD = TOGETHER + 5


async def browsers(hub, kind, count=CROWD):
    """Sign people in; each has a token for the service."""
    clients = [await hub.signed_in(f"{kind}-{n}") for n in range(count)]
    for client in clients:
        answer = await hub.authorize(client)
        code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
        assert 200 == (await hub.exchange(code)).status_code
    return clients


def tokens(hub, clients):
    """Return how many OAuth tokens and codes there are for browsers."""
    held = [client.session_id for client in clients]
    kinds = orm.APIToken, orm.OAuthCode
    query = hub.app.db.query
    return sum(query(k).filter(k.session_id.in_(held)).count() for k in kinds)


async def test_a_crowds_tokens_are_deleted_in_few_transactions(hub):
    """Each of them would keep the hub's loop waiting for the disk."""
    clients = await browsers(hub, "crowded")
    assert CROWD <= tokens(hub, clients)
    sessions = [hub.session_of(client) for client in clients]
    with sent_by(hub.app.db.get_bind()) as sent:
        await hub.advance(61)
    deleting = [text for text in sent if text.startswith("DELETE FROM api_tokens")]
    assert 0 == tokens(hub, clients)
    assert {(Reason.IDLE, True)} == {(s.ended.reason, s.finished) for s in sessions}
    # the first may be on its way before the others have come
    assert len(deleting) <= 3


async def test_a_crowds_auth_state_is_forgotten_in_few_transactions(hub, monkeypatch):
    """As their tokens are, and for each that it is forgotten is on disk before."""
    clients = await browsers(hub, "stateful", TOGETHER)
    users = [hub.user(f"stateful-{n}").orm_user for n in range(TOGETHER)]
    for user in users:
        user.encrypted_auth_state = b"secret"
    hub.app.db.commit()
    sessions = [hub.session_of(client) for client in clients]
    revocation, commits = hub.sessions.enforcement.revocation, []
    attempt_all, most = revocation.attempt_all, [0]

    def attempt(together):
        assert all(session.cleared for session in together)
        del commits[:]
        result = attempt_all(together)
        most.append(len(commits))
        return result

    monkeypatch.setattr(revocation, "attempt_all", attempt)
    note = commits.append
    sa.event.listen(hub.app.db, "after_commit", note)
    await hub.advance(61)
    sa.event.remove(hub.app.db, "after_commit", note)
    assert 2 == max(most)
    assert {None} == {user.encrypted_auth_state for user in users}
    assert all(session.finished for session in sessions)


async def test_an_end_looks_through_nothing_that_grows_with_the_hub(hub, monkeypatch):
    """SQLAlchemy would look through all that JupyterHub has in memory of everybody."""
    clients = await browsers(hub, "few", 3)
    looks, identities = [], type(hub.app.db.identity_map)
    for name in ("all_states", "values", "items", "keys", "__iter__"):
        original = getattr(identities, name)
        monkeypatch.setattr(
            identities, name, lambda *a, f=original: looks.append(1) or f(*a)
        )
    list(hub.app.db.identity_map)
    assert looks.pop()
    revocation = hub.sessions.enforcement.revocation
    sessions = [hub.session_of(client) for client in clients]
    attempts = []

    def attempt(together, f=revocation.attempt_all):
        del looks[:]
        attempts.append(len(together))
        result = f(together)
        assert [] == looks
        return result

    monkeypatch.setattr(revocation, "attempt_all", attempt)
    await hub.advance(61)
    assert 0 == tokens(hub, clients)
    assert len(sessions) == sum(attempts)


async def test_interrupted_ends_are_begun_a_few_at_a_time(hub, monkeypatch):
    """There may be thousands of them, and the hub serves already."""
    enforcement, begun = hub.sessions.enforcement, Counter()
    with turns.counted() as turn:
        note = lambda _: begun.update([turn()])  # noqa: E731
        monkeypatch.setattr(enforcement, "carry_out", note)
        await enforcement.carry_on([object()] * (3 * AT_ONCE + 1))
    assert 3 * AT_ONCE + 1 == begun.total()
    assert AT_ONCE == max(begun.values())


async def test_a_deleted_token_is_gone_from_memory_as_well(hub):
    """What JupyterHub holds of it must not be found, nor be written again."""
    client = (await browsers(hub, "remembered", 1))[0]
    [token] = hub.app.db.query(orm.APIToken).filter_by(session_id=client.session_id)
    assert token in hub.app.db
    await hub.advance(61)
    assert token not in hub.app.db


async def test_what_fails_together_is_done_for_each(hub, monkeypatch):
    """One session that can't be dealt with delays only itself."""
    clients = await browsers(hub, "unlucky", 4)
    sessions = [hub.session_of(client) for client in clients]
    revocation = hub.sessions.enforcement.revocation
    delete, refused = revocation._delete_tokens, [True]
    unlucky, sizes = sessions[-1], set()

    def fail(together):
        sizes.add(len(together))
        if refused[0] and unlucky in together:
            raise sa.exc.OperationalError("DELETE", {}, Exception("locked"))
        delete(together)

    monkeypatch.setattr(revocation, "_delete_tokens", fail)
    hub.clock.offset += 61
    hub.sessions.enforcement.wake()
    await until(lambda: all(s.finished for s in sessions[:-1]))
    assert not unlucky.finished
    # they were together at first
    assert max(sizes) > 1
    assert 0 == tokens(hub, clients[:-1]) < tokens(hub, clients[-1:])
    refused[0] = False
    await hub.settle()
    assert unlucky.finished
    assert 0 == tokens(hub, clients)
    hub.log.records.clear()


@pytest.mark.parametrize("count", [1, 2])
async def test_other_peoples_tokens_with_the_same_session_id_stay(hub, count):
    """A browser chooses its session id: it may have seen somebody else's."""
    clients = await browsers(hub, f"copied-{count}", count)
    await hub.signed_in("bystander")
    bystander = hub.user("bystander").orm_user
    held = clients[0].session_id
    value = orm.APIToken.new(user=bystander, session_id=held, scopes=[])
    for client in clients:
        hub.sessions.enforcement.end(hub.session_of(client), Reason.REVOKED)
    await hub.settle()
    left = hub.app.db.query(orm.APIToken).filter_by(session_id=held).all()
    assert [bystander.id] == [row.user_id for row in left]
    assert orm.APIToken.find(hub.app.db, value) is not None
