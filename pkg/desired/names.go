package desired

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the repo names ends as an argument of a root-owned script, as a path on
// a node, or in a unit file. None of it is free text: each kind of name has
// its alphabet, and what is outside of it is refused here, again before a node
// is touched, and once more by the node script.
//
// The must functions say what is wrong with a text and what would be right;
// both empty when all is well.

const maxName = 63 // bytes: a DNS label

// mustName is for the names that become folders, raft node ids and labels:
// DNS labels in lower case, joined by dots.
func mustName(s string) (wrong, hint string) {
	const rule = "use lower-case letters, digits and inner `-`, `_` or `.`"
	if wrong, hint = mustASCII(s); wrong != "" {
		return wrong, hint
	}
	if len(s) > maxName {
		return fmt.Sprintf("a name of %d characters is too long", len(s)), fmt.Sprintf("use at most %d", maxName)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return fmt.Sprintf("the name %q holds %q", printable(s), string(rune(c))), rule
		}
	}
	for _, part := range strings.Split(s, ".") {
		if part == "" || !isAlphanumeric(part[0]) || !isAlphanumeric(part[len(part)-1]) {
			return fmt.Sprintf("the name %q begins or ends a part with a mark", s), rule
		}
	}
	if base, _, _ := strings.Cut(s, "."); isReserved(base) {
		return fmt.Sprintf("%q is a device name on Windows", s), "choose another name"
	}
	return "", ""
}

func isReserved(base string) bool {
	if slices.Contains([]string{"con", "prn", "aux", "nul"}, base) {
		return true
	}
	return len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") && isDigit(base[3])
}

func mustASCII(s string) (wrong, hint string) {
	if what := hidden(s); what != "" {
		return strconv.QuoteToASCII(s) + " holds " + what, "type it again without it"
	}
	if what := lookalike(s); what != "" {
		return what, "type it again, in ASCII"
	}
	return "", ""
}

// mustLabel is for zones and adopted node ids, which are others' names.
func mustLabel(s string) (wrong, hint string) {
	if wrong, hint = mustASCII(s); wrong != "" {
		return wrong, hint
	}
	if len(s) > 128 || !isAlphanumeric(s[0]) || !all(s, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-_.:", c) >= 0 }) {
		return fmt.Sprintf("%q is not a plain name", printable(s)), "use letters, digits and inner `-`, `_`, `.` or `:`"
	}
	return "", ""
}

func mustGlob(s string) (wrong, hint string) {
	if _, err := path.Match(s, ""); err != nil || !all(s, func(c byte) bool { return isPlaceholderByte(c) || strings.IndexByte("*?[]", c) >= 0 }) {
		return fmt.Sprintf("%q is no glob of names", printable(s)), "use a name, with * or ? for what may differ"
	}
	return "", ""
}

// mustVersion accepts releases ("1.21.0"), their candidates ("2.0.0-rc1") and
// editions ("1.21.0+ent.hsm").
func mustVersion(s string) (wrong, hint string) {
	const rule = "write an exact version, as in 1.21.0"
	rest, edition, hasEdition := strings.Cut(s, "+")
	numbers, candidate, hasCandidate := strings.Cut(rest, "-")
	parts := strings.Split(numbers, ".")
	ok := len(parts) == 3 &&
		(!hasCandidate || all(candidate, isAlphanumeric)) &&
		(!hasEdition || all(edition, func(c byte) bool { return isLower(c) || isDigit(c) || c == '.' }))
	for _, part := range parts {
		ok = ok && all(part, isDigit) && len(part) <= 4 && (len(part) == 1 || part[0] != '0')
	}
	if ok {
		return "", ""
	}
	if s == "latest" {
		return "\"latest\" is another version on another day", rule
	}
	if len(s) > 1 && s[0] == 'v' && isDigit(s[1]) {
		return fmt.Sprintf("%q is no version", printable(s)), "write it without the v"
	}
	return fmt.Sprintf("%q is no version", printable(s)), rule
}

