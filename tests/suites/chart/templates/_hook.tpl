{{- define "hook.pod" }}
restartPolicy: Never
containers:
  - name: hook
    image: busybox
    command: [sh, -c, "exit {{ if and (eq .hook "pre-upgrade") .values.brokenHook }}3{{ else }}0{{ end }}"]
{{- end }}
