"""Settings of the daemon.

Each setting has one environment variable, one key in an optional TOML file (the field's name)
and one default, explained beside it. Options of ``mosaicod run`` win over the environment,
the environment over the file, the file over the defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mosaico_ros.daemon.setting_values import convert
from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['Settings', 'as_environment', 'load', 'sources', 'unknown_variables', 'variable']

PREFIX = 'MOSAICOD_'
#: Path of the TOML file; not a setting itself.
CONFIG_VARIABLE = 'MOSAICOD_CONFIG'

_MIB = 1024 * 1024

# Options with another name than their setting.
_OPTIONS = {'require_api_keys': '--api-key'}


def _default_data_dir() -> Path:
    base = os.environ.get('XDG_DATA_HOME') or '~/.local/share'
    return Path(base).expanduser() / 'mosaico'


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limits(
    low: int | None = None, high: int | None = None, choices: tuple[str, ...] | None = None
) -> dict[str, Any]:
    return {'low': low, 'high': high, 'choices': choices}


def _setting(default: Any, *, secret: bool = False, **limits: Any) -> Any:
    return dataclasses.field(default=default, repr=not secret, metadata=_limits(**limits))


@dataclass(frozen=True)
class Settings:
    """All settings; the variable of ``max_chunk_age_seconds`` is MOSAICOD_MAX_CHUNK_AGE_SECONDS.

    Sizes are in bytes; durations in seconds, or written as 90s, 15m, 1h, 2d, 1h30m.
    """

    #: Address to listen on. Local by default: without API keys the archive is open to whoever
    #: reaches it.
    host: str = _setting('127.0.0.1')
    #: Port of the published clients' defaults; 0 lets the system choose.
    port: int = _setting(6726, low=0, high=65535)
    #: Where catalog and chunks live unless the next three settings move them.
    data_dir: Path = dataclasses.field(default_factory=_default_data_dir, metadata=_limits())
    #: Catalog database; by default a SQLite file in the data folder. May hold a password.
    db_url: str = _setting('', secret=True)
    #: Connections to a PostgreSQL catalog: a fraction of what the server admits (100 by its
    #: default), enough for this many queries and commits at the same time.
    max_db_connections: int = _setting(10, low=2, high=1000)
    #: Chunk store; by default the data folder. ``file:///absolute/path``, ``http(s)://host:port``
    #: of an S3 server, or ``s3://`` for AWS.
    store_endpoint: str = _setting('')
    #: Folder or bucket at the endpoint.
    store_bucket: str = _setting('store')
    #: Region of the bucket; by default that of the standard AWS configuration.
    store_region: str = _setting('')
    #: Credentials for S3; by default the standard AWS chain.
    store_access_key: str = _setting('')
    store_secret_key: str = _setting('', secret=True)
    #: A chunk is cut at this size in memory: large enough that a catalog row covers many row
    #: groups, small enough that a few open topics fit into memory. 0: no limit.
    max_chunk_size_in_bytes: int = _setting(64 * _MIB, low=0)
    #: A chunk is cut at this age, so that a slow topic loses at most this much in a crash.
    max_chunk_age_seconds: float = _setting(30.0, low=1)
    #: Rows received that are not durable yet, all uploads together; beyond it senders wait.
    #: Enough for a chunk in the making and one on its way per core.
    max_buffered_size_in_bytes: int = _setting(256 * _MIB, low=1 * _MIB)
    #: What one encoder may hold in memory: a chunk is cut there at the latest, whatever the
    #: limit on chunks says.
    parquet_in_memory_encoding_buffer_size: int = _setting(75 * _MIB, low=1 * _MIB)
    #: Cores to count on; 0 asks the system.
    default_parallelism: int = _setting(0, low=0, high=1024)
    #: Encoders running at once; more than cores gains nothing, so 0 means as many as those.
    max_concurrent_writes: int = _setting(0, low=0, high=256)
    #: Largest message accepted, announced to clients, which cut their batches by it.
    max_grpc_message_size: int = _setting(50 * _MIB, low=4 * _MIB, high=512 * _MIB)
    #: Size at which a read stream cuts its batches: the transport's speed is flat from 1 MiB on,
    #: and progress and cancellation act per batch.
    target_message_size: int = _setting(2 * _MIB, low=64 * 1024, high=64 * _MIB)
    #: Rows of a batch on the way out, however small they are.
    max_batch_size: int = _setting(8192, low=1, high=1 << 20)
    #: An upload that sends nothing, or a reader that takes nothing, for this long is cancelled.
    #: Long, as clients without a flush timer hold a slow topic's rows back for hours; a peer that
    #: has died is noticed within a minute anyway. 0: never.
    idle_timeout: float = _setting(86_400.0, low=0)
    #: Calls served at once; the next one is refused as RESOURCE_EXHAUSTED. Each open upload
    #: holds one.
    max_concurrent_rpcs: int = _setting(512, low=8, high=4096)
    #: Processes that serve one port together. Each is a daemon of its own on the shared archive:
    #: limits on memory, calls and connections hold for each of them.
    workers: int = _setting(1, low=1, high=64)
    #: Queries that read chunks at once; more wait for their turn. Each holds some row groups.
    max_concurrent_chunk_queries: int = _setting(4, low=1, high=256)
    #: Memory for what queries read, all together; a query that does not fit is refused as
    #: RESOURCE_EXHAUSTED. 0: no limit.
    query_engine_memory_pool_size: int = _setting(0, low=0)
    #: Compression of record batches on the way out. Off: it costs more than a 1 Gbit/s link.
    ipc_compression: str = _setting('none', choices=('none', 'lz4', 'zstd'))
    #: Answer as clients up to 0.4 need it: sessions by uuid only, endpoint locations, tolerant
    #: second deletion. It shows write capabilities to readers.
    legacy_clients: bool = _setting(False)
    #: Refuse every call without a valid API key. Off, as nobody but this host reaches the
    #: default address.
    require_api_keys: bool = _setting(False)
    #: Serve TLS, with the next two.
    tls: bool = _setting(False)
    #: PEM files of the certificate (with its chain) and of its private key.
    tls_cert_file: str = _setting('')
    tls_private_key_file: str = _setting('')
    #: PEM file of the authorities whose certificates clients must show (mutual TLS).
    tls_client_ca_file: str = _setting('')
    #: An upload whose daemon has not renewed its lease for this long is taken for dead.
    lease_seconds: float = _setting(30.0, low=1)
    #: How long calls that are being served may go on when the daemon is told to stop; then they
    #: are cancelled, and uploads sealed with what has arrived, within three seconds more. Together
    #: less than the 5 seconds of ROS launch, the most impatient of supervisors (Docker waits 10,
    #: Kubernetes 30, systemd 90).
    shutdown_grace: float = _setting(1.5, low=0)
    #: How often it is time for a cleanup (one daemon does it for all of an archive). 0: never.
    cleanup_time_interval: float = _setting(86_400.0, low=0)
    #: How long the files of what was deleted are kept, in case it was by mistake. 0: not at all.
    cleanup_retention_duration: float = _setting(86_400.0, low=0)
    #: A cleanup that would mark more than this share of all folders marks none and says why.
    cleanup_max_share: float = _setting(0.5, low=0, high=1)
    #: How often small chunks are looked for, to be rewritten into large ones. 0: never.
    optimizer_time_interval: float = _setting(3_600.0, low=0)
    #: Size in memory of the chunks that the optimizer writes; 0: as uploads do.
    optimizer_max_chunk_size: int = _setting(0, low=0)
    #: Where news of the archive are posted as JSON (http or https); empty: nowhere.
    webhook_url: str = _setting('', secret=True)
    #: Port of Prometheus metrics, on the daemon's host; further workers use the ports after it.
    #: 0: none.
    metrics_port: int = _setting(0, low=0, high=65535)
    #: Least severity of what is logged, and how: pretty has colours on a terminal, json is one
    #: object a line.
    log_level: str = _setting('warning', choices=('error', 'warning', 'info', 'debug'))
    log_format: str = _setting('pretty', choices=('pretty', 'plain', 'json'))

    @property
    def parallelism(self) -> int:
        """Cores to count on."""
        return self.default_parallelism or _cores()

    @property
    def chunk_bytes(self) -> int:
        """Size in memory at which a chunk is cut."""
        held = self.parquet_in_memory_encoding_buffer_size
        return min(self.max_chunk_size_in_bytes or held, held)

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'grpc{"+tls" if self.tls else ""}://{host}:{self.port}'

    @property
    def database_url(self) -> str:
        """The catalog's URL, defaults resolved."""
        return self.db_url or f'sqlite:///{self.data_dir / "catalog.db"}'

    @property
    def location(self) -> str:
        """Where the archive is, for people: no passwords."""
        if not self.db_url and not self.store_endpoint:
            return str(self.data_dir)
        from sqlalchemy.engine import make_url

        store = str(self.store_dir)
        if not self.store_is_folder:
            store = f'{self.store_endpoint.rstrip("/")}/{self.store_bucket}'
        return f'{make_url(self.database_url).set(query={})}, {store}'

    @property
    def store_is_folder(self) -> bool:
        """Whether chunks are files in :attr:`store_dir`; else they are objects on S3."""
        return not self.store_endpoint or urlsplit(self.store_endpoint).scheme == 'file'

    @property
    def store_dir(self) -> Path:
        """The folder that holds the chunks, defaults resolved."""
        if not self.store_endpoint:
            return self.data_dir / self.store_bucket
        return Path(unquote(urlsplit(self.store_endpoint).path)) / self.store_bucket


