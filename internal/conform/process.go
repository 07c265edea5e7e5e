package conform

import (
	"context"
	"strings"

	goversion "github.com/hashicorp/go-version"
)

// Machines are servers on machines that somebody can reach into.
type Machines interface {
	Servers
	// Config is a configuration that a server is fine with; Paths are where it
	// lies, and the certificate and key of its listener.
	Config(server string) string
	Paths() (config, cert, key string)
	Write(server, path, text string) error
	Certify(server string) error // writes another certificate, with its key
	// Stray writes the key of a certificate that no server has.
	Stray(server, path string) error
	Reload(server string) error // SIGHUP, to the end of it
	// Serial is that of the certificate that a server presents at a port.
	Serial(ctx context.Context, server string, port int) (string, error)
	// Shell runs a script on a server's machine; in it $R is the folder that is the
	// machine's file system. Command is how a call of the command vault begins
	// there, for the server's API.
	Shell(server, script, stdin string) (out string, exit int, err error)
	Command(server string) string
	Said(server string) string    // all that it wrote so far
	Process(server string) string // its number
}

// process is one run of the suite about processes.
type process struct {
	*run
	machines Machines
}

// Process holds a server "a" to what Vault's process does with its configuration,
// when it starts and on SIGHUP. It returns what is not so, a sentence each.
func Process(ctx context.Context, machines Machines, o Options) []string {
	p := &process{&run{Options: o, ctx: ctx, servers: machines}, machines}
	return p.all([]part{
		{"a reload takes up another certificate, in the same process", p.certificate},
		{"a reload keeps the certificate when the new one cannot be read", p.unreadable},
		{"a reload with a configuration that cannot be read leaves the process serving", p.broken},
		{"a reload does not move a listener", p.listener},
		{"a reload takes up the log level", p.level},
		{"a server refuses to start with a configuration that cannot be", p.refused},
	})
}

func (p *process) configure(change func(string) string) error {
	path, _, _ := p.machines.Paths()
	return p.machines.Write("a", path, change(p.machines.Config("a")))
}

func unchanged(text string) string { return text }

// replace is a change of one place, which has to be there.
func (p *process) replace(before, after string) func(string) string {
	return func(text string) string {
		if !strings.Contains(text, before) {
			p.find("the configuration has no %q to change", before)
		}
		return strings.Replace(text, before, after, 1)
	}
}

// saysSince waits until the server says a word that it had not said.
func (p *process) saysSince(before, word string) {
	p.eventually(word, func() bool { return strings.Contains(strings.TrimPrefix(p.machines.Said("a"), before), word) })
}

func (p *process) serial() string {
	serial, err := p.machines.Serial(p.ctx, "a", 8200)
	if err != nil {
		p.find("%v", err)
	}
	return serial
}

func (p *process) certificate() {
	serial, number, before := p.serial(), p.machines.Process("a"), p.machines.Said("a")
	if !p.did(p.machines.Certify("a")) {
		return
	}
	if p.serial() != serial {
		p.find("it was taken up before anybody asked")
	}
	if !p.did(p.machines.Reload("a")) {
		return
	}
	p.saysSince(before, "==> Vault reload triggered")
	p.eventually("another certificate", func() bool { return p.serial() != serial })
	if p.machines.Process("a") != number {
		p.find("it is another process")
	}
}

func (p *process) unreadable() {
	serial, before := p.serial(), p.machines.Said("a")
	_, cert, _ := p.machines.Paths()
	if !p.did(p.machines.Write("a", cert, noCertificate), p.machines.Reload("a")) {
		return
	}
	p.saysSince(before, "error encountered reloading listener")
	if p.serial() != serial {
		p.find("it was taken up")
	}
	p.did(p.machines.Certify("a"), p.machines.Reload("a"))
}

const noCertificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"

func (p *process) broken() {
	before, number := p.machines.Said("a"), p.machines.Process("a")
	if !p.did(p.configure(func(text string) string { return text[:len(text)-3] }), p.machines.Reload("a")) {
		return
	}
	p.saysSince(before, "could not reload config")
	p.serial()
	if p.machines.Process("a") != number {
		p.find("it is another process")
	}
	p.did(p.configure(unchanged))
}

