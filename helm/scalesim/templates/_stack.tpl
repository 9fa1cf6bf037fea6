{{/* StackSettings as the cluster sees them; secrets are added from the environment of the pods. */}}
{{- define "scalesim.stack" -}}
{{- $stack := deepCopy .Values.stack -}}
{{- $_ := set $stack.engine "device" (ternary "cuda" "cpu" (gt (int .Values.workers.gpus) 0)) -}}
{{- $user := ternary "" (printf "%s@" .Values.redis.username) (empty .Values.redis.username) -}}
{{- $url := printf "%s://%s%s:%v/%v" (ternary "rediss" "redis" .Values.redis.tls) $user (include "scalesim.redisHost" .) .Values.redis.port .Values.redis.db -}}
{{- $_ := set $stack "catalog" (merge (dict "url" $url) (default dict $stack.catalog)) -}}
{{- $_ := set $stack "metrics" (include "scalesim.metrics" . | fromYaml) -}}
{{- $_ := set $stack "ingress" (merge (dict "host" "0.0.0.0" "port" .Values.serve.port) (default dict $stack.ingress)) -}}
{{ toYaml $stack }}
{{- end }}
