package trust

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Policy is the judgement of one reconciler.yaml. The zero Policy allows
// nothing.
type Policy struct {
	file  string // reconciler.yaml, for people
	trust settings.Trust
	cas   [][]byte
}

// New makes a policy. vaultCA are the contents of the PEM files that
// trust.vault_ca names.
func New(s settings.Settings, vaultCA [][]byte) Policy {
	return Policy{file: s.File, trust: s.Trust, cas: vaultCA}
}

// Mode is what a cluster gets of what its spec wants: at most what trust.modes
// allows it, and observe where no glob matches.
func (p Policy) Mode(cluster string, wanted desired.Mode) desired.Mode {
	if wanted == desired.ModeEnforce && p.most(cluster) == desired.ModeEnforce {
		return desired.ModeEnforce
	}
	return desired.ModeObserve
}

func (p Policy) most(cluster string) desired.Mode {
	for _, m := range p.trust.Modes {
		if settings.Match(m.Clusters, cluster) {
			return m.Most
		}
	}
	return desired.ModeObserve
}

// Folders says whether a folder that is no trusted commit may be acted on; nil
// means yes.
func (p Policy) Folders() error {
	if p.trust.Folders {
		return nil
	}
	return fmt.Errorf("only trusted commits are acted on; set trust.folders: true in %s to let a folder be applied (labs, tests)", p.file)
}

// Releases judges where releases come from. An https:// mirror is allowed,
// because the lock's digests decide; a file:// folder must lie in one of
// trust.releases, or a commit could name any file of our host. Links are not
// followed here: who opens the file does not follow them out either.
func (p Policy) Releases(source string) error {
	u, err := url.Parse(source)
	if err != nil {
		return fmt.Errorf("releases.source %q is not a URL", source)
	}
	switch {
	case u.Scheme == "https" && u.Host != "" && u.User == nil:
		return nil
	case u.Scheme != "file" || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("releases.source %q is neither https:// without a password nor file:///FOLDER", u.Redacted())
	case !clean(u.Path):
		return fmt.Errorf("releases.source %q is not a clean absolute path", source)
	}
	if !below(u.Path, p.trust.Releases) {
		return fmt.Errorf("releases.source %q is outside trust.releases (%s); add its folder there in %s", source, list(p.trust.Releases), p.file)
	}
	return nil
}

// clean says whether a path is absolute and names its file in one way only.
func clean(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s
}

// below says whether a clean path is one of the folders or lies in one.
func below(s string, folders []string) bool {
	for _, f := range folders {
		if s == f || strings.HasPrefix(s, strings.TrimSuffix(f, "/")+"/") {
			return true
		}
	}
	return false
}

// list shows what a setting allows now.
func list(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, ", ")
}
