"""What users of other tools type: taken where it means the same, else answered with what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import click
import pytest

from aios3sync.cli.commands.sync import sync_command
from aios3sync.cli.habits import (
    ANSWERED_COMMANDS,
    ANSWERED_OPTIONS,
    NOTHING_TO_DO,
    TAKEN_COMMANDS,
    TAKEN_OPTIONS,
)
from aios3sync.cli.main import run
from aios3sync.cli.program import program
from aios3sync.cli.program_command import ProgramCommand
from tests.cli.conftest import Bucket, CommandLine, Ended
from tests.docs.pages import ROOT


def words(text: str) -> list[str]:
    return text.split()


# The options of `aws s3 sync help` of versions 1.46 and 2.31, with the global ones.
AWS_SYNC = words(
    """
    --dryrun --quiet --include --exclude --acl --follow-symlinks --no-follow-symlinks
    --no-guess-mime-type --sse --sse-c --sse-c-key --sse-kms-key-id --sse-c-copy-source
    --sse-c-copy-source-key --storage-class --grants --website-redirect --content-type --cache-control
    --content-disposition --content-encoding --content-language --expires --source-region
    --only-show-errors --no-progress --page-size --ignore-glacier-warnings --force-glacier-transfer
    --request-payer --metadata --copy-props --metadata-directive --no-overwrite --case-conflict
    --checksum-mode --checksum-algorithm --size-only --exact-timestamps --delete --debug --endpoint-url
    --no-verify-ssl --no-paginate --output --query --profile --region --color --no-sign-request
    --ca-bundle --cli-read-timeout --cli-connect-timeout
    """
)

# The options of `rclone sync --help` of version 1.75.2, of `s5cmd --help` and `s5cmd sync --help` of 2.3.0,
# and of `s3cmd --help` of 2.4.0 without those for websites, logs, lifecycles and CloudFront.
RCLONE_SYNC = words(
    """
    --absolute --backup-dir --check-first --checksum --combined --compare-dest --copy-dest
    --create-empty-src-dirs --csv --cutoff-mode --default-time --delete-after --delete-before
    --delete-during --delete-excluded --dest-after --differ --dir-slash --dirs-only --dry-run
    --error --exclude --exclude-from --exclude-if-present --fast-list --files-from --files-from-raw
    --files-from0 --files-only --filter --filter-from --fix-case --format --hash --hash-filter
    --ignore-case --ignore-case-sync --ignore-checksum --ignore-errors --ignore-existing
    --ignore-size --ignore-times --immutable --include --include-from --inplace --interactive
    --links --list-cutoff --match --max-age --max-backlog --max-delete --max-delete-size --max-depth
    --max-duration --max-size --max-transfer --metadata --metadata-exclude --metadata-exclude-from
    --metadata-filter --metadata-filter-from --metadata-include --metadata-include-from --min-age
    --min-size --missing-on-dst --missing-on-src --modify-window --multi-thread-chunk-size
    --multi-thread-cutoff --multi-thread-streams --multi-thread-write-buffer-size --name-transform
    --no-check-dest --no-traverse --no-update-dir-modtime --no-update-modtime --order-by
    --partial-suffix --refresh-times --separator --server-side-across-configs --size-only
    --streaming-upload-cutoff --suffix --suffix-keep-extension --timeformat --track-renames
    --track-renames-strategy --update --verbose
    """
)
S5CMD_SYNC = words(
    """
    --acl --cache-control --concurrency --content-disposition --content-encoding --content-type
    --credentials-file --delete --destination-region --dry-run --endpoint-url --exclude
    --exit-on-error --expires --force-glacier-transfer --ignore-glacier-warnings --include --json
    --log --metadata --metadata-directive --no-follow-symlinks --no-sign-request --no-verify-ssl
    --numworkers --part-size --profile --raw --request-payer --retry-count --size-only
    --source-region --sse --sse-kms-key-id --stat --storage-class --use-list-objects-v1
    """
)
S3CMD = words(
    """
    --access_key --access_token --acl-grant --acl-private --acl-public --acl-revoke
    --add-destination --add-encoding-exts --add-header --ca-certs --cache-file --check-certificate
    --check-hostname --check-md5 --content-disposition --content-type --continue --continue-put
    --debug --default-mime-type --delay-updates --delete-after --delete-after-fetch --delete-removed
    --disable-multipart --dry-run --dump-config --encoding --encrypt --exclude --exclude-from
    --files-from --follow-symlinks --force --guess-mime-type --host --host-bucket
    --human-readable-sizes --include --include-from --keep-dirs --limit --limit-rate
    --list-allow-unordered --list-md5 --long-listing --max-delete --max-retries
    --multipart-chunk-size-mb --no-check-certificate --no-check-hostname --no-check-md5
    --no-connection-pooling --no-delete-removed --no-encrypt --no-guess-mime-type --no-mime-magic
    --no-preserve --no-progress --no-reduced-redundancy --no-ssl --preserve --progress --quiet
    --recursive --reduced-redundancy --region --remove-header --requester-pays --restore-priority
    --rexclude --rexclude-from --rinclude --rinclude-from --secret_key --server-side-encryption
    --server-side-encryption-kms-id --signature-v2 --skip-destination-validation --skip-existing
    --ssl --ssl-cert --ssl-key --stats --stop-on-error --storage-class --upload-id --verbatim
    --verbose
    """
)


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def call(*arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *capfd.readouterr())

    return call


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """All commands of the program, by what is typed."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from commands(below, (*path, name))
    else:
        yield " ".join(path), command


