{{/* MetricsSettings: the pods' own endpoints are open where the PodMonitor scrapes them, and where
`stack.metrics` gives ports to another scraper. */}}
{{- define "scalesim.metrics" -}}
{{- $ports := ternary (dict "controller_port" 8081 "replica_port" 8082) dict .Values.monitoring.podMonitor.enabled -}}
{{ merge (dict "host" "0.0.0.0") (default dict .Values.stack.metrics) $ports | toYaml }}
{{- end }}

{{/* Ports of the pods of a group for it, by name: (list root group). The controller lives on the
head; a worker's replicas take the first free ports, so there are as many as engines fit. */}}
{{- define "scalesim.metricsPorts" -}}
{{- $root := index . 0 -}}
{{- $metrics := include "scalesim.metrics" $root | fromYaml -}}
{{- $ports := list -}}
{{- if and (eq (index . 1) "head") $metrics.controller_port -}}
{{- $ports = append $ports (dict "name" "controller" "containerPort" $metrics.controller_port) -}}
{{- end -}}
{{- if and (eq (index . 1) "workers") $metrics.replica_port -}}
{{- range $n := until (include "scalesim.enginesPerWorker" $root | int | min 16 | int) -}}
{{- $ports = append $ports (dict "name" (printf "replica-%d" $n) "containerPort" (add $metrics.replica_port $n)) -}}
{{- end -}}
{{- end -}}
{{ toYaml $ports }}
{{- end }}

{{/* Engines that have a place on a worker, however many there are. */}}
{{- define "scalesim.enginesPerWorker" -}}
{{- $places := div .Values.workers.gpus (default 1 .Values.stack.engine.tp_size) -}}
{{ default (max 1 $places) .Values.stack.engines_per_machine }}
{{- end }}

{{/* Endpoints of a PodMonitor for what a stack's own processes answer: the ports above, with the key. */}}
{{- define "scalesim.ownEndpoints" -}}
{{- range $group := list "head" "workers" }}
{{- range include "scalesim.metricsPorts" (list $ $group) | fromYamlArray }}
- port: {{ .name }}
  interval: {{ $.Values.monitoring.podMonitor.interval }}
  authorization:
    credentials:
      {{- (include "scalesim.secretKeyRef" (list $ $.Values.apiKey "api-key") | fromYaml).secretKeyRef | toYaml | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
