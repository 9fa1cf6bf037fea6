{{/* Folder of the engines' model: where its source puts it, else what stack.engine names. */}}
{{- define "scalesim.modelPath" -}}
{{- $mount := .Values.volumes.models.mountPath -}}
{{- with .Values.model.source -}}
{{- if hasPrefix "pvc://" . -}}
{{ $mount }}/{{ (splitn "/" 2 (trimPrefix "pvc://" .))._1 | trimSuffix "/" }}
{{- else -}}
{{ include "scalesim.fetchedTo" (list $mount . $.Values.model.revision) }}
{{- end -}}
{{- else -}}
{{ .Values.stack.engine.model_path }}
{{- end -}}
{{- end }}

{{/* Where a source is kept: (list mount source revision). Another revision is another folder. */}}
{{- define "scalesim.fetchedTo" -}}
{{- $name := index . 1 | replace "://" "/" | trimSuffix "/" | regexFind "^[^?#]*" -}}
{{ index . 0 }}/{{ $name }}{{ with index . 2 }}@{{ . }}{{ end }}
{{- end }}

{{/* Claim of the models' or adapters' volume: (list root name); "" where there is none. */}}
{{- define "scalesim.claimName" -}}
{{- $root := index . 0 -}}
{{- $volume := index $root.Values.volumes (index . 1) -}}
{{- $source := $root.Values.model.source -}}
{{- if and (eq (index . 1) "models") (hasPrefix "pvc://" $source) -}}
{{ trimPrefix "pvc://" $source | splitList "/" | first }}
{{- else if $volume.existingClaim -}}
{{ $volume.existingClaim }}
{{- else if $volume.size -}}
{{ include "scalesim.fullname" $root }}-{{ index . 1 }}
{{- end -}}
{{- end }}

{{/* What is to be fetched before a worker's engines start, as {name, source, revision, target, volume}. */}}
{{- define "scalesim.fetches" -}}
{{- $found := list -}}
{{- $model := .Values.model -}}
{{- if and $model.source (not (hasPrefix "pvc://" $model.source)) -}}
{{- $found = append $found (dict "name" "model" "source" $model.source "revision" $model.revision "target" (include "scalesim.modelPath" .) "volume" "models") -}}
{{- end -}}
{{- range $number, $adapter := .Values.volumes.adapters.sources -}}
{{- $target := printf "%s/%s" $.Values.volumes.adapters.mountPath $adapter.name -}}
{{- $found = append $found (dict "name" (printf "adapter-%d" $number) "source" $adapter.source "revision" (default "" $adapter.revision) "target" $target "volume" "adapters") -}}
{{- end -}}
{{ toYaml $found }}
{{- end }}

{{/* Containers that fetch it: once a volume, whoever comes first; what is complete is not asked for again. */}}
{{- define "scalesim.fetchContainers" -}}
{{- range include "scalesim.fetches" . | fromYamlArray }}
{{- $hub := hasPrefix "hf://" .source }}
{{- $ours := eq .source "smollm2" }}
{{- $archive := regexMatch "^https?://" .source }}
- name: fetch-{{ .name }}
  image: {{ ternary (include "scalesim.image" $) $.Values.model.s3Image (or $hub $ours $archive) }}
  imagePullPolicy: {{ $.Values.image.pullPolicy }}
  securityContext:
    {{- toYaml (default dict $.Values.securityContext) | nindent 4 }}
  command: [sh, -c]
  args:
    - |
      set -eu
      mark="$TARGET/.fetched"
      wanted="$SOURCE $REVISION"
      [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ] && exit 0
      [ ! -e "$mark" ] || rm -rf "$TARGET"  # it holds another revision
      mkdir -p "$TARGET"
      {{- if $hub }}
      hf download "$SOURCE" {{ if .revision }}--revision "$REVISION" {{ end }}--local-dir "$TARGET"
      {{- else if $ours }}
      python -m scalesim.deployments.smollm2 "$TARGET"
      {{- else if $archive }}
      wget -q -O "$TARGET/.archive" "$SOURCE"
      tar -x -f "$TARGET/.archive" -C "$TARGET"
      rm "$TARGET/.archive"
      {{- else }}
      aws s3 sync --no-progress "$SOURCE" "$TARGET"
      {{- end }}
      printf %s "$wanted" > "$mark"
  env:
    - {name: SOURCE, value: {{ trimPrefix "hf://" .source | quote }}}
    - {name: REVISION, value: {{ .revision | quote }}}
    - {name: TARGET, value: {{ .target | quote }}}
    - {name: HOME, value: /tmp}
    - {name: HF_HOME, value: /tmp/hf}
    {{- if and $hub $.Values.model.hfToken.secretName }}
    - name: HF_TOKEN
      valueFrom:
        secretKeyRef: {name: {{ $.Values.model.hfToken.secretName | quote }}, key: {{ $.Values.model.hfToken.secretKey | quote }}}
    {{- end }}
  {{- if and (hasPrefix "s3://" .source) $.Values.model.s3SecretName }}
  envFrom:
    - secretRef: {name: {{ $.Values.model.s3SecretName | quote }}}
  {{- end }}
  volumeMounts:
    - {name: {{ .volume }}, mountPath: {{ index $.Values.volumes .volume "mountPath" }}}
{{- end }}
{{- end }}

