{{- define "abfs.labels" -}}
app.kubernetes.io/name: abfs-connector
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "abfs.name" -}}
{{ .Release.Name }}-connector
{{- end }}
