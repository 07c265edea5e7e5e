//go:build linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const vaultUnit = `[Unit]
Description=HashiCorp Vault
After=network-online.target

[Service]
Type=notify
User=vault
Group=vault
ProtectSystem=full
PrivateDevices=yes
NoNewPrivileges=yes
AmbientCapabilities=CAP_IPC_LOCK
CapabilityBoundingSet=CAP_SYSLOG CAP_IPC_LOCK
ExecStart=/usr/local/bin/vault server -config=/etc/vault.d/vault.hcl
Restart=on-failure

[Install]
WantedBy=multi-user.target
`

const vaultConfig = `disable_mlock = true
api_addr      = "https://ADDRESS:8200"
cluster_addr  = "https://ADDRESS:8201"
storage "raft" {
  path    = "/opt/vault/data"
  node_id = "node-1"
}
listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/vault.d/tls/vault.crt"
  tls_key_file  = "/etc/vault.d/tls/vault.key"
}
`

func TestVaultRunsOnNode(t *testing.T) {
	rig := NewRig(t, 1)
	n := rig.Nodes[0]
	binary, err := os.Open(rig.Vault("1.21.0"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	n.Put("/usr/local/bin/vault", binary, "root", "0755")
	n.Put("/etc/vault.d/tls/vault.crt", bytes.NewReader(n.Cert), "root:vault", "0644")
	n.Put("/etc/vault.d/tls/vault.key", bytes.NewReader(n.CertKey), "root:vault", "0640")
	n.Put("/etc/vault.d/vault.hcl", strings.NewReader(strings.ReplaceAll(vaultConfig, "ADDRESS", n.Address)), "root:vault", "0640")
	n.Put("/etc/systemd/system/vault.service", strings.NewReader(vaultUnit), "root", "0644")
	n.Must("install -d -o vault -g vault -m 0700 /opt/vault/data; systemctl daemon-reload; systemctl enable --quiet --now vault")

	if got := n.Must("vault version"); !strings.HasPrefix(got, "Vault v1.21.0") {
		t.Errorf("vault version prints %q", got)
	}
	client := &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext:     rig.Dial,
			TLSClientConfig: &tls.Config{RootCAs: rig.CA.Pool},
		},
	}
	answer, err := client.Get("https://" + n.Address + ":8200/v1/sys/seal-status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var status struct {
		Version     string
		Initialized bool
		Sealed      bool
		StorageType string `json:"storage_type"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	if status.Version != "1.21.0" || status.Initialized || !status.Sealed || status.StorageType != "raft" {
		t.Errorf("a new Vault says %+v", status)
	}
}
