"""ROS message types to ontology types: declarative column maps, and per-message adapters."""
