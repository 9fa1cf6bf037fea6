{{/* Pod template of a Ray group: (list root group), group being head or workers. The labels hold
no versions: a changed template makes KubeRay replace the cluster. */}}
{{- define "scalesim.pod" -}}
{{- $pod := include "scalesim.unmarkedPod" . | fromYaml -}}
{{- $container := index $pod.spec.containers 0 -}}
{{- $mark := dict "name" "SCALESIM_PODS" "value" (include "scalesim.fingerprint" (index . 0)) -}}
{{- $_ := set $container "env" (append $container.env $mark) -}}
{{ toYaml $pod }}
{{- end }}

{{/* Of what the pods bring to the application: it is not started on others than it was meant for. */}}
{{- define "scalesim.fingerprint" -}}
{{- $found := list -}}
{{- range $group := list "head" "workers" -}}
{{- $spec := (include "scalesim.unmarkedPod" (list $ $group) | fromYaml).spec -}}
{{- $found = append $found (pick $spec "containers" "initContainers" "volumes") -}}
{{- end -}}
{{ toJson $found | sha256sum | trunc 16 }}
{{- end }}

{{- define "scalesim.unmarkedPod" -}}
{{- $root := index . 0 -}}
{{- $group := index . 1 -}}
{{- $values := index $root.Values $group -}}
metadata:
  labels:
    {{- include "scalesim.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ trimSuffix "s" $group }}
    {{- with $values.podLabels }}
    {{- include "scalesim.strings" . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/secrets: {{ $root.Values.apiKey | toJson | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- include "scalesim.strings" . | nindent 4 }}
    {{- end }}
spec:
  {{- if not (and (eq $group "head") $root.Values.autoscaling.enabled) }}
  serviceAccountName: {{ include "scalesim.serviceAccount" $root }}
  automountServiceAccountToken: false
  {{- end }}
  terminationGracePeriodSeconds: {{ int64 $values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "scalesim.podSecurityContext" $root | nindent 4 }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- include "scalesim.pullSecrets" . | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- include "scalesim.strings" . | nindent 4 }}
  {{- end }}
  {{- range $field := list "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
  {{- with index $values $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- $fetching := ternary (include "scalesim.fetchContainers" $root | fromYamlArray) list (eq $group "workers") }}
  {{- with concat $fetching (default list $values.initContainers) }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: ray-{{ trimSuffix "s" $group }}
      image: {{ include "scalesim.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        {{- toYaml (default dict $root.Values.securityContext) | nindent 8 }}
      resources:
        {{- include "scalesim.resources" . | nindent 8 }}
      ports:
        - {name: serve, containerPort: {{ $root.Values.serve.port }}}
        - {name: metrics, containerPort: 8080}
        {{- range include "scalesim.metricsPorts" . | fromYamlArray }}
        - {{ toJson . }}
        {{- end }}
        {{- if eq $group "head" }}
        - {name: gcs-server, containerPort: 6379}
        - {name: dashboard, containerPort: 8265}
        - {name: client, containerPort: 10001}
        {{- end }}
      env:
        {{- include "scalesim.env" $root | nindent 8 }}
        {{- include "scalesim.variables" $values.env | nindent 8 }}
      {{- range $field := list "envFrom" "livenessProbe" "readinessProbe" }}
      {{- with index $values $field }}
      {{ $field }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      volumeMounts:
        {{- include "scalesim.mounts" . | nindent 8 }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "scalesim.volumes" . | nindent 4 }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "scalesim.env" -}}
{{- if .Values.serve.enabled }}
# Of this release's stack, for what runs here as a job.
- {name: SCALESIM_BASE_URL, value: "http://{{ include "scalesim.fullname" . }}:{{ .Values.serve.port }}"}
{{- end }}
{{- if or .Values.serve.enabled .Values.apiKey.value .Values.apiKey.secretName }}
- name: SCALESIM_API_KEY
  valueFrom:
    {{- include "scalesim.secretKeyRef" (list . .Values.apiKey "api-key") | nindent 4 }}
{{- end }}
{{- if .Values.serve.enabled }}
{{- with .Values.apiKeys.secretName }}
- name: SCALESIM_API_KEYS
  valueFrom:
    secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.apiKeys.secretKey | quote }}}
{{- end }}
{{- end }}
# Writable for whichever user the platform gives: libraries keep what they compile in there.
- {name: HOME, value: /tmp}
- {name: RAY_worker_niceness, value: "0"}
- {name: RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD, value: "0"}
- {name: RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP, value: "0"}
- {name: RAY_SERVE_USE_GRPC_BY_DEFAULT, value: "1"}
- {name: grpc_proxy, value: ""}
- {name: RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH, value: "-1"}
{{- if .Values.serve.haproxy }}
- {name: RAY_SERVE_ENABLE_HA_PROXY, value: "1"}
{{- end }}
{{- end }}

{{- define "scalesim.resources" -}}
{{- $root := index . 0 -}}
{{- $resources := deepCopy (default dict (index $root.Values (index . 1)).resources) -}}
{{- if and (eq (index . 1) "workers") $root.Values.workers.gpus -}}
{{- $gpus := dict $root.Values.workers.gpuResource (toString $root.Values.workers.gpus) -}}
{{- $added := dict "requests" $gpus "limits" $gpus -}}
{{- $resources = mustMergeOverwrite $resources (deepCopy $added) -}}
{{- end -}}
{{ toYaml $resources }}
{{- end }}
