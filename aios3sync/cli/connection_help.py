"""The help of ``--help-connection``: the options that all commands share, and the environment variables."""

from __future__ import annotations

from typing import Final

import click

__all__ = ("CONNECTION", "VARIABLES", "connection_help", "section_of")

CONNECTION: Final = "Connection"
"""The section of help that ``--help-connection`` shows."""

VARIABLES: Final = (
    ("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "Credentials."),
    ("AWS_PROFILE", "The profile, where --profile is not given."),
    ("AWS_REGION, AWS_DEFAULT_REGION", "The region, where --region is not given."),
    ("AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL", "The endpoint, where --endpoint-url is not given."),
    ("AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE", "The files of the AWS configuration."),
    ("AWS_CA_BUNDLE", "Certificate authorities to trust."),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "Proxies, and hosts that need none."),
    ("AIOS3SYNC_CONFIG", "The configuration file."),
    ("AIOS3SYNC_WORKERS, AIOS3SYNC_ETAGS, …", "Any option that takes one value or none, by its name."),
    ("AIOS3SYNC_INDEX", "The database of the index."),
    ("XDG_STATE_HOME", "Where manifests and the index are kept."),
    ("NO_COLOR, TERM=dumb", "No colours, no live view."),
)


def section_of(param: click.Parameter) -> str:
    """Return the section of help that an option belongs to."""
    return getattr(param, "section", "") or "Options"


def connection_help(command: click.Command, ctx: click.Context) -> str:
    """Return the help text."""
    formatter = ctx.make_formatter()
    records = [
        record
        for param in command.get_params(ctx)
        if section_of(param) == CONNECTION and (record := param.get_help_record(ctx)) is not None
    ]
    with formatter.section(CONNECTION):
        formatter.write_dl(records)
    with formatter.section("Environment"):
        formatter.write_dl(VARIABLES)
    formatter.write_paragraph()
    formatter.write_text(
        "The command line comes before the environment, the environment before a profile of the "
        "configuration file, a profile before the rest of it. 'aios3sync config show' prints what counts."
    )
    return formatter.getvalue().rstrip("\n")
