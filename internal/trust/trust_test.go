package trust

import (
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

func policy(change func(*settings.Trust), cas ...[]byte) Policy {
	s := settings.Settings{File: "/etc/reconciler/reconciler.yaml", Trust: settings.Trust{
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")},
		Roots:    []string{"/opt/vault", "/etc/vault.d", "/usr/local/bin", "/etc/systemd/system"},
		Services: []string{"vault"},
		Users:    []string{"vault", "root"},
		Releases: []string{"/srv/releases"},
		Modes:    []settings.Mode{{Clusters: "prod-*", Most: desired.ModeEnforce}, {Clusters: "*", Most: desired.ModeObserve}},
	}}
	if change != nil {
		change(&s.Trust)
	}
	return New(s, cas)
}

func networks(all ...string) func(*settings.Trust) {
	return func(t *settings.Trust) {
		t.Networks = nil
		for _, n := range all {
			t.Networks = append(t.Networks, netip.MustParsePrefix(n))
		}
	}
}

func TestDialAllowsOnlyTrustedNetworks(t *testing.T) {
	for _, c := range []struct {
		networks string
		resolved string
		want     string // "" for yes
	}{
		{"10.1.0.0/16", "10.1.2.3", ""},
		{"10.1.0.0/16", "::ffff:10.1.2.3", ""},
		{"10.1.0.0/16", "10.2.0.1", "outside trust.networks (10.1.0.0/16)"},
		{"10.1.0.0/16", "10.1.2.3 10.2.0.1", "address 10.2.0.1 is outside"},
		{"10.1.0.0/16", "", "has no address"},
		{"10.1.0.0/16", "2001:db8::1", "outside trust.networks"},
		{"2001:db8::/32", "2001:db8::1", ""},
		{"", "10.1.2.3", "outside trust.networks (none)"},
		{"0.0.0.0/0", "10.1.2.3", ""},
		{"0.0.0.0/0", "127.0.0.1", "special network 127.0.0.0/8"},
		{"0.0.0.0/0", "169.254.169.254", "special network 169.254.0.0/16"},
		{"0.0.0.0/0", "0.0.0.0", "special network"},
		{"0.0.0.0/0", "224.0.0.1", "special network"},
		{"::/0", "::1", "special network"},
		{"::/0", "64:ff9b::7f00:1", "special network"},
		{"::/0", "fe80::1", "special network"},
		{"fe80::/10", "fe80::1%eth0", "has a zone"},
		{"127.0.0.0/8", "127.0.0.1", ""},
		{"127.0.0.1/32", "127.0.0.1", ""},
		{"127.0.0.1/32", "127.0.0.2", "special network"},
		{"0.0.0.0/0 127.0.0.0/8", "127.0.0.1", ""},
	} {
		var resolved []netip.Addr
		for _, a := range strings.Fields(c.resolved) {
			resolved = append(resolved, netip.MustParseAddr(a))
		}
		err := policy(networks(strings.Fields(c.networks)...)).Dial(actual.Target{Node: "eu-1", Address: "eu-1.internal"}, resolved)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("networks %q, address %q: %v, want %q", c.networks, c.resolved, err, c.want)
		}
		if err != nil && c.resolved != "" && !strings.Contains(err.Error(), "eu-1.internal") {
			t.Errorf("the error does not say who: %v", err)
		}
	}
}

func TestTheZeroPolicyAllowsNothing(t *testing.T) {
	var p Policy
	if p.Dial(actual.Target{}, []netip.Addr{netip.MustParseAddr("10.1.0.1")}) == nil {
		t.Error("dials")
	}
	if p.Mode("prod-eu", desired.ModeEnforce) != desired.ModeObserve {
		t.Error("enforces")
	}
	if p.Folders() == nil || p.Releases("file:///srv/releases") == nil {
		t.Error("takes folders")
	}
	if len(p.Cluster(cluster())) == 0 {
		t.Error("takes a cluster")
	}
}

