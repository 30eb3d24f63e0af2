"""Types whose layout may still change between releases; stored and queried like all others."""

from mosaico_ros.models.futures.depth_camera import RGBDCamera as RGBDCamera
from mosaico_ros.models.futures.depth_camera import StereoCamera as StereoCamera
from mosaico_ros.models.futures.depth_camera import ToFCamera as ToFCamera
from mosaico_ros.models.futures.grids import GridCells as GridCells
from mosaico_ros.models.futures.grids import MapMetadata as MapMetadata
from mosaico_ros.models.futures.grids import OccupancyGrid as OccupancyGrid
from mosaico_ros.models.futures.laser import LaserScan as LaserScan
from mosaico_ros.models.futures.laser import MultiEchoLaserScan as MultiEchoLaserScan
from mosaico_ros.models.futures.lidar import Lidar as Lidar
from mosaico_ros.models.futures.radar import Radar as Radar
