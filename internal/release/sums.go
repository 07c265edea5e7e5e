package release

import (
	"fmt"
	"strings"
)

const maxSums = 1 << 20 // bytes; a release has some twenty lines

// readSums reads the SHA256SUMS of one version: platform → sha256 in hex of its
// archive. Every line must be of that very version: the sums of another one are
// as truly signed, so that only the names tell a mirror which serves an old
// release as a new one.
func readSums(text, version string) (map[string]string, error) {
	sums, seen := map[string]string{}, map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		sum, name, ok := strings.Cut(line, "  ")
		if !ok || !isHex(sum) || !made(name, letters+"ABCDEFGHIJKLMNOPQRSTUVWXYZ.+_-") {
			return nil, fmt.Errorf("line %d is not 64 lower-case hex digits, two spaces and a file name: %.100q", i+1, line)
		}
		rest, ok := strings.CutPrefix(name, "vault_"+version+"_")
		if !ok {
			return nil, fmt.Errorf("line %d names %.100q, which is not of version %s: the source serves another release in its place", i+1, name, version)
		}
		if seen[name] {
			return nil, fmt.Errorf("line %d names %s a second time", i+1, name)
		}
		seen[name] = true
		if platform, zip := strings.CutSuffix(rest, ".zip"); zip && isPlatform(platform) {
			sums[platform] = sum
		}
	}
	return sums, nil
}
