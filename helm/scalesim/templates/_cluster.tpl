{{/* Spec of the RayCluster that runs everything; of the RayService and of the RayJob. */}}
{{- define "scalesim.cluster" -}}
{{- $least := ternary .Values.autoscaling.minReplicas .Values.workers.replicas .Values.autoscaling.enabled -}}
{{- $most := ternary .Values.autoscaling.maxReplicas .Values.workers.replicas .Values.autoscaling.enabled -}}
rayVersion: {{ .Values.ray.version | quote }}
{{- if .Values.ray.tokenAuth }}
authOptions:
  mode: token
  {{- with .Values.ray.tokenSecretName }}
  secretName: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.ray.gcs }}
{{- if .redisAddress }}
gcsFaultToleranceOptions:
  redisAddress: {{ .redisAddress | quote }}
  redisPassword:
    valueFrom:
      secretKeyRef: {name: {{ .passwordSecretName }}, key: {{ .passwordSecretKey }}}
{{- end }}
{{- end }}
enableInTreeAutoscaling: {{ .Values.autoscaling.enabled }}
{{- if .Values.autoscaling.enabled }}
autoscalerOptions:
  idleTimeoutSeconds: {{ .Values.autoscaling.idleTimeoutSeconds }}
  upscalingMode: {{ .Values.autoscaling.upscalingMode }}
{{- end }}
headGroupSpec:
  rayStartParams:
    dashboard-host: 0.0.0.0
    num-cpus: "0"
  template:
    {{- include "scalesim.pod" (list . "head") | nindent 4 }}
workerGroupSpecs:
  - groupName: engines
    replicas: {{ .Values.workers.replicas }}
    minReplicas: {{ $least }}
    maxReplicas: {{ $most }}
    rayStartParams: {}
    template:
      {{- include "scalesim.pod" (list . "workers") | nindent 6 }}
{{- end }}
