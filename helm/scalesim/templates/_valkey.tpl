{{/* A server of a release's own: (dict root component suffix port persistent
password reference), the password being what it restarts for. */}}
{{- define "scalesim.valkey" -}}
{{- $root := .root }}
{{- $bundled := $root.Values.redis.bundled }}
apiVersion: v1
kind: Service
metadata:
  {{- include "scalesim.metadata" (list $root $.component $.suffix) | nindent 2 }}
spec:
  selector:
    {{- include "scalesim.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $.component }}
  ports:
    - {name: redis, port: {{ $.port }}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "scalesim.metadata" (list $root $.component $.suffix) | nindent 2 }}
spec:
  serviceName: {{ include "scalesim.fullname" $root }}{{ $.suffix }}
  replicas: 1
  selector:
    matchLabels:
      {{- include "scalesim.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
  template:
    metadata:
      labels:
        {{- include "scalesim.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
      annotations:
        checksum/secrets: {{ $.password | sha256sum }}
    spec:
      serviceAccountName: {{ include "scalesim.serviceAccount" $root }}
      automountServiceAccountToken: false
      securityContext:
        {{- include "scalesim.podSecurityContext" $root | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- include "scalesim.pullSecrets" . | nindent 8 }}
      {{- end }}
      {{- with $bundled.nodeSelector }}
      nodeSelector:
        {{- include "scalesim.strings" . | nindent 8 }}
      {{- end }}
      {{- range $field := list "tolerations" "affinity" }}
      {{- with index $bundled $field }}
      {{ $field }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      containers:
        - name: redis
          image: {{ include "scalesim.imageOf" (list $bundled.image "") }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          securityContext:
            {{- with $root.Values.securityContext }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            readOnlyRootFilesystem: true
          # The password goes in by a file in memory: it is in no process list. The server takes the
          # shell's place, so that it gets the signal when the pod ends, and writes what it has.
          command: [sh, -c]
          args:
            - >-
              printf 'requirepass "%s"\n' "$(printf %s "$REDISCLI_AUTH" | sed 's/["\\]/\\&/g')"
              > /tmp/redis.conf &&
              exec valkey-server /tmp/redis.conf --port {{ $.port }} --dir /data --save ''
              --appendonly {{ ternary "yes" "no" $.persistent }}
          env:
            - name: REDISCLI_AUTH
              valueFrom:
                {{- $.reference | nindent 16 }}
          ports:
            - {name: redis, containerPort: {{ $.port }}}
          readinessProbe:
            exec: &ping {command: [sh, -c, "valkey-cli -p {{ $.port }} ping | grep -q PONG"]}
            periodSeconds: 5
            timeoutSeconds: 3
          livenessProbe:
            exec: *ping
            initialDelaySeconds: 30
            timeoutSeconds: 3
          resources:
            {{- toYaml $bundled.resources | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: configuration, mountPath: /tmp}
      volumes:
        - name: configuration
          emptyDir: {medium: Memory, sizeLimit: 1Mi}
      {{- if not $.persistent }}
        - name: data
          emptyDir: {}
      {{- else }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        {{- include "scalesim.claim" (merge (dict "accessModes" (list "ReadWriteOnce")) $bundled.persistence) | nindent 8 }}
      {{- end }}
{{- end }}

{{- define "scalesim.valkeyPolicy" }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "scalesim.metadata" (list .root .component .suffix) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "scalesim.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {{- include "scalesim.selector" .root | nindent 14 }}
            matchExpressions:
              - {key: app.kubernetes.io/component, operator: In, values: [head, worker, job]}
      ports:
        - {port: {{ .port }}}
{{- end }}
