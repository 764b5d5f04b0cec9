"""Who may reach whom in the cluster: exactly these pairs, and nobody else."""

from itertools import product

from tests.k8s.manifests import Object, of_kind, pod, ports, service_of, workloads
from tests.k8s.network import Peer, reaches, selects

DATA = {"detection": 8001, "clip": 8002, "owlvit": 8003, "llava": 8004}
PROMETHEUS = Peer("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"})
INGRESS = Peer("ingress", "gateway-system", {"app": "proxy"})
DNS = Peer("dns", "kube-system", {"k8s-app": "kube-dns"}, {"dns": 53})
INTERNET = Peer("internet", ports={"https": 443, "smtp": 25}, address="203.0.113.7")
METADATA = Peer("metadata", ports={"http": 80, "https": 443}, address="169.254.169.254")
STRANGERS = (
    Peer("neighbour", "ocelli", {}, {"http": 8000}),
    Peer("other-tenant", "default", {"app.kubernetes.io/component": "gateway"}, {"http": 8000}),
    Peer("grafana", "monitoring", {"app.kubernetes.io/name": "grafana"}),
)
WORLD = (PROMETHEUS, INGRESS, DNS, INTERNET, METADATA, *STRANGERS)

Pair = tuple[str, str, int]


def ours(objects: list[Object]) -> list[Peer]:
    """The pods of each workload."""
    return [Peer(service_of(w), "ocelli", pod(w)["metadata"]["labels"], ports(w)) for w in workloads(objects)]


def allowed(objects: list[Object]) -> set[Pair]:
    """Every pair of peers, one of them ours, and the port on which the first reaches the second."""
    policies = of_kind(objects, "NetworkPolicy")
    peers = [*ours(objects), *WORLD]
    inside = {peer.name for peer in peers if peer.namespace == "ocelli"}
    return {
        (source.name, target.name, port)
        for source, target in product(peers, peers)
        for port in target.ports.values()
        if source != target and inside & {source.name, target.name} and reaches(policies, source, target, port)
    }


def from_gateway() -> set[Pair]:
    return {("gateway", service, port) for service, port in DATA.items()}


def to_dns(*more: str) -> set[Pair]:
    return {(source, "dns", 53) for source in ("gateway", *DATA, "neighbour", *more)}


def test_in_dev_the_gateway_reaches_the_services_and_all_reach_dns(dev: list[Object]) -> None:
    assert allowed(dev) == from_gateway() | to_dns()


def test_in_prod_prometheus_the_ingress_and_the_bucket_come_on_top(prod: list[Object]) -> None:
    scraped = {("prometheus", service, port + 1000) for service, port in {"gateway": 8000, **DATA}.items()}
    assert allowed(prod) == (
        from_gateway()
        | to_dns()
        | scraped
        | {("ingress", "gateway", 8000)}
        | {(service, "internet", 443) for service in DATA}
    )


def test_a_job_reaches_the_admin_surface_of_the_services_and_nobody_reaches_the_job(
    dev: list[Object], job: list[Object]
) -> None:
    pushes = {("finetune", service, port + 1000) for service, port in DATA.items()}
    assert allowed([*dev, *job]) == from_gateway() | to_dns("finetune") | pushes


def test_the_pods_of_one_training_reach_each_other_and_nobody_else_reaches_them(job: list[Object]) -> None:
    (run,) = workloads(job)
    together = "completionMode" in run["spec"]
    labels = pod(run)["metadata"]["labels"]
    first, second = (Peer(f"pod-{n}", "ocelli", labels, {"any": 41234}) for n in (0, 1))
    policies = [*of_kind(job, "NetworkPolicy"), DENY]
    assert reaches(policies, first, second, 41234) is together
    assert not any(reaches(policies, stranger, first, 41234) for stranger in WORLD)


def test_a_service_admits_nobody_but_the_gateway_at_its_data_port_whatever_others_are_allowed_to_send(
    dev: list[Object],
) -> None:
    admitting = [one for one in of_kind(dev, "NetworkPolicy") if "Ingress" in one["spec"]["policyTypes"]]
    incoming = [one | {"spec": one["spec"] | {"policyTypes": ["Ingress"]}} for one in admitting]
    peers = {peer.name: peer for peer in ours(dev)}
    for (source, caller), (target, service) in product(peers.items(), peers.items()):
        for name, port in service.ports.items():
            expected = source == "gateway" and target in DATA and name == "http"
            if source != target:
                assert reaches(incoming, caller, service, port) is expected, (source, target, port)


def test_pods_without_a_policy_of_their_own_are_denied_everything_but_dns(overlay: list[Object]) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    anybody = Peer("anybody", "ocelli", {"app": "shell"}, {"http": 80})
    assert not any(reaches(policies, peer, anybody, 80) for peer in WORLD)
    assert [peer.name for peer in WORLD for port in peer.ports.values() if reaches(policies, anybody, peer, port)] == [
        "dns"
    ]


def test_the_evaluator_knows_every_operator_of_selectors() -> None:
    labels = {"tier": "front"}
    cases = {"In": (["front"], True), "NotIn": (["front"], False), "Exists": ([], True), "DoesNotExist": ([], False)}
    for operator, (values, expected) in cases.items():
        expression = {"key": "tier", "operator": operator, "values": values}
        assert selects({"matchExpressions": [expression]}, labels) is expected


DENY: Object = {
    "metadata": {"namespace": "ocelli"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
