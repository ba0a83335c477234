"""PCI DSS 4, 8.2.8: sign in again after 15 minutes without activity.

The standard has no lifetime, so ``max_lifetime`` is free, and keeps its default here.
``check`` finds nothing.
"""

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.TTLAuthenticator.profile = "pci-dss-4"
# what the proxied apps send by themselves is no activity
c.TTLAuthenticator.activity_paths = []
c.TTLAuthenticator.unmonitored_servers = "stop"

c.PAMAuthenticator.open_sessions = False
c.Authenticator.allowed_users = {"ann", "bob"}
c.Authenticator.admin_users = {"ann"}

# those who see cards have less; nobody may have more than the profile
c.JupyterHub.load_groups = {"payments": {"users": ["bob"]}}
c.TTLAuthenticator.group_limits = {"payments": {"idle_timeout": "5m"}}
