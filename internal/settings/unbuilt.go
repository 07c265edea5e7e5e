package settings

// unbuilt are the keys that the format has and whose effect this release does
// not have, with what to do meanwhile. Accepting one silently would let an
// operator rely on it. Whoever builds one deletes its line.
func unbuilt() map[string]string {
	return map[string]string{
		"drift_reports": "run `reconciler plan --detailed-exitcode` on a schedule of your own",
		"trust.host_ca": "use @cert-authority lines in trust.known_hosts",
		"ssh.bastions":  "run the reconciler where it reaches the nodes",
	}
}
