"""What notices faults on live topics.

Every source watches some of the captured topics, column by column, and says what it saw as
`FaultEvent`. What it watches is captured into the ring as well, so that it is in the snapshot.
"""

from mosaico_ros.nodes.fault_sources.base import Source, Watch
from mosaico_ros.nodes.fault_sources.building import sources

__all__ = ['Source', 'Watch', 'sources']
