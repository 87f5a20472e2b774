"""Where a server listens: names and addresses of machines.

Belongs here: what a host name says about who can reach it.
Does not: who may ask (orchestration/guard.py, stillhouse/serving/tokens.py).
"""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=128)  # a server asks it of each request's host
def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host`, a name or an IP address, is reached from this machine only."""
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def is_ip(name: str) -> bool:
    """Whether a name is the text of an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
