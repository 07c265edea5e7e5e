# Managed by reconciler: fleet acme, clusters/prod-eu/cluster.yaml.
# Change it there: what is changed here is drift, and is put back.

api_addr             = "https://10.1.0.12:8200"
cluster_addr         = "https://10.1.0.12:8201"
cluster_name         = "prod-eu"
disable_mlock        = true
log_level            = "info"
log_rotate_max_files = 7
max_lease_ttl        = "768h"
raw_storage_endpoint = false
ui                   = true

listener "tcp" {
  address = "0.0.0.0:8200"
  custom_response_headers = {
    "2xx" = {
      "X-Frame" = ["deny"]
    }
    "default" = {
      "Strict-Transport-Security" = ["max-age=31536000", "includeSubDomains"]
    }
  }
  max_request_duration      = "90s"
  tls_cert_file             = "/etc/vault.d/tls/vault.crt"
  tls_key_file              = "/etc/vault.d/tls/vault.key"
  x_forwarded_for_hop_skips = 1

  telemetry {
    unauthenticated_metrics_access = true
  }
}

listener "tcp" {
  address     = "127.0.0.1:8300"
  tls_disable = true
}

listener "unix" {
  address = "/run/vault/vault.sock"
}

reporting {
  license {
    enabled = false
  }
}

storage "raft" {
  node_id                = "eu-2"
  path                   = "/opt/vault/data"
  performance_multiplier = 1
  trailing_logs          = 10000

  retry_join {
    leader_api_addr       = "https://10.1.0.11:8200"
    leader_ca_cert_file   = "/etc/vault.d/tls/ca.crt"
    leader_tls_servername = "eu-1.vault.internal"
  }

  retry_join {
    leader_api_addr       = "https://10.1.0.13:8200"
    leader_ca_cert_file   = "/etc/vault.d/tls/ca.crt"
    leader_tls_servername = "eu-3.vault.internal"
  }
}

telemetry {
  disable_hostname          = true
  prefix_filter             = ["+vault.token", "-vault.expire"]
  prometheus_retention_time = "24h"
}

user_lockout "all" {
  lockout_threshold = 10
}

user_lockout "userpass" {
  lockout_duration = "10m"
}
