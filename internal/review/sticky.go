package review

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/report"
)

// One comment of a pull request is ours and is edited in place. It is found by its
// first line and by its author: anybody can copy the line. What the next edit needs
// to know stands in its second line, so that it survives every restart; it was
// written by us, but whoever may edit comments may have changed it, so nothing that
// it says gives leave to anything.

const (
	markOpen  = "<!-- reconciler:plan "
	dataOpen  = "<!-- reconciler:data "
	markClose = " -->"
	planOpen  = "<!-- reconciler:begin -->\n"
	planClose = "<!-- reconciler:end -->\n"

	maxData    = 16 << 10 // bytes of the second line
	maxEarlier = 10       // plans that are listed
)

// note is what a comment remembers.
type note struct {
	Head     string            `json:"head"`               // that the plan is of
	Base     string            `json:"base"`               // that it was merged into
	Print    string            `json:"print"`              // of what the plan says
	Words    string            `json:"words"`              // its headline
	Clusters map[string]string `json:"clusters,omitempty"` // touched → digest of the spec after the merge
	Earlier  []earlier         `json:"earlier,omitempty"`  // plans of this pull request, the newest first
	Heard    int64             `json:"heard,omitempty"`    // the last comment that was read for commands
	Answers  []string          `json:"answers,omitempty"`  // to the last commands, for people
	Outgrown string            `json:"outgrown,omitempty"` // of what was last said to be more than was approved
	Merged   string            `json:"merged,omitempty"`   // commit whose rollout is told
	Began    time.Time         `json:"began,omitzero"`     // when it was first told
	Over     bool              `json:"over,omitempty"`     // nothing more will be told
	Told     string            `json:"told,omitempty"`     // of the last stop that a comment of its own was written for
}

// earlier is a plan that another took the place of.
type earlier struct {
	Head  string `json:"head"`
	Words string `json:"words"`
}

// supersede notes a plan of another head or with another result.
func (n note) supersede(head, base, print, words string, clusters map[string]string) note {
	if n.Head != "" && n.Head != head {
		n.Earlier = append([]earlier{{n.Head, n.Words}}, n.Earlier...)
		n.Earlier = n.Earlier[:min(len(n.Earlier), maxEarlier)]
	}
	n.Head, n.Base, n.Print, n.Words, n.Clusters = head, base, print, words, clusters
	return n
}

// marker is the first line of the comments of a fleet: there may be several fleets
// in one repo, and several reconcilers, each for some of its clusters.
func marker(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return markOpen + hex.EncodeToString(sum[:8]) + markClose
}

// compose is the text of a comment.
func compose(mark string, n note, above, plan, below string) string {
	data, _ := json.Marshal(n) // plain data always marshals
	for len(data) > maxData && (len(n.Earlier) > 0 || len(n.Clusters) > 0) {
		if len(n.Earlier) > 0 {
			n.Earlier = n.Earlier[:len(n.Earlier)-1]
		} else {
			n.Clusters = nil
		}
		data, _ = json.Marshal(n)
	}
	return mark + "\n" + dataOpen + base64.StdEncoding.EncodeToString(data) + markClose + "\n" +
		above + planOpen + plan + planClose + below
}

// find is our comment among those of a pull request; false: there is none.
func find(comments []forge.Comment, me, mark string) (forge.Comment, bool) {
	i := slices.IndexFunc(comments, func(c forge.Comment) bool {
		first, _, _ := strings.Cut(c.Body, "\n")
		return c.Author == me && strings.TrimSpace(first) == mark
	})
	if i < 0 {
		return forge.Comment{}, false
	}
	return comments[i], true
}

// read takes a comment of ours apart. What cannot be read is empty.
func read(body string) (n note, plan string) {
	body = strings.ReplaceAll(body, "\r\n", "\n")
	_, rest, _ := strings.Cut(body, "\n")
	line, _, _ := strings.Cut(rest, "\n")
	if text, ok := strings.CutPrefix(strings.TrimSpace(line), dataOpen); ok && len(text) <= 2*maxData {
		data, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, markClose))
		if err != nil || json.Unmarshal(data, &n) != nil {
			n = note{}
		}
	}
	if _, after, ok := strings.Cut(rest, planOpen); ok {
		plan, _, _ = strings.Cut(after, planClose)
	}
	return n, plan
}

// printOf names what a plan says.
func printOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// history are the plans before, folded away.
func history(all []earlier) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n<details><summary>Earlier plans (%d)</summary>\n\n| Commit | Plan |\n|---|---|\n", len(all))
	for _, e := range all {
		fmt.Fprintf(&b, "| %.12s | %s |\n", report.Escape(e.Head), report.Escape(e.Words))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}
