"""A mistake, for a look at errors: two limits are laxer than the profile allows.

The hub doesn't start with it, and ``check`` says so in two lines.
"""

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 7 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.Authenticator.allow_all = True

c.TTLAuthenticator.profile = "nist-800-63b-aal2"
# an exception for one group ...
c.TTLAuthenticator.group_rule = "most-lenient"
c.TTLAuthenticator.group_limits = {"research": {"idle_timeout": "2h"}}
# ... and one for a display that should never sign out
c.TTLAuthenticator.user_limits = {"wallboard": {"max_lifetime": None}}
c.JupyterHub.load_groups = {"research": {"users": ["dora"]}}
