"""Every object of every installation passes the strict schema of its kind."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from tests.support.chart import render, settings, values_file
from tests.support.crds import validator

KUBERNETES = "1.31"
UNCHECKED = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"}

ALL_MONITORING = {
    "monitoring": {
        "prometheusOperator": "present",
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True, "prometheusRule": True},
        "grafanaDashboards": {"enabled": True, "annotations": {"folder": "ScaleSim"}},
    }
}
MATRIX: dict[str, dict[str, Any]] = {
    "least": {},
    "cpu": values_file("values-cpu.yaml"),
    "gpu": values_file("values-gpu.yaml"),
    "gpu-multinode": values_file("values-gpu-multinode.yaml"),
    "monitoring": ALL_MONITORING,
    "secrets by value": {
        "apiKey": {"value": "k", "secretName": ""},
        "redis": {"password": {"value": 'p"w', "secretName": ""}},
    },
    "external redis": {"redis": {"host": "redis.example.org", "tls": True, "username": "sim"}},
    "control store": {"ray": {"gcs": {"redisAddress": "gcs:6379", "passwordSecretName": "gcs"}}},
    "bundled control store": {"ray": {"gcs": {"bundled": True}}},
    "keys of simulations": {
        "apiKeys": {"secretName": "keys"},
        "stack": {"ingress": {"api_keys": {"town": {"simulations": ["town-*"]}}}},
    },
    "authority of redis": {
        "redis": {"host": "redis.example", "tls": True, "tlsCaSecretName": "authority"}
    },
    "own scraper": {"stack": {"metrics": {"controller_port": 9001, "replica_port": 9200}}},
    "nothing optional": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "serviceAccount": {"create": False},
        "serve": {"haproxy": False, "serviceType": "LoadBalancer"},
        "tests": {"enabled": False},
    },
    "claims": {
        "volumes": {
            "models": {"existingClaim": "", "size": "10Gi", "storageClassName": "nfs"},
            "adapters": {"size": "1Gi", "accessModes": ["ReadOnlyMany"]},
            "storage": {"size": "1Ti", "storageClassName": "nvme"},
        },
        "stack": {"engine": {"storage_dir": "/state/kv"}},
        "workers": {"initContainers": [{"name": "fetch", "image": "fetch:1"}]},
    },
    "pods": {
        "commonLabels": {"team": "town"},
        "image": {"pullSecrets": [{"name": "registry"}, "other"]},
        "head": {
            "podLabels": {"a": "b"},
            "podAnnotations": {"c": "d"},
            "priorityClassName": "high",
        },
        "workers": {
            "env": [{"name": "HF_HOME", "value": "/models"}],
            "envFrom": [{"secretRef": {"name": "hub"}}],
            "nodeSelector": {"gpu": "h100"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
            ],
            "runtimeClassName": "nvidia",
            "initContainers": [{"name": "fetch", "image": "fetch:1"}],
            "extraVolumes": [{"name": "cache", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            "livenessProbe": {"exec": {"command": ["true"]}},
            "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 3},
        },
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"cert-manager.io/cluster-issuer": "ours"},
            "host": "sim.example.org",
            "tlsSecretName": "sim-tls",
        },
        "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
    },
    "job": {"job": {"enabled": True, "outClaim": "reports"}},
    "fetched": {
        "model": {
            "source": "hf://org/m",
            "revision": "1",
            "hfToken": {"secretName": "hub"},
            "s3SecretName": "aws",
        },
        "stack": {"engine": {"model_path": ""}},
        "volumes": {
            "models": {"existingClaim": "", "size": "50Gi"},
            "adapters": {"size": "1Gi", "sources": [{"name": "a", "source": "s3://b/a"}]},
        },
    },
    "own job": {
        "serve": {"enabled": False},
        "job": {
            "enabled": True,
            "entrypoint": "python town.py",
            "runtimeEnv": {"working_dir": "https://example.org/town.zip"},
        },
    },
    "autoscaled": {
        "autoscaling": {"enabled": True},
        "stack": {"autoscaling": {"max_replicas": 4, "target_ongoing_requests": 32}},
    },
    "openshift": {"platform": "openshift", "ray": {"tokenSecretName": "token"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MATRIX)
def test_objects_pass_their_schemas(name: str) -> None:
    for (kind, _), found in render(MATRIX[name]).items():
        if kind.startswith("Ray"):
            faults = [f"{e.json_path}: {e.message}" for e in validator(kind).iter_errors(found)]
            assert not faults, faults[:5]
        elif kind not in UNCHECKED:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", sorted(MATRIX.keys() - {"own job"}))
def test_the_stack_is_one_that_starts(name: str) -> None:
    found = settings(render(MATRIX[name]))
    assert found.engine.device == ("cuda" if "gpu" in name else "cpu")
    assert not found.ingress.api_key.get_secret_value()


def test_a_typo_in_a_kuberay_object_is_seen() -> None:
    service = render()["RayService", "town-scalesim"]
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["templte"] = {}
    assert list(validator("RayService").iter_errors(service))
