"""What a hub tells an agent, for tests that play the hub."""

MODEL = {
    "state": "active",
    "user": "alice",
    "session": "reference",
    "idle_remaining": 60.0,
    "lifetime_remaining": 600.0,
    "warning_period": 30.0,
    "heartbeat_interval": 10.0,
    "idle_timeout": 60.0,
}
"""The public JSON of a live session, with what agents get besides."""
