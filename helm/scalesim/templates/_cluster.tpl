{{/* Spec of the RayCluster that runs everything; of the RayService and of the RayJob. */}}
{{- define "scalesim.cluster" -}}
{{- $least := ternary .Values.autoscaling.minReplicas .Values.workers.replicas .Values.autoscaling.enabled -}}
{{- $most := ternary .Values.autoscaling.maxReplicas .Values.workers.replicas .Values.autoscaling.enabled -}}
rayVersion: {{ .Values.ray.version | quote }}
{{- if .Values.ray.tokenAuth }}
authOptions:
  mode: token
  {{- with .Values.ray.tokenSecretName }}
  secretName: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.ray.gcs }}
{{- if .redisAddress }}
gcsFaultToleranceOptions:
  redisAddress: {{ .redisAddress | quote }}
  redisPassword:
    valueFrom:
      secretKeyRef: {name: {{ .passwordSecretName | quote }}, key: {{ .passwordSecretKey | quote }}}
{{- end }}
{{- end }}
enableInTreeAutoscaling: {{ .Values.autoscaling.enabled }}
{{- if .Values.autoscaling.enabled }}
autoscalerOptions:
  version: v2
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  idleTimeoutSeconds: {{ .Values.autoscaling.idleTimeoutSeconds }}
  upscalingMode: {{ .Values.autoscaling.upscalingMode }}
{{- end }}
headGroupSpec:
  rayStartParams:
    dashboard-host: 0.0.0.0
    num-cpus: "0"
    object-store-memory: {{ include "scalesim.objectStoreBytes" . | quote }}
  template:
    {{- include "scalesim.pod" (list . "head") | nindent 4 }}
workerGroupSpecs:
  - groupName: engines
    replicas: {{ .Values.workers.replicas }}
    minReplicas: {{ $least }}
    maxReplicas: {{ $most }}
    rayStartParams:
      object-store-memory: {{ include "scalesim.objectStoreBytes" . | quote }}
    template:
      {{- include "scalesim.pod" (list . "workers") | nindent 6 }}
{{- end }}

{{/* What a stack sends is smaller; Ray's own choice, 30% of the pod's memory, is the engines'. */}}
{{- define "scalesim.objectStoreBytes" -}}
536870912
{{- end }}
