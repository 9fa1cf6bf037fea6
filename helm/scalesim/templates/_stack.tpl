{{/* StackSettings as the cluster sees them; secrets are added from the environment of the pods. How
many engines there are is not among them: see scalesim.scaling. */}}
{{- define "scalesim.stack" -}}
{{- $stack := omit (deepCopy .Values.stack) "replicas" "autoscaling" "max_ongoing_requests" -}}
{{- $_ := set $stack "engines_per_machine" (include "scalesim.enginesPerWorker" . | int) -}}
{{- $_ := set $stack.engine "model_path" (include "scalesim.modelPath" .) -}}
{{- $_ := set $stack.engine "device" (ternary "cuda" "cpu" (gt (int .Values.workers.gpus) 0)) -}}
{{- $user := ternary "" (printf "%s@" (.Values.redis.username | urlquery | replace "+" "%20")) (empty .Values.redis.username) -}}
{{- $authority := ternary "?ssl_ca_certs=/run/scalesim/catalog-ca/ca.crt" "" (ne .Values.redis.tlsCaSecretName "") -}}
{{- $url := printf "%s://%s%s:%v/%v%s" (ternary "rediss" "redis" .Values.redis.tls) $user (include "scalesim.redisUrlHost" .) (int64 .Values.redis.port) (int64 .Values.redis.db) $authority -}}
{{- $_ := set $stack "catalog" (merge (dict "url" $url) (default dict $stack.catalog) (dict "password_file" "/run/scalesim/catalog/password" "namespace" (printf "%s-%s" .Release.Namespace (include "scalesim.fullname" .)))) -}}
{{- $_ := set $stack "metrics" (include "scalesim.metrics" . | fromYaml) -}}
{{- $_ := set $stack "ingress" (merge (dict "host" "0.0.0.0" "port" .Values.serve.port) (default dict $stack.ingress)) -}}
{{ toYaml $stack }}
{{- end }}

{{/* Options of Serve's deployment of engines. They stand beside the arguments of the application:
a change of those restarts every engine, a change of these scales. A fixed number is a range of one:
to Serve it is other code where there is no range at all. */}}
{{- define "scalesim.scaling" -}}
- name: Replica
  max_ongoing_requests: {{ default 256 .Values.stack.max_ongoing_requests }}
  num_replicas: auto
  autoscaling_config:
    {{- $count := default 1 .Values.stack.replicas }}
    {{- $fixed := dict "min_replicas" $count "max_replicas" $count }}
    {{- default $fixed .Values.stack.autoscaling | toYaml | nindent 4 }}
{{- end }}

{{/* The host as it stands in a URL. */}}
{{- define "scalesim.redisUrlHost" -}}
{{- $host := include "scalesim.redisHost" . -}}
{{- ternary (printf "[%s]" $host) $host (and (contains ":" $host) (not (hasPrefix "[" $host))) -}}
{{- end }}
