# Managed by reconciler: fleet acme, clusters/prod-eu/cluster.yaml.
# Change it there: what is changed here is drift, and is put back.

api_addr     = "https://10.1.0.12:8200"
cluster_addr = "https://10.1.0.12:8201"

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

service_registration "consul" {
  address = "127.0.0.1:8500"
}

storage "consul" {
  address = "127.0.0.1:8500"
  path    = "vault/"
}