{{- define "scalesim.checkModel" -}}
{{- $model := .Values.model -}}
{{- if and $model.source .Values.stack.engine.model_path -}}
{{- fail "model.source and stack.engine.model_path both name the model: give one" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.volumes.adapters.sources -}}
{{- if not (and (kindIs "string" .name) (regexMatch "^[A-Za-z0-9][-_.A-Za-z0-9]*$" (toString .name))) -}}
{{- fail (printf "volumes.adapters.sources has the name %v: an adapter's folder is named by letters, digits, - _ and ., as text" .name) -}}
{{- end -}}
{{- if has .name $names -}}
{{- fail (printf "volumes.adapters.sources has %s twice: each is a folder of that name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if not (and (kindIs "string" .source) (kindIs "string" (default "" .revision))) -}}
{{- fail (printf "the adapter %s has a source or a revision that is not text: quote it" .name) -}}
{{- end -}}
{{- end -}}
{{- range include "scalesim.fetches" . | fromYamlArray -}}
{{- if not (or (regexMatch "^(hf://[^/]+/[^/]+|s3://.+|https?://.+)$" .source) (and (eq .name "model") (eq .source "smollm2"))) -}}
{{- fail (printf "the source %s of %s is not one: use hf://ORG/NAME, s3://BUCKET/PATH, https://HOST/ARCHIVE.tar or, for the model, pvc://CLAIM/PATH or smollm2" .source .name) -}}
{{- end -}}
{{- if and (hasPrefix "hf://" .source) (not .revision) -}}
{{- fail (printf "the source %s of %s has no revision: name a commit, so that all pods and all restarts have the same" .source .name) -}}
{{- end -}}
{{- if not (include "scalesim.claimName" (list $ .volume)) -}}
{{- fail (printf "%s is fetched onto volumes.%s, which is none: set its size or existingClaim" .source .volume) -}}
{{- end -}}
{{- $volume := index $.Values.volumes .volume -}}
{{- if and (not $volume.existingClaim) (eq (toJson $volume.accessModes) (toJson (list "ReadOnlyMany"))) -}}
{{- fail (printf "%s is fetched onto volumes.%s, whose accessModes let nobody write: use ReadWriteMany or ReadWriteOnce" .source .volume) -}}
{{- end -}}
{{- end -}}
{{- if and (hasPrefix "pvc://" $model.source) $model.revision -}}
{{- fail (printf "model.revision is %s, and model.source %s is a folder as it is: name another folder, or leave it out" $model.revision $model.source) -}}
{{- end -}}
{{- if and (hasPrefix "pvc://" $model.source) (not (regexMatch "^pvc://[^/]+/.+$" $model.source)) -}}
{{- fail (printf "model.source %s names no folder: use pvc://CLAIM/PATH" $model.source) -}}
{{- end -}}
{{- end }}
