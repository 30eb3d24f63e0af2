"""The actions: administration, queries and clustering."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.query.budget import Alive
from mosaico_ros.daemon.query.windows import Cluster, ClusterRequest
from mosaico_ros.protocol import answers, codec, query, requests, shapes
from mosaico_ros.protocol.api_keys import Permission
from mosaico_ros.protocol.envelope import seal
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.protocol.server_info import ServerInfo

__all__ = ['Actions']

Json = dict[str, Any]

_RESULT_BYTES = 1024 * 1024

# Clients of release 0.3 delete a sequence twice in a row and fail if the second call does. The
# memory of this process is enough: both calls come over one connection, to one worker.
_REPEATED_DELETION_SECONDS = 10.0


@dataclass(frozen=True)
class _Action:
    """One action: what a key needs, what the body holds and who answers.

    `answer` returns the response (`None` for void actions), or with `paged` an iterator of
    responses, each sent as a result of its own. An `answer` that takes long is also told how to
    see whether its caller is still there.
    """

    permission: Permission
    description: str
    request: type | None
    answer: Callable[..., Any]
    paged: bool = False
    takes_long: bool = False


class Actions:
    """All actions of the daemon.

    Parameters
    ----------
    archive
        Where sequences, sessions and topics live.
    info
        How the daemon introduces itself.
    legacy_clients
        Answer as clients up to 0.4 need it.

    """

    def __init__(self, archive: Archive, info: ServerInfo, legacy_clients: bool) -> None:
        self._archive = archive
        self._legacy = legacy_clients
        self._deleted_at: dict[str, float] = {}
        sequence, topic = requests.SequenceRef, requests.TopicRef
        read, write, delete, manage = Permission
        self._table: dict[str, _Action] = {
            'info': _Action(
                read,
                'Version, message sizes and extensions of this daemon',
                requests.Empty,
                lambda _: shapes.to_json(info),
            ),
            'version': _Action(
                read,
                'Version of this daemon, for clients up to 0.6',
                requests.Empty,
                lambda _: info.version_json(),
            ),
            'sequence_create': _Action(
                write, 'Create a sequence', requests.SequenceCreate, self._create_sequence
            ),
            'sequence_delete': _Action(
                delete, 'Delete a sequence with everything in it', sequence, self._delete_sequence
            ),
            'session_create': _Action(
                write,
                'Open an upload session on a sequence',
                requests.SessionCreate,
                self._create_session,
            ),
            'session_finalize': _Action(
                write,
                'Make a session immutable',
                requests.SessionFinalize,
                lambda r: archive.finalize_session(str(r.session_uuid)),
            ),
            'session_seal': _Action(
                write,
                'End a session as it stands, and tell which rows are durable',
                requests.SessionSeal,
                self._seal_session,
            ),
            'session_annotate': _Action(
                write,
                'Add to the user metadata of an open session: of its sequence and topics',
                requests.SessionAnnotate,
                lambda r: archive.annotate_session(
                    str(r.session_uuid),
                    r.user_metadata,
                    {note.locator: note.user_metadata for note in r.topics},
                ),
            ),
            'session_delete': _Action(
                delete,
                'Delete a session with its topics',
                requests.SessionDelete,
                self._delete_session,
            ),
            'topic_create': _Action(
                write,
                'Create a topic in an open session',
                requests.TopicCreate,
                self._create_topic,
            ),
            'topic_delete': _Action(
                delete, 'Delete a topic', topic, lambda r: archive.delete_topic(r.locator)
            ),
            'query': _Action(
                read, 'Find sequences and topics', None, self._query, takes_long=True
            ),
            'topic_filter_clusterize': _Action(
                read,
                'Time spans in which rows of a topic satisfy conditions',
                requests.Clusterize,
                self._clusterize,
                paged=True,
                takes_long=True,
            ),
            'topic_filter_intersect': _Action(
                read,
                'Time spans common to the clusters of several topics',
                requests.Intersect,
                self._intersect,
                paged=True,
                takes_long=True,
            ),
            'api_key_create': _Action(manage, 'Make an API key', None, self._create_key),
            'api_key_status': _Action(
                manage, 'Describe an API key', requests.ApiKeyRef, self._key_status
            ),
            'api_key_revoke': _Action(
                manage,
                'Delete an API key',
                requests.ApiKeyRef,
                lambda r: archive.keys.revoke(r.api_key_fingerprint),
            ),
        }
        targets: tuple[tuple[str, type, type, type], ...] = (
            (
                'sequence',
                sequence,
                requests.SequenceNotificationCreate,
                requests.SequenceNotificationQuery,
            ),
            ('topic', topic, requests.TopicNotificationCreate, topic),
        )
        for kind, ref, create, listed in targets:
            self._table |= {
                f'{kind}_notification_create': _Action(
                    write, f'Attach a notification to a {kind}', create, self._notify
                ),
                f'{kind}_notification_list': _Action(
                    read, f'List the notifications of a {kind}', listed, self._notifications
                ),
                f'{kind}_notification_purge': _Action(
                    delete,
                    f'Delete the notifications of a {kind}',
                    ref,
                    lambda r: archive.purge_notifications(r.locator),
                ),
            }

    def types(self) -> list[tuple[str, str]]:
        """Name and description of each action."""
        return [(name, action.description) for name, action in self._table.items()]

    def permission(self, name: str) -> Permission:
        """What performing an action needs; an unknown one, what any call needs."""
        action = self._table.get(name)
        return Permission.READ if action is None else action.permission

    def perform(self, name: str, body: bytes, alive: Alive) -> Iterator[bytes]:
        """Yield the result bodies of an action.

        Parameters
        ----------
        name, body
            The action.
        alive
            Whether the caller is still there.

        Raises
        ------
        InvalidArgumentError
            Unknown action, or a malformed body.

        """
        action = self._table.get(name)
        if action is None:
            raise InvalidArgumentError(
                f'The action {name[:80]!r} is unknown',
                remedy=f'Known are {", ".join(self._table)}.',
            )
        request: Any = codec.decode_object(body, f'the body of {name}')
        if action.request is not None:
            request = shapes.from_json(action.request, request, name)
        answer = action.answer(request, alive) if action.takes_long else action.answer(request)
        if action.paged:
            for page in answer:
                yield seal(name, page)
        else:
            # Clients join the results of one answer, which so may exceed a message.
            sealed = seal(name, answer)
            for start in range(0, len(sealed), _RESULT_BYTES):
                yield sealed[start : start + _RESULT_BYTES]

    def _create_sequence(self, request: requests.SequenceCreate) -> None:
        self._archive.create_sequence(request.locator, request.user_metadata, request.client_token)

    def _delete_sequence(self, request: requests.SequenceRef) -> None:
        name = request.locator.name
        try:
            self._archive.delete_sequence(request.locator)
        except NotFoundError:
            since = time.monotonic() - self._deleted_at.pop(name, float('-inf'))
            if not self._legacy or since > _REPEATED_DELETION_SECONDS:
                raise
        else:
            if self._legacy:
                now = time.monotonic()
                self._deleted_at = {
                    other: at
                    for other, at in self._deleted_at.items()
                    if now - at <= _REPEATED_DELETION_SECONDS
                } | {name: now}

    def _create_session(self, request: requests.SessionCreate) -> Json:
        uuid, locator = self._archive.create_session(request.locator, request.client_token)
        # Exactly these keys: published clients fail on one more or one less.
        return {'uuid': uuid} if self._legacy else {'uuid': uuid, 'locator': str(locator)}

    def _delete_session(self, request: requests.SessionDelete) -> None:
        if request.locator is not None:
            self._archive.delete_session(locator=request.locator)
        else:
            self._archive.delete_session(uuid=str(request.session_uuid))

    def _seal_session(self, request: requests.SessionSeal) -> Json:
        rows, finalized = self._archive.seal_session(str(request.session_uuid))
        return shapes.to_json(
            answers.SessionSealed(
                [answers.TopicRows(locator, count) for locator, count in rows.items()], finalized
            )
        )

    def _create_topic(self, request: requests.TopicCreate) -> Json:
        uuid = self._archive.create_topic(
            str(request.session_uuid),
            request.locator,
            request.ontology_tag,
            request.serialization_format,
            request.user_metadata,
            request.client_token,
        )
        return {'uuid': uuid}

    def _notify(
        self, request: requests.SequenceNotificationCreate | requests.TopicNotificationCreate
    ) -> None:
        self._archive.notify(
            request.locator, request.notification_type.value, request.msg, request.client_token
        )

    def _notifications(
        self, request: requests.SequenceNotificationQuery | requests.TopicRef
    ) -> Json:
        found = self._archive.notifications(
            request.locator,
            include_topics=isinstance(request, requests.SequenceNotificationQuery)
            and request.include_topics,
        )
        return shapes.to_json(
            answers.NotificationList(
                [
                    answers.Notification(
                        str(item.target), item.type, item.message, _utc_text(item.created_at_ns)
                    )
                    for item in found
                ]
            )
        )

    def _query(self, body: Json, alive: Alive) -> Json:
        parsed = query.parse(body)
        found = self._archive.query(parsed, alive)
        return shapes.to_json(
            answers.QueryAnswer(
                [
                    answers.QueryItem(
                        item.sequence,
                        [
                            answers.QueryTopicItem(
                                topic.locator,
                                topic.ontology_tag,
                                topic.timestamp_range,
                                query.where_json(topic.rows) if topic.rows else None,
                            )
                            for topic in item.topics
                        ],
                    )
                    for item in found
                ],
                found.next_cursor,
                found.plan.to_json() if parsed.explain else None,
            )
        )

    def _clusterize(self, request: requests.Clusterize, alive: Alive) -> Iterator[Json]:
        return map(_cluster_json, self._archive.clusterize(_cluster_request(request), alive))

    def _intersect(self, request: requests.Intersect, alive: Alive) -> Iterator[Json]:
        clusters = self._archive.intersect(
            [_cluster_request(topic) for topic in request.topics], request.intersect_dt_ns, alive
        )
        return map(_cluster_json, clusters)

    def _create_key(self, body: Json) -> Json:
        # Clients send one permission; a list of them means the strongest.
        given = body.get('permissions')
        if isinstance(given, list):
            known = [permission.value for permission in Permission]
            if not given or any(item not in known for item in given):
                raise InvalidArgumentError(
                    "The field 'permissions' of api_key_create lists what is no permission",
                    remedy=f'Known are {", ".join(known)}.',
                )
            body = body | {'permissions': max(given, key=known.index)}
        request = shapes.from_json(requests.ApiKeyCreate, body, 'api_key_create')
        token = self._archive.keys.create(
            request.permissions, request.description, request.expires_at_ns
        )
        return shapes.to_json(answers.ApiKeyCreated(token.reveal()))

    def _key_status(self, request: requests.ApiKeyRef) -> Json:
        key = self._archive.keys.get(request.api_key_fingerprint)
        return shapes.to_json(
            answers.ApiKeyStatus(
                key.fingerprint, key.created_at_ns, key.expires_at_ns, key.description
            )
        )


def _cluster_request(request: requests.Clusterize) -> ClusterRequest:
    window = request.timestamp_range
    return ClusterRequest(
        request.locator,
        query.parse_ontology(request.ontology),
        request.clustering_dt_ns,
        None if window is None else window.start_ns,
        None if window is None else window.end_ns,
        None if request.where is None else query.parse_where(request.where),
    )


def _cluster_json(cluster: Cluster) -> Json:
    return {'ts': {'start_ns': cluster.start_ns, 'end_ns': cluster.end_ns}, 'id': cluster.id}


def _utc_text(ns: int) -> str:
    """Six fraction digits: more are misread by older Pythons, and zones by all clients."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f'{moment:%Y-%m-%d %H:%M:%S}.{fraction // 1000:06d} UTC'
