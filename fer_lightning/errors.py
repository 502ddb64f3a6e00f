"""The one exception for mistakes that a user can mend: it names the thing, the value, what is allowed, what to do."""


class UserError(ValueError):
    """Shown as its message alone, without a traceback; the command ends with status 2."""
