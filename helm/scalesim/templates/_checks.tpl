{{/* Refuses values that cannot work; what a schema can say is in values.schema.json. */}}
{{- define "scalesim.checks" -}}
{{- $name := include "scalesim.fullname" . -}}
{{- $values := .Values -}}
{{- $longest := include "scalesim.longestName" . | int -}}
{{- if or (gt (len $name) $longest) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "the name %q cannot be: at most %d characters of a-z, 0-9 and -, a letter first, as more is appended to it; set fullnameOverride" $name $longest) -}}
{{- end -}}
{{- if not (or .Values.serve.enabled .Values.job.enabled) -}}
{{- fail "neither serve.enabled nor job.enabled: nothing would run" -}}
{{- end -}}
{{- if and .Values.apiKey.value .Values.apiKey.secretName -}}
{{- fail "apiKey has a value and a secretName: give one" -}}
{{- end -}}
{{- range $path, $secret := ternary (dict "apiKey" .Values.apiKey "redis.password" .Values.redis.password) dict .Values.serve.enabled -}}
{{- if eq (empty $secret.value) (empty $secret.secretName) -}}
{{- fail (printf "%s needs a value or a secretName, and not both" $path) -}}
{{- end -}}
{{- end -}}
{{- if not (or .Values.ray.tokenAuth .Values.networkPolicy.enabled) -}}
{{- fail "without ray.tokenAuth and without networkPolicy.enabled anyone who reaches the head runs code on it: enable one" -}}
{{- end -}}
{{- if and .Values.job.enabled (not .Values.job.outClaim) (not .Values.job.entrypoint) -}}
{{- fail "job.enabled needs job.outClaim: head, workers and retries share the model and the completed steps there" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host: without one it would take every name of the cluster's ingress" -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.clients) -}}
{{- fail "ingress.enabled needs its controller's pods in networkPolicy.clients: only this namespace may call otherwise" -}}
{{- end -}}
{{- if and (ne .Values.serve.serviceType "ClusterIP") .Values.networkPolicy.enabled (not .Values.networkPolicy.clients) -}}
{{- fail (printf "serve.serviceType is %s, and networkPolicy.clients is empty: only this namespace may call then; name who may, e.g. {ipBlock: {cidr: 10.0.0.0/8}}" .Values.serve.serviceType) -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not (and .Values.gateway.hostnames .Values.gateway.parentRefs)) -}}
{{- fail "gateway.enabled needs gateway.parentRefs and gateway.hostnames: without names it would take every one of the gateway's" -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.clients) -}}
{{- fail "gateway.enabled needs its gateway's pods in networkPolicy.clients: only this namespace may call otherwise" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.operator) -}}
{{- fail "networkPolicy.operator is empty: KubeRay's pods must reach Ray's, else nothing is ever started" -}}
{{- end -}}
{{- $packages := pick (default dict .Values.job.runtimeEnv) "pip" "uv" "conda" | keys | sortAlpha -}}
{{- if and .Values.job.enabled (gt (len $packages) 1) -}}
{{- fail (printf "job.runtimeEnv has %s: Ray takes one of them" (join " and " $packages)) -}}
{{- end -}}
{{- include "scalesim.checkPorts" . -}}
{{- if .Values.serve.enabled -}}
{{- include "scalesim.checkEngine" . -}}
{{- end -}}
{{- include "scalesim.checkWorkers" . -}}
{{- include "scalesim.checkSizes" . -}}
{{- include "scalesim.checkMounts" . -}}
{{- if .Values.ray.checkOperator -}}
{{- include "scalesim.checkOperator" (list . (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "rayclusters.ray.io")) -}}
{{- end -}}
{{- with .Values.ray.gcs -}}
{{- if and .redisAddress (not (regexMatch "^(rediss?://)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[0-9]{1,5}$" .redisAddress)) -}}
{{- fail (printf "ray.gcs.redisAddress is %s: give one HOST:PORT, with rediss:// before it for TLS" .redisAddress) -}}
{{- end -}}
{{- if and .bundled .redisAddress -}}
{{- fail "ray.gcs has bundled and redisAddress: choose one" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ray.tokenSecretName (not .Values.ray.tokenAuth) -}}
{{- fail "ray.tokenSecretName is set without ray.tokenAuth, which asks for the token: set both or neither" -}}
{{- end -}}
{{- if and .Values.redis.tlsCaSecretName (not .Values.redis.tls) -}}
{{- fail "redis.tlsCaSecretName is set without redis.tls: set that too" -}}
{{- end -}}
{{- if and .Values.redis.tls (not .Values.redis.host) -}}
{{- fail "redis.tls is for a server of your own: give redis.host, as the bundled one speaks none" -}}
{{- end -}}
{{- if not (or .Values.redis.host .Values.redis.bundled.image.tag .Values.redis.bundled.image.digest (contains "@" .Values.redis.bundled.image.repository)) -}}
{{- fail "redis.bundled.image has no tag and no digest: give one" -}}
{{- end -}}
{{- $named := default dict (default dict .Values.stack.ingress).api_keys -}}
{{- if and .Values.serve.enabled (ne (empty $named) (empty .Values.apiKeys.secretName)) -}}
{{- fail "stack.ingress.api_keys names keys, which come from apiKeys.secretName: give both or neither" -}}
{{- end -}}
{{- if and .Values.ray.gcs.redisAddress (hasPrefix (printf "%s:" (include "scalesim.redisHost" .)) (regexReplaceAll "^rediss?://" .Values.ray.gcs.redisAddress "")) -}}
{{- fail "ray.gcs.redisAddress is the catalog's Redis: Ray's control store needs one of its own, as it may fill it or flush it" -}}
{{- end -}}
{{- if and (include "scalesim.gcsAddress" .) (not .Values.ray.gcs.passwordSecretName) -}}
{{- fail "ray.gcs.redisAddress or ray.gcs.bundled is set without ray.gcs.passwordSecretName: give the Secret with its password" -}}
{{- end -}}
{{- end }}