func (p *process) listener() {
	before := p.machines.Said("a")
	if !p.did(p.configure(p.replace(":8200\"\n  tls", ":8210\"\n  tls")), p.machines.Reload("a")) {
		return
	}
	p.saysSince(before, "==> Vault reload triggered")
	p.serial()
	if _, err := p.machines.Serial(p.ctx, "a", 8210); err == nil {
		p.find("it listens at the new port too")
	}
	p.did(p.configure(unchanged), p.machines.Reload("a"))
}

func (p *process) level() {
	before := p.machines.Said("a")
	if strings.Contains(before, "[DEBUG]") {
		p.find("it says [DEBUG] before anybody asked for it")
	}
	if !p.did(p.configure(p.replace(`"info"`, `"debug"`)), p.machines.Reload("a")) {
		return
	}
	p.saysSince(before, "[DEBUG] sent systemd notification: notification=READY=1")
	if !p.did(p.configure(p.replace(`"info"`, `"error"`)), p.machines.Reload("a")) {
		return
	}
	before = p.machines.Said("a")
	a := p.ask("a", "", put, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1})
	keys, _ := a.Body["keys_base64"].([]any)
	if len(keys) != 1 {
		p.find("init: %d %v", a.Code, a.Body)
		return
	}
	p.ask("a", "", put, "sys/unseal", map[string]any{"key": keys[0]})
	p.eventually("a leader", func() bool { return p.ask("a", "", get, "sys/health", nil).Code == 200 })
	if said := strings.TrimPrefix(p.machines.Said("a"), before); strings.Contains(said, "[INFO]") {
		p.find("it goes on to say\n%s", said)
	}
	p.did(p.configure(unchanged), p.machines.Reload("a"))
}

// refusal is a configuration that a server does not start with, and what it says.
type refusal struct {
	is     string
	config func(string) string
	says   string
}

const strayKey = "/etc/vault.d/stray.key"

func (p *process) refused() {
	_, _, key := p.machines.Paths()
	if !p.did(p.machines.Stray("a", strayKey)) {
		return
	}
	cases := []refusal{
		{"half of it", func(text string) string { return text[:len(text)-3] }, "error loading configuration"},
		{"no storage", func(text string) string { return text[:strings.Index(text, "storage")] }, "A storage backend must be specified"},
		{"no such log level", p.replace(`"info"`, `"loud"`), "unknown log level"},
		{"no such key file", p.replace(key, "/no/such.key"), "no such file"},
		{"the key of another certificate", p.replace(key, strayKey), "private key does not match public key"},
	}
	if twice := p.replace("disable_mlock = true\n", "disable_mlock = true\nui = true\nui = false\n"); atLeast(p.Version, "1.21.0") {
		cases = append(cases, refusal{"an argument that is given twice", twice, "Each argument can only be defined once"})
	} else if p.did(p.machines.Stop("a"), p.configure(twice)) {
		p.did(p.machines.Start("a"))
	}
	if atLeast(p.Version, "1.20.0") { // before, it means that memory is locked, which a machine may not allow
		cases = append(cases, refusal{"no word about mlock", p.replace("disable_mlock = true\n", ""), "disable_mlock must be configured"})
	}
	for _, c := range cases {
		if !p.did(p.machines.Stop("a"), p.configure(c.config)) {
			return
		}
		before := p.machines.Said("a")
		if err := p.machines.Start("a"); err == nil {
			p.find("it starts with %s", c.is)
		}
		p.saysSince(before, c.says)
	}
	if p.did(p.configure(unchanged), p.machines.Start("a")) {
		p.serial()
	}
}

func atLeast(version, floor string) bool {
	v, err := goversion.NewVersion(version)
	return err == nil && v.GreaterThanOrEqual(goversion.Must(goversion.NewVersion(floor)))
}
