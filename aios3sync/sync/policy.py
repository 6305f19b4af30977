"""Derives from a request what decisions depend on: policy, filters, scope, and whether to list the target."""

from __future__ import annotations

from collections.abc import Sequence

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final, Protocol
from aios3sync.core.filters import Filters, OwnFiles, Rule, make_rules
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import escaped, parse_address
from aios3sync.core.policy import Policy, WantedHeaders
from aios3sync.core.safety import Protection
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import UsageError
from aios3sync.manifest.files import own_files
from aios3sync.manifest.protocol import ManifestState
from aios3sync.options import SyncOptions
from aios3sync.sync.request import MANIFESTS, SyncRequest, manifest_path, pending_path
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.core.gitignore import IgnoreTree

__all__ = ("hides_a_part", "make_filters", "make_policy", "must_list", "scope_of", "useless_rules")

_RULES_NAMED: Final = 5
_NO_NAME: Final = "(?!)"


class _Rooted(Protocol):
    """A tree that knows the absolute paths of its root."""

    def roots(self) -> Sequence[str]: ...


def make_policy(
    request: SyncRequest, state: ManifestState, headers: HeaderPlan, *, opaque_etags: bool
) -> Policy:
    """Return what decisions depend on: the options, and what the manifest knows of the bucket.

    Args:
        request: the sync.
        state: of its manifest.
        headers: what uploads send.
        opaque_etags: ETags of the endpoint prove nothing.
    """
    options = request.options
    return Policy(
        delete=options.delete,
        content=options.check == "content",
        accept_content=options.accept_content,
        incremental=options.incremental,
        stat_fields=options.stat_fields,
        gzip=frozenset(extension.lower().lstrip(".") for extension in options.gzip),
        opaque_etags=state.opaque_etags or opaque_etags,
        protection=Protection(not options.delete_protected, options.protected_prefixes),
        headers=None if request.direction != "up" else _wanted_headers(options, headers),
        overwrite=options.on_conflict == "overwrite",
    )


def _wanted_headers(options: SyncOptions, plan: HeaderPlan) -> WantedHeaders | None:
    """Return the headers that unchanged objects should have; ``None`` where their headers are not changed."""
    update = options.metadata_update
    if update == "off":
        return None
    uniform = plan.common.digest if plan.uniform else None
    return WantedHeaders(plan.digest_of, uniform, unrecorded=update is not None, copy=update != "upload")


def make_filters(request: SyncRequest, tree: _Rooted, receipts: Sequence[str] = ()) -> Filters:
    """Return the filters: the rules, the named files, and never the files of the run itself. Blocks.

    Args:
        request: the sync.
        tree: of the request; absolute paths in rules are below one of its roots.
        receipts: keys of the receipts of earlier runs.

    Raises:
        UsageError: a named file is not below the tree.
    """
    options, root = request.options, request.root
    own = own_files(manifest_path(request), root)
    if options.thumbnails and options.manifest is not False:
        own += own_files(pending_path(request), root)
    rules = _rules(options.ordered_rules(), tree)
    if receipts or options.receipt:
        from aios3sync.sync.receipt_names import receipt_files  # few pairs have any

        own += receipt_files(request, receipts, rules)
    if request.shared_manifest:
        own += _own_objects(request)
    return Filters(
        rules=rules,
        files=None if options.files is None else _named_files(options, tree),
        ignored=_ignore_tree() if options.gitignore else None,
        own=own,
    )


def _own_objects(request: SyncRequest) -> tuple[OwnFiles, ...]:
    """Return a test for the keys of a manifest in the bucket of a side, or for its whole folder."""
    bucket, key = parse_address(request.shared_manifest)
    sides = filter(None, (request.location, request.source_location))
    folder, is_in_folder, _ = key.rpartition(MANIFESTS)
    place, rest = (folder + MANIFESTS, ".+") if is_in_folder else (key, r"(?:\.shards/.+)?")
    import re  # few manifests are in a bucket

    places = {
        re.escape(place.removeprefix(side.prefix))
        for side in sides
        if side.bucket == bucket and place.startswith(side.prefix)
    }
    if not places:
        return ()
    keys = f"(?s)(?:{'|'.join(sorted(places))}){rest}"
    return (OwnFiles(lazy_pattern(_NO_NAME), lazy_pattern(keys)),)


