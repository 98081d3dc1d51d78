"""Apps that the controller's process runs while it is measured."""
