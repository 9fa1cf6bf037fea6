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
{{ toYaml . }}
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

{{- define "scalesim.image" -}}
{{- $tag := printf "%s-%s" .Chart.AppVersion (ternary "gpu" "cpu" (gt (int .Values.workers.gpus) 0)) -}}
{{ .Values.image.repository }}:{{ default $tag .Values.image.tag }}
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
  name: {{ default (printf "%s-secrets" (include "scalesim.fullname" (index . 0))) $secret.secretName }}
  key: {{ ternary $secret.secretKey (index . 2) (ne $secret.secretName "") }}
{{- end }}

{{- define "scalesim.redisHost" -}}
{{ default (printf "%s-redis" (include "scalesim.fullname" .)) .Values.redis.host }}
{{- end }}
