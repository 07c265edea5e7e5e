package actual

import "time"

// Service is the unit as systemctl show(1) tells it, in its own words.
type Service struct {
	LoadState        string `json:"load_state"`      // loaded not-found masked …
	ActiveState      string `json:"active_state"`    // active inactive failed activating deactivating reloading
	SubState         string `json:"sub_state"`       // running dead start-limit-hit …
	Result           string `json:"result"`          // success exit-code start-limit-hit …
	UnitFileState    string `json:"unit_file_state"` // enabled disabled masked linked …
	NeedDaemonReload bool   `json:"need_daemon_reload"`
	FragmentPath     string `json:"fragment_path,omitempty"`
	DropIns          string `json:"drop_ins,omitempty"`
	InvocationID     string `json:"invocation_id,omitempty"`
	Restarts         int    `json:"restarts"`
}

// Process is the unit's main process. PID 0: none runs.
type Process struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started,omitzero"`
	Binary  string    `json:"binary,omitempty"` // digest of the running executable; empty: not readable
	Mark    *Mark     `json:"mark,omitempty"`   // nil: nothing of ours tells what it was started with
	// Certificate is the digest of the leaf certificate (DER) that the listener
	// serves, CertificateFile that of the file it should serve.
	Served *Certificate `json:"served,omitempty"`
}

// Mark is what the start or the last reload wrote down, under /run: the digest
// of each file that the process was started or last reloaded with, and the
// configuration flattened as desired.Node.Config is.
type Mark struct {
	Files  map[string]string `json:"files"`            // path → digest
	Config map[string]string `json:"config,omitempty"` // flattened
	Unit   string            `json:"unit,omitempty"`
	// Untaken is the last reload of ours that this process did not take up; nil:
	// it took up what it was reloaded with.
	Untaken *Untaken `json:"untaken,omitempty"`
}

// Untaken is what a reload of ours did not bring into force. Files are still as
// the mark says, not as these digests say.
type Untaken struct {
	Files map[string]string `json:"files"` // path → digest
	// Refused says that Vault named what it cannot use: it would not start with
	// it either. False: what became of it could not be seen.
	Refused bool      `json:"refused,omitempty"`
	Why     string    `json:"why"`
	At      time.Time `json:"at"`
}

// Certificate is a leaf certificate.
type Certificate struct {
	Digest   string    `json:"digest"` // "sha256:HEX" of the DER
	NotAfter time.Time `json:"not_after"`
	Names    []string  `json:"names,omitempty"`
	Problem  string    `json:"problem,omitempty"` // "expired", "unknown-authority", "wrong-name", or empty
}
