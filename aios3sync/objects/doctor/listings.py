"""Probes of listings: their order, StartAfter, the size of pages, and keys with odd characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from aios3sync.core.text import count
from aios3sync.errors import AccessDeniedError, BucketNotFoundError, CredentialsError, StoreError
from aios3sync.objects.doctor.report import Finding
from aios3sync.objects.doctor.scratch import Scratch
from aios3sync.store.protocol import DeleteItem

__all__ = ("probe_batch_delete", "probe_existing", "probe_keys", "probe_listing", "probe_newline")

# "!", "-" and "/" come before letters and digits, so a server that sorts by directory gives another order;
# the last two are in another order by UTF-16 than by UTF-8.
_ORDER: Final = ("o/a", "o/a!b", "o/a-b", "o/a/x", "o/a/y", "o/a0", "o/b", "o/\uff5e", "o/\U0001f600")
_NESTED: Final = "o/a/"
_PAGE: Final = 2
_ODD: Final = {
    "a space": "k/a b",
    "a plus": "k/a+b",
    "an escape": "k/a%2Bb%41",
    "?, #, & and =": "k/a?b#c&d=e",
    "quotes and a backslash": "k/a\"b'c\\d",
    "a bracket": "k/<a>&amp;",
    "a composed letter (NFC)": "k/\u00e9",
    "a decomposed letter (NFD)": unicodedata.normalize("NFD", "k/\u00e9"),
    "letters beyond Latin": "k/\u6f22\u5b57-\U0001f600",
    "two slashes": "k/a//b",
    "upper case": "k/A b",
}
_NEWLINE: Final = "n/a\nb"


def _bytes_order(keys: Sequence[str]) -> list[str]:
    return sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass"))


async def probe_listing(scratch: Scratch) -> list[Finding]:
    """List keys whose order differs between servers, in small pages, and from the middle."""
    names, nested = await _put_listed(scratch)
    keys = _bytes_order([scratch.key(name) for name in names])
    listed, largest = await scratch.listed(f"{scratch.prefix}o/", page_size=_PAGE)
    missing = len(set(keys) - set(listed))
    if missing or len(listed) != len(set(listed)):
        found = f"a listing leaves out {count(missing, 'key')}" if missing else "a listing repeats keys"
        meaning = "a sync would send again what is there, and verify reports it as missing"
        return [Finding("listing", "failed", f"{found} of {len(keys)}", meaning, "do not use --delete here")]
    after = await scratch.listed(f"{scratch.prefix}o/", start_after=keys[3])
    return [*nested, _order(scratch, listed), _start_after(after[0], keys, keys[3]), _pages(largest)]


async def _put_listed(scratch: Scratch) -> tuple[list[str], list[Finding]]:
    """Store the keys to list; not all endpoints accept those below the key of another object."""
    names: list[str] = []
    refused: StoreError | None = None
    for name in _ORDER:
        try:
            await scratch.put(name, b"")
        except (AccessDeniedError, BucketNotFoundError, CredentialsError):
            raise
        except StoreError as error:
            if not name.startswith(_NESTED):
                raise
            refused = error
        else:
            names.append(name)
    if refused is None:
        return names, []
    found = f"an object below the key of another one is refused ({refused.code or refused.status})"
    meaning = "a file that becomes a directory fails until its object is deleted"
    return names, [Finding("keys below a key", "differs", found, meaning)]


def _order(scratch: Scratch, listed: Sequence[str]) -> Finding:
    """Check the order of a listing; disorder is recorded for a sync."""
    if list(listed) == _bytes_order(listed):
        return Finding("list order", "ok", "listings are in the byte order of the keys")
    profile = scratch.profile
    if profile.list_order != "unordered":
        profile.record("list_order", "unordered")
    given = "; you said --list-order bytes" if profile.list_order == "bytes" else ""
    meaning = "a sync sorts what is listed on disk before it compares; it cannot list in parallel"
    return Finding("list order", "differs", f"listings are not in the byte order of the keys{given}", meaning)


def _start_after(after: Sequence[str], keys: Sequence[str], start: str) -> Finding:
    wanted = keys[keys.index(start) + 1 :]
    if list(after) == wanted:
        return Finding("start after", "ok", "a listing begins after the key that is named")
    if set(after) == set(wanted):
        return Finding("start after", "ok", "a listing has the keys after the one that is named")
    found = f"a listing after a key has {count(len(after), 'key')}, not {len(wanted)}"
    return Finding("start after", "differs", found, "listings are read from the front: no parallel parts")


def _pages(largest: int) -> Finding:
    if largest <= _PAGE:
        return Finding("pages", "ok", "pages are no larger than asked for, and lead to the end")
    found = f"a page of {_PAGE} keys had {largest}"
    return Finding("pages", "differs", found, "a sync takes pages as they come")


async def probe_existing(scratch: Scratch) -> list[Finding]:
    """Check the listing of existing objects, which needs no write."""
    page = await scratch.steady.list_page(scratch.below)
    keys = [entry.key for entry in page.entries]
    if len(keys) < 3:
        return [Finding("list order", "skipped", f"there are only {count(len(keys), 'key')} to look at")]
    start = keys[len(keys) // 2]
    after = await scratch.steady.list_page(scratch.below, start_after=start)
    wanted = [key for key in keys if key.encode() > start.encode()]
    inexact = any(entry.key.encode() <= start.encode() for entry in after.entries) or not (
        set(wanted) <= {entry.key for entry in after.entries} or after.next_token
    )
    found = "a listing has keys that are not after the one that is named, or leaves some out"
    exact = Finding("start after", "ok", "a listing has the keys after the one that is named")
    differs = Finding("start after", "differs", found, "listings are read from the front")
    return [_order(scratch, keys), differs if inexact else exact]


async def probe_keys(scratch: Scratch) -> Finding:
    """Store keys with odd characters, each with a body of its own, and check that exactly these exist."""
    refused: list[str] = []
    wrong: list[str] = []
    stored: dict[str, str] = {}
    for words, name in _ODD.items():
        try:
            await scratch.put(name, words.encode())
        except (BucketNotFoundError, CredentialsError):
            raise
        except StoreError as error:
            refused.append(f"{words} ({error.code or error.status})")
        else:
            stored[words] = name
    listed, _ = await scratch.listed(f"{scratch.prefix}k/")
    for words, name in stored.items():
        key = scratch.key(name)
        if key not in listed or await _body(scratch, key) != words.encode():
            wrong.append(words)
    if not (refused or wrong):
        return Finding("keys", "ok", "keys with spaces, +, %, quotes and Unicode come back as they were sent")
    found = "; ".join(
        f"{what}: {', '.join(those)}" for what, those in (("refused", refused), ("changed", wrong)) if those
    )
    meaning = "files and objects with such names are sent again at each run, or fail"
    return Finding("keys", "differs", found, meaning, "rename them, or exclude them")


async def _body(scratch: Scratch, key: str) -> bytes:
    """Return the body that is stored at a key; empty where there is none."""
    try:
        return (await scratch.steady.get(key)).body
    except AccessDeniedError:
        raise
    except StoreError:
        return b""


async def probe_newline(scratch: Scratch) -> Finding:
    """Store a key with a line end in it."""
    meaning = "files with such names cannot be synced; all others can"
    try:
        await scratch.put(_NEWLINE, b"newline")
    except AccessDeniedError:
        raise
    except StoreError as error:
        found = f"a key with a line end is refused ({error.code or error.status})"
        return Finding("newline in keys", "differs", found, meaning)
    listed, _ = await scratch.listed(f"{scratch.prefix}n/")
    key = scratch.key(_NEWLINE)
    if listed == [key] and await _body(scratch, key) == b"newline":
        return Finding("newline in keys", "ok", "a key with a line end comes back as it was sent")
    return Finding("newline in keys", "differs", "a key with a line end comes back as another one", meaning)


async def probe_batch_delete(scratch: Scratch) -> Finding:
    """Delete two keys with one DeleteObjects; if that is not supported, record it for a sync."""
    keys = [scratch.key("d/a b"), scratch.key("d/c&d")]
    for name in ("d/a b", "d/c&d"):
        await scratch.put(name, b"")
    failed = await scratch.once.delete_many([DeleteItem(key) for key in keys])
    listed, _ = await scratch.listed(f"{scratch.prefix}d/")
    profile = scratch.profile
    if failed or listed:
        reason = f" ({failed[0].message})" if failed else ""
        found = f"DeleteObjects leaves {count(len(listed), 'key')} of {len(keys)}{reason}"
        return Finding("batch delete", "failed", found, "deletes of a sync fail", "do not use --delete here")
    if not profile.batch_delete and not profile.known["batch_delete"].given:
        profile.forget("batch_delete")
    return Finding("batch delete", "ok", "DeleteObjects deletes many keys with one request")