def test_every_command_takes_settings_and_habits() -> None:
    """A new command is made with ``cls=ProgramCommand``, below a group with ``cls=ProgramGroup``."""
    assert [name for name, command in commands(program) if not isinstance(command, ProgramCommand)] == []


@pytest.mark.parametrize("option", [*RCLONE_SYNC, *S5CMD_SYNC, *S3CMD])
def test_every_option_of_the_others_is_known(option: str) -> None:
    """It is one of ours, is taken, or is answered."""
    ours = {name for param in sync_command.params for name in (*param.opts, *param.secondary_opts)}
    assert option in {*ours, *TAKEN_OPTIONS, *NOTHING_TO_DO, *ANSWERED_OPTIONS}


@pytest.mark.parametrize("option", AWS_SYNC)
def test_every_option_of_aws_is_known(option: str) -> None:
    """It is one of ours, is taken, or is answered; the page has a row of it."""
    ours = {name for param in sync_command.params for name in (*param.opts, *param.secondary_opts)}
    assert option in {*ours, *TAKEN_OPTIONS, *NOTHING_TO_DO, *ANSWERED_OPTIONS}
    page = (ROOT / "docs" / "coming-from.md").read_text("utf-8")
    rows = re.findall(rf"^\| `{option}` \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 1
    assert rows[0] != "the same" or option in ours


def test_the_page_has_all_options_and_commands() -> None:
    page = (ROOT / "docs" / "coming-from.md").read_text("utf-8")
    known = [*TAKEN_OPTIONS, *NOTHING_TO_DO, *ANSWERED_OPTIONS, *TAKEN_COMMANDS, *ANSWERED_COMMANDS]
    assert [name for name in known if f"`{name}`" not in page] == []


def test_nothing_of_ours_is_answered() -> None:
    for path, command in commands(program):
        opts = {name for param in command.params for name in param.opts}
        assert not [theirs for theirs, ours in TAKEN_OPTIONS.items() if {theirs, ours} <= opts], path
    sync = {name for param in sync_command.params for name in param.opts}
    assert not sync & ANSWERED_OPTIONS.keys()
    names = set(program.list_commands(click.Context(program)))
    assert not names & {*TAKEN_COMMANDS, *ANSWERED_COMMANDS}


@pytest.mark.parametrize("option", ["--dryrun", "-n"])
def test_a_dry_run_of_another_tool_writes_nothing(
    cli: CommandLine, bucket: Bucket, tree: object, option: str
) -> None:
    ended = cli("sync", str(tree), bucket.url(), option, "--json")
    assert ended.code == 0
    assert ended.json()["dry_run"]
    assert bucket.keys() == set()


def test_what_means_the_same_is_taken(cli: CommandLine, bucket: Bucket, tree: object) -> None:
    ended = cli("sync", str(tree), bucket.url(), "--only-show-errors", "--exact-timestamps", "--no-progress")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert bucket.keys()
    assert cli("check", str(tree), bucket.url(), "--json").json()["differing"] == 0
    encrypted = cli("sync", str(tree), bucket.url("kms"), "--sse", "aws:kms", "--dryrun")
    assert encrypted.code == 0


@pytest.mark.parametrize("option", sorted(ANSWERED_OPTIONS))
def test_what_means_something_else_is_answered(ran: Callable[..., Ended], option: str) -> None:
    for arguments in ((option, "4"), (f"{option}=4",)):
        ended = ran("sync", "data", "s3://bucket", *arguments)
        assert ended.code == 2
        if "=" not in arguments[0] or option.startswith("--"):
            assert ended.error.startswith(f"{option} is no option here: {ANSWERED_OPTIONS[option]}")


def test_cp_does_not_guess_what_n_means(ran: Callable[..., Ended]) -> None:
    """Not to overwrite (s5cmd), or a dry run (rclone)."""
    assert "-n is no option here: write --no-clobber" in ran("cp", "-n", "a", "s3://bucket/a").error


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["cp", "-r", "a", "s3://bucket/a"], "-r is no option here: cp copies one file or object"),
        (["cp", "--recursive", "a", "s3://bucket/a"], "--recursive is no option here: cp copies one"),
        (["cat", "-r", "s3://bucket/a"], "-r is no option here: cat writes single objects"),
        (["stats", "-r", "s3://bucket/a"], "-r is no option here: all that is below is taken"),
        (["sync", "a", "s3://bucket/a", "-r"], "-r is no option here: all that is below is taken"),
    ],
)
def test_recursive_is_answered_by_what_the_command_does(
    ran: Callable[..., Ended], arguments: list[str], answer: str
) -> None:
    ended = ran(*arguments)
    assert (ended.code, ended.error.startswith(answer)) == (2, True), ended.error


