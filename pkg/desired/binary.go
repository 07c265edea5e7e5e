package desired

import "path"

// Vault is the version that a cluster runs and the link that starts it.
type Vault struct {
	Version string // "1.21.0", never "latest"
	Path    string // /usr/local/bin/vault
}

// VersionsFolder holds one folder per installed version on a node.
const VersionsFolder = "/opt/vault/versions"

// BinaryPath is where a version's binary lies on a node; Vault.Path links there.
func BinaryPath(version string) string {
	return path.Join(VersionsFolder, version, "vault")
}
