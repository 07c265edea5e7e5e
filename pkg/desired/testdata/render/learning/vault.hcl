# Managed by reconciler: fleet acme, clusters/lab/cluster.yaml.
# Change it there: what is changed here is drift, and is put back.

api_addr = "http://127.0.0.1:8200"

listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

storage "file" {
  path = "/opt/vault/data"
}
