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
	body, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil || len(body) == 0 {
		return nil, refuse(FaultMalformed, "its signature is not base64; sign it again")
	}
	return body, nil
}