func TestModeIsAtMostWhatTheFirstGlobAllows(t *testing.T) {
	p := policy(nil)
	none := policy(func(t *settings.Trust) { t.Modes = nil })
	for _, c := range []struct {
		policy       Policy
		cluster      string
		wanted, want desired.Mode
	}{
		{p, "prod-eu", desired.ModeEnforce, desired.ModeEnforce},
		{p, "prod-eu", desired.ModeObserve, desired.ModeObserve},
		{p, "prod-eu", "", desired.ModeObserve},
		{p, "prod-eu", "destroy", desired.ModeObserve},
		{p, "lab", desired.ModeEnforce, desired.ModeObserve},
		{none, "prod-eu", desired.ModeEnforce, desired.ModeObserve},
	} {
		if got := c.policy.Mode(c.cluster, c.wanted); got != c.want {
			t.Errorf("%s wanting %q gets %s", c.cluster, c.wanted, got)
		}
	}
}

func TestReleasesComeFromMirrorsOrTrustedFolders(t *testing.T) {
	for source, want := range map[string]string{
		"https://releases.hashicorp.com":     "",
		"file:///srv/releases":               "",
		"file:///srv/releases/vault":         "",
		"file:///srv/releases-of-eve":        "outside trust.releases (/srv/releases)",
		"file:///srv":                        "outside trust.releases",
		"file:///srv/releases/../../etc":     "not a clean absolute path",
		"file:///srv/releases/%2e%2e/secret": "not a clean absolute path",
		"file://host/srv/releases":           "neither https://",
		"http://releases.hashicorp.com":      "neither https://",
		"https://eve:s3cret@mirror":          "neither https://",
		"/srv/releases":                      "neither https://",
		"https:///x":                         "neither https://",
		"":                                   "neither https://",
		"exec:///bin/sh":                     "neither https://",
		"::":                                 "is not a URL",
	} {
		err := policy(nil).Releases(source)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("password shown: %v", err)
		}
	}
}

func TestFoldersAreASetting(t *testing.T) {
	if err := policy(func(t *settings.Trust) { t.Folders = true }).Folders(); err != nil {
		t.Error(err)
	}
	if err := policy(nil).Folders(); err == nil || !strings.Contains(err.Error(), "trust.folders: true") {
		t.Error(err)
	}
}

// cluster is one of which everything is allowed by policy(nil).
func cluster() desired.Cluster {
	return desired.Cluster{
		Name: "prod-eu", Mode: desired.ModeEnforce,
		Vault:   desired.Vault{Path: "/usr/local/bin/vault"},
		Storage: desired.Storage{Kind: "raft", Path: "/opt/vault/data"},
		Service: desired.Service{Name: "vault", User: "vault", Group: "vault"},
		Nodes: []desired.Node{{
			Name:    "eu-1",
			Puts:    []desired.Put{{Path: "/etc/vault.d/vault.hcl", Owner: "root", Group: "vault"}},
			Folders: []desired.Folder{{Path: "/etc/vault.d", Owner: "root", Group: "vault"}},
		}},
	}
}

func TestClusterMayAskOnlyForWhatIsAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*desired.Cluster)
		want   string // "" for no problem
	}{
		"what is allowed":       {func(*desired.Cluster) {}, ""},
		"another service":       {func(c *desired.Cluster) { c.Service.Name = "sshd" }, `runs the service "sshd", which is not in trust.services (vault)`},
		"another service user":  {func(c *desired.Cluster) { c.Service.User = "admin" }, `uses the user "admin", which is not in trust.users (vault, root)`},
		"another service group": {func(c *desired.Cluster) { c.Service.Group = "wheel" }, `uses the group "wheel"`},
		"another binary":        {func(c *desired.Cluster) { c.Vault.Path = "/usr/bin/vault" }, "writes /usr/bin/vault, outside trust.roots"},
		"another data folder":   {func(c *desired.Cluster) { c.Storage.Path = "/home/vault" }, "writes /home/vault, outside trust.roots"},
		"a file elsewhere":      {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Path = "/etc/passwd" }, "writes /etc/passwd, outside trust.roots"},
		"a file beside a root":  {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Path = "/etc/vault.d2/x" }, "outside trust.roots"},
		"a file that climbs":    {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Path = "/etc/vault.d/../passwd" }, "not a clean absolute path"},
		"a relative file":       {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Path = "etc/vault.d/x" }, "not a clean absolute path"},
		"another owner":         {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Owner = "eve" }, `uses the user "eve"`},
		"another group":         {func(c *desired.Cluster) { c.Nodes[0].Puts[0].Group = "users" }, `uses the group "users"`},
		"a folder elsewhere":    {func(c *desired.Cluster) { c.Nodes[0].Folders[0].Path = "/root/.ssh" }, "writes /root/.ssh"},
		"a folder of another":   {func(c *desired.Cluster) { c.Nodes[0].Folders[0].Owner = "eve" }, `uses the user "eve"`},
	} {
		t.Run(name, func(t *testing.T) {
			spec := cluster()
			c.change(&spec)
			got := policy(nil).Cluster(spec)
			if c.want == "" {
				if len(got) > 0 {
					t.Error(got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].Text, c.want) || got[0].Severity != desired.SeverityError || got[0].Hint == "" || got[0].Cluster != "prod-eu" {
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}

func TestClusterThatIsOnlyObservedIsWarnedOfWhatItCouldNotWrite(t *testing.T) {
	spec := cluster()
	spec.Mode = desired.ModeObserve
	spec.Service.Name = "hashivault"
	spec.Nodes = append(spec.Nodes, spec.Nodes[0]) // said once all the same
	spec.Nodes[0].Puts[0].Owner = "consul"
	got := policy(nil).Cluster(spec)
	if len(got) != 2 || got[0].Severity != desired.SeverityWarning || got[1].Severity != desired.SeverityWarning {
		t.Errorf("%+v", got)
	}
}

func pemOf(blocks ...string) []byte {
	var all []byte
	for _, b := range blocks {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(b)})...)
	}
	return all
}

func TestClusterMayNameOnlyTrustedAuthorities(t *testing.T) {
	given := func(t *settings.Trust) { t.VaultCA = []string{"/etc/reconciler/vault-ca.crt"} }
	for name, c := range map[string]struct {
		ca     []byte
		change func(*settings.Trust)
		want   string
	}{
		"one of ours":               {pemOf("b"), given, ""},
		"both of ours":              {pemOf("b", "a"), given, ""},
		"ours with text round it":   {append([]byte("# Acme\n"), pemOf("a")...), given, ""},
		"another":                   {pemOf("eve"), given, "not in trust.vault_ca (/etc/reconciler/vault-ca.crt)"},
		"ours and another":          {pemOf("a", "eve"), given, "not in trust.vault_ca"},
		"none":                      {nil, given, "names no ca"},
		"no certificate":            {[]byte("hello"), given, "names no ca"},
		"any, when none is trusted": {pemOf("eve"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			spec := cluster()
			spec.Mode = desired.ModeObserve
			spec.CA, spec.CASource = c.ca, "clusters/prod-eu/tls/ca.crt"
			got := policy(c.change, pemOf("a"), pemOf("b")).Cluster(spec)
			switch {
			case c.want == "" && len(got) > 0:
				t.Error(got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, c.want) || got[0].Severity != desired.SeverityError):
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}

// What is allowed under one root stays allowed under more, and what is written
// at all lies below a root, whatever the path looks like.
func TestBelowIsWhatThePathMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"opt", "vault", "vault2", "..", ".", "", "etc"})
		s := "/" + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "path"), "/")
		roots := []string{"/opt/vault"}
		allowed := clean(s) && below(s, roots)
		if allowed && (strings.Contains(s, "..") || !strings.HasPrefix(s+"/", "/opt/vault/")) {
			t.Errorf("%s is below %v", s, roots)
		}
		if allowed && !below(s, append(roots, "/etc")) {
			t.Errorf("%s is no longer below with one root more", s)
		}
	})
}

func ExamplePolicy_Dial() {
	fmt.Println(policy(nil).Dial(actual.Target{Node: "eu-1", Address: "192.0.2.1"}, []netip.Addr{netip.MustParseAddr("192.0.2.1")}))
	// Output: node eu-1 (192.0.2.1): address 192.0.2.1 is outside trust.networks (10.1.0.0/16, 2001:db8::/32); add its network there in /etc/reconciler/reconciler.yaml
}
