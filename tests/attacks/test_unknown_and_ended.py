"""What is unknown and what has ended can't be told apart by how it is looked up.

No clock is looked at: the same steps are taken, counted as database queries and lines
of the log, and the answers have one shape. Secrets are found by a hash of the whole.
"""

import hashlib

import pytest
from support.client import HUB_COOKIE, NAVIGATION
from support.statements import sent_by

from ttl_authenticator.hub import cookies


async def course(hub, caplog, ask):
    """Return all that can be seen of a request: answer, queries, lines of the log."""
    hub.app.db.expire_all()
    caplog.clear()
    with sent_by(hub.app.db.get_bind()) as seen:
        answer = await ask()
    volatile = ("date", "etag", "content-length")
    headers = sorted(name for name in answer.headers if name not in volatile)
    lines = [(record.name, record.msg.split(" ")[0]) for record in caplog.records]
    return answer, (answer.status_code, headers, list(seen), len(lines))


@pytest.fixture(autouse=True)
async def quiet(hub):
    """Let the hub ask nothing by itself meanwhile."""
    await hub.begun()


def changed(secret):
    """Return a secret with another last character."""
    return secret[:-1] + ("0" if secret[-1] != "0" else "1")


async def test_an_agent_sees_no_difference_but_the_reason(hub, caplog):
    """An id that ended, one that never was, and one that misses a live one narrowly."""
    live, over = await hub.signed_in("bob"), await hub.signed_in("bob")
    for client in (live, over):
        await hub.authorize(client)
    ended = over.session_id
    await over.go("/hub/logout")
    await hub.settle()
    token = hub.user("bob").new_api_token(note="Server at /user/bob/")
    seen = []
    unknown = "f" * 32
    # the first question of all finds the hub cold
    for session_id in ("0", ended, unknown, changed(live.session_id), changed(ended)):
        pair = {"user": "bob", "session_id": session_id}
        question = {"version": "1", "server": "", "sessions": [pair]}

        async def ask(question=question):
            return await hub.api("ttl/agent", token, "POST", json=question)

        answer, steps = await course(hub, caplog, ask)
        [model] = answer.json()["sessions"]
        seen.append((steps, sorted(model), model["state"]))
    first, *others = seen[1:]
    assert [first] * 3 == others
    assert "ended" == first[-1]
    assert ["reason", "state"] == first[1]


@pytest.mark.parametrize("path", ["/hub/home", "/hub/api/ttl/session", "/hub/api/user"])
async def test_a_cookie_that_nearly_fits_is_as_good_as_any(hub, caplog, path):
    """One character away from a live one, from an ended one, and just made up."""
    live, over = await hub.signed_in("bob"), await hub.signed_in("bob")
    alive, ended = live.hub_cookie, over.hub_cookie
    await over.go("/hub/logout")
    await hub.settle()
    made_up = ended.rpartition("|")[0] + "|" + "f" * 64
    seen = []
    for cookie in (changed(alive), changed(ended), made_up):
        sender = hub.client()
        headers = NAVIGATION | {"Cookie": f"{HUB_COOKIE}={cookie}"}

        async def ask(sender=sender, headers=headers):
            return await sender.http.get(path, headers=headers)

        answer, steps = await course(hub, caplog, ask)
        assert "ttl-ended" not in answer.headers.get("set-cookie", "")
        seen.append(steps)
    assert [seen[0]] * 3 == seen
    assert seen[0][0] in (302, 403)


async def test_an_ended_cookie_is_refused_without_asking_a_database(hub):
    """It is found in memory; nothing is compared with what the cookie says."""
    client = await hub.signed_in("bob")
    await hub.advance(61)
    with sent_by(hub.app.db.get_bind()) as seen:
        answer = await client.http.get("/hub/api/ttl/session", headers=NAVIGATION)
    assert (401, "idle") == (answer.status_code, answer.json()["reason"])
    assert [] == seen


async def test_secrets_are_found_by_the_hash_of_the_whole(hub):
    """The registry holds no cookie that one could be compared with, bit by bit."""
    client = await hub.signed_in("bob")
    cookie = client.hub_cookie
    digest = hashlib.sha256(cookie.encode()).hexdigest()
    assert digest == cookies.identify(cookie)
    session = hub.registry.get(digest)
    assert session is hub.session_of(client)
    told = " ".join(str(getattr(session, name)) for name in session.__slots__)
    assert cookie not in told
    assert cookie.rpartition("|")[2] not in told
