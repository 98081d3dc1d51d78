#!/bin/sh
# Install the Debian packages whose commands are missing; do nothing when none is.
set -eu

PYTHON=${PYTHON:-python3}
missing=""

need() { # command, package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need ovs-vsctl openvswitch-switch
need ovsdb-tool openvswitch-common
need ip iproute2
need openssl openssl
need ethtool ethtool
# For the commands that "make lab" prints to play with.
need ping iputils-ping
need curl curl
need tcpdump tcpdump
need "$PYTHON" python3
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"

case ",${PEERS:-}," in
*,ovn,*)
    need ovn-northd ovn-central
    need ovn-controller ovn-host
    ;;
esac

[ -n "$missing" ] || exit 0
echo "Missing Debian packages:$missing"
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "Install them, or run this as root on Debian." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The machine's own Open vSwitch is not used. RUNLEVEL=1 keeps init scripts from starting it where
# there is no systemd; there the start would fail without the kernel module, and the installation.
export RUNLEVEL=1
apt-get update
# shellcheck disable=SC2086
apt-get install --yes --no-install-recommends $missing
