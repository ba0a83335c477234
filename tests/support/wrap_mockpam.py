"""A pytest plugin: JupyterHub's own tests, with their authenticator wrapped."""

from jupyterhub.tests import mocking

from ttl_authenticator import TTLAuthenticator

wrapped = 0


class CountingTTLAuthenticator(TTLAuthenticator):
    """Counts the hubs that it runs in."""

    def get_handlers(self, app):
        global wrapped
        wrapped += 1
        return super().get_handlers(app)


def _wrap(hub):
    settings = hub.config.TTLAuthenticator
    settings.authenticator_class = mocking.MockPAMAuthenticator
    # a browser keeps a mark of an end; those tests know their cookies by name
    settings.reauthenticate = False
    return CountingTTLAuthenticator


vars(mocking.MockHub)["_authenticator_class_default"].func = _wrap


def pytest_terminal_summary(terminalreporter):
    """Say how many hubs had the plugin."""
    terminalreporter.write_line(f"hubs with ttl-authenticator: {wrapped}")
