"""HTML that is escaped by construction: text becomes text, elements become elements."""

from __future__ import annotations

from html import escape

_VOID = ("br", "input")


class Html(str):
    """Text that is HTML already; any other text is escaped where an element takes it in."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | bool) -> Html:
    """Returns ``<name attributes>children</name>``.

    Args:
        name: of the element.
        children: inside it, in order; escaped unless they are :class:`Html`.
        attributes: ``class_`` is ``class``, ``data_k`` is ``data-k``; True stands without a value,
            False and empty text are left out.
    """
    opening = name + "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value
    )
    return Html(f"<{opening}>" if name in _VOID else f"<{opening}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Returns the parts one after the other, escaped unless they are :class:`Html`."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))
