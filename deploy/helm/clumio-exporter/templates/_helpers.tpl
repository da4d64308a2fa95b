{{- define "clumio-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "clumio-exporter.fullname" -}}
{{- $name := include "clumio-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "clumio-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "clumio-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "clumio-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "clumio-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "clumio-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "clumio-exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "clumio-exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "clumio-exporter.configFile" -}}
/etc/clumio-exporter/config/clumio-exporter.toml
{{- end }}

{{/*
A key of the config file. Strings, numbers, booleans and lists of them are written the same in JSON and in TOML; toToml
would write every whole number with a fraction, which the exporter refuses.
*/}}
{{- define "clumio-exporter.key" -}}
{{ .key }} = {{ toJson .value }}
{{- end }}

{{/* The config file. */}}
{{- define "clumio-exporter.config" -}}
{{- $web := dict }}
{{- if .Values.webConfig.secretName }}
{{- $web = dict "config_file" "/etc/clumio-exporter/web/web.yml" }}
{{- end }}
{{- $state := dict "directory" "/var/lib/clumio-exporter/state" }}
{{- $tables := mustMergeOverwrite (dict) (deepCopy .Values.config) (dict "web" $web "state" $state) }}
{{- range $table, $keys := $tables }}
{{- if $keys }}
[{{ $table }}]
{{- range $key, $value := omit $keys "objectives" }}
{{- if not (kindIs "invalid" $value) }}
{{ include "clumio-exporter.key" (dict "key" $key "value" $value) }}
{{- end }}
{{- end }}
{{- range $keys.objectives }}
[[{{ $table }}.objectives]]
{{- range $key, $value := . }}
{{ include "clumio-exporter.key" (dict "key" $key "value" $value) }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}
{{- range .Values.accounts }}
[[accounts]]
{{ include "clumio-exporter.key" (dict "key" "token_file" "value" (printf "/run/secrets/clumio/%s" .name)) }}
{{- if .caConfigMap }}
{{ include "clumio-exporter.key" (dict "key" "ca_file" "value" (printf "/etc/clumio-exporter/ca/%s.pem" .name)) }}
{{- end }}
{{- range $key, $value := omit . "tokenSecret" "caConfigMap" }}
{{- if not (kindIs "invalid" $value) }}
{{ include "clumio-exporter.key" (dict "key" $key "value" $value) }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}

{{/* Whether any account brings certificates of its own. */}}
{{- define "clumio-exporter.hasCa" -}}
{{- range .Values.accounts }}{{ if .caConfigMap }}true{{ end }}{{ end }}
{{- end }}

{{/* How a kubelet asks one of the health paths, which need no login. */}}
{{- define "clumio-exporter.probe" -}}
{{- if .root.Values.webConfig.clientCertificates }}
exec:
  command:
    - /clumio-exporter
    - probe
    {{- if eq .path "/-/ready" }}
    - --ready
    {{- end }}
    - --config.file={{ include "clumio-exporter.configFile" .root }}
{{- else }}
httpGet:
  path: {{ .path }}
  port: http-metrics
  scheme: {{ ternary "HTTPS" "HTTP" .root.Values.webConfig.tls }}
{{- end }}
{{ toYaml .timing }}
{{- end }}

{{/* What a ServiceMonitor and a PodMonitor have in common. */}}
{{- define "clumio-exporter.endpoint" -}}
port: http-metrics
path: {{ dig "web" "telemetry_path" "/metrics" .root.Values.config }}
scheme: {{ ternary "https" "http" .root.Values.webConfig.tls }}
{{- range $key := list "interval" "scrapeTimeout" "tlsConfig" "basicAuth" "relabelings" "metricRelabelings" }}
{{- with get $.monitor $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
