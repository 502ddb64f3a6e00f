"""Exception for errors that a user can fix, and messages about a class that breaks its contract."""


class UserError(ValueError):
    """Error whose message is printed without a traceback; the command exits with status 2.

    The message names the key or file with its value, what is wrong, what is allowed and what to do next.
    """


def contract_error(slot: str, part: object, fault: str, allowed: str) -> UserError:
    """Return the error for an object whose class breaks the contract of docs/add-an-idea.md.

    slot     config group of the object, such as model
    part     the object
    fault    predicate about the class, such as "returned None"
    allowed  what must be true instead, such as "must return a tensor"
    """
    kind = type(part)
    return UserError(
        f"{slot}: {kind.__module__}.{kind.__qualname__} {fault}; it {allowed}. "
        "Fix this class and run the same command again. Its contract is in docs/add-an-idea.md."
    )


def described(value: object) -> str:
    """Return the type and shape of a tensor, the text of a number, or the class of another object."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"a {type(value).__name__} of type {value.dtype} and shape {tuple(value.shape)}"
    return repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
