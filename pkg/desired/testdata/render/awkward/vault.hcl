# Managed by reconciler: fleet acme, clusters/lab/cluster.yaml.
# Change it there: what is changed here is drift, and is put back.

api_addr                     = "https://{{ GetPrivateIP }}:8200"
cluster_name                 = "\u0024{not} \u0025{a} $\u0024{template} 100% $5"
default_max_request_duration = 1.0
log_file                     = "says \"hello\"\tand\nmore"
plugin_directory             = "C:\\vault\\plugins"

listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

storage "file" {
  path = "/opt/vault/data"
}

telemetry {
  metrics_prefix = "Füße 火 \u200b🔥 \u0000 \ue123"
}
