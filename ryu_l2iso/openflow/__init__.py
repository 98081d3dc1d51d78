"""I/O: flows to wire and back, programming and reconciling a switch."""
