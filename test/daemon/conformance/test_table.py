"""Which test shows which line of the protocol's conformance list.

The list is that of the protocol's description, section 14.2, with the statuses of its section
1.5. Where this daemon does something else on purpose, the line says so. The test below keeps
the table true: what it names exists.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

DAEMON = Path(__file__).parents[1]
PEER = '../peers/test_published_client.py'

TABLE: dict[str, list[str]] = {
    # auth
    'wrong, missing, expired, too weak key on every call: PERMISSION_DENIED': [
        'transport/test_api_keys.py::test_every_call_with_every_kind_of_key',
        'conformance/test_statuses.py::test_permission_denied',
    ],
    'nothing secret is shown': [
        'transport/test_api_keys.py::test_no_secret_reaches_the_debug_log',
        'conformance/test_secrets.py::test_the_debug_log_of_a_whole_life_holds_none',
        'conformance/test_sessions.py::test_uuids_are_never_shown_to_readers',
    ],
    # naming
    'duplicate names: ALREADY_EXISTS': ['conformance/test_names.py::test_taken_names'],
    'unknown names: NOT_FOUND': ['conformance/test_names.py::test_unknown_names'],
    '/name/ is name': ['conformance/test_names.py::test_outer_slashes_do_not_count'],
    'illegal characters, path traversal, length: INVALID_ARGUMENT': [
        'conformance/test_names.py::test_no_hostile_name_passes_anywhere',
        'conformance/test_names.py::test_sequence_names',
        'conformance/test_names.py::test_long_topic_names',
        'conformance/test_names.py::test_ontology_tags',
    ],
    # malformed
    'unknown action, bad JSON, missing field, wrong type: INVALID_ARGUMENT': [
        'conformance/test_hostile.py::test_broken_bodies',
        'conformance/test_hostile.py::test_wrong_values_in_every_field',
        'conformance/test_hostile.py::test_wrong_values_in_every_field_of_a_descriptor',
        'conformance/test_hostile.py::test_random_damage_is_never_an_internal_error',
        'transport/test_service.py::test_actions_fail_with_the_right_status',
        'transport/test_service.py::test_descriptors_fail_with_the_right_status',
    ],
    'garbage tickets: INVALID_ARGUMENT': [
        'conformance/test_hostile.py::test_damaged_tickets',
        'transport/test_service.py::test_garbage_tickets_are_invalid',
    ],
    'hostile Arrow streams: INVALID_ARGUMENT': [
        'transport/test_service.py::test_damaged_streams_are_invalid',
        'transport/test_service.py::test_hostile_offsets_do_not_reach_native_code',
        'transport/test_ipc.py::test_flipped_bytes_never_escape_as_another_error',
    ],
    # put
    'schema only: locked, null interval, count 0': [
        'conformance/test_uploads.py::test_a_schema_alone_is_a_complete_upload',
    ],
    'unordered and duplicate stamps come back ascending, all of them': [
        'conformance/test_uploads.py::test_order_and_duplicates_of_stamps_do_not_matter',
        'conformance/test_uploads.py::test_rows_with_equal_stamps_keep_their_order',
    ],
    'a batch of 0.9 of the limit': [
        'transport/test_service.py::test_a_batch_near_the_limit_is_taken'
    ],
    'two interleaved puts': [
        'conformance/test_uploads.py::test_two_uploads_interleave_on_one_channel',
    ],
    'gzip and deflate requests': [
        'transport/test_service.py::test_gzip_and_deflate_requests_are_decoded',
        f'{PEER}::test_it_may_compress',
    ],
    'second put: FAILED_PRECONDITION': [
        'conformance/test_uploads.py::'
        'test_a_topic_is_uploaded_once_and_a_second_upload_leaves_the_first_alone',
    ],
    'put into a finalized session: FAILED_PRECONDITION': [
        'conformance/test_sessions.py::test_a_finalized_session_takes_nothing_more',
    ],
    'foreign uuid: PERMISSION_DENIED': [
        'conformance/test_uploads.py::test_uploads_need_the_uuid_of_their_topic',
        'conformance/test_names.py::test_a_session_of_another_sequence_is_no_authority',
    ],
    'no int64 timestamp_ns: INVALID_ARGUMENT': [
        'conformance/test_uploads.py::test_unusable_schemas_leave_the_topic_free',
    ],
    # Finalizing is refused while the stream runs. Once it is sealed as interrupted (unlocked, with
    # a notification) the session can be finalized: nobody could ever complete the topic.
    'cancel midway: topic not locked, session_delete works': [
        'conformance/test_uploads.py::test_a_cancelled_upload_is_never_complete',
        'transport/test_interrupted_puts.py::test_killed_clients_never_complete_a_topic',
        'test_archive.py::test_session_with_an_interrupted_topic_can_be_ended',
    ],
    # finalize
    'finalize empty, twice, with an open put: FAILED_PRECONDITION': [
        'conformance/test_sessions.py::test_finalizing_needs_topics_that_are_all_complete',
    ],
    # delete
    'session_delete of open and finalized sessions': [
        'conformance/test_sessions.py::test_open_sessions_side_by_side',
    ],
    'sequence_delete with an open session': [
        'conformance/test_sessions.py::test_deleting_a_sequence_takes_its_open_sessions_too',
    ],
    # sessions are layers
    'racing names over two daemons: exactly one wins': [
        'conformance/test_sessions.py::test_of_racing_names_one_wins_and_the_losers_know',
    ],
    'reading as soon as the stream has ended': [
        'conformance/test_sessions.py::test_layers_are_written_through_both_daemons_at_once',
    ],
    # schema
    'all 60 types keep their fingerprint': [
        'conformance/test_reads.py::test_every_ontology_type_keeps_its_fingerprint',
    ],
    'a layout that is new for its tag is told of': [
        'test_layouts.py::test_a_new_layout_is_mentioned_once_and_then_known',
    ],
    # window
    'start included, end excluded; empty windows; start >= end': [
        'conformance/test_reads.py::test_windows',
        'conformance/test_reads.py::test_impossible_windows',
    ],
    # read
    'no batch without rows': [
        'conformance/test_reads.py::test_no_batch_without_rows_is_ever_sent'
    ],
    'client cancel frees resources': [
        'transport/test_service.py::test_reading_clients_may_leave_early',
        'test_retrieval.py::test_reader_that_stops_early_leaves_nothing_behind',
    ],
    'a topic that is not locked: FAILED_PRECONDITION': [
        'conformance/test_reads.py::test_a_topic_before_its_upload',
    ],
    # metadata
    'metadata unchanged; null becomes {}': [
        'conformance/test_reads.py::test_metadata_comes_back_unchanged',
        'conformance/test_reads.py::test_metadata_is_an_object_always',
    ],
    # notifications
    'line breaks and non-ASCII, order, purge twice': [
        'endpoints/test_actions.py::test_notifications_keep_order_and_text',
    ],
    "the daemon's own: aborted stream, contradicted schema, storage": [
        'conformance/test_uploads.py::test_a_cancelled_upload_is_never_complete',
        'conformance/test_uploads.py::'
        'test_a_batch_that_contradicts_the_schema_ends_the_upload_with_a_note',
        'conformance/test_statuses.py::test_a_broken_store_ends_uploads_with_a_note',
        'conformance/test_statuses.py::'
        'test_a_full_disk_is_resource_exhausted_and_ends_the_upload_with_a_note',
    ],
    # query
    'every operator per type': [
        f'{PEER}::test_every_query_operator_means_what_python_means',
        'test_query.py::test_rows_are_found_as_if_evaluated_one_by_one',
    ],
    'two tags': ['conformance/test_searches.py::test_a_sequence_needs_a_topic_of_every_tag'],
    'same row': [
        'conformance/test_searches.py::test_one_row_has_to_satisfy_all_conditions_on_a_tag',
    ],
    'names with leading slashes': [
        'conformance/test_searches.py::test_names_are_asked_for_with_and_without_slashes',
    ],
    'senseless queries: INVALID_ARGUMENT': [
        'conformance/test_searches.py::test_senseless_queries',
        'conformance/test_hostile.py::test_hostile_query_operands',
        'conformance/test_hostile.py::test_hostile_query_paths',
    ],
    # clustering
    'dt = 0, below, equal to the gap': ['conformance/test_searches.py::test_clusters'],
    'intersections': ['conformance/test_searches.py::test_intersections'],
    # statuses of section 1.5
    'ALREADY_EXISTS, NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION as clients see them': [
        'conformance/test_statuses.py::test_statuses_of_requests',
    ],
    'ABORTED': ['conformance/test_statuses.py::test_aborted'],
    'RESOURCE_EXHAUSTED': ['conformance/test_statuses.py::test_resource_exhausted'],
    'DATA_LOSS': ['conformance/test_statuses.py::test_data_loss'],
    'INTERNAL': ['conformance/test_statuses.py::test_a_broken_store_ends_uploads_with_a_note'],
    'UNAVAILABLE': ['conformance/test_statuses.py::test_unavailable'],
    'UNIMPLEMENTED': ['conformance/test_statuses.py::test_unimplemented'],
    'DEADLINE_EXCEEDED': ['conformance/test_statuses.py::test_deadline_exceeded'],
    # other clients
    'releases 0.3 to 0.7 of the published client': [
        '../peers/test_releases.py::test_every_step_of_every_release_works',
    ],
    'error policies of the published client': [f'{PEER}::test_all_error_policies'],
    'PlotJuggler': [
        'endpoints/test_plotjuggler.py::test_browsing_and_downloading',
        'endpoints/test_plotjuggler.py::test_the_rest_of_its_client',
    ],
}


@pytest.mark.parametrize('line', TABLE)
def test_what_the_table_names_exists(line):
    for place in TABLE[line]:
        file, _, name = place.partition('::')
        tree = ast.parse((DAEMON / file).read_text())
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, place
