"""Notes about faults as messages."""

import pytest

from mosaico_ros.nodes.fault_notes import FaultNote, status
from mosaico_ros.nodes.faults import FaultEvent, Severity

pytest.importorskip('diagnostic_msgs')


@pytest.mark.parametrize(
    ('severity', 'outcome', 'level'),
    [
        (Severity.INFO, 'near_miss', b'\x01'),
        (Severity.WARN, 'mild', b'\x01'),
        (Severity.ERROR, 'snapshot', b'\x02'),
        (Severity.CRITICAL, 'snapshot', b'\x02'),
        (Severity.CRITICAL, 'healed', b'\x00'),
    ],
)
def test_levels_are_those_of_diagnostics(severity, outcome, level):
    event = FaultEvent('HOT', severity, '/motor', 7, description='90 degrees', extra={'axis': '2'})
    told = status(FaultNote(outcome, event, ('/motor', '/watch'), 3, 'id'), 'rover_7')
    assert (told.level, told.name, told.message) == (level, 'HOT', '90 degrees')
    assert told.hardware_id == 'rover_7'
    assert {value.key: value.value for value in told.values} == {
        'outcome': outcome,
        'severity': severity.label,
        'reports': '3',
        'sources': '/motor,/watch',
        'stamp_ns': '7',
        'snapshot_id': 'id',
        'axis': '2',
    }
