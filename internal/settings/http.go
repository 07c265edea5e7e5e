package settings

import (
	"net/netip"

	"gopkg.in/yaml.v3"
)

// http reads where the daemon tells how it is. It asks nobody who he is, so only
// this host may ask.
func (r *reader) http(n *yaml.Node, to *HTTP) {
	before := len(r.problems)
	var listen string
	r.fields(n, "http", key{"listen", func(n *yaml.Node) {
		if r.listen(n, "http.listen", &listen); listen == "" {
			return
		}
		if at, err := netip.ParseAddrPort(listen); err != nil || !at.Addr().IsLoopback() {
			r.at(n, "write it as 127.0.0.1:9180, and reach it through SSH or a proxy on this host",
				"http.listen %q is not a loopback address, and whoever asks there is not asked who he is in this release", listen)
			return
		}
		to.Listen = listen
	}})
	if len(r.problems) == before && to.Listen == "" {
		r.at(n, `add listen: "127.0.0.1:9180"`, "http does not say where to listen")
	}
}
