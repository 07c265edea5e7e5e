package desired

import (
	"path"
	"strings"
)

// The unit is a fixed text with a handful of checked words in it. It is run by
// systemd as root, so a word is checked here once more, whoever checked it
// before, against an alphabet in which nothing means anything to systemd: no
// space, quote, backslash, %, $ or line break.
//
// Where it differs from the unit in Vault's own packages, the reason:
//   - TimeoutStopSec is above the 90 s that Vault drains requests for
//     (DefaultMaxRequestDuration); theirs kills after 30 s, and a killed leader
//     costs an election where a clean stop costs none.
//   - TimeoutStartSec is infinite: Vault is ready before it is unsealed, and a
//     slow disk must not turn into a restart loop.
//   - KillMode=mixed: Vault alone is asked to stop, and plugins that outlive a
//     Vault that had to be killed do not stay behind.
//   - Wants= instead of Requires=: a host whose network-online.target fails may
//     still reach its peers.
//   - EnvironmentFile=- : a missing file must not keep Vault down.
//   - UnsetEnvironment=: that file reaches every line of the unit, also the one
//     that runs as root, and no setting keeps it from one line alone. So what the
//     dynamic loader and libc obey before a program can clear its environment,
//     to load code or to write files, is taken out of the whole unit, wherever
//     that file came from (systemd.exec(5): applied last; ld.so(8)).
//   - MemorySwapMax=0: root keys never reach a swap device, with or without mlock.
//   - CapabilityBoundingSet keeps CAP_IPC_LOCK even without mlock, where nothing
//     grants it: packages put that capability on the binary (setcap), and the
//     kernel refuses with EPERM to run such a file when the set lacks it.
const unitText = `[Unit]
Description=HashiCorp Vault
Documentation=https://developer.hashicorp.com/vault/docs
Wants=network-online.target
After=network-online.target
ConditionFileNotEmpty={config}
{mounts}StartLimitIntervalSec=60
StartLimitBurst=3

[Service]
Type=notify
User={user}
Group={group}
EnvironmentFile=-{environment}
{unset}
{mark}
ExecStart={binary} server -config={config}
ExecReload=/bin/kill --signal HUP $MAINPID
KillMode=mixed
KillSignal=SIGTERM
Restart=on-failure
RestartSec=5
TimeoutStartSec=infinity
TimeoutStopSec=120
LimitNOFILE=65536
LimitMEMLOCK=infinity
LimitCORE=0
MemorySwapMax=0
ProtectSystem=full
ProtectHome=read-only
PrivateTmp=yes
{devices}NoNewPrivileges=yes
CapabilityBoundingSet=CAP_IPC_LOCK
{capabilities}
[Install]
WantedBy=multi-user.target
`

// UnsetLoader is the line of a unit that keeps what the dynamic loader obeys out
// of each of its programs, MarkCommand's among them.
const UnsetLoader = "UnsetEnvironment=LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG LD_DEBUG_OUTPUT LD_PROFILE LD_PROFILE_OUTPUT LD_ORIGIN_PATH LD_TRACE_LOADED_OBJECTS GLIBC_TUNABLES GCONV_PATH LOCPATH NLSPATH MALLOC_TRACE"

// MarkCommand is the line of a unit that writes down what Vault is about to be
// started with: the node script copies configuration, environment and unit to
// /run/reconciler-node/started/SERVICE/. It stands in the unit because systemd
// starts Vault without us, at boot and after a failure. "+" runs it as root,
// outside the unit's sandbox; "-" lets Vault start where the script is missing.
// "env -i" keeps the unit's environment away from it: a commit may write that,
// and must not steer what runs as root. A verbatim unit that should be seen
// through needs this very line, and [UnsetLoader].
func MarkCommand(service string) string {
	return "ExecStartPre=+-/usr/bin/env -i INVOCATION_ID=${INVOCATION_ID} /usr/local/libexec/reconciler-node mark " + service
}

// unit is NAME.service.
func (r *renderer) unit(disableMlock bool) []byte {
	s, data := r.cluster.Service, r.cluster.Storage.Path
	if s.Manager != "systemd" {
		r.problem("service", "service.manager "+s.Manager+" has no unit to render", "systemd is the only one built")
		return nil
	}
	before := len(r.problems)
	r.checkPath("service.unit_path", s.UnitPath)
	r.checkPath("service.config_path", s.ConfigPath)
	r.checkPath("service.environment_path", s.EnvironmentPath)
	r.checkPath("vault.path", r.cluster.Vault.Path)
	r.checkWord("service.name", s.Name)
	r.checkWord("service.user", s.User)
	r.checkWord("service.group", s.Group)
	r.checkWord("fleet", r.cluster.Fleet)
	r.checkWord("cluster", r.cluster.Name)
	if data != "" {
		r.checkPath("storage.path", data)
		r.checkReachable(data)
	}
	if len(r.problems) > before {
		return nil
	}
	return []byte(r.header() + strings.NewReplacer(
		"{config}", s.ConfigPath,
		"{environment}", s.EnvironmentPath,
		"{binary}", r.cluster.Vault.Path,
		"{user}", s.User,
		"{group}", s.Group,
		"{unset}", UnsetLoader,
		"{mark}", MarkCommand(s.Name),
		"{mounts}", lineIf(data != "", "RequiresMountsFor="+data),
		// A hardware security module is a device.
		"{devices}", lineIf(r.cluster.Seal.Kind != "pkcs11", "PrivateDevices=yes"),
		"{capabilities}", lineIf(!disableMlock, "AmbientCapabilities=CAP_IPC_LOCK\nSecureBits=keep-caps"),
	).Replace(unitText))
}

func lineIf(wanted bool, line string) string {
	if !wanted {
		return ""
	}
	return line + "\n"
}

// checkReachable refuses a data folder that the unit's sandbox hides. One under
// /tmp would be the worst: PrivateTmp gives Vault a fresh one at each start, and
// the data of the last one is gone.
func (r *renderer) checkReachable(data string) {
	for _, hidden := range []string{"/tmp", "/var/tmp", "/usr", "/boot", "/efi", "/etc", "/home", "/root", "/run/user", "/dev"} {
		if data == hidden || strings.HasPrefix(data, hidden+"/") {
			r.problem("storage", "storage path "+data+" lies under "+hidden+", which the unit keeps from Vault",
				"use a folder such as /opt/vault/data, or bring your own unit with service.unit")
			return
		}
	}
}

// checkPath wants an absolute, clean path of harmless characters.
func (r *renderer) checkPath(key, value string) {
	if !path.IsAbs(value) || path.Clean(value) != value || !harmless(value, "/._-+@:,=") {
		r.problem("unit", key+" "+quoteText(value)+" cannot stand in a unit",
			"it must be absolute, without . or .. or a trailing slash, of letters, digits and /._-+@:,=")
	}
}

// checkWord wants a name of harmless characters.
func (r *renderer) checkWord(key, value string) {
	if value == "" || value[0] == '-' || !harmless(value, "._-") {
		r.problem("unit", key+" "+quoteText(value)+" cannot stand in a unit", "it must be of letters, digits and ._-")
	}
}

// harmless says that s is made of ASCII letters, digits and the marks.
func harmless(s, marks string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte(marks, b) >= 0:
		default:
			return false
		}
	}
	return true
}
