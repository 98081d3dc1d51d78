"""Certificates for the tests: good ones as ``l2iso-pki`` makes them, and bad ones of every kind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from ryu_l2iso import pki, tls

DPID, OTHER_DPID = 0xA1, 0xB2
HOST = "127.0.0.1"

_CA = """\
[ca]
default_ca = this
[this]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
"""


class Pki:
    """A fleet's certificates in a directory, which are made where there is none.

    ``controller``, ``node`` of DPID and ``other``, the node of OTHER_DPID.  `add_bad` makes more:
    ``expired-`` and ``early-`` (not valid yet) ``node`` and ``controller``; ``elsewhere``, a
    controller at another address; ``strangers/foreign``, a node of authorities of somebody else;
    and ``selfsigned``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if directory.exists():
            return
        pki.make_authorities(directory)
        pki.make_controller(directory, "controller", [HOST, "localhost"])
        pki.make_node(directory, "node", [DPID])
        pki.make_node(directory, "other", [OTHER_DPID])

    def copy(self, directory: Path) -> Pki:
        """Return the same certificates in another directory, for a test that replaces some."""
        shutil.copytree(self.directory, directory)
        return Pki(directory)

    def add_bad(self) -> None:
        """Make the bad ones, with the dpid or the address of the good ones."""
        for authority in (pki.NODE_CA, pki.CONTROLLER_CA):
            place = "node" if authority == pki.NODE_CA else "controller"
            self._date(authority, place, f"expired-{place}", "20200101000000Z", "20210101000000Z")
            self._date(authority, place, f"early-{place}", "20900101000000Z", "20910101000000Z")
        strangers = self.directory / "strangers"
        pki.make_authorities(strangers)
        pki.make_node(strangers, "foreign", [DPID])
        self._openssl(
            "req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
            f" -addext subjectAltName=URI:urn:l2iso:dpid:{DPID:016x}"
            " -keyout selfsigned.key -out selfsigned.pem"
        )
        pki.make_controller(self.directory, "elsewhere", ["192.0.2.77"])

    def files(self, name: str, ca: str, folder: str = "") -> tls.Files:
        """Return a key, its certificate and the certificate of an authority."""
        base = self.directory / folder / name
        return tls.Files(f"{base}.key", f"{base}.pem", str(self.directory / f"{ca}.pem"))

    @property
    def controller(self) -> tls.Files:
        """What a controller is given."""
        return self.files("controller", pki.NODE_CA)

    @property
    def node(self) -> tls.Files:
        """What the node of DPID is given."""
        return self.files("node", pki.CONTROLLER_CA)

    def _date(self, authority: str, like: str, name: str, start: str, end: str) -> None:
        """Make a certificate with the key and the names of another one, for another time."""
        folder = self.directory / f"{name}.ca"
        folder.mkdir()
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        (folder / "config").write_text(_CA.format(folder=folder))
        names = self._openssl(f"x509 -in {like}.pem -noout -ext subjectAltName")
        entries = names.splitlines()[1].replace("IP Address:", "IP:").strip()
        (folder / "extensions").write_text(f"subjectAltName = {entries}\n")
        self._openssl(f"req -new -key {like}.key -subj /CN={name} -out {name}.ca/request")
        self._openssl(
            f"ca -batch -notext -config {name}.ca/config -startdate {start} -enddate {end}"
            f" -in {name}.ca/request -extfile {name}.ca/extensions"
            f" -cert {authority}.pem -keyfile {authority}.key -out {name}.pem"
        )
        os.link(self.directory / f"{like}.key", self.directory / f"{name}.key")

    def _openssl(self, arguments: str) -> str:
        """Run openssl(1) in the directory; no argument has a space in it."""
        command = ["openssl", *arguments.split()]
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, timeout=20, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode()


def replace(old: tls.Files, new: tls.Files, between: Callable[[], object] = lambda: None) -> None:
    """Put other files in place of certificate and key, in the order of docs/security.rst.

    ``between`` is called when one of them has been replaced.
    """
    for path, other in ((old.certificate, new.certificate), (old.private_key, new.private_key)):
        temporary = Path(f"{path}.new")
        temporary.write_bytes(Path(other).read_bytes())
        temporary.rename(path)
        between()
