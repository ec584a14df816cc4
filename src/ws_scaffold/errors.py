"""What goes wrong, in words for the user."""


class ScaffoldError(Exception):
    """Nothing was done: `message` says why, with the user's own value, and `hint` names a way out."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ScaffoldError):
    """What was asked for makes no sense: an unknown answer, a contradiction, a name that cannot be one."""

    exit_code = 2
