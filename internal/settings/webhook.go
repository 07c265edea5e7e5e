package settings

import (
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"
)

// webhook reads where hooks are heard, and the secret without which none counts.
func (r *reader) webhook(n *yaml.Node, to *Webhook) {
	before := len(r.problems)
	r.fields(n, "webhook",
		key{"listen", func(n *yaml.Node) { r.listen(n, "webhook.listen", &to.Listen) }},
		key{"secret_file", func(n *yaml.Node) {
			if r.path(n, "webhook.secret_file", &to.SecretFile) {
				r.private(n, to.SecretFile)
			}
		}},
	)
	switch {
	case len(r.problems) > before:
	case to.Listen == "":
		r.at(n, `add listen: "127.0.0.1:9181"`, "webhook does not say where to listen")
	case to.SecretFile == "":
		r.at(n, "add secret_file: FILE", "webhook has no secret_file: anybody could have the repo polled")
	}
}

// listen takes an address of ours and a port. A name is not taken: what it means
// somebody else decides.
func (r *reader) listen(n *yaml.Node, where string, to *string) {
	var s string
	if !r.text(n, where, &s) {
		return
	}
	address := s
	if strings.HasPrefix(s, ":") {
		address = "[::]" + s
	}
	if at, err := netip.ParseAddrPort(address); err != nil || at.Port() == 0 {
		r.at(n, "write it as 127.0.0.1:9181, or :9181 for all addresses of this host", "%s %q is not an address with a port", where, s)
		return
	}
	*to = s
}
