"""What the engine promises, and for each direction the tests that show it.

``docs/promises.md`` has the same as a table; ``python -m tests.promises`` prints it. A cell that begins
with a blank is no test but the reason why there is nothing to show in this direction.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ("DIRECTIONS", "PROMISES", "Promise", "table")

DIRECTIONS: Final = ("up", "down", "copy")


class Promise(NamedTuple):
    """One promise.

    Attributes:
        text: what is promised.
        up, down, copy: tests, ``file::name`` below ``tests/``, or one reason why there are none.
    """

    text: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    copy: tuple[str, ...]


def _all(*tests: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the tests of what is the same in every direction."""
    return tests, tests, tests


PROMISES: Final[dict[str, Promise]] = {
    "P1": Promise(
        "nothing is deleted without two complete listings",
        (
            "sync/test_deletes.py::test_D1_a_listing_that_breaks_off_on_page_2_deletes_nothing",
            "core/test_safety.py::test_law_incomplete_knowledge_deletes_nothing_d1_p1",
        ),
        ("sync/test_download_basics.py::test_a_listing_that_breaks_off_deletes_nothing",),
        ("sync/test_copies.py::test_nothing_is_deleted_after_an_incomplete_listing",),
    ),
    "P2": Promise(
        "what is at or under an unreadable path is never deleted",
        (
            "sync/test_deletes.py::test_D3_what_is_under_an_unreadable_directory_is_never_deleted",
            "sync/test_withheld.py::test_P2_nothing_is_forgotten_under_an_unreadable_path",
        ),
        (
            (
                "sync/test_download_deletes.py::"
                "test_P2_below_a_directory_that_cannot_be_read_nothing_is_written_or_deleted"
            ),
            "sync/test_download_deletes.py::test_P2_what_a_link_leads_to_is_not_deleted",
        ),
        (" a bucket is listed as a whole or not at all: P1",),
    ),
    "P3": Promise(
        "a missing, empty or swapped side deletes nothing",
        (
            "sync/test_deletes.py::test_D4_a_missing_source_is_an_error",
            "sync/test_deletes.py::test_D4_an_empty_source_is_refused_when_something_would_be_deleted",
            "sync/test_deletes.py::test_P3_a_swapped_source_is_refused_before_the_first_upload",
            "sync/test_deletes.py::test_P3_the_root_is_looked_at_again_before_the_first_delete",
        ),
        (
            "sync/test_download_deletes.py::test_P3_an_empty_source_deletes_nothing_unless_it_is_allowed",
            "sync/test_download_deletes.py::test_P3_another_directory_in_the_place_of_the_target_loses_nothing",
        ),
        (
            "sync/test_promises_of_copies.py::test_P3_a_missing_source_is_an_error_and_deletes_nothing",
            "sync/test_copies.py::test_guards_hold",
        ),
    ),
    "P4": Promise(
        "the limits of deletes are checked on the whole plan, before the first one",
        ("sync/test_deletes.py::test_D5_too_many_deletes_are_refused_before_the_first_one",),
        ("sync/test_download_deletes.py::test_P4_more_than_allowed_is_refused_as_a_whole",),
        (
            "sync/test_copies.py::test_guards_hold",
            "sync/test_copy_model.py::TestCopies",
            "sync/test_bucket_trash.py::test_the_guards_come_first",
        ),
    ),
    "P5": Promise(
        "nothing is deleted until every transfer has succeeded",
        ("sync/test_deletes.py::test_D13_deletes_wait_until_all_uploads_have_succeeded",),
        ("sync/test_download_deletes.py::test_P5_nothing_is_deleted_where_a_download_failed",),
        ("sync/test_copies.py::test_deletes_wait_for_copies_that_failed",),
    ),
    "P6": Promise(
        "what filters hide is never deleted",
        (
            "sync/test_deletes.py::test_D10_excluded_keys_are_invisible_to_delete",
            "core/test_filters.py::test_what_is_hidden_is_hidden_by_its_key_alone_d10_p6",
        ),
        ("sync/test_download_basics.py::test_filters_hide_keys_on_both_sides",),
        ("sync/test_copies.py::test_filters_hide_objects_on_both_sides",),
    ),
    "P7": Promise(
        "`prefix/` never touches `prefix-old/`",
        ("sync/test_deletes.py::test_D6_a_prefix_ends_at_a_slash",),
        ("sync/test_promises_of_copies.py::test_P7_neighbours_of_a_prefix_do_not_come_down",),
        ("sync/test_promises_of_copies.py::test_P7_neighbours_of_a_prefix_are_not_touched",),
    ),
    "P8": Promise(
        "what changes while it is transferred is never recorded as synced, nor what changed here replaced",
        (
            "sync/test_faults.py::test_P8_a_file_that_changes_while_it_is_sent_is_not_recorded",
            "sync/test_faults.py::test_P8_a_large_file_that_changes_while_it_is_sent_is_aborted_and_sent_anew",
        ),
        (
            "sync/test_downloads.py::test_a_file_that_changed_since_the_comparison_is_kept",
            "sync/test_downloads.py::test_an_object_that_changed_since_the_listing_is_read_as_it_is_now",
            "sync/test_download_deletes.py::test_P8_a_file_that_is_changed_after_the_walk_is_not_deleted",
        ),
        (
            (
                "sync/test_promises_of_copies.py::"
                "test_P8_what_is_replaced_while_it_is_copied_is_not_recorded_as_the_new_one"
            ),
            "sync/test_copies.py::test_an_object_that_is_replaced_meanwhile_is_copied_as_it_is_then",
            "sync/test_bucket_trash.py::test_an_object_that_is_replaced_meanwhile_stays",
        ),
    ),
    "P9": Promise(
        "every planned item ends in exactly one counted state",
        (
            "sync/test_withheld.py::test_P9_a_dry_run_that_compares_twice_counts_each_key_once",
            "sync/test_faults.py::test_C4_a_failed_upload_is_counted_reported_and_does_not_stop_the_rest",
            "sync/test_faults.py::test_a_stop_ends_the_run_orderly",
        ),
        (
            "sync/test_downloads.py::test_after_a_stop_the_rest_is_only_drained",
            "sync/test_download_model.py::TestBothWays",
        ),
        (
            "sync/test_promises_of_copies.py::test_P9_a_stop_leaves_every_object_in_one_state",
            "sync/test_copies.py::test_a_target_that_refuses_everything_is_given_up",
        ),
    ),
    "P10": Promise(
        "after kill -9 the next run converges, and does again only what was not recorded",
        (
            "integration/test_kill.py::test_a_killed_run_is_continued",
            "integration/test_kill.py::test_a_large_file_that_was_killed_is_continued",
            "sync/test_resumed_uploads.py::test_the_parts_that_are_there_are_not_sent_again",
            (
                "sync/test_remembering.py::"
                "test_P10_the_manifest_is_incomplete_before_the_first_upload_and_the_first_delete"
            ),
            "sync/test_model.py::TestSync",
            (
                "manifest/test_open_runs.py::"
                "test_no_run_that_may_be_at_work_is_ever_hidden_by_a_complete_document"
            ),
        ),
        (
            "integration/test_killed_downloads.py::test_a_killed_download_is_continued",
            "local/test_write.py::test_a_later_run_goes_on_with_what_is_missing",
            "sync/test_download_model.py::TestBothWays",
        ),
        (
            "integration/test_killed_copies.py::test_a_killed_copy_is_continued",
            "sync/test_resumed_copies.py::test_the_parts_that_are_there_are_not_copied_again",
            "sync/test_resumed_copies.py::test_uploads_of_others_are_left_alone",
            "sync/test_copy_model.py::TestCopies",
        ),
    ),
    "P11": Promise(
        "keys are opaque: none is changed on its way",
        (
            "integration/test_real_input.py::test_odd_names_arrive_with_exactly_their_bytes",
            "core/test_keys.py::test_a_prefix_is_a_literal_p11",
        ),
        (
            "integration/test_downloads.py::test_odd_names_come_back_with_their_bytes_and_times",
            "sync/test_download_basics.py::test_keys_that_can_be_no_path_are_skipped_and_named",
            "integration/test_hostile_buckets.py::test_keys_that_lead_elsewhere_are_told_and_skipped",
        ),
        ("sync/test_promises_of_copies.py::test_P11_keys_are_copied_as_they_are",),
    ),
    "P12": Promise(
        "catalog and caches are written by compare-and-swap; a corrupt one is set aside and rebuilt",
        *_all(
            "catalog/test_writing.py::test_writers_at_once_lose_nothing",
            "catalog/test_writing.py::test_a_corrupt_index_is_set_aside_and_rebuilt",
        ),
    ),
    "P13": Promise(
        "where nothing proves two contents equal, they are transferred",
        ("core/test_decision.py::test_law_no_proof_means_upload_p13",),
        (
            "sync/test_downloads.py::test_what_nothing_else_proves_is_fetched_and_compared",
            "core/test_download_decision.py::test_every_row_of_the_second_table",
        ),
        ("core/test_copy_decision.py::test_every_row_of_the_table",),
    ),
    "P14": Promise(
        "statistics never lie: an error is an error, not zeros",
        *_all(
            "stats/test_faults.py::test_a_listing_whose_third_page_fails_is_an_error_and_is_not_cached",
            "index/test_tool_files.py::test_a_backfill_and_the_statistics_count_the_same_objects",
        ),
    ),
    "P15": Promise(
        "objects of other tools are read where useful, and never broken",
        (
            "sync/test_deletes.py::test_D7_objects_of_other_tools_are_never_deleted",
            "core/test_etag.py::test_digests_in_metadata_p15",
        ),
        (
            "core/test_mtimes.py::test_times_that_tools_write",
            "sync/test_downloads.py::test_other_gzip_is_kept_as_it_is",
        ),
        ("sync/test_promises_of_copies.py::test_P15_objects_of_other_tools_are_never_deleted",),
    ),
    "P16": Promise(
        "secrets never reach a log, an event, an error or a file",
        *_all(
            "store/test_words.py::test_no_words_hold_a_secret",
            "store/test_tiers.py::test_no_secret_is_in_a_representation_p16",
            "sync/test_plans.py::test_a_plan_keeps_no_secret_and_asks_for_it_again",
        ),
    ),
}


def table() -> str:
    """Return the promises as a table in Markdown."""
    lines = ["| | promise | up | down | between buckets |", "|---|---|---|---|---|"]
    for number, promise in PROMISES.items():
        cells = [promise.up, promise.down, promise.copy]
        if promise.up == promise.down == promise.copy:
            cells = [promise.up, (" the same",), (" the same",)]
        lines.append(" | ".join([f"| {number}", promise.text, *map(_cell, cells)]) + " |")
    return "\n".join(lines) + "\n"


def _cell(tests: tuple[str, ...]) -> str:
    return "<br>".join(test.strip() if test.startswith(" ") else _link(test) for test in tests)


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_')}](../tests/{path})"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
