"""What cannot work is refused when the chart is rendered, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.support.chart import render

GPUS: dict[str, Any] = {"workers": {"gpus": 8}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two control stores": (
        {"ray": {"gcs": {"bundled": True, "redisAddress": "a:1", "passwordSecretName": "x"}}},
        "choose one",
    ),
    **{
        f"control store at {address}": (
            {"ray": {"gcs": {"redisAddress": address, "passwordSecretName": "x"}}},
            "give one HOST:PORT",
        )
        for address in ("gcs", "gcs:port", "http://gcs:6379", "a:6379,b:6379", "gcs:6379/0")
    },
    "control store that is the catalog, over TLS": (
        {
            "redis": {"host": "r"},
            "ray": {"gcs": {"redisAddress": "rediss://r:6379", "passwordSecretName": "x"}},
        },
        "is the catalog's Redis",
    ),
    "bundled control store without password": (
        {"ray": {"gcs": {"bundled": True, "passwordSecretName": ""}}},
        "passwordSecretName",
    ),
    "authority without TLS": ({"redis": {"tlsCaSecretName": "ca"}}, "without redis.tls"),
    "TLS to the bundled server": ({"redis": {"tls": True}}, "give redis.host"),
    "keys by name alone": (
        {"stack": {"ingress": {"api_keys": {"town": {"simulations": ["town"]}}}}},
        "give both or neither",
    ),
    "keys without names": ({"apiKeys": {"secretName": "keys"}}, "give both or neither"),
    "a map set to null": ({"ingress": None}, "missing property 'ingress'"),
    "text set to null": (
        {"redis": {"tlsCaSecretName": None}},
        "missing property 'tlsCaSecretName'",
    ),
    "a switch set to null": ({"networkPolicy": {"enabled": None}}, "missing property 'enabled'"),
    "a port that cannot be": ({"serve": {"port": 70000}}, "got 70,000, want 65,535"),
    "the API at a port of Ray's": ({"serve": {"port": 8080}}, "which Ray takes in its pods"),
    "a map inside of another set to null": ({"ray": {"gcs": None}}, "missing property 'gcs'"),
    "no key": ({"apiKey": {"secretName": ""}}, "apiKey needs a value or a secretName"),
    "two keys": ({"apiKey": {"value": "k"}}, "give one"),
    "no password": ({"redis": {"password": {"secretName": ""}}}, "redis.password needs"),
    "open ray": (
        {"ray": {"tokenAuth": False}, "networkPolicy": {"enabled": False}},
        "anyone who reaches the head",
    ),
    "long name": ({"fullnameOverride": "a" * 48, "redis": {"host": "r"}}, "at most 47"),
    "long name of a bundled server": ({"fullnameOverride": "a" * 47}, "at most 46"),
    "long name of a job": (
        {"fullnameOverride": "a" * 44, "job": {"enabled": True, "outClaim": "o"}},
        "at most 43",
    ),
    "name with a digit first": ({"fullnameOverride": "1town"}, "a letter first"),
    "no model": ({"stack": {"engine": {"model_path": ""}}}, "model_path is empty"),
    "model on no volume": ({"volumes": {"models": {"existingClaim": ""}}}, "nothing is mounted"),
    "a model on a claim that nothing fills": (
        {"volumes": {"models": {"existingClaim": "", "size": "9Gi"}}},
        "makes empty: give model.source",
    ),
    "host tiers above the pod": (
        GPUS | {"stack": {"engine": {"host_bytes": 3 * 2**30}}},
        r"host_bytes is 24\.0 GiB .*limits\.memory is 16Gi",
    ),
    "storage tiers above the disk": (
        {
            "stack": {"engine": {"storage_dir": "/state", "storage_bytes": 2 * 2**40}},
            "volumes": {"storage": {"size": "1Ti"}},
        },
        r"storage_bytes is 2048\.0 GiB .*storage\.size is 1Ti",
    ),
    "shared memory above the pod": (
        {"volumes": {"shmSize": "20G"}},
        r"shmSize is 18\.6 GiB",
    ),
    "adapters on no volume": (
        {"stack": {"engine": {"adapters": {"roots": ["/adapters"]}}}},
        "volumes.adapters",
    ),
    "models on no volume": (
        {
            "stack": {"engine": {"model_path": "org/m", "models": {"roots": ["/models/tuned"]}}},
            "volumes": {"models": {"existingClaim": ""}},
        },
        "volumes.models",
    ),
    "nothing to run": ({"serve": {"enabled": False}}, "nothing would run"),
    "gateway of every host": ({"gateway": {"enabled": True}}, "needs gateway.parentRefs"),
    "gateway behind a closed door": (
        {"gateway": {"enabled": True, "hostnames": ["h"], "parentRefs": [{"name": "g"}]}},
        "networkPolicy.clients",
    ),
    "autoscaling without an end": (
        {"stack": {"autoscaling": {"target_ongoing_requests": 8}}},
        "max_replicas",
    ),
    "autoscaling that never happens": (
        GPUS | {"stack": {"autoscaling": {"max_replicas": 2, "target_ongoing_requests": 500}}},
        "which no engine ever has",
    ),
    "autoscaling backwards": (
        GPUS
        | {
            "stack": {
                "autoscaling": {
                    "min_replicas": 3,
                    "max_replicas": 2,
                    "target_ongoing_requests": 5,
                }
            }
        },
        "swap them",
    ),
    "too many engines at most": (
        GPUS | {"stack": {"autoscaling": {"max_replicas": 9, "target_ongoing_requests": 5}}},
        "room for 8",
    ),
    "more engines on a worker than GPUs": (
        GPUS | {"stack": {"engines_per_machine": 9}},
        "but a worker has 8",
    ),
    "a second engine on a CPU": ({"stack": {"replicas": 2}}, "engines_per_machine"),
    "a service behind a closed door": (
        {"serve": {"serviceType": "LoadBalancer"}},
        "serviceType is LoadBalancer, and networkPolicy.clients is empty",
    ),
    "ingress of every host": ({"ingress": {"enabled": True}}, "needs ingress.host"),
    "ingress behind a closed door": (
        {"ingress": {"enabled": True, "host": "sim.example.org"}},
        "networkPolicy.clients",
    ),
    "storage on no volume": ({"stack": {"engine": {"storage_dir": "/state"}}}, "on no volume"),
    "replicas' ports over the controller's": (
        {"stack": {"metrics": {"controller_port": 8090, "replica_port": 8082}}},
        "controller_port is 8090, one of the 16",
    ),
    "replicas' ports over the API's": (
        {"serve": {"port": 8085}, "monitoring": {"podMonitor": {"enabled": True}}},
        "serve.port is 8085, one of the 16",
    ),
    "controller's port is Ray's": (
        {"stack": {"metrics": {"controller_port": 8265}}},
        "which Ray takes in its pods",
    ),
    "replicas' ports over Ray's": (
        {"stack": {"metrics": {"controller_port": 9001, "replica_port": 8390}}},
        "a port of Ray's, 8404, is 8404, one of the 16",
    ),
    "one port for two": ({"stack": {"metrics": {"controller_port": 8000}}}, "are both 8000"),
    "GPUs that no engine would use": (
        {"workers": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
        "give them by workers.gpus alone",
    ),
    "an operator that is kept out": ({"networkPolicy": {"operator": []}}, "operator is empty"),
    "two sources of packages": (
        {
            "job": {
                "enabled": True,
                "entrypoint": "python town.py",
                "runtimeEnv": {"pip": ["a"], "uv": ["b"]},
            }
        },
        "takes one of them",
    ),
    "too many engines": (GPUS | {"stack": {"replicas": 9}}, "room for 8"),
    "engine over workers": (GPUS | {"stack": {"engine": {"tp_size": 16}}}, "cannot span workers"),
    "too many engines of four GPUs": (
        GPUS | {"stack": {"replicas": 3, "engine": {"tp_size": 4}}},
        "room for 2",
    ),
    "autoscaling range": (
        {"autoscaling": {"enabled": True, "minReplicas": 2}},
        "must lie between",
    ),
    "budget over workers": (
        {"podDisruptionBudget": {"minAvailableWorkers": 2}},
        "no node could ever be drained",
    ),
    "one redis for both": (
        {"ray": {"gcs": {"redisAddress": "town-scalesim-redis:6379", "passwordSecretName": "x"}}},
        "needs one of its own",
    ),
    "control store without password": (
        {"ray": {"gcs": {"redisAddress": "gcs:6379", "passwordSecretName": ""}}},
        "passwordSecretName",
    ),
    "job without a claim": ({"job": {"enabled": True}}, "outClaim"),
    "unknown value": ({"imagee": {}}, "imagee"),
    "secret in the stack": ({"stack": {"ingress": {"api_key": "k"}}}, "api_key"),
    "another secret in the stack": (
        {"stack": {"ingress": {"api_keys": {"a": {"key": "k", "simulations": ["town"]}}}}},
        "key",
    ),
    "a secret of another server in the stack": (
        {"stack": {"ingress": {"embeddings": {"url": "http://e/v1", "api_key": "k"}}}},
        "api_key",
    ),
    "value out of range": ({"stack": {"engine": {"page_size": 0}}}, "page_size"),
    "choice": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    values, words = REFUSED[case]
    with pytest.raises(HelmError, match=words):
        render(values)