{{/* KubeRay's names of a RayService and of a RayJob have 47 characters at most; Kubernetes' of a
StatefulSet 52, as its pods have a label of it and a hash. */}}
{{- define "scalesim.longestName" -}}
{{- $bundled := and .Values.serve.enabled (not .Values.redis.host) -}}
{{- $store := and .Values.serve.enabled .Values.ray.gcs.bundled -}}
{{ min (ternary (sub 47 (len "-job")) 47 .Values.job.enabled) (ternary (sub 52 (len "-redis")) 47 $bundled) (ternary (sub 52 (len "-gcs")) 47 $store) }}
{{- end }}

{{- define "scalesim.checkPorts" -}}
{{- $metrics := include "scalesim.metrics" . | fromYaml -}}
{{- $first := int $metrics.replica_port -}}
{{- $ours := dict "serve.port" (int .Values.serve.port) "stack.metrics.controller_port" (int $metrics.controller_port) -}}
{{- $rays := list 6379 8080 8265 8404 9101 10001 52365 -}}
{{- range $name, $port := $ours -}}
{{- if has $port $rays -}}
{{- fail (printf "%s is %d, which Ray takes in its pods already: choose another" $name $port) -}}
{{- end -}}
{{- end -}}
{{- if eq (get $ours "serve.port") (get $ours "stack.metrics.controller_port") -}}
{{- fail (printf "serve.port and stack.metrics.controller_port are both %v: choose another for one" .Values.serve.port) -}}
{{- end -}}
{{- range $port := $rays -}}
{{- $_ := set $ours (printf "a port of Ray's, %d," $port) $port -}}
{{- end -}}
{{- range $name, $port := $ours -}}
{{- if and $first (ge $port $first) (le $port (add $first 15 | int)) -}}
{{- fail (printf "%s is %d, one of the 16 from stack.metrics.replica_port on that replicas take: move one of them" $name $port) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "scalesim.checkEngine" -}}
{{- $engine := .Values.stack.engine -}}
{{- include "scalesim.checkModel" . -}}
{{- if not (or $engine.model_path .Values.model.source) -}}
{{- fail "stack.engine.model_path is empty: give model.source, a folder below volumes.models.mountPath, or a hub name" -}}
{{- end -}}
{{- $models := .Values.volumes.models -}}
{{- if and (hasPrefix (printf "%s/" $models.mountPath) $engine.model_path) (not (include "scalesim.claimName" (list . "models"))) -}}
{{- fail (printf "stack.engine.model_path is %s but nothing is mounted at %s: set volumes.models.existingClaim or size" $engine.model_path $models.mountPath) -}}
{{- end -}}
{{- if and (hasPrefix (printf "%s/" $models.mountPath) $engine.model_path) $models.size (not $models.existingClaim) (not .Values.workers.initContainers) -}}
{{- fail (printf "stack.engine.model_path is %s, on a claim that volumes.models.size makes empty: give model.source, which fetches onto it, or an init container of yours in workers.initContainers" $engine.model_path) -}}
{{- end -}}
{{- range $kind := list "adapters" "models" -}}
{{- $volume := index $.Values.volumes $kind -}}
{{- range $root := (default dict (index $engine $kind)).roots -}}
{{- if and (hasPrefix (printf "%s/" $volume.mountPath) (printf "%s/" $root)) (not (include "scalesim.claimName" (list $ $kind))) -}}
{{- fail (printf "stack.engine.%s.roots has %s but nothing is mounted at %s: set volumes.%s.existingClaim or size" $kind $root $volume.mountPath $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $storage := .Values.volumes.storage -}}
{{- if and $engine.storage_dir (not (and $storage.size (hasPrefix (printf "%s/" $storage.mountPath) (printf "%s/" $engine.storage_dir)))) -}}
{{- fail (printf "stack.engine.storage_dir is %s, which is on no volume: set volumes.storage.size, and keep it below %s" $engine.storage_dir $storage.mountPath) -}}
{{- end -}}
{{- end }}

{{- define "scalesim.checkWorkers" -}}
{{- $workers := .Values.workers -}}
{{- $most := int (ternary .Values.autoscaling.maxReplicas $workers.replicas .Values.autoscaling.enabled) -}}
{{- if and .Values.autoscaling.enabled (or (gt (int .Values.autoscaling.minReplicas) (int $workers.replicas)) (gt (int $workers.replicas) $most)) -}}
{{- fail "workers.replicas must lie between autoscaling.minReplicas and autoscaling.maxReplicas" -}}
{{- end -}}
{{- range $part, $named := default dict $workers.resources -}}
{{- $gpus := get (default dict $named) $workers.gpuResource -}}
{{- if and $gpus (ne (int (toString $gpus)) (int $workers.gpus)) -}}
{{- fail (printf "workers.resources.%s has %v of %s and workers.gpus is %v: give them by workers.gpus alone, by which the device, the image and the number of engines are chosen" $part $gpus $workers.gpuResource $workers.gpus) -}}
{{- end -}}
{{- end -}}
{{- if $workers.gpus -}}
{{- $each := default 1 .Values.stack.engine.tp_size | int -}}
{{- if gt $each (int $workers.gpus) -}}
{{- fail (printf "stack.engine.tp_size is %v but a worker has %v GPUs: an engine cannot span workers" $each $workers.gpus) -}}
{{- end -}}
{{- if gt (mul $each (default 1 .Values.stack.engines_per_machine)) (int $workers.gpus) -}}
{{- fail (printf "stack.engines_per_machine is %v, each of %d GPUs, but a worker has %v: lower it, or leave it out" .Values.stack.engines_per_machine $each $workers.gpus) -}}
{{- end -}}
{{- end -}}
{{- $name := ternary "stack.autoscaling.max_replicas" "stack.replicas" (not (empty .Values.stack.autoscaling)) -}}
{{- $engines := int (default (default 1 .Values.stack.replicas) (default dict .Values.stack.autoscaling).max_replicas) -}}
{{- $room := mul $most (include "scalesim.enginesPerWorker" . | int) -}}
{{- if gt $engines (int $room) -}}
{{- fail (printf "%s is %d but %d workers have room for %v: raise workers.replicas or autoscaling.maxReplicas, or on CPUs stack.engines_per_machine" $name $engines $most $room) -}}
{{- end -}}
{{- $resources := default dict $workers.resources -}}
{{- $cpus := default (dig "requests" "cpu" "" $resources) (dig "limits" "cpu" "" $resources) -}}
{{- $share := ternary .Values.stack.cpus_per_replica 0.5 (hasKey .Values.stack "cpus_per_replica") -}}
{{- if and $cpus $share -}}
{{- $each := divf (include "scalesim.quantity" $cpus | float64 | ceil) $share | floor -}}
{{- if gt (float64 $engines) (mulf $each $most) -}}
{{- fail (printf "%s is %d but %d workers of %v CPUs (workers.resources) have room for %.0f with stack.cpus_per_replica %v: raise the one or lower the other" $name $engines $most $cpus (mulf $each $most) $share) -}}
{{- end -}}
{{- end -}}
{{- with .Values.stack.autoscaling -}}
{{- if not (and .max_replicas .target_ongoing_requests) -}}
{{- fail "stack.autoscaling needs max_replicas and target_ongoing_requests: Ray Serve's own are 1 and 2" -}}
{{- end -}}
{{- if gt (int .target_ongoing_requests) (int (default 256 $.Values.stack.max_ongoing_requests)) -}}
{{- fail "stack.autoscaling.target_ongoing_requests is above stack.max_ongoing_requests, which no engine ever has: lower it" -}}
{{- end -}}
{{- if gt (int (default 1 .min_replicas)) (int .max_replicas) -}}
{{- fail "stack.autoscaling.min_replicas is above max_replicas: swap them" -}}
{{- end -}}
{{- end -}}
{{- $lowest := int (ternary .Values.autoscaling.minReplicas $workers.replicas .Values.autoscaling.enabled) -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (int .Values.podDisruptionBudget.minAvailableWorkers) $lowest) -}}
{{- fail "podDisruptionBudget.minAvailableWorkers is above the number of workers: no node could ever be drained" -}}
{{- end -}}
{{- end }}

