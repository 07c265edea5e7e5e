package actual

// Audit is the cluster's audit devices and whether their files open on this
// node.
type Audit struct {
	// Devices are path → type and options, read with the credential; nil:
	// Unknown.
	Devices map[string]Device `json:"devices,omitempty"`
	// Opens says for each audit file whether Vault's user could append to it
	// on this node; a missing key is Unknown.
	Opens map[string]bool `json:"opens,omitempty"`
}

// Device is one enabled audit device.
type Device struct {
	Type    string            `json:"type"`
	Options map[string]string `json:"options,omitempty"`
}
