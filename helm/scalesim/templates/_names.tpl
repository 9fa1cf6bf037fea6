{{- define "scalesim.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name }}
{{- end -}}
{{- end }}

{{/* What selects this release's pods: KubeRay writes app.kubernetes.io/name itself, and
ray.io/cluster changes with every upgrade. */}}
{{- define "scalesim.selector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: scalesim
{{- end }}

{{/* Labels of an object: (list root component). */}}
{{- define "scalesim.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
{{ include "scalesim.selector" $root }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ include "scalesim.strings" . }}
{{- end }}
{{- end }}

{{/* A value as text: Helm reads whole numbers as floats, which have an exponent from a million on. */}}
{{- define "scalesim.text" -}}
{{- if kindIs "float64" . -}}
{{ ternary (int64 .) . (eq (floor .) .) }}
{{- else if not (kindIs "invalid" .) -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* A map whose values are text, as Kubernetes wants labels, annotations and selectors: `version: 2`
and `spot: true` are a number and a boolean in YAML. A key that is null is left out. */}}
{{- define "scalesim.strings" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $key | quote }}: {{ include "scalesim.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment variables, {name, value} or {name, valueFrom}, whose values are text. */}}
{{- define "scalesim.variables" -}}
{{- range . }}
{{- if hasKey . "value" }}
- {name: {{ .name | quote }}, value: {{ include "scalesim.text" .value | quote }}}
{{- else }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Metadata of an object: (list root component suffix). */}}
{{- define "scalesim.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "scalesim.fullname" $root }}{{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "scalesim.labels" (list $root (index . 1)) | nindent 2 }}
{{- end }}

{{/* An image by its digest where it has one: (list image default-tag). */}}
{{- define "scalesim.imageOf" -}}
{{- $image := index . 0 -}}
{{- if contains "@" $image.repository -}}
{{ $image.repository }}
{{- else if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 1) $image.tag }}
{{- end -}}
{{- end }}

{{- define "scalesim.image" -}}
{{- $tag := printf "%s-%s" .Chart.AppVersion (ternary "gpu" "cpu" (gt (int .Values.workers.gpus) 0)) -}}
{{ include "scalesim.imageOf" (list .Values.image $tag) }}
{{- end }}

{{/* Secrets to pull images with, each a name or {name}. */}}
{{- define "scalesim.pullSecrets" -}}
{{- range . }}
- {{ kindIs "string" . | ternary (dict "name" .) . | toJson }}
{{- end }}
{{- end }}

{{/* A quantity of Kubernetes as a number: bytes, or CPUs. */}}
{{- define "scalesim.quantity" -}}
{{- $units := dict "" 1 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $unit := regexFind "[A-Za-z]+$" (include "scalesim.text" .) -}}
{{ mulf (include "scalesim.text" . | trimSuffix $unit | float64) (get $units $unit | float64) | printf "%.3f" }}
{{- end }}

{{/* Security context of a pod; OpenShift gives each namespace a user and a group of its own. */}}
{{- define "scalesim.podSecurityContext" -}}
{{- $asked := and (eq .Values.platform "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1") -}}
{{- $context := default dict .Values.podSecurityContext -}}
{{- if or $asked (eq .Values.platform "openshift") -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{ toYaml $context }}
{{- end }}

{{/* Whether the kinds of the Prometheus operator are there: "true" or "". */}}
{{- define "scalesim.prometheusOperator" -}}
{{- $asked := and (eq .Values.monitoring.prometheusOperator "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- ternary "true" "" (or $asked (eq .Values.monitoring.prometheusOperator "present")) -}}
{{- end }}

{{- define "scalesim.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "scalesim.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* Source of a secret's value: (list root secret key-in-our-own-Secret). */}}
{{- define "scalesim.secretKeyRef" -}}
{{- $secret := index . 1 -}}
secretKeyRef:
  name: {{ default (printf "%s-secrets" (include "scalesim.fullname" (index . 0))) $secret.secretName | quote }}
  key: {{ ternary $secret.secretKey (index . 2) (ne $secret.secretName "") | quote }}
{{- end }}

{{- define "scalesim.redisHost" -}}
{{ default (printf "%s-redis" (include "scalesim.fullname" .)) .Values.redis.host }}
{{- end }}

{{/* A file of the chart: (list root path). What was packaged without it would be an empty object. */}}
{{- define "scalesim.file" -}}
{{- $text := (index . 0).Files.Get (index . 1) -}}
{{- if not $text -}}
{{- fail (printf "the chart has no %s, or it is empty: package it again" (index . 1)) -}}
{{- end -}}
{{ $text }}
{{- end }}
