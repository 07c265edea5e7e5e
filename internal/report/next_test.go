package report

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A cluster that a commit has not reached shows both: what is done to it now, and what
// will be. Only what is done now counts.
func TestWhatACommitWillDoIsShownApart(t *testing.T) {
	c := seen("prod-eu", 3)
	c.Plan.Commit = "4411aa7de01b44d1ffff"
	c.Plan.Waits = []diff.Wait{{Reason: diff.WaitRing, Detail: "a newer commit wants something else, and has not reached this cluster: lab, which is of a ring before, soaks", Until: noon.Add(time.Hour)}}
	before := Code([]Cluster{c}, Asked{Detailed: true, Unobserved: true})
	summary := Summarize([]Cluster{c})
	next := upgrading("prod-eu")
	next.Plan.Commit = told.Commit
	next.Plan.Blocks = lost("prod-eu").Plan.Blocks
	c.Next = &next

	var text, markdown, data bytes.Buffer
	if err := Text(&text, Options{Width: 110}, []Cluster{c}); err != nil {
		t.Fatal(err)
	}
	golden(t, "next.txt", text.String())
	if err := Markdown(&markdown, told, []Cluster{c}); err != nil {
		t.Fatal(err)
	}
	golden(t, "next.md", markdown.String())
	if got := Code([]Cluster{c}, Asked{Detailed: true, Unobserved: true}); got != before || Summarize([]Cluster{c}) != summary {
		t.Errorf("what will be done counts: code %d, not %d; %+v", got, before, Summarize([]Cluster{c}))
	}
	if err := JSON(&data, NewDocument(SchemaPlan, told, []Cluster{c}, before)); err != nil {
		t.Fatal(err)
	}
	read, err := Read(bytes.NewReader(data.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	one := read.Clusters[0]
	if len(one.Plan.Waves) != 0 || one.Next == nil || one.Next.Plan.Commit != told.Commit || len(one.Next.Plan.Waves) != len(next.Plan.Waves) {
		b, _ := json.MarshalIndent(one, "", " ")
		t.Errorf("%s", b)
	}
}
