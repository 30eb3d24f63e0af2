"""The published names for loading MCAP files and writing them; all recordings go one way here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig, ROSSequenceExtractor
from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
from mosaico_ros.ros_bridge.injection_report import InjectionReport
from mosaico_ros.ros_bridge.injector import RosbagInjector


@dataclass
class MCAPInjectionConfig(ROSInjectionConfig):
    """What to load, and where to; see `ROSInjectionConfig`.

    Attributes
    ----------
    channels : list of str, optional
        Patterns of channel names; see `TopicFilter`.
    """

    channels: list[str] | None = None


class MCAPInjector(RosbagInjector):
    """Loads one MCAP file into a sequence, ROS channels included; see `RosbagInjector`."""

    def __init__(
        self,
        config: MCAPInjectionConfig,
        progress: Callable[[InjectionReport], None] | None = None,
    ) -> None:
        super().__init__(replace(config, topics=config.channels or config.topics), progress)


MCAPExtractorConfig = ROSExtractorConfig
MCAPSequenceExtractor = ROSSequenceExtractor
