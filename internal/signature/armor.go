package signature

import (
	"encoding/base64"
	"strings"
)

// unarmor is what an armored signature holds. The libraries skip what stands
// around the armor and read the first of several; here there is one armor and
// nothing else. Empty lines at its end are let be: GitHub writes one.
func unarmor(text []byte, label string) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if lines[0] != "-----BEGIN "+label+"-----" || lines[len(lines)-1] != "-----END "+label+"-----" {
		return nil, refuse(FaultMalformed, "its signature is cut off, or something stands behind it; sign it again")
	}
	lines = lines[1 : len(lines)-1]
	if label == "PGP SIGNATURE" {
		lines = armored(lines)
	}
	body, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines, ""))
	if err != nil || len(body) == 0 {
		return nil, refuse(FaultMalformed, "its signature is not base64; sign it again")
	}
	return body, nil
}

// armored are the lines of base64 in an OpenPGP armor: those between the empty
// line that ends its headers and its checksum, which says nothing that the
// signature does not (RFC 9580, 6.1).
func armored(lines []string) []string {
	for len(lines) > 0 && strings.Contains(lines[0], ":") {
		lines = lines[1:]
	}
	if len(lines) == 0 || lines[0] != "" {
		return nil
	}
	lines = lines[1:]
	if last := len(lines) - 1; last >= 0 && len(lines[last]) == 5 && lines[last][0] == '=' {
		lines = lines[:last]
	}
	return lines
}
