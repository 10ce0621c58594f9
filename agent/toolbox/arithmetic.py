"""Arithmetic as people write it, read by a parser of our own: nothing is evaluated. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext

LONGEST = 200
"""Characters of an expression, at most; so its depth is bounded too."""
LARGEST_POWER = 1_000
DIGITS = 28

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|(\*\*|[-+*/%^()]))")
_SIGNS = str.maketrans("×x÷−（）", "**/-()", ",，")


class NoArithmetic(ValueError):
    """An expression that cannot be worked out; the sentence says why."""


def calculate(expression: str) -> str:
    """Work out ``+ - * / % ^`` and brackets; ``%`` after a number is per cent.

    Raises:
        NoArithmetic: it is none, is too long, or has no finite result.
    """
    if len(expression) > LONGEST:
        raise NoArithmetic(f"The expression is longer than {LONGEST} characters.")
    with localcontext() as context:
        context.prec = DIGITS
        try:
            result = _Reader(_tokens(expression.translate(_SIGNS))).whole()
            if not result.is_finite():
                raise NoArithmetic("That has no result.")
        except DivisionByZero:
            raise NoArithmetic("Nothing can be divided by zero.") from None
        except (InvalidOperation, Overflow):
            raise NoArithmetic("That has no result.") from None
        return _shown(result)


def _shown(number: Decimal) -> str:
    number = number.normalize()
    if number == number.to_integral_value() and abs(number.adjusted()) < 21:
        return format(number.quantize(Decimal(1)), "f")
    return format(number, ".12g")


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    text = text.strip().rstrip("=?？").strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise NoArithmetic("Only numbers, + - * / % ^ and brackets can be worked out.")
        found.append(match[1] or match[2])
        place = match.end()
    return found


class _Reader:
    """Reads tokens by the usual order: brackets, powers, products, sums."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def whole(self) -> Decimal:
        result = self._sum()
        if self._tokens:
            raise NoArithmetic("The expression does not end where it should.")
        return result

    def _next(self, *wanted: str) -> str | None:
        if self._tokens and self._tokens[-1] in wanted:
            return self._tokens.pop()
        return None

    def _sum(self) -> Decimal:
        result = self._product()
        while sign := self._next("+", "-"):
            other = self._product()
            result = result + other if sign == "+" else result - other
        return result

    def _product(self) -> Decimal:
        result = self._signed()
        while sign := self._next("*", "/"):
            other = self._signed()
            result = result * other if sign == "*" else result / other
        return result

    def _signed(self) -> Decimal:
        if self._next("-"):
            return -self._signed()
        self._next("+")
        return self._power()

    def _power(self) -> Decimal:
        base = self._per_cent()
        if self._next("^", "**"):
            power = self._signed()
            if abs(power) > LARGEST_POWER:
                raise NoArithmetic(f"Powers beyond {LARGEST_POWER} are not worked out.")
            return base**power
        return base

    def _per_cent(self) -> Decimal:
        result = self._atom()
        while self._next("%"):
            result /= 100
        return result

    def _atom(self) -> Decimal:
        if self._next("("):
            result = self._sum()
            if not self._next(")"):
                raise NoArithmetic("A bracket is not closed.")
            return result
        token = self._tokens.pop() if self._tokens else ""
        if not token or token in "+-*/%^()" or token == "**":
            raise NoArithmetic("A number is missing.")
        number = Decimal(token)
        if not math.isfinite(number):
            raise NoArithmetic("That is no number.")
        return number
