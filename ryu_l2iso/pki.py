"""``l2iso-pki``: the certificates of a fleet, made with openssl(1).

Two certificate authorities, as ovs-pki(8) has them: one signs controllers, the other nodes.  Open
vSwitch looks at no name in the certificate of who connects to it, so with one authority the
certificate of any node would open the database of every other.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.state.values import dpid_to_str, parse_dpid

PROG = "l2iso-pki"
CONTROLLER_CA = "controller-ca"
NODE_CA = "node-ca"
CA_DAYS = 3650
DAYS = 365

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*")

_AUTHORITY = """\
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

# Both are clients and servers: of OpenFlow the one, of OVSDB the other.
_MEMBER = """\
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
"""

# That of the machine is not read: what a certificate says must not depend on it.
_REQUEST = """\
[req]
distinguished_name = name
prompt = no
[name]
O = ryu_l2iso
CN = {name}
"""


def make_authorities(directory: Path, days: int = CA_DAYS) -> None:
    """Make both authorities: ``controller-ca`` and ``node-ca``, each a .key and a .pem.

    Raises L2IsoError, as everything here does, when openssl fails or a file exists already.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (CONTROLLER_CA, NODE_CA):
        _make(directory, name, _AUTHORITY, days, None)


def make_controller(directory: Path, name: str, hosts: Sequence[str], days: int = DAYS) -> None:
    """Make a controller's key and certificate; ``hosts`` is what REST clients call it by."""
    if not hosts:
        raise InvalidValue("host", "the controller needs at least one address or host name")
    names = ", ".join(_host(host) for host in hosts)
    _make(directory, _member(name), _MEMBER.format(names=names), days, CONTROLLER_CA)


def make_node(directory: Path, name: str, dpids: Sequence[int], days: int = DAYS) -> None:
    """Make a node's key and certificate, which names the switches that it may be."""
    if not dpids:
        raise InvalidValue("dpid", "the node needs at least one")
    names = ", ".join(f"URI:urn:l2iso:dpid:{dpid_to_str(dpid)}" for dpid in dpids)
    _make(directory, _member(name), _MEMBER.format(names=names), days, NODE_CA)


def _member(name: str) -> str:
    if not _NAME.fullmatch(name) or name in (CONTROLLER_CA, NODE_CA):
        raise InvalidValue("name", "must be 1 to 64 letters, digits and . _ - and not an authority")
    return name


def _host(host: str) -> str:
    """Return the entry of subjectAltName for an address or a host name."""
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        if not _HOST.fullmatch(host):
            raise InvalidValue("host", f"{host} is no address and no host name") from None
        return f"DNS:{host}"


def _make(directory: Path, name: str, extensions: str, days: int, authority: str | None) -> None:
    """Make a key and its certificate, signed by an authority or, without one, by itself."""
    made = (directory / f"{name}.key", directory / f"{name}.pem")
    for path in made:
        if path.exists():
            raise L2IsoError(f"{path} exists; nothing is ever overwritten")
    if authority is not None and not (directory / f"{authority}.key").exists():
        raise L2IsoError(f"{directory} has no {authority}.key: start with {PROG} init")
    with tempfile.TemporaryDirectory(prefix=".making-", dir=directory) as temporary:
        key, certificate = _openssl_files(Path(temporary), name, extensions, days, authority)
        key.chmod(0o600)
        certificate.chmod(0o644)
        _publish(dict(zip((key, certificate), made)))


def _openssl_files(
    folder: Path, name: str, extensions: str, days: int, authority: str | None
) -> tuple[Path, Path]:
    """Make key and certificate in a folder of the directory with the authorities."""
    key, request, certificate = folder / "key", folder / "request", folder / "certificate"
    config, extfile = folder / "config", folder / "extensions"
    config.write_text(_REQUEST.format(name=name))
    extfile.write_text(extensions)
    # Elliptic: a handshake costs the controller a tenth of what RSA does.
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    _openssl("req", "-new", "-config", config, "-key", key, "-out", request)
    signer: list[str | Path] = ["-signkey", key]
    if authority is not None:
        ca = folder.parent / authority
        signer = ["-CA", ca.with_suffix(".pem"), "-CAkey", ca.with_suffix(".key")]
    serial = f"0x{secrets.token_hex(16)}"
    arguments: list[str | Path] = ["-in", request, "-out", certificate, "-extfile", extfile]
    _openssl(
        *("x509", "-req", "-sha256", "-days", str(days), "-set_serial", serial), *arguments, *signer
    )
    return key, certificate


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *(str(argument) for argument in arguments)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    except FileNotFoundError:
        raise L2IsoError("openssl is not installed; apt-get install openssl") from None
    if done.returncode != 0:
        said = " / ".join(done.stderr.decode(errors="replace").strip().splitlines())
        raise L2IsoError(f"openssl {arguments[0]}: {said}")


def _publish(files: dict[Path, Path]) -> None:
    """Give files their names, all or none; a link, unlike a rename, replaces nothing."""
    published: list[Path] = []
    try:
        for temporary, path in files.items():
            os.link(temporary, path)
            published.append(path)
    except OSError as error:
        for path in published:
            path.unlink()
        raise L2IsoError(f"{path}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROG, description="Make the certificates of a fleet.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "init": "make the two authorities, controller-ca and node-ca",
        "controller": "make a controller's key and certificate",
        "node": "make a node's key and certificate, which names its switches",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("directory", type=Path, help="where the authorities are")
        days = CA_DAYS if name == "init" else DAYS
        command.add_argument("--days", type=int, default=days, help=f"how long it is valid: {days}")
        if name != "init":
            command.add_argument("name", help="what the files are called")
    commands.choices["controller"].add_argument(
        "host", nargs="+", help="address or host name that REST clients call it by"
    )
    commands.choices["node"].add_argument("dpid", nargs="+", help="datapath id, 16 hex digits")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``l2iso-pki``; return its exit status."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    directory: Path = arguments.directory
    try:
        if arguments.days < 1:
            raise InvalidValue("days", "must be 1 or more")
        if arguments.command == "init":
            make_authorities(directory, arguments.days)
        elif arguments.command == "controller":
            make_controller(directory, arguments.name, arguments.host, arguments.days)
        else:
            dpids = [parse_dpid(dpid) for dpid in arguments.dpid]
            make_node(directory, arguments.name, dpids, arguments.days)
    except (L2IsoError, OSError) as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
