"""Maps and sets of cells."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Int8List, MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Point3d, Pose
from mosaico_ros.models.data.mixins import HeaderMixin
from mosaico_ros.models.data.time import Time


class GridCells(Serializable, HeaderMixin):
    """Cells of a grid, given by their centres.

    Source: nav_msgs/msg/GridCells.
    """

    cell_width: MosaicoType.float32 = MosaicoField(description='Width of a cell, in m.')
    cell_height: MosaicoType.float32 = MosaicoField(description='Height of a cell, in m.')
    cells: list[Point3d] = MosaicoField(description='Centres of the cells, in m.')


class MapMetadata(Serializable):
    """Size and place of a map.

    Source: nav_msgs/msg/MapMetaData.
    """

    map_load_time: Time = MosaicoField(description='When the map was loaded.')
    resolution: MosaicoType.float32 = MosaicoField(description='Edge of a cell, in m.')
    width: MosaicoType.uint32 = MosaicoField(description='Cells per row.')
    height: MosaicoType.uint32 = MosaicoField(description='Number of rows.')
    origin: Pose = MosaicoField(
        description="Pose of the corner of cell (0, 0) in the map's frame."
    )


class OccupancyGrid(Serializable, HeaderMixin):
    """A map of where a robot can go.

    Source: nav_msgs/msg/OccupancyGrid.
    """

    info: MapMetadata = MosaicoField(description='Size and place of the map.')
    data: Int8List = MosaicoField(
        description='Probability that a cell is occupied, row by row: 0 to 100, -1 unknown.'
    )
