"""Fields named by hand, for topics that no class describes."""

from mosaico_ros.models.core.expressions import QueryableBool, QueryableNumeric, QueryableString

__all__ = ['QueryableBool', 'QueryableNumeric', 'QueryableString']