// mustPath is for paths on a node: absolute, clean, and of characters that
// need no quoting in a shell, a unit file or vault.hcl.
func mustPath(s string) (wrong, hint string) {
	if wrong, hint = mustASCII(s); wrong != "" {
		return wrong, hint
	}
	switch {
	case !strings.HasPrefix(s, "/"):
		return fmt.Sprintf("the path %q is not absolute", printable(s)), "begin it with /"
	case !all(s, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("/._@+-", c) >= 0 }):
		return fmt.Sprintf("the path %q holds more than letters, digits and /._@+-", printable(s)), "choose a plain path"
	case s == "/":
		return "the path \"/\" is the whole machine", "name a file or a folder of its own, as in /opt/vault/data"
	case path.Clean(s) != s:
		return fmt.Sprintf("the path %q is not clean", s), "write " + path.Clean(s)
	case len(s) > 255:
		return "the path is longer than 255 characters", "choose a shorter one"
	}
	return "", ""
}

// mustSource is for what a file's content comes from; that it is there is
// looked at later.
func mustSource(s string) (wrong, hint string) {
	if wrong, hint = mustASCII(s); wrong != "" {
		return wrong, hint
	}
	if name, ok := strings.CutPrefix(s, secretPrefix); ok {
		return mustName(name)
	}
	file := strings.TrimPrefix(s, agePrefix)
	if scheme, _, ok := strings.Cut(file, ":"); ok {
		return fmt.Sprintf("%q is no source of a secret", printable(scheme)+":"), "write age:PATH, secret:NAME, or a path in the cluster's folder"
	}
	const rule = "a source is a path inside the cluster's own folder, as in tls/vault.crt"
	switch {
	case file == "" || strings.HasPrefix(file, "/"):
		return fmt.Sprintf("the source %q is not a path in the cluster's folder", printable(s)), rule
	case path.Clean(file) != file || file == "." || file == ".." || strings.HasPrefix(file, "../"):
		return fmt.Sprintf("the source %q leaves the cluster's folder or is not clean", printable(s)), rule
	case !all(file, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("/._@+-", c) >= 0 }):
		return fmt.Sprintf("the source %q holds more than letters, digits and /._@+-", printable(s)), rule
	}
	return "", ""
}

