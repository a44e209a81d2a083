"""What goes wrong with building and pushing, in one line."""


class ImageError(Exception):
    """Raised when a command or a stack failed; its text says which, why, and what to do."""
