package ssh

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The defaults of x/crypto still hold diffie-hellman-group14-sha1, SHA-1 MACs,
// ssh-rsa and DSA. What is offered here are its SupportedAlgorithms, which are
// without known weakness, less the one MAC on SHA-1 that it keeps there:
// OpenSSH 6.7 (2014) and later has the others.

func ciphers() ssh.Config {
	supported := ssh.SupportedAlgorithms()
	return ssh.Config{
		KeyExchanges: modern(supported.KeyExchanges),
		Ciphers:      modern(supported.Ciphers),
		MACs:         modern(supported.MACs),
	}
}

// hostKeys are the host key algorithms that we accept at all.
func hostKeys() []string {
	all := modern(ssh.SupportedAlgorithms().HostKeys)
	// Ed25519 first: when a host is unknown, its fingerprint is the one that
	// people compare.
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	return all
}

func rank(algorithm string) int {
	if algorithm == ssh.KeyAlgoED25519 || algorithm == ssh.CertAlgoED25519v01 {
		return 0
	}
	return 1
}

func modern(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.Contains(name, "sha1") || name == ssh.KeyAlgoRSA
	})
}
