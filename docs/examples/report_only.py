"""A first look: the hub logs and counts which sessions would end, and ends none.

Look for "would have ended" in its log, or at ``ttl_authenticator_reported_ends`` in
``/hub/metrics``; then remove ``report_only``. ``check`` warns of it: a profile is set,
and nothing of it is enforced.
"""

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 30 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ann"}

c.TTLAuthenticator.profile = "nist-800-63b-4-aal2"
c.TTLAuthenticator.idle_timeout = "30m"
c.TTLAuthenticator.report_only = True
