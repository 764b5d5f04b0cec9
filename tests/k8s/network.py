"""Who reaches whom under NetworkPolicies, by the rules of networking.k8s.io/v1.

A pod that no policy of a direction selects is open in that direction; of several policies, what any allows is allowed;
a connection needs the egress of its source and the ingress of its target.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}


@dataclass(frozen=True)
class Peer:
    """A pod, or a host outside of the cluster, which has no namespace."""

    name: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str = "10.0.0.1"


def reaches(policies: Iterable[Policy], source: Peer, target: Peer, port: int) -> bool:
    """Whether a connection from `source` to `port` of `target` comes about."""
    every = list(policies)
    for direction, peers, subject, other in (("Egress", "to", source, target), ("Ingress", "from", target, source)):
        chosen = [policy for policy in every if _governs(policy, direction, subject)]
        rules = [rule for policy in chosen for rule in policy["spec"].get(direction.lower(), ())]
        if chosen and not any(
            _peers_allow(rule.get(peers), other, subject.namespace) and _ports_allow(rule.get("ports"), target, port)
            for rule in rules
        ):
            return False
    return True


def _governs(policy: Policy, direction: str, subject: Peer) -> bool:
    spec = policy["spec"]
    return (
        subject.namespace == policy["metadata"]["namespace"]
        and direction in spec["policyTypes"]
        and selects(spec["podSelector"], subject.labels)
    )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(
        OPERATORS[one["operator"]](labels.get(one["key"]), one.get("values", []))
        for one in selector.get("matchExpressions", ())
    )


def _peers_allow(peers: list[Mapping[str, Any]] | None, other: Peer, namespace: str | None) -> bool:
    return not peers or any(_is(peer, other, namespace) for peer in peers)


def _is(peer: Mapping[str, Any], other: Peer, namespace: str | None) -> bool:
    if "ipBlock" in peer:
        address, block = ip_address(other.address), peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(left_out) for left_out in block.get("except", ())
        )
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        there = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        there = other.namespace == namespace
    return there and selects(peer.get("podSelector", {}), other.labels)


def _ports_allow(ports: list[Mapping[str, Any]] | None, target: Peer, port: int) -> bool:
    return not ports or any(target.ports.get(one["port"], one["port"]) == port for one in ports)
