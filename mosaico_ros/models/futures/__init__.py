"""Types whose layout may still change between releases; stored and queried like all others."""

from mosaico_ros.models.futures.depth_camera import (
    RGBDCamera as RGBDCamera,
    StereoCamera as StereoCamera,
    ToFCamera as ToFCamera,
)
from mosaico_ros.models.futures.grids import (
    GridCells as GridCells,
    MapMetadata as MapMetadata,
    OccupancyGrid as OccupancyGrid,
)
from mosaico_ros.models.futures.laser import (
    LaserScan as LaserScan,
    MultiEchoLaserScan as MultiEchoLaserScan,
)
from mosaico_ros.models.futures.lidar import Lidar as Lidar
from mosaico_ros.models.futures.radar import Radar as Radar
