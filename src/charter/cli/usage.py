"""What is wrong with how the command was called, in words."""

from __future__ import annotations

import re

from charter.spelling import nearest

_NOT_ONE_OF = re.compile(r"'(?P<given>[^']*)' is not one of (?P<known>'.*')\.?$")


def plain(message: str) -> str:
    """Take the parser's own terms out of a message, and say of a mistyped choice which one was probably meant."""
    message = message.replace(" Value error, ", " ")
    found = _NOT_ONE_OF.search(message)
    if found is None:
        return message
    near = nearest(found["given"], re.findall("'([^']*)'", found["known"]))
    return f"{message.removesuffix('.')}; did you mean {near!r}?" if near else message
