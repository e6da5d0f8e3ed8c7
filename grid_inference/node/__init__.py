"""A node: one member and its workers as processes, their health; several nodes on this machine."""