def variable(field_name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field_name.upper()


def load(
    environment: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
    config: Path | None = None,
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environment
        Environment variables.
    options
        Values that win over everything else, by field name; `None` counts as not given.
    config
        TOML file; by default the one that ``MOSAICOD_CONFIG`` names, if any.

    Raises
    ------
    InvalidArgumentError
        Lists everything that is wrong at once.

    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    given = _given(environment, options or {}, config, problems)
    for field in dataclasses.fields(Settings):
        if field.name in given:
            source, value = given[field.name]
            try:
                values[field.name] = convert(field, value)
            except ValueError as error:
                problems.append(f'{source}: {error}')
    if not problems:
        settings = Settings(**values)
        problems.extend(_contradictions(settings))
        if not problems:
            return settings
    raise InvalidArgumentError('The settings are not usable: ' + '; '.join(problems))


def sources(
    environment: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
    config: Path | None = None,
) -> dict[str, str]:
    """Return where the value of each setting comes from, in words; as :func:`load` reads them."""
    given = _given(environment, options or {}, config, [])
    return {
        field.name: given[field.name][0] if field.name in given else 'default'
        for field in dataclasses.fields(Settings)
    }


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which :func:`load` makes equal settings."""
    values = dataclasses.asdict(settings)
    return {variable(name): str(value) for name, value in values.items() if value != ''}


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return one line for each ``MOSAICOD_*`` variable without effect."""
    known = [variable(field.name) for field in dataclasses.fields(Settings)] + [CONFIG_VARIABLE]
    lines = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            hint = f'; did you mean {close[0]}?' if close else ''
            lines.append(f'{name} has no effect{hint}')
    return lines


def _given(
    environment: Mapping[str, str],
    options: Mapping[str, Any],
    config: Path | None,
    problems: list[str],
) -> dict[str, tuple[str, Any]]:
    """Return source and unread value of each setting that is given anywhere."""
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    file_values = _read_config(config, problems) if config is not None else {}
    given: dict[str, tuple[str, Any]] = {}
    for field in dataclasses.fields(Settings):
        name = field.name
        if options.get(name) is not None:
            given[name] = _OPTIONS.get(name, f'--{name.replace("_", "-")}'), options[name]
        elif environment.get(variable(name)):
            given[name] = variable(name), environment[variable(name)]
        elif name in file_values:
            given[name] = f'{config}: {name}', file_values[name]
    return given


def _read_config(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    try:
        values = tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        problems.append(f'{path}: {error}')
        return {}
    known = {field.name for field in dataclasses.fields(Settings)}
    for name in sorted(set(values) - known):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f'; did you mean {close[0]}?' if close else ''
        problems.append(f'{path}: {name} is no setting{hint}')
    return values


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    problems.extend(_endpoint_problems(settings.store_endpoint))
    if settings.webhook_url and urlsplit(settings.webhook_url).scheme not in ('http', 'https'):
        problems.append(f'{variable("webhook_url")}: only http and https are supported')
    if not settings.store_bucket or '/' in settings.store_bucket:
        problems.append(f'{variable("store_bucket")}: {settings.store_bucket!r} is not one name')
    if bool(settings.tls_cert_file) != bool(settings.tls_private_key_file):
        problems.append(
            f'{variable("tls_cert_file")} and {variable("tls_private_key_file")} '
            'are needed together'
        )
    elif settings.tls and not settings.tls_cert_file:
        problems.append(
            f'--tls needs {variable("tls_cert_file")} and {variable("tls_private_key_file")}'
        )
    if settings.tls_client_ca_file and not settings.tls:
        problems.append(f'{variable("tls_client_ca_file")} needs TLS: add --tls')
    if bool(settings.store_access_key) != bool(settings.store_secret_key):
        problems.append(
            f'{variable("store_access_key")} and {variable("store_secret_key")} '
            'are needed together'
        )
    if settings.metrics_port and settings.metrics_port + settings.workers - 1 > 65535:
        problems.append(f'{variable("metrics_port")} leaves no port for each worker')
    if settings.metrics_port and settings.metrics_port <= settings.port < (
        settings.metrics_port + settings.workers
    ):
        problems.append(f'{variable("metrics_port")} and {variable("port")} collide')
    if settings.target_message_size > settings.max_grpc_message_size:
        problems.append(
            f'{variable("target_message_size")} is above {variable("max_grpc_message_size")}'
        )
    return problems


def _endpoint_problems(endpoint: str) -> list[str]:
    name = variable('store_endpoint')
    try:
        parts = urlsplit(endpoint)
        parts.port  # noqa: B018 - parsed when asked for
    except ValueError as error:
        return [f'{name}: {endpoint!r} cannot be read: {error}']
    if not endpoint:
        return []
    if parts.scheme == 'file':
        good, form = not parts.netloc and parts.path.startswith('/'), 'file:///absolute/path'
    elif parts.scheme in ('http', 'https'):
        good = bool(parts.hostname) and parts.path in ('', '/') and '@' not in parts.netloc
        form = f'{parts.scheme}://host:port, with credentials and bucket in their own variables'
    elif parts.scheme == 's3':
        good, form = endpoint == 's3://', f's3://, and the bucket in {variable("store_bucket")}'
    else:
        good = False
        form = 'file:///absolute/path, http(s)://host:port of an S3 server, or s3:// for AWS'
    return [] if good else [f'{name}: write {form}']