def test_r_is_recursive_where_that_is_an_option(cli: CommandLine, bucket: Bucket) -> None:
    for key in ("p/a", "p/d/b", "q"):
        bucket.put(key, b"1")
    listed = cli("ls", "-r", bucket.url("p/"))
    assert [line.rpartition(" ")[2] for line in listed.lines] == ["p/a", "p/d/b"]
    assert cli("rm", "-r", bucket.url("p")).code == 0
    assert bucket.keys() == {"q"}


@pytest.mark.parametrize("name", sorted(ANSWERED_COMMANDS))
def test_commands_of_other_tools_are_answered(ran: Callable[..., Ended], name: str) -> None:
    ended = ran(name, "s3://bucket", "--recursive")
    assert ended.code == 2
    assert ended.error.startswith(f"there is no command {name!r}: {ANSWERED_COMMANDS[name]}")


def test_misspelt_commands_and_options_name_those_near(ran: Callable[..., Ended]) -> None:
    assert "No such command 'snyc'; did you mean 'sync'?" in ran("snyc").error
    assert "'--exclud'" in ran("sync", "a", "s3://bucket", "--exclud", "b").error
    assert "--exclude" in ran("sync", "a", "s3://bucket", "--exclud", "b").error.partition("--exclud'")[2]


@pytest.mark.parametrize(
    ("leading", "command"),
    [
        (["--profile", "none", "--region=eu-central-1"], ["ls", "s3://bucket"]),
        (["--endpoint-url", "nonsense"], ["manifest", "show", "a", "s3://bucket"]),
        (["--dry-run", "--no-verify-ssl", "--endpoint-url", "nonsense"], ["sync", "a", "s3://bucket"]),
    ],
)
def test_options_before_the_command_count(
    ran: Callable[..., Ended], leading: list[str], command: list[str]
) -> None:
    """As with ``aws --profile x s3 sync``."""
    first, last = ran(*leading, *command), ran(*command, *leading)
    assert (first.code, first.out, first.err) == (last.code, last.out, last.err)
    assert ("nonsense" in first.err) == ("nonsense" in leading)


def test_options_before_a_command_that_lacks_them_are_refused(ran: Callable[..., Ended]) -> None:
    assert "--dry-run" in ran("--dry-run", "ls", "s3://bucket").error
    assert ran("--profile", "x").code == 2
