{{/* Mounts and volumes of a Ray group: (list root group). */}}
{{- define "scalesim.mounts" -}}
{{- $root := index . 0 -}}
- {name: shm, mountPath: /dev/shm}
{{- range $name := list "models" "adapters" }}
{{- $volume := index $root.Values.volumes $name }}
{{- if or $volume.existingClaim $volume.size }}
- {name: {{ $name }}, mountPath: {{ $volume.mountPath }}, readOnly: true}
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
{{- range $name := list "models" "adapters" }}
{{- $volume := index $root.Values.volumes $name }}
{{- if or $volume.existingClaim $volume.size }}
- name: {{ $name }}
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-%s" (include "scalesim.fullname" $root) $name) $volume.existingClaim }}
    readOnly: true
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
accessModes: {{ toJson .accessModes }}
resources:
  requests:
    storage: {{ .size }}
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
{{- end }}
