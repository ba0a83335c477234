"""What tests of ``check`` and ``explain`` begin with."""

BASE = """\
c.JupyterHub.authenticator_class = "ttl"
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.token_expires_in_max_seconds = 86400
c.TTLAuthenticator.authenticator_class = "dummy"
"""
"""A configuration of which there is nothing to say."""

OWN = "c.TTLAuthenticator."
