package desired

import (
	"slices"
	"strings"
	"testing"
)

// setting is one line of a unit.
type setting struct{ section, key, value string }

// readUnit reads the grammar that our units keep to: sections, Key=value,
// comments, no continuation lines (systemd.syntax(7)).
func readUnit(t *testing.T, text string) []setting {
	t.Helper()
	var settings []setting
	section := ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		default:
			key, value, found := strings.Cut(line, "=")
			if !found || section == "" || key == "" || value == "" || key != strings.TrimSpace(key) || strings.HasSuffix(line, `\`) || strings.Contains(line, "%") {
				t.Fatalf("line %d is no setting: %q", i+1, line)
			}
			settings = append(settings, setting{section, key, value})
		}
	}
	return settings
}

func unitOf(t *testing.T, f fixture, change func(*Cluster, *nodeInput)) []setting {
	t.Helper()
	c, n, in := f()
	if change != nil {
		change(c, &in)
	}
	return readUnit(t, string(mustRender(t, c, n, in)[RoleUnit].Body))
}

func valuesOf(settings []setting, section, key string) []string {
	var values []string
	for _, s := range settings {
		if s.section == section && s.key == key {
			values = append(values, s.value)
		}
	}
	return values
}

func TestUnitSaysWhatVaultNeeds(t *testing.T) {
	unit := unitOf(t, productionNode, nil)
	for _, want := range []setting{
		{"Unit", "ConditionFileNotEmpty", "/etc/vault.d/vault.hcl"},
		{"Unit", "RequiresMountsFor", "/opt/vault/data"},
		{"Unit", "StartLimitIntervalSec", "60"}, // of [Unit]: in [Service] systemd ignores it
		{"Unit", "StartLimitBurst", "3"},
		{"Service", "Type", "notify"},
		{"Service", "User", "vault"},
		{"Service", "Group", "vault"},
		{"Service", "EnvironmentFile", "-/etc/vault.d/vault.env"},
		{"Service", "ExecStartPre", "+-/usr/bin/env -i INVOCATION_ID=${INVOCATION_ID} /usr/local/libexec/reconciler-node mark vault"},
		{"Service", "ExecStart", "/usr/local/bin/vault server -config=/etc/vault.d/vault.hcl"},
		{"Service", "ExecReload", "/bin/kill --signal HUP $MAINPID"},
		{"Service", "Restart", "on-failure"},
		{"Service", "TimeoutStartSec", "infinity"},
		{"Service", "TimeoutStopSec", "120"},
		{"Service", "LimitCORE", "0"},
		{"Service", "ProtectSystem", "full"},
		{"Install", "WantedBy", "multi-user.target"},
	} {
		if got := valuesOf(unit, want.section, want.key); !slices.Equal(got, []string{want.value}) {
			t.Errorf("%s %s is %q, want it once: %q", want.section, want.key, got, want.value)
		}
	}
	if !slices.Contains(unit, setting{"Service", "ExecStartPre", strings.TrimPrefix(MarkCommand("vault"), "ExecStartPre=")}) {
		t.Errorf("the unit does not hold the line of MarkCommand")
	}
}

// What a commit writes into the environment reaches the line that runs as root
// only through the loader, and there it is cut off.
func TestUnitKeepsTheLoaderFromTheEnvironment(t *testing.T) {
	unit := unitOf(t, productionNode, nil)
	unset := strings.Fields(strings.Join(valuesOf(unit, "Service", "UnsetEnvironment"), " "))
	for _, name := range []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_DEBUG_OUTPUT", "LD_PROFILE_OUTPUT", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH"} {
		if !slices.Contains(unset, name) {
			t.Errorf("%s of the environment file would reach what runs as root", name)
		}
	}
	for _, line := range valuesOf(unit, "Service", "ExecStartPre") {
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+-/usr/bin/env -i ") {
			t.Errorf("%q runs as root with an environment that a commit can write", line)
		}
	}
}

func TestUnitHasNoSettingTwice(t *testing.T) {
	for name, f := range fixtures() {
		seen := map[setting]bool{}
		for _, s := range unitOf(t, f, nil) {
			key := setting{section: s.section, key: s.key}
			if seen[key] {
				t.Errorf("%s: %s %s stands twice", name, s.section, s.key)
			}
			seen[key] = true
		}
	}
}

// TestMlockAloneBringsTheCapability: without mlock nothing is granted, and the
// bounding set still lets a binary start that carries the file capability.
func TestMlockAloneBringsTheCapability(t *testing.T) {
	tests := map[string]struct {
		config      any
		environment string
		granted     bool
	}{
		"not written":              {nil, "", true},
		"disabled":                 {true, "", false},
		"disabled in words":        {"true", "", false},
		"disabled as a number":     {int64(1), "", false},
		"wanted":                   {false, "", true},
		"disabled by environment":  {false, "true", false},
		"wanted by environment":    {true, "false", true},
		"environment says nothing": {true, "", false},
	}
	for name, test := range tests {
		unit := unitOf(t, productionNode, func(_ *Cluster, in *nodeInput) {
			delete(in.Config, "disable_mlock")
			if test.config != nil {
				in.Config["disable_mlock"] = test.config
			}
			in.Environment["VAULT_DISABLE_MLOCK"] = test.environment
		})
		granted := slices.Equal(valuesOf(unit, "Service", "AmbientCapabilities"), []string{"CAP_IPC_LOCK"})
		if granted != test.granted {
			t.Errorf("%s: the capability is granted: %v, want %v", name, granted, test.granted)
		}
		if bound := valuesOf(unit, "Service", "CapabilityBoundingSet"); !slices.Equal(bound, []string{"CAP_IPC_LOCK"}) {
			t.Errorf("%s: the bounding set is %q", name, bound)
		}
	}
}

func TestDevicesStayVisibleToAnHSM(t *testing.T) {
	hsm := unitOf(t, productionNode, func(c *Cluster, in *nodeInput) {
		c.Seal.Kind, in.Config["seal"] = "pkcs11", map[string]any{"pkcs11": map[string]any{"lib": "/usr/lib/hsm.so"}}
	})
	if got := valuesOf(hsm, "Service", "PrivateDevices"); got != nil {
		t.Errorf("PrivateDevices is %q beside a pkcs11 seal", got)
	}
	if got := valuesOf(unitOf(t, productionNode, nil), "Service", "PrivateDevices"); !slices.Equal(got, []string{"yes"}) {
		t.Errorf("PrivateDevices is %q, want yes", got)
	}
}

// TestNothingIsInjectedIntoAUnit: systemd runs the unit as root.
func TestNothingIsInjectedIntoAUnit(t *testing.T) {
	paths := map[string]func(*Cluster) *string{
		"unit path":        func(c *Cluster) *string { return &c.Service.UnitPath },
		"config path":      func(c *Cluster) *string { return &c.Service.ConfigPath },
		"environment path": func(c *Cluster) *string { return &c.Service.EnvironmentPath },
		"vault path":       func(c *Cluster) *string { return &c.Vault.Path },
		"data path":        func(c *Cluster) *string { return &c.Storage.Path },
	}
	words := map[string]func(*Cluster) *string{
		"service": func(c *Cluster) *string { return &c.Service.Name },
		"user":    func(c *Cluster) *string { return &c.Service.User },
		"group":   func(c *Cluster) *string { return &c.Service.Group },
		"fleet":   func(c *Cluster) *string { return &c.Fleet },
		"cluster": func(c *Cluster) *string { return &c.Name },
	}
	bad := func(t *testing.T, name string, field func(*Cluster) *string, value string) {
		t.Helper()
		c, n, in := productionNode()
		*field(c) = value
		if puts, problems := renderNode(c, n, in); len(problems) == 0 || len(puts) > 0 {
			t.Errorf("%s %q is rendered", name, value)
		}
	}
	for name, field := range paths {
		for _, value := range []string{"relative", "/a b", "/a\nExecStart=/bin/sh", "/a%n", "/a$HOME", `/a"b`, "/a'b", `/a\b`, "/a;b", "/../etc", "/a/../b", "/a/", "/a\x00", "/ä"} {
			bad(t, name, field, value)
		}
	}
	for name, field := range words {
		for _, value := range []string{"", "a b", "a\nUser=root", "%u", "$USER", "a/b", "-a", "{user}", "a\r", "ä"} {
			bad(t, name, field, value)
		}
	}
	for _, hidden := range []string{"/tmp/vault", "/var/tmp/x", "/usr/local/vault", "/etc/vault/data", "/home/vault", "/root", "/boot/x", "/run/user/1/v", "/dev/shm/vault"} {
		bad(t, "data path", paths["data path"], hidden)
	}
}
