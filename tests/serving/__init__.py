"""Generated projects on real servers: what runs in the server process, what starts it, and its clients."""

SECRET = "not for the client"  # noqa: S105
"""What a service says when it fails."""

TOKEN = "known-to-the-clients-only"  # noqa: S105
ALLOWED = "https://allowed.example"
"""What clients must know, and where pages may be from."""

LONG = 1000
"""What is added to the number of an event that has a size and no text: no message of a client is so long."""
