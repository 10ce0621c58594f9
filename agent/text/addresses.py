"""Links, e-mail addresses, names of files and versions, as one would say them."""

from __future__ import annotations

import re

_URL = re.compile(
    r"(?:https?|ftp)://(?:www\.)?([A-Za-z0-9.-]+[A-Za-z0-9])(?::\d+)?"
    r"(?:[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*[A-Za-z0-9/=#&_-])?/?"
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])([A-Za-z0-9._%+-]+)@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})(?![A-Za-z0-9])"
)
_DOMAINS = "com|org|net|cn|io|ai|dev|edu|gov|co|uk|app|me|info|tv|de|fr|jp|hk|tw|eu|us|wiki"
_HOST = re.compile(
    rf"(?<![A-Za-z0-9@._-])(?:www\.)?((?:[A-Za-z0-9-]+\.)+(?:{_DOMAINS}))(?![A-Za-z0-9-])"
    r"(?:/[A-Za-z0-9\-._~/?#&=%+]*[A-Za-z0-9/])?"
)
_SUFFIXES = (
    "py|js|ts|txt|md|pdf|docx?|xlsx?|pptx?|csv|json|ya?ml|png|jpe?g|gif|svg|mp3|mp4|wav|zip|gz|tar"
    "|html?|css|exe|sh|toml|ini|log|cpp|cc|rs|go|java|rb|php|sql|xml|apk|dmg|env|cfg|conf|lock"
)
_FILE = re.compile(
    rf"(?<![A-Za-z0-9./@_-])([A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.(?:{_SUFFIXES}))(?![A-Za-z0-9])"
)
_PATH = re.compile(r"(?<![A-Za-z0-9:/.])(?:~|\.{1,2})?(?:/[A-Za-z0-9._-]+){2,}/?")
_SNAKE = re.compile(r"(?<=[A-Za-z0-9])_+(?=[A-Za-z0-9])")


def addresses_to_words(text: str, chinese_words: bool) -> str:
    """Write addresses as words: of a link its host only, the rest is for the eye."""
    dot, at, low = (" dot ", " at ", " underscore ")
    if chinese_words:
        dot, at, low = (" 点 ", " 艾特 ", " 下划线 ")

    def named(name: str) -> str:
        return name.replace("_", " ").replace(".", dot).strip()

    def mailed(found: re.Match[str]) -> str:
        return named(found[1].replace("_", low)) + at + named(found[2])

    text = _EMAIL.sub(mailed, text)
    text = _URL.sub(lambda found: named(found[1]), text)
    text = _HOST.sub(lambda found: named(found[1]), text)
    text = _PATH.sub(lambda found: named(found[0].rstrip("/").rpartition("/")[2]), text)
    text = _FILE.sub(lambda found: named(found[1]), text)
    return _SNAKE.sub(" ", text)
