"""L2 isolation of tenant networks on Open vSwitch, for Ryu and os-ken."""

__version__ = "0.1.0"
