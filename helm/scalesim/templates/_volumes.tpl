{{/* Mounts and volumes of a Ray group: (list root group). */}}
{{- define "scalesim.mounts" -}}
{{- $root := index . 0 -}}
- {name: shm, mountPath: /dev/shm}
{{- if $root.Values.serve.enabled }}
- {name: catalog-password, mountPath: /run/scalesim/catalog, readOnly: true}
{{- if $root.Values.redis.tlsCaSecretName }}
- {name: catalog-ca, mountPath: /run/scalesim/catalog-ca, readOnly: true}
{{- end }}
{{- end }}
{{- range $name := list "models" "adapters" }}
{{- if include "scalesim.claimName" (list $root $name) }}
- {name: {{ $name }}, mountPath: {{ index $root.Values.volumes $name "mountPath" }}, readOnly: true}
{{- end }}
{{- end }}
{{- if and (eq (index . 1) "workers") $root.Values.volumes.storage.size }}
- {name: storage, mountPath: {{ $root.Values.volumes.storage.mountPath }}}
{{- end }}
{{- end }}

{{- define "scalesim.volumes" -}}
{{- $root := index . 0 -}}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ $root.Values.volumes.shmSize }}}
{{- if $root.Values.serve.enabled }}
{{- $reference := (include "scalesim.secretKeyRef" (list $root $root.Values.redis.password "redis-password") | fromYaml).secretKeyRef }}
# A file, unlike a variable, follows the Secret: the controller reads it at every connection.
- name: catalog-password
  secret:
    secretName: {{ $reference.name | quote }}
    items:
      - {key: {{ $reference.key | quote }}, path: password}
{{- with $root.Values.redis.tlsCaSecretName }}
- name: catalog-ca
  secret:
    secretName: {{ . | quote }}
    items:
      - {key: {{ $root.Values.redis.tlsCaSecretKey | quote }}, path: ca.crt}
{{- end }}
{{- end }}
{{- range $name := list "models" "adapters" }}
{{- with include "scalesim.claimName" (list $root $name) }}
# Engines mount it read-only; what fetches the models must write.
- name: {{ $name }}
  persistentVolumeClaim:
    claimName: {{ . | quote }}
{{- end }}
{{- end }}
{{- with $root.Values.volumes.storage }}
{{- if and (eq (index $ 1) "workers") .size }}
- name: storage
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- include "scalesim.claim" (dict "size" .size "storageClassName" .storageClassName "accessModes" (list "ReadWriteOnce")) | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Spec of a claim: (dict size storageClassName accessModes). */}}
{{- define "scalesim.claim" -}}
accessModes: {{ default (list "ReadWriteMany") .accessModes | toJson }}
resources:
  requests:
    storage: {{ .size }}
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
{{- end }}
