"""ROS 2 nodes and, beside each, the parts of it that need no ROS and are tested alone."""
