"""Exception for errors that a user can fix."""


class UserError(ValueError):
    """Error whose message is printed without a traceback; the command exits with status 2.

    The message names the key or file with its value, what is wrong, what is allowed and what to do next.
    """
