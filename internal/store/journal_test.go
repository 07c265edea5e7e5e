package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// story is a journal of one record of each kind, with what it adds up to after
// each.
func story(t testing.TB) (data []byte, ends []int, memories []diff.Memory) {
	t.Helper()
	try := diff.Try{Op: "op-1", Step: "5f3c", Node: "eu-1", Action: diff.ActionInit, Outcome: diff.OutcomeIntent, Epoch: 3, Count: 1, At: noon}
	done := try
	done.Outcome = diff.OutcomeDone
	leave := diff.Leave{Kind: diff.LeaveHold, Node: "eu-2", By: "alice", Reason: "disk", At: noon, Until: noon.Add(time.Hour)}
	memory := diff.Memory{Known: true, ClusterID: "c1", CAs: [][]byte{{1, 2}}, Secrets: map[string]string{"age:a": "sha256:b"},
		Members: []diff.Member{{Name: "eu-1", Joined: true, Index: 7}}}
	var m diff.Memory
	for i, r := range []record{
		{Kind: kindGrant, Leave: &diff.Leave{Kind: diff.LeaveInit, By: "bob", At: noon}},
		{Kind: kindMemory, Memory: &memory},
		{Kind: kindTry, Try: &try},
		{Kind: kindGrant, Leave: &leave},
		{Kind: kindTry, Try: &done},
		{Kind: kindLift, Leave: &diff.Leave{Kind: diff.LeaveHold, Node: "eu-2", By: "alice"}},
	} {
		r.Rev = uint64(i) + 1
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		var why string
		if m, why = fold(m, r); why != "" {
			t.Fatal(why)
		}
		data = append(data, b...)
		ends = append(ends, len(data))
		memories = append(memories, m)
	}
	return data, ends, memories
}

func TestEveryRecordIsFoldedInOrder(t *testing.T) {
	data, _, _ := story(t)
	m, rev, whole, err := read(data)
	if err != nil || rev != 6 || whole != len(data) {
		t.Fatalf("rev %d, whole %d of %d, %v", rev, whole, len(data), err)
	}
	want := diff.Memory{Known: true, ClusterID: "c1", CAs: [][]byte{{1, 2}}, Secrets: map[string]string{"age:a": "sha256:b"},
		Members: []diff.Member{{Name: "eu-1", Joined: true, Index: 7}},
		Tries:   []diff.Try{{Op: "op-1", Step: "5f3c", Node: "eu-1", Action: diff.ActionInit, Outcome: diff.OutcomeDone, Epoch: 3, Count: 1, At: noon}}}
	if d := cmp.Diff(want, m); d != "" {
		t.Fatal(d)
	}
}

// A write may stop at any byte, and a file system may leave zeros for what it
// had not written yet.
func TestATornTailIsCutAtEveryByte(t *testing.T) {
	data, ends, memories := story(t)
	for n := range data {
		whole, rev := 0, 0
		want := diff.Memory{}
		for i, end := range ends {
			if end <= n {
				whole, rev, want = end, i+1, memories[i]
			}
		}
		for _, zeros := range []int{0, 1, 13, 4096} {
			if zeros == 0 && n == whole {
				continue
			}
			m, gotRev, gotWhole, err := read(append(bytes.Clone(data[:n]), make([]byte, zeros)...))
			if err != nil {
				t.Fatalf("cut at %d, %d zeros: %v", n, zeros, err)
			}
			if gotWhole != whole || int(gotRev) != rev || !cmp.Equal(m, want) {
				t.Fatalf("cut at %d, %d zeros: whole %d rev %d, want %d %d\n%s", n, zeros, gotWhole, gotRev, whole, rev, cmp.Diff(want, m))
			}
		}
	}
}

// What was acknowledged and then damaged is never taken for a torn tail, not
// even in the last record.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	data, ends, _ := story(t)
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			_, _, _, err := read(flipped)
			corrupt, ok := errors.AsType[*CorruptError](err)
			if !ok {
				t.Fatalf("byte %d bit %d: %v, want a CorruptError", i, bit, err)
			}
			begin := 0
			for _, end := range ends {
				if end <= i {
					begin = end
				}
			}
			if corrupt.Offset != begin {
				t.Fatalf("byte %d bit %d: said to be at %d, is in the record at %d", i, bit, corrupt.Offset, begin)
			}
		}
	}
}

func TestARecordThatIsMissingOrRepeatedOrMovedIsRefused(t *testing.T) {
	data, ends, _ := story(t)
	part := func(i int) []byte { return data[ends[i]-(ends[i]-append([]int{0}, ends...)[i]) : ends[i]] }
	for name, journal := range map[string][]byte{
		"missing":  bytes.Join([][]byte{part(0), part(1), part(3)}, nil),
		"repeated": bytes.Join([][]byte{part(0), part(1), part(1)}, nil),
		"moved":    bytes.Join([][]byte{part(1), part(0)}, nil),
		"zeros within, records after": bytes.Join([][]byte{
			part(0), make([]byte, len(part(1))), part(2)}, nil),
	} {
		if _, _, _, err := read(journal); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, rev, _, err := read(bytes.Join([][]byte{part(1), part(2)}, nil)); err != nil || rev != 3 {
		t.Errorf("a compacted journal begins at any revision: %d, %v", rev, err)
	}
}

func TestWhatANewerReleaseWroteIsRefusedAndNotLost(t *testing.T) {
	framed := func(format byte, body string) []byte {
		head := fmt.Appendf(nil, "%c %08x %08x", format, len(body), checksum([]byte(body)))
		head = fmt.Appendf(head, " %08x ", checksum(head))
		return append(head, body+"\n"...)
	}
	if _, rev, _, err := read(framed('1', `{"rev":4,"kind":"memory","memory":{"known":true}}`)); err != nil || rev != 4 {
		t.Fatalf("the frame itself: rev %d, %v", rev, err)
	}
	for name, data := range map[string][]byte{
		"format":            framed('2', `{}`),
		"kind":              framed('1', `{"rev":1,"kind":"approval"}`),
		"kind without body": framed('1', `{"rev":1,"kind":"try"}`),
		"field":             framed('1', `{"rev":1,"kind":"memory","memory":{"known":true,"quorum":3}}`),
		"no revision":       framed('1', `{"kind":"memory","memory":{"known":true}}`),
		"not json":          framed('1', `{"rev":`),
	} {
		_, _, _, err := read(data)
		if _, ok := errors.AsType[*CorruptError](err); !ok {
			t.Errorf("%s: %v, want a CorruptError", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, ends, _ := story(f)
	f.Add(data)
	f.Add(data[:ends[2]+20])
	f.Add(append(bytes.Clone(data), 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, rev, whole, err := read(data)
		if whole < 0 || whole > len(data) {
			t.Fatalf("whole %d of %d", whole, len(data))
		}
		if err != nil {
			if _, ok := errors.AsType[*CorruptError](err); !ok || rev != 0 || !cmp.Equal(m, diff.Memory{}) {
				t.Fatalf("rev %d, %v, %v", rev, m, err)
			}
			return
		}
		again, rev2, whole2, err := read(data[:whole])
		if err != nil || whole2 != whole || rev2 != rev || !cmp.Equal(m, again) {
			t.Fatalf("what was kept reads differently: %v", err)
		}
		next, err := encode(record{Rev: rev + 1, Kind: kindLift, Leave: &diff.Leave{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, rev3, _, err := read(append(bytes.Clone(data[:whole]), next...)); err != nil || rev3 != rev+1 {
			t.Fatalf("cannot go on after what was kept: rev %d, %v", rev3, err)
		}
	})
}
