package desired

import (
	"path"
	"slices"
	"strings"
)

// GenerationsFolder holds one folder per staged set of configuration, unit and
// certificates on a node.
const GenerationsFolder = "/opt/vault/generations"

// folders are all folders that a node must have and that are not the system's:
// those of its files, the data folder, and those of the audit logs. Where
// versions and generations lie is the node script's own.
func folders(c Cluster, puts []Put) []Folder {
	wanted := map[string]Folder{}
	want := func(at, owner, group, mode string) {
		for parent := path.Dir(at); !isSystemFolder(parent); parent = path.Dir(parent) {
			if _, there := wanted[parent]; !there {
				wanted[parent] = Folder{Path: parent, Owner: "root", Group: "root", Mode: "0755"}
			}
		}
		if !isSystemFolder(at) {
			wanted[at] = Folder{Path: at, Owner: owner, Group: group, Mode: mode}
		}
	}
	want(path.Dir(c.Vault.Path), "root", "root", "0755")
	for _, put := range puts {
		want(path.Dir(put.Path), "root", "root", "0755")
	}
	for _, a := range c.Audit {
		if at := a.Options["file_path"]; a.Type == "file" && strings.HasPrefix(at, "/") {
			want(path.Dir(at), c.Service.User, c.Service.Group, "0750")
		}
	}
	if c.Storage.Path != "" {
		want(c.Storage.Path, c.Service.User, c.Service.Group, "0700")
	}
	list := make([]Folder, 0, len(wanted))
	for _, at := range sortedKeys(wanted) {
		list = append(list, wanted[at])
	}
	return list
}

// isSystemFolder says whether a folder is the distribution's: it is there, and
// its owner and mode are not ours to set (hier(7), systemd's file-hierarchy).
func isSystemFolder(at string) bool {
	return slices.Contains([]string{
		"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
		"/etc/default", "/etc/logrotate.d", "/etc/pki", "/etc/profile.d", "/etc/rsyslog.d", "/etc/security", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/private", "/etc/sysconfig", "/etc/sysctl.d", "/etc/systemd", "/etc/systemd/system",
		"/lib/systemd", "/lib/systemd/system",
		"/usr/bin", "/usr/lib", "/usr/lib/systemd", "/usr/lib/systemd/system", "/usr/libexec", "/usr/local", "/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/libexec", "/usr/local/sbin", "/usr/local/share", "/usr/sbin", "/usr/share",
		"/usr/local/share/ca-certificates", "/usr/share/ca-certificates",
		"/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/spool", "/var/tmp",
	}, at)
}

// checkPlaces refuses to write where one file would make the reconciler, or
// whoever may commit, root in another way than the spec says.
func (b *builder) checkPlaces() {
	c := &b.draft.cluster
	for _, p := range []struct{ key, at string }{
		{"config_path", c.Service.ConfigPath}, {"environment_path", c.Service.EnvironmentPath},
	} {
		if p.at != "" && isSystemFolder(path.Dir(p.at)) {
			b.fail(b.placeOf(b.spec, p.key), "`"+p.key+"` is "+p.at+", which lies in the system's own folder", "give it a folder of its own, as in /etc/vault.d/"+path.Base(p.at))
		}
	}
	if at := c.Vault.Path; at != "" && path.Base(at) != "vault" {
		b.fail(b.placeOf(b.spec, "vault", "path"), "`vault.path` is "+at+", which is not called vault", "write /usr/local/bin/vault")
	}
	if at := c.Service.UnitPath; path.Base(at) != c.Service.Name+".service" {
		b.fail(b.placeOf(b.spec, "service", "unit_path"), "`service.unit_path` is "+at+", which is not the unit of service "+c.Service.Name, "write /etc/systemd/system/"+c.Service.Name+".service")
	}
	if at := c.Storage.Path; at != "" && isSystemFolder(at) {
		b.fail(b.placeOf(b.spec, "storage", c.Storage.Kind, "path"), "the data folder is "+at+", which is the system's own", "give Vault a folder of its own, as in /opt/vault/data")
	}
}

// checkFilePath says where an item of files may not lie.
func (b *builder) checkFilePath(place Place, at string) {
	c := b.draft.cluster
	const hint = "give it a folder of its own, as in /etc/vault.d/NAME"
	switch at {
	case c.Service.ConfigPath, c.Service.EnvironmentPath, c.Service.UnitPath, c.Vault.Path:
		b.fail(place, "files may not write "+at+", which is written from the spec's own keys", "use config, environment_file, service or vault")
		return
	}
	if c.isAuditFile(at) {
		b.fail(place, "files may not write "+at+", which an audit device writes", "give one of them another path")
		return
	}
	guarded := []string{
		path.Dir(c.Vault.Path), VersionsFolder, GenerationsFolder, path.Dir(c.Service.UnitPath), c.Storage.Path,
		"/etc/systemd", "/lib/systemd", "/usr/lib/systemd", "/run", "/boot", "/dev", "/proc", "/sys", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin",
		"/usr/local/libexec", "/var/lib/reconciler-node", "/etc/reconciler-node", "/root", "/etc/ssh", "/etc/sudoers.d", "/etc/pam.d", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/profile.d", "/etc/ld.so.conf.d",
	}
	for _, folder := range guarded {
		if folder != "" && strings.HasPrefix(at, folder+"/") {
			b.fail(place, "files may not write below "+folder+", and "+at+" lies there", hint)
			return
		}
	}
	switch path.Dir(at) {
	case "/", "/etc", "/usr", "/var", "/opt", "/home":
		b.fail(place, "files may not write "+at+", which lies in the system's own folder", hint)
	}
}
