"""Generated projects on real servers: what runs in the server process, what starts it, and its clients."""

SECRET = "not for the client"  # noqa: S105
"""What a service says when it fails."""
