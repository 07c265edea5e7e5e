package desired

// Role is what a file is to the running Vault.
type Role string

const (
	RoleConfig      Role = "config"      // vault.hcl
	RoleEnvironment Role = "environment" // vault.env
	RoleUnit        Role = "unit"        // NAME.service
	RoleFile        Role = "file"        // an item of files:
)

// OnChange is what a changed file of files: asks of the running Vault.
type OnChange string

const (
	OnChangeNone    OnChange = "none"
	OnChangeReload  OnChange = "reload"
	OnChangeRestart OnChange = "restart"
)

// Put is a file that a node must have. Owner and Group are names, Mode is four
// octal digits ("0640").
//
// Digest is "sha256:HEX" of the content; for an encrypted file
// "age:sha256:HEX" of the ciphertext; for a secret that reconciler.yaml
// defines "secret:NAME". Planning compares digests and never decrypts.
type Put struct {
	Path     string
	Owner    string
	Group    string
	Mode     string
	Digest   string
	Role     Role
	OnChange OnChange
	Source   string // repo path or reference, for people; empty: rendered
	// TLS says that a listener serves this file: "cert" or "key" of a pair;
	// empty otherwise. Pair names the partner's path.
	TLS  string
	Pair string
}

// Folder is a folder that a node must have.
type Folder struct {
	Path  string
	Owner string
	Group string
	Mode  string
}
