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
{{- with include "scalesim.gcsAddress" . }}
gcsFaultToleranceOptions:
  redisAddress: {{ . | quote }}
  redisPassword:
    valueFrom:
      {{- include "scalesim.gcsPassword" $ | nindent 6 }}
{{- end }}
enableInTreeAutoscaling: {{ .Values.autoscaling.enabled }}
{{- if .Values.autoscaling.enabled }}
autoscalerOptions:
  version: v2
  securityContext:
    {{- toYaml (default dict .Values.securityContext) | nindent 4 }}
  idleTimeoutSeconds: {{ int64 .Values.autoscaling.idleTimeoutSeconds }}
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
    replicas: {{ int64 .Values.workers.replicas }}
    minReplicas: {{ int64 $least }}
    maxReplicas: {{ int64 $most }}
    rayStartParams:
      object-store-memory: {{ include "scalesim.objectStoreBytes" . | quote }}
    template:
      {{- include "scalesim.pod" (list . "workers") | nindent 6 }}
{{- end }}

{{/* Where Ray's control store is kept, "" where it dies with the head. */}}
{{- define "scalesim.gcsAddress" -}}
{{- $own := printf "%s-gcs:6379" (include "scalesim.fullname" .) -}}
{{ ternary $own .Values.ray.gcs.redisAddress .Values.ray.gcs.bundled }}
{{- end }}

{{- define "scalesim.gcsPassword" -}}
secretKeyRef:
  name: {{ .Values.ray.gcs.passwordSecretName | quote }}
  key: {{ .Values.ray.gcs.passwordSecretKey | quote }}
{{- end }}

{{/* What a stack sends is smaller; Ray's own choice, 30% of the pod's memory, is the engines'. */}}
{{- define "scalesim.objectStoreBytes" -}}
536870912
{{- end }}
