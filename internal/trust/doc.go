// Package trust judges what a spec asks for by what reconciler.yaml allows.
//
// It knows the settings and nothing else: no file, no network, no clock. It
// must not know how the answer is used; whoever dials, writes or installs asks
// first, and takes no for an answer. What no setting allows is refused, and
// each refusal names the setting that would allow it.
//
//	policy := trust.New(s, cas)
//	for _, p := range policy.Cluster(cluster) {
//		fmt.Println(p.Error())
//	}
//	pool := ssh.New(ssh.Settings{KnownHosts: s.Trust.KnownHosts, Key: s.SSH.Key, Allow: policy.Dial})
package trust