{{/* Sizes that are named and can never be had; the engine looks at the rest where it starts. */}}
{{- define "scalesim.checkSizes" -}}
{{- range $path, $resources := dict "head.resources" .Values.head.resources "workers.resources" .Values.workers.resources "redis.bundled.resources" .Values.redis.bundled.resources -}}
{{- range $name, $request := default dict (default dict $resources).requests -}}
{{- $limit := get (default dict $resources.limits) $name -}}
{{- if and $limit (gt (include "scalesim.quantity" $request | float64) (include "scalesim.quantity" $limit | float64)) -}}
{{- fail (printf "%s.requests has %v of %s and %s.limits %v: a request may not be above its limit" $path $request $name $path $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $engines := include "scalesim.enginesPerWorker" . | float64 -}}
{{- $memory := dig "limits" "memory" "" (default dict .Values.workers.resources) -}}
{{- $volumes := .Values.volumes -}}
{{- $host := list "stack.engine.host_bytes" .Values.stack.engine.host_bytes $engines "workers.resources.limits.memory" $memory -}}
{{- $storage := list "stack.engine.storage_bytes" .Values.stack.engine.storage_bytes $engines "volumes.storage.size" $volumes.storage.size -}}
{{- $shared := list "volumes.shmSize" $volumes.shmSize 1.0 "workers.resources.limits.memory" $memory -}}
{{- range $each := list $host $storage $shared -}}
{{- $wanted := mulf (default 0 (index $each 1) | include "scalesim.quantity" | float64) (index $each 2) -}}
{{- $room := include "scalesim.quantity" (index $each 4) | float64 -}}
{{- if and (gt $room 0.0) (gt $wanted $room) -}}
{{- fail (printf "%s is %.1f GiB for what runs on a worker, and %s is %v: lower the one or raise the other" (index $each 0) (divf $wanted 1073741824) (index $each 3) (index $each 4)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A pod whose volumes do not fit together is never made, and only an event of KubeRay's says so. */}}
{{- define "scalesim.checkMounts" -}}
{{- $ofJob := ternary (list "out") list (and .Values.job.enabled (not .Values.serve.enabled) (ne .Values.job.outClaim "")) -}}
{{- range $group := list "head" "workers" -}}
{{- $spec := (include "scalesim.unmarkedPod" (list $ $group) | fromYaml).spec -}}
{{- $names := $ofJob -}}
{{- range $spec.volumes -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraVolumes has %s, which another volume of the pod is named: choose another name" $group .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $container := concat $spec.containers (default list $spec.initContainers) -}}
{{- $places := list -}}
{{- range default list $container.volumeMounts -}}
{{- if not (has .name $names) -}}
{{- fail (printf "%s: container %s mounts %s, and the pod has only the volumes %s: add it to %s.extraVolumes" $group $container.name .name (join ", " $names) $group) -}}
{{- end -}}
{{- if has .mountPath $places -}}
{{- fail (printf "%s: container %s has two mounts at %s: move one, by volumes.*.mountPath or %s.extraVolumeMounts" $group $container.name .mountPath $group) -}}
{{- end -}}
{{- $places = append $places .mountPath -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether KubeRay knows what is asked of it: (list root CRD), the CRD of RayCluster or nothing. */}}
{{- define "scalesim.checkOperator" -}}
{{- $ray := (index . 0).Values.ray -}}
{{- with index . 1 -}}
{{- $fields := dict -}}
{{- range .spec.versions -}}
{{- if eq .name "v1" -}}
{{- $fields = .schema.openAPIV3Schema.properties.spec.properties -}}
{{- end -}}
{{- end -}}
{{- if and $ray.tokenAuth (not $fields.authOptions) -}}
{{- fail "this KubeRay knows no authOptions: ray.tokenAuth needs KubeRay 1.5.1 or newer, operator and CRDs; helm does not upgrade CRDs by itself" -}}
{{- end -}}
{{- if and $ray.tokenAuth $ray.tokenSecretName (not (dig "properties" "secretName" false (default dict $fields.authOptions))) -}}
{{- fail "this KubeRay takes no token of your own: ray.tokenSecretName needs KubeRay 1.6 or newer, operator and CRDs" -}}
{{- end -}}
{{- end -}}
{{- end }}
