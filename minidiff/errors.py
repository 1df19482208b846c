"""The one exception that means "the input is wrong, and here is what to do about it"."""


class UserError(Exception):
    """Bad input. The message is one sentence with the offending numbers and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """
