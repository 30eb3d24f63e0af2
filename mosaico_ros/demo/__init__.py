"""The demonstration: a synthetic robot, recorded live, and the proof that nothing was lost."""
