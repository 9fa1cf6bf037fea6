# ScaleSim on the CPU: laptop clusters, tests, simulations without a GPU.
#   docker build -t scalesim:0.1.0-cpu .
FROM python:3.11-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# KubeRay's probes call wget.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 scalesim

WORKDIR /opt/scalesim
# Before the sources, so that a change of ours does not fetch torch again. PIP_OPTIONS may name an
# index with CPU-only wheels of torch, which saves 4 GB.
ARG PIP_OPTIONS=""
COPY deployments/engine/requirements-cpu.txt deployments/engine/
# hadolint ignore=SC2086
RUN pip install --no-cache-dir ${PIP_OPTIONS} -r deployments/engine/requirements-cpu.txt \
 && pip install --no-cache-dir --no-deps sglang==0.5.23

COPY . .
RUN pip install --no-cache-dir '/opt/scalesim[serve,sim]'

USER 1000
WORKDIR /home/scalesim
EXPOSE 8080
HEALTHCHECK --start-period=120s CMD ["wget", "-qO-", "http://127.0.0.1:8080/health"]
ENTRYPOINT []
CMD ["scalesim", "up", "--model", "random", "--device", "cpu"]
