"""Any value of any built-in type survives the way into columns, into Parquet and back."""

import sys
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from mosaico_ros.models import Message
from mosaico_ros.models.core.columns import decode, encode, writer_schema

sys.path.insert(0, str(Path(__file__).parent))
from any_values import TYPES, instances, plain, sample


@pytest.mark.parametrize('cls', TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_type_survives(cls, data):
    payloads = data.draw(st.lists(instances(cls), max_size=4))
    messages = [Message(data=payload, timestamp_ns=i) for i, payload in enumerate(payloads)]
    batch = encode(cls, messages)
    batch.validate(full=True)
    assert batch.schema.equals(writer_schema(cls), check_metadata=True)
    back = decode(cls, batch)
    assert [type(message.data) for message in back] == [cls] * len(messages)
    assert [plain(m.model_dump()) for m in back] == [plain(m.model_dump()) for m in messages]
    # A slice of a bigger batch decodes to the same rows.
    sliced = decode(cls, batch.slice(1))
    assert [plain(m.model_dump()) for m in sliced] == [plain(m.model_dump()) for m in messages[1:]]


@pytest.mark.parametrize('cls', TYPES, ids=lambda cls: cls.__name__)
def test_parquet_takes_every_type(cls, tmp_path):
    """Parquet refuses nulls in not-null fields even below a null struct."""
    drawn = [Message(data=d, timestamp_ns=i) for i, d in enumerate(sample(cls, 8))]
    table = pa.Table.from_batches([encode(cls, drawn)])
    pq.write_table(table, tmp_path / 't.parquet')
    assert pq.read_table(tmp_path / 't.parquet').num_rows == len(drawn)
