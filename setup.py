"""Packaging of ryu_l2iso; all of the metadata is here."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Return the version that ``ryu_l2iso/__init__.py`` states."""
    text = (HERE / "ryu_l2iso" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("ryu_l2iso/__init__.py states no version")
    return found.group(1)


def description() -> str:
    """Return the README."""
    return (HERE / "README.rst").read_text(encoding="utf-8")


# Each upper bound is the first release that nobody has run this with.
REQUIREMENTS = [
    # 3.1.1 is the last one for Python 3.9.
    "os-ken>=3.1,<5",
    # Ryu 4.34 needs 0.30.2; from Python 3.12 on, nothing before 0.36.1 works.
    "eventlet>=0.30.2,<0.42",
    "eventlet>=0.36.1; python_version>='3.12'",
    # Nobody has run this with an older one.
    "ovs>=3.4,<5",
    # 1.8.9 brings legacy-cgi on Python 3.13, which has no cgi module.
    "WebOb>=1.8.9,<2",
    "Routes>=2.5,<3",
    "netaddr>=0.9,<2",
    "oslo.config>=9.0,<11",
    # The agent's; oslo.config brings it anyway.
    "requests>=2.28,<3",
]

TEST_REQUIREMENTS = [
    "hypothesis>=6.80,<7",
    "mypy>=1.10,<3",
    "pytest>=7.4,<10",
    "pytest-cov>=4.1,<8",
    "ruff>=0.6,<1",
    # Sends REST what its description says, and what it does not; not on older ones, see tests/fuzz.
    "schemathesis>=4.32,<5; python_version>='3.11'",
    "tox>=4.11,<5",
    "types-netaddr",
    "types-requests",
    "types-setuptools",
]

# To draw what ``make bench`` measures; 3.5 is the first that sets ticks and labels in one call.
BENCH_REQUIREMENTS = ["matplotlib>=3.5,<4"]

setup(
    name="ryu_l2iso",
    version=version(),
    description="L2 isolation of tenant networks on Open vSwitch, for Ryu and os-ken",
    long_description=description(),
    long_description_content_type="text/x-rst",
    author="ryu_l2iso developers",
    license="Apache-2.0",
    classifiers=[
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: System Administrators",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(9, 14)),
        "Topic :: System :: Networking",
    ],
    packages=find_packages(include=["ryu_l2iso", "ryu_l2iso.*"]),
    package_data={"ryu_l2iso": ["py.typed"]},
    python_requires=">=3.9",
    install_requires=REQUIREMENTS,
    extras_require={"test": TEST_REQUIREMENTS, "bench": BENCH_REQUIREMENTS},
    entry_points={
        "console_scripts": [
            "l2iso-manager = ryu_l2iso.manager:main",
            "l2iso-agent = ryu_l2iso.agent:main",
            "l2iso-pki = ryu_l2iso.pki:main",
            "l2iso-lab = ryu_l2iso.lab.cli:main",
            "l2iso-token = ryu_l2iso.token_command:main",
        ],
        "oslo.config.opts": [
            "ryu_l2iso = ryu_l2iso.config:list_opts",
            "ryu_l2iso.agent = ryu_l2iso.config:list_agent_opts",
        ],
    },
)
