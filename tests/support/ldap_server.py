"""A directory: a real slapd of its own on loopback, with the people of a test."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from support.missing import missing
from support.ports import free_port

START_TIMEOUT = 30

SCHEMAS = (Path("/etc/ldap/schema"), Path("/etc/openldap/schema"))
"""Where distributions have them; Debian first."""

CONFIG = """
include {schema}/core.schema
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
# the one kind of database that needs no module
database ldif
suffix "dc=example,dc=org"
directory {folder}/entries
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""

ORGANIZATION = """
dn: dc=example,dc=org
objectClass: organization
objectClass: dcObject
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people
"""

PERSON = """
dn: uid={name},ou=people,dc=example,dc=org
objectClass: person
objectClass: uidObject
uid: {name}
cn: {name}
sn: {name}
userPassword: {password}
"""

TEMPLATE = "uid={username},ou=people,dc=example,dc=org"
"""The name by which a person is known to it."""


class LDAPServer:
    """A directory in a process of its own.

    Args:
        folder: an empty one for its configuration and entries.
        people: passwords by name.
    """

    def __init__(self, folder, people):
        self.folder = Path(folder)
        self.people = people
        self.port = free_port()
        self.process = None

    async def __aenter__(self):
        """Fill it, start it and wait until it listens."""
        slapd = _program("slapd")
        schema = next((path for path in SCHEMAS if path.is_dir()), None)
        if slapd is None or schema is None:
            missing("slapd isn't installed")
        config = self.folder / "slapd.conf"
        config.write_text(CONFIG.format(schema=schema, folder=self.folder))
        self._fill(config)
        address = f"ldap://127.0.0.1:{self.port}"
        # level 0 says nothing and keeps it from becoming a daemon
        self.process = await asyncio.create_subprocess_exec(
            *(slapd, "-d", "0", "-f", config, "-h", address),
            stdin=subprocess.DEVNULL,
        )
        try:
            await self._listens()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        """Stop it."""
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()

    def _fill(self, config):
        (self.folder / "entries").mkdir()
        people = (
            PERSON.format(name=name, password=password)
            for name, password in self.people.items()
        )
        done = subprocess.run(
            [_program("slapadd"), "-f", config],
            input="".join((ORGANIZATION, *people)),
            capture_output=True,
            text=True,
            check=False,
            timeout=START_TIMEOUT,
        )
        assert 0 == done.returncode, done.stderr

    async def _listens(self):
        give_up = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            assert self.process.returncode is None, "slapd doesn't start"
            await asyncio.sleep(0.02)
        raise TimeoutError("slapd doesn't listen")


def _program(name):
    # where administrators' programs are isn't in everybody's path
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")
