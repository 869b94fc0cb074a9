"""What a user can do wrong: one line, no traceback."""


class UserError(Exception):
    """A mistake of the user, or of the machine, that one line explains: the field, the value and what mends it."""

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