// mustHost is for where a machine is: a host name or an IP address, nothing
// that a resolver, a shell or ssh reads in a way of its own.
func mustHost(s string) (wrong, hint string) {
	const rule = "write a host name or an IP address"
	if wrong, hint = mustASCII(s); wrong != "" {
		return wrong, hint
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return mustReachable(s, ip)
	}
	switch {
	case strings.Contains(s, "://"), strings.Contains(s, "@"), strings.ContainsAny(s, "/:%[]"):
		return fmt.Sprintf("the address %q is more than a host", printable(s)), rule + " alone; the user and the port belong into `ssh`"
	case len(s) > 253:
		return "the address is longer than 253 characters", rule
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		switch {
		case label == "" || len(label) > maxName || label[0] == '-' || label[len(label)-1] == '-' ||
			!all(label, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' }):
			return fmt.Sprintf("the address %q is no host name", printable(s)), "use lower-case letters, digits, inner `-` and dots"
		case strings.HasPrefix(label, "xn--"):
			return fmt.Sprintf("the address %q is punycode, which hides what it looks like", s), "use an ASCII host name"
		}
	}
	if last := labels[len(labels)-1]; isDigit(last[0]) {
		return fmt.Sprintf("the address %q is a number that resolvers read in different ways", s), "write the IP address with four decimal parts, as in 10.1.0.11"
	}
	return "", ""
}

// mustReachable refuses the addresses that mean something else on every
// machine. Loopback is left to the rule `loopback`: a lab may live there.
func mustReachable(s string, ip netip.Addr) (wrong, hint string) {
	const rule = "write the address that the other nodes reach it at"
	switch {
	case ip.Zone() != "":
		return fmt.Sprintf("the address %q has a zone, which means something on one machine only", printable(s)), rule
	case ip.Is4In6():
		return fmt.Sprintf("the address %q is IPv4 dressed as IPv6", s), "write " + ip.Unmap().String()
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Sprintf("%s is no address of one machine", s), rule
	case ip.String() != s:
		return fmt.Sprintf("the address %q is not written in its short form", s), "write " + ip.String()
	}
	return "", ""
}

// mustListen is host:port, where the host may be a go-sockaddr template or a
// wildcard.
func mustListen(s string) (wrong, hint string) {
	const rule = "write HOST:PORT, as in 0.0.0.0:8200"
	if strings.Contains(s, "{{") {
		return "", ""
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return fmt.Sprintf("%q has no port", printable(s)), rule
	}
	host, port := s[:i], s[i+1:]
	if wrong, hint = mustPort(port); wrong != "" {
		return wrong, hint
	}
	bare := host
	if bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"); bracketed {
		bare = host[1 : len(host)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil && ip.Is6() == (bare != host) {
		return "", ""
	}
	if host == "localhost" {
		return "", ""
	}
	if wrong, _ := mustHost(host); wrong != "" {
		return fmt.Sprintf("%q is no host to listen on", printable(host)), rule
	}
	return "", ""
}

func mustPort(s string) (wrong, hint string) {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 || !all(s, isDigit) {
		return fmt.Sprintf("%q is no port", printable(s)), "a port is a number from 1 to 65535"
	}
	return "", ""
}

func mustURL(s string) (wrong, hint string) {
	const rule = "write https://HOST:PORT"
	if strings.Contains(s, "{{") {
		return "", ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("%q is no address of an API", printable(s)), rule
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return fmt.Sprintf("%q holds more than scheme, host and port", printable(u.Redacted())), rule
	}
	if u.Hostname() == "localhost" {
		return "", ""
	}
	if wrong, hint = mustHost(u.Hostname()); wrong != "" {
		return wrong, hint
	}
	if port := u.Port(); port != "" {
		return mustPort(port)
	}
	return "", ""
}

func mustReleases(s string) (wrong, hint string) {
	const rule = "write https://HOST/PATH or file:///FOLDER"
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Sprintf("%q is no address of releases", printable(s)), rule
	}
	switch {
	case u.User != nil:
		return "the address of the releases holds a user or a password", "name the mirror alone"
	case u.Scheme == "https" && u.Host != "" && u.RawQuery == "" && u.Fragment == "":
		return "", ""
	case u.Scheme == "file" && u.Host == "" && path.IsAbs(u.Path) && path.Clean(u.Path) == u.Path:
		return "", ""
	}
	return fmt.Sprintf("%q is no address of releases", printable(s)), rule
}

// mustUser is for accounts and groups (useradd(8), and what POSIX calls a
// portable name).
func mustUser(s string) (wrong, hint string) {
	ok := len(s) <= 32 && (isLower(s[0]) || s[0] == '_') &&
		all(s, func(c byte) bool { return isLower(c) || isDigit(c) || c == '_' || c == '-' })
	if !ok {
		return fmt.Sprintf("%q is no name of an account", printable(s)), "use lower-case letters, digits, `-` and `_`, beginning with a letter"
	}
	return "", ""
}

func mustService(s string) (wrong, hint string) {
	if name, ok := strings.CutSuffix(s, ".service"); ok {
		return fmt.Sprintf("%q has the unit's suffix", printable(s)), "write " + printable(name)
	}
	if len(s) > 128 || !isAlphanumeric(s[0]) || !all(s, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("_.@-", c) >= 0 }) {
		return fmt.Sprintf("%q is no name of a service", printable(s)), "use letters, digits and inner `-`, `_`, `.` or `@`"
	}
	return "", ""
}

func mustMode(s string) (wrong, hint string) {
	const rule = "write four octal digits in quotes, as in \"0640\""
	if len(s) != 4 || !all(s, func(c byte) bool { return '0' <= c && c <= '7' }) {
		return fmt.Sprintf("%q is no mode", printable(s)), rule
	}
	if s[0] != '0' {
		return fmt.Sprintf("the mode %q sets setuid, setgid or the sticky bit", s), rule
	}
	if last := s[3] - '0'; last&2 != 0 {
		return fmt.Sprintf("the mode %q lets everybody write", s), rule
	}
	return "", ""
}

func mustMount(s string) (wrong, hint string) {
	if strings.HasSuffix(s, "/") || strings.HasPrefix(s, "/") ||
		!all(s, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("_-/", c) >= 0 }) {
		return fmt.Sprintf("%q is no path of an audit device", printable(s)), "use letters, digits, `-` and `_`, without a slash at the end"
	}
	return "", ""
}

func mustUUID(s string) (wrong, hint string) {
	const rule = "take it from `vault status`: five groups of lower-case hex digits"
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return fmt.Sprintf("%q is no cluster_id", printable(s)), rule
	}
	ok := true
	for i, n := range []int{8, 4, 4, 4, 12} {
		ok = ok && len(parts[i]) == n && all(parts[i], func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' })
	}
	if !ok {
		return fmt.Sprintf("%q is no cluster_id", printable(s)), rule
	}
	return "", ""
}

func mustDate(s string) (wrong, hint string) {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Sprintf("%q is no day", printable(s)), "write YYYY-MM-DD"
	}
	return "", ""
}
