"""What users of aws, s5cmd, rclone and mc type by habit: taken where it means the same, else answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = (
    "ANSWERED_COMMANDS",
    "ANSWERED_OPTIONS",
    "NOTHING_TO_DO",
    "TAKEN_COMMANDS",
    "TAKEN_OPTIONS",
    "answer_for_command",
    "answer_for_option",
)

TAKEN_OPTIONS: Final[Mapping[str, str]] = {
    "--dryrun": "--dry-run",
    "-n": "--dry-run",
    "--only-show-errors": "--quiet",
    "-r": "--recursive",
    "--database": "--index",
}
"""Options of other tools, former names, and ours of the same meaning, for the commands that have them."""

NOTHING_TO_DO: Final = ("--exact-timestamps",)
"""Options that ask for what is always done."""

ANSWERED_OPTIONS: Final[Mapping[str, str]] = {
    # aws
    "--size-only": "size alone would miss changes; an unchanged tree costs no request without it. "
    "Where times and inodes change by themselves write --stat-fields size",
    "--follow-symlinks": "links are followed; write --symlinks follow, skip or inside",
    "--sse-c": "write --sse-c-key-file FILE: a key on the command line can be seen by others",
    "--sse-c-key": "write --sse-c-key-file FILE: a key on the command line can be seen by others",
    "--sse-c-copy-source": "write --source-sse-c-key-file FILE",
    "--sse-c-copy-source-key": "write --source-sse-c-key-file FILE",
    "--checksum-algorithm": "write --checksum crc32, crc32c, crc64nvme, sha1 or sha256",
    "--checksum-mode": "downloads are always checked; leave it out",
    "--content-encoding": "write --gzip EXT,EXT, which compresses and sets it",
    "--copy-props": "write --metadata-directive copy or replace",
    "--grants": "write --acl NAME, a canned ACL",
    "--website-redirect": "redirects of single objects are not set by a sync",
    "--page-size": "pages have 1,000 keys; leave it out",
    "--no-paginate": "listings are always complete; leave it out",
    "--force-glacier-transfer": "archived objects are skipped and named; restore them first",
    "--ignore-glacier-warnings": "archived objects are skipped and named; they do not fail the run",
    "--no-overwrite": "a download keeps files that were changed here; see --on-conflict",
    "--case-conflict": "names that the filesystem cannot tell apart are skipped and named",
    "--debug": "write -vv",
    "--output": "write --json for one document, --events for lines while it works",
    "--query": "write --json, and read it with jq",
    "--color": "colours are shown on terminals; the variable NO_COLOR turns them off",
    "--cli-read-timeout": "from Python: connect(read_timeout=…)",
    "--cli-connect-timeout": "from Python: connect(connect_timeout=…)",
    # s5cmd
    "--numworkers": "write --workers N, the most requests in flight",
    "--concurrency": "write --workers N, the most requests in flight; parts of large files count too",
    "-c": "write --workers N, the most requests in flight, or for rclone's --checksum: --check list",
    "-p": "write --part-size 50M, with the unit",
    "--hash-only": "contents are compared where stats differ; --check content hashes every file",
    "--exit-on-error": "one bad file never stops the rest; the exit code is 3 then",
    "--destination-region": "write --region NAME for the target, --source-region NAME for the source",
    "--if-size-differ": "only what changed is sent; leave it out",
    "--if-source-newer": "any change is sent, also to older times; leave it out",
    "--no-clobber": "a download keeps files that were changed here; see --on-conflict",
    "--credentials-file": "set AWS_SHARED_CREDENTIALS_FILE",
    "--retry-count": "from Python: connect(max_attempts=…)",
    "--stat": "the summary counts requests; write -v or --json",
    "--use-list-objects-v1": "endpoints that need it are recognised; leave it out",
    "--log": "write -q, -v or -vv",
    "--raw": "patterns are given by --include and --exclude; keys are always literal",
    # rclone
    "--transfers": "write --workers N, the most requests in flight; parts of large files count too",
    "--checkers": "write --list-workers N for listings",
    "--s3-upload-concurrency": "write --workers N, the most requests in flight",
    "--s3-chunk-size": "write --part-size SIZE",
    "--s3-upload-cutoff": "write --multipart-threshold SIZE",
    "--s3-storage-class": "write --storage-class CLASS",
    "--s3-acl": "write --acl NAME",
    "--update": "any change is sent, also to older times; leave it out",
    "-u": "any change is sent, also to older times; leave it out",
    "--ignore-existing": "only what changed is sent; a download keeps changed files, see --on-conflict",
    "--ignore-times": "write --no-incremental to send everything",
    "-I": "write --no-incremental to send everything",
    "--fast-list": "listings are parallel where they can be; leave it out",
    "--filter": "write --include and --exclude in their order; the last match wins",
    "--filter-from": "write --exclude-from FILE: one pattern a line, ! before it includes",
    "--include-from": "write --exclude-from FILE: one pattern a line, ! before it includes",
    "--progress": "progress is shown on terminals; leave it out, or write --no-progress",
    "-P": "progress is shown on terminals; leave it out, or write --no-progress",
    "--links": "write --symlinks follow, skip or inside",
    "--copy-links": "links are followed; leave it out",
    "-L": "links are followed; leave it out",
    "--backup-dir": "write --trash DIR, or --trash s3://BUCKET/PREFIX for objects: it takes what is deleted",
    "--immutable": "write --on-conflict keep, which is the default of downloads",
    "--log-level": "write -q, -v or -vv",
    "--log-file": "standard error has the messages: 2> FILE",
    "--retries": "requests are repeated; from Python: connect(max_attempts=…)",
    "--delete-after": "deletes always come last; write --delete or --delete-tracked",
    "--delete-during": "deletes always come last; write --delete or --delete-tracked",
    "--delete-before": "deletes always come last; write --delete or --delete-tracked",
    "--s3-endpoint": "write --endpoint-url URL",
    "--s3-region": "write --region NAME",
    "--s3-provider": "endpoints are recognised; leave it out",
    "--s3-env-auth": "credentials of the environment are always looked for; leave it out",
    "--s3-no-check-bucket": "buckets are not made here; leave it out",
    "--s3-force-path-style": "write --addressing-style path or virtual",
    "--s3-server-side-encryption": "write --sse AES256 or aws:kms",
    "--s3-sse-kms-key-id": "write --sse-kms-key-id ID",
    "--header-upload": "write --cache-control, --content-type …, or --header-for PATTERN:NAME=VALUE",
    "--no-traverse": "an unchanged tree is not listed at all; leave it out",
    "--low-level-retries": "requests are repeated; from Python: connect(max_attempts=…)",
    "--tpslimit": "write --workers N, the most requests in flight",
    "--stats": "progress is shown on terminals; write --events for lines while it works",
    "--min-size": "filters go by name; write --files-from FILE with the files that you want",
    "--max-size": "filters go by name; write --files-from FILE with the files that you want",
    "--min-age": "filters go by name; write --files-from FILE with the files that you want",
    "--max-age": "filters go by name; write --files-from FILE with the files that you want",
    # mc, s3cmd
    "--remove": "write --delete, or --delete-tracked for what was uploaded from here",
    "--overwrite": "what changed is replaced; a download keeps files changed here, see --on-conflict",
    "--delete-removed": "write --delete, or --delete-tracked for what was uploaded from here",
    "--acl-public": "write --acl public-read",
    "--add-header": "write --cache-control, --content-type …, or --header-for PATTERN:NAME=VALUE",
    "--limit-rate": "write --bwlimit SIZE, bytes a second",
    "--recursive": "all that is below is taken; leave it out",
    "-r": "all that is below is taken; leave it out",
    "--skip-existing": "only what changed is sent; a download keeps changed files, see --on-conflict",
    "--check-md5": "contents are compared where stats differ; --check content hashes every file",
    "--no-check-md5": "contents are hashed only where stats differ; leave it out",
    "--preserve": "uploads record the mtime, downloads restore it; leave it out",
    "--cache-file": "the manifest has what was hashed; leave it out",
    "--mime-type": "write --content-type TYPE",
    "--rexclude": "patterns are globs; write --exclude PATTERN",
    "--rinclude": "patterns are globs; write --include PATTERN",
    "--multipart-chunk-size-mb": "write --part-size 15M, with the unit",
    "--reduced-redundancy": "write --storage-class REDUCED_REDUNDANCY",
    "--server-side-encryption": "write --sse AES256",
    "--server-side-encryption-kms-id": "write --sse aws:kms and --sse-kms-key-id ID",
    "--acl-private": "write --acl private",
    "--acl-grant": "write --acl NAME, a canned ACL",
    "--host": "write --endpoint-url URL",
    "--no-check-certificate": "write --no-verify-ssl",
    "--ca-certs": "write --ca-bundle FILE",
    "--access_key": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write --profile NAME",
    "--secret_key": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write --profile NAME",
}
"""Options of other tools that mean something else here, or nothing: what to write."""

TAKEN_COMMANDS: Final[Mapping[str, str]] = {"check": "verify"}
"""Commands of other tools, and ours of the same meaning."""

_SYNC: Final = "sync SOURCE TARGET; without --delete or --delete-tracked it deletes nothing"
ANSWERED_COMMANDS: Final[Mapping[str, str]] = {
    "s3": "leave out 's3': aios3sync sync …",
    "s3api": "aios3sync ls, cat, cp, rm and sync",
    "copy": f"aios3sync {_SYNC}; for one file: aios3sync cp",
    "copyto": "aios3sync cp SOURCE TARGET",
    "mirror": f"aios3sync {_SYNC}",
    "put": "aios3sync cp FILE s3://BUCKET/KEY",
    "get": "aios3sync cp s3://BUCKET/KEY FILE",
    "pipe": "aios3sync cp - s3://BUCKET/KEY",
    "rcat": "aios3sync cp - s3://BUCKET/KEY",
    "mv": "aios3sync sync or cp, then aios3sync rm",
    "move": "aios3sync sync, then aios3sync rm --recursive",
    "moveto": "aios3sync cp, then aios3sync rm",
    "du": "aios3sync stats s3://BUCKET/PREFIX; aios3sync ls --recursive --summarize lists them too",
    "size": "aios3sync stats s3://BUCKET/PREFIX",
    "tree": "aios3sync ls --recursive s3://BUCKET/PREFIX",
    "find": "aios3sync ls --recursive, or aios3sync index search",
    "lsf": "aios3sync ls",
    "lsl": "aios3sync ls --recursive",
    "lsd": "aios3sync ls",
    "lsjson": "aios3sync ls --json",
    "la": "aios3sync ls --recursive s3://BUCKET",
    "diff": "aios3sync verify SOURCE TARGET, or aios3sync sync --dry-run",
    "cmp": "aios3sync verify SOURCE TARGET",
    "del": "aios3sync rm s3://BUCKET/KEY",
    "delete": "aios3sync rm --recursive s3://BUCKET/PREFIX/",
    "deletefile": "aios3sync rm s3://BUCKET/KEY",
    "purge": "aios3sync rm --recursive s3://BUCKET/PREFIX/",
    "rb": "buckets are not made or removed here; aws s3 rb does",
    "mb": "buckets are not made or removed here; aws s3 mb does",
    "mkdir": "S3 has no directories: a prefix is there with its first object",
    "head": "aios3sync ls s3://BUCKET/KEY, or aios3sync explain",
    "stat": "aios3sync ls s3://BUCKET/KEY, or aios3sync explain",
    "presign": "aios3sync index urls; from Python: (await s3.store(BUCKET)).presign(KEY)",
    "configure": "credentials are those of the AWS configuration; aios3sync config show",
}
"""Commands of other tools: what to write."""


def answer_for_option(name: str, own: Mapping[str, str]) -> str | None:
    """Return what to write for an option that is not known, ``None`` where that is not known either.

    Args:
        name: of the option.
        own: the answers of the command, which come first.
    """
    advice = own.get(name) or ANSWERED_OPTIONS.get(name)
    return None if advice is None else f"{name} is no option here: {advice}"


def answer_for_command(name: str) -> str | None:
    """Return what to write for a command that is not known, ``None`` where that is not known either."""
    advice = ANSWERED_COMMANDS.get(name)
    return None if advice is None else f"there is no command {name!r}: {advice}"
