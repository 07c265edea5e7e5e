package desired

// Service is the unit that runs Vault and the account that it runs as.
type Service struct {
	Manager string // "systemd"
	Name    string // unit name without ".service"
	User    string
	Group   string

	UnitPath        string // /etc/systemd/system/NAME.service
	ConfigPath      string // /etc/vault.d/vault.hcl
	EnvironmentPath string // /etc/vault.d/vault.env
}