def _ignore_tree() -> IgnoreTree:
    from aios3sync.core.gitignore import IgnoreTree  # few runs read these files

    return IgnoreTree()


def _rules(rules: Sequence[tuple[str, ...]], tree: _Rooted) -> tuple[Rule, ...]:
    is_absolute = any(pattern.startswith("/") for _, pattern, *_ in rules)
    return make_rules(rules, tree.roots() if is_absolute else ())


def useless_rules(filters: Filters) -> str:
    """Return a warning about rules that matched nothing in a complete run; empty if all matched."""
    rules = filters.unmatched
    return unmatched_warning(list(map(str, rules))) if rules else ""


def unmatched_warning(rules: Sequence[str]) -> str:
    """Return the warning about filter rules that matched nothing."""
    named = ", ".join(rules[:_RULES_NAMED])
    more = f" and {len(rules) - _RULES_NAMED} more" if len(rules) > _RULES_NAMED else ""
    subject = "a filter rule" if len(rules) == 1 else f"{len(rules)} filter rules"
    return (
        f"{subject} matched nothing: {named}{more}; patterns are matched with whole paths below the source, "
        "'*' matches slashes too"
    )


def _named_files(options: SyncOptions, tree: _Rooted) -> frozenset[str]:
    """Return the keys of a list of files; an absolute path begins with the source's path or real path."""
    paths = options.files or ()
    roots = tree.roots() if any(path.startswith("/") for path in paths) else ()
    keys = (_named(path, roots) for path in paths)
    return frozenset(map(escaped, keys) if options.on_bad_name == "escape" else keys)


def _named(path: str, roots: Sequence[str]) -> str:
    """Return a path of ``--files-from`` as a key: ``./a//b`` is ``a/b``; none may lead out of the source."""
    below = path
    for root in roots:
        if path.startswith(f"{root.rstrip('/')}/"):
            below = path[len(root.rstrip("/")) :].lstrip("/")
            break
    parts = [part for part in below.split("/") if part not in ("", ".")]
    if below.startswith("/") or ".." in parts or not parts or "\0" in below:
        raise UsageError(
            f"{escape_undecodable(path)!r} in the list of files: give paths below the source, without '..'"
        )
    return "/".join(parts)


def hides_a_part(options: SyncOptions) -> bool:
    """Return whether a part of the source is hidden: by rules, a list of files, or skipped links."""
    rules = options.exclude or options.include or options.rules
    return bool(rules) or options.gitignore or options.symlinks != "follow" or options.files is not None


def scope_of(options: SyncOptions, key_range: KeyRange = EVERYTHING) -> str:
    """Return a digest of what hides a part of the source; empty where all of it is visible.

    Args:
        options: of the sync.
        key_range: the keys that it is about.
    """
    if key_range.is_everything and not hides_a_part(options):
        return ""
    import hashlib
    import json

    links = "" if options.symlinks == "follow" else options.symlinks
    rules = [rule[:2] for rule in options.ordered_rules()]
    files = None if options.files is None else sorted(options.files)
    parts = [rules, files, options.gitignore, links, options.delete_excluded]
    text = json.dumps(parts if key_range.is_everything else [*parts, *key_range])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def must_list(request: SyncRequest, state: ManifestState, scope: str, now: float) -> bool:
    """Whether the run begins with a listing; see the three ways to check in the documentation.

    A download always does: its source is the listing. So does a copy, which compares two listings.
    """
    options = request.options
    if request.direction != "up":
        return True
    if options.no_list or (not options.incremental and options.delete == "off"):
        return False  # it was asked for, or everything is sent whatever the target holds
    if options.check != "auto" or options.delete == "mirror" or not options.incremental:
        return True
    known_since = state.known_since(scope)
    return not (known_since and 0 <= now - known_since < options.max_manifest_age)
