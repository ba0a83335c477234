"""Real spawners of a real user, without a hub around them."""

import os
import pwd

from jupyterhub import orm
from jupyterhub.objects import Hub
from jupyterhub.user import User
from traitlets.config import Config

NAME = pwd.getpwuid(os.getuid()).pw_name
"""A user who exists on this machine, as some spawners want it."""


class Spawners:
    """Makes spawners as a hub does; ``close`` it."""

    def __init__(self):
        self._dbs = []

    def make(self, spawner_class, server_name="", **sections):
        """Return a spawner configured by ``sections``, ready to start."""
        db = orm.new_session_factory("sqlite://")()
        self._dbs.append(db)
        row = orm.User(name=NAME)
        db.add(row)
        db.commit()
        settings = {
            "base_url": "/",
            "config": Config(sections),
            "hub": Hub(ip="127.0.0.1", port=8081, base_url="/hub/"),
            "spawner_class": spawner_class,
        }
        user = User(row, settings)
        if server_name:
            user._new_orm_spawner(server_name, *display_name(user, server_name))
        spawner = user.spawners[server_name]
        spawner.api_token = "the-servers-token"
        return spawner

    def close(self):
        """Forget them."""
        for db in self._dbs:
            db.close()
            db.get_bind().dispose()


def display_name(user, name):
    """Return what JupyterHub from version 6 on wants besides a server's name."""
    count = type(user)._new_orm_spawner.__code__.co_argcount
    return [name] if count > 2 else []
