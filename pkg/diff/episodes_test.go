package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func (s *scene) unreachable(node string) (was actual.Node) {
	n := s.find(node)
	was = *n
	*n = actual.Node{Name: node, ID: node, At: noon, Unknown: map[actual.Phase]string{actual.PhaseTCP: "refused"}}
	return was
}

// A memory that somebody wrote by hand ends nothing.
func TestAnEpisodeWithoutABeginningIsTaken(t *testing.T) {
	s := convergedScene(3)
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.look(0)
	s.memory.Drifts[0].Opened = nil
	s.look(time.Minute)
	s.plan()
	if e := s.memory.Drifts[0]; !e.Sure.Equal(noon.Add(time.Minute)) || !e.Last().IsZero() {
		t.Errorf("%+v", e)
	}
}

// A node that does not answer for a while is still one of those that drift: that it
// answers again is no spread.
func TestANodeThatIsNotReadStaysInItsEpisode(t *testing.T) {
	s := convergedScene(3)
	for _, n := range []string{"eu-1", "eu-2"} {
		s.change(n, notePath, func(f *actual.File) { f.Mode = "0600" })
	}
	s.look(0)
	was := s.unreachable("eu-2")
	s.look(time.Minute)
	if got := s.memory.Drifts[0].Nodes; !slices.Equal(got, []string{"eu-1", "eu-2"}) {
		t.Error(got)
	}
	*s.find("eu-2") = was
	s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0640" })
	s.look(2 * time.Minute)
	if got := s.memory.Drifts[0].Nodes; !slices.Equal(got, []string{"eu-1"}) {
		t.Error(got)
	}
}

// What is the cluster's is told by who leads: a dead node does not keep it open, and
// nobody who tells of it does.
func TestWhatIsTheClustersIsGoneOnceItWasRead(t *testing.T) {
	s := convergedScene(5)
	s.unreachable("eu-5")
	if err := s.apply([]string{"no-device", "file"}); err != nil {
		t.Fatal(err)
	}
	s.look(0)
	s.lead("eu-1")
	s.look(time.Minute)
	for _, e := range s.memory.Drifts {
		if e.Path == "audit[file]" && e.Open() {
			t.Error("a device that is there again is still missed")
		}
	}
	s = convergedScene(3)
	if err := s.apply([]string{"no-member", "eu-3"}); err != nil {
		t.Fatal(err)
	}
	s.look(0)
	if err := s.apply([]string{"no-credential"}); err != nil {
		t.Fatal(err)
	}
	s.look(time.Minute)
	if e := s.memory.Drifts[0]; !e.Open() {
		t.Errorf("nobody tells who is in raft, and %s is gone", e.Path)
	}
}

// What a commit is about to bring anyway is not gone for that.
func TestADriftThatBecomesPendingIsNotGone(t *testing.T) {
	s := convergedScene(3)
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.look(0)
	s.look(time.Minute)
	s.want.Digest = "spec-2"
	if found := s.look(2 * time.Minute); !found.Rows[0].Pending {
		t.Fatal("it is not pending")
	}
	if e := s.memory.Drifts[0]; !e.Open() || len(e.Opened) != 1 {
		t.Errorf("%+v", e)
	}
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0640" })
	s.look(3 * time.Minute)
	if s.memory.Drifts[0].Open() {
		t.Error("it was put back, and is not gone")
	}
}

// What a node says is somebody else's: a file of many keys does not fill the journal.
func TestWhatIsRememberedOfDriftIsBounded(t *testing.T) {
	s := convergedScene(3)
	for i := range 3 * maxEpisodes {
		s.change("eu-1", configPath, onDisk(fmt.Sprintf("key_%03d", i), strings.Repeat("é", maxHave)))
	}
	s.look(0)
	first := s.memory.Drifts[0].ID
	s.look(time.Minute)
	if got := s.memory.Drifts; len(got) != maxEpisodes || got[0].ID != first || got[0].Sure.IsZero() || len(got[0].Have) > maxHave+len("…") {
		t.Errorf("%d, %+v", len(got), got[0])
	}
}
