"""CDR and ROS 1 payloads to columns, a batch at a time."""
