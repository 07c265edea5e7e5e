package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A journal is a file of records, one after the other:
//
//	1 LENGTH CRC HEADCRC {json}\n
//
// "1" is the format. LENGTH is that of the JSON in bytes, CRC is its CRC32C,
// HEADCRC is the CRC32C of the 19 bytes before it; each is 8 hex digits.
//
// Two kinds of damage are told apart, because one is harmless. A record that
// was never acknowledged, because the machine died while it was written, is a
// torn tail: a true beginning of a record that the file's end cuts off, or one
// whose end is still zeros. It is cut. Anything else that does not check out
// was once acknowledged and is damaged: then nothing is known for certain, and
// the store refuses. The head has its own checksum so that a damaged length
// does not pass for a torn tail.

const (
	headSize = len("1 00000000 00000000 00000000 ")
	// maxJournal caps what is read; compaction keeps journals far below it.
	maxJournal = 64 << 20
)

// kind of a record. Closed set.
type kind string

const (
	kindMemory kind = "memory" // a whole Memory; what came before no longer counts
	kindTry    kind = "try"
	kindGrant  kind = "grant"
	kindLift   kind = "lift"
)

// record is one entry. Rev counts up by one from record to record.
type record struct {
	Rev    uint64       `json:"rev"`
	Kind   kind         `json:"kind"`
	Memory *diff.Memory `json:"memory,omitempty"`
	Try    *diff.Try    `json:"try,omitempty"`
	Leave  *diff.Leave  `json:"leave,omitempty"`
}

// CorruptError says that a journal cannot be trusted. Nothing may be done to
// the cluster until a person has decided what is true.
type CorruptError struct {
	Path   string
	Offset int // where the damaged record begins, in bytes
	Why    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %s is damaged at byte %d: %s; nothing is done to this cluster until the file is restored from a backup, or moved away and `reconciler takeover` is run", e.Path, e.Offset, e.Why)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func encode(r record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a journal record: %w", err)
	}
	var b bytes.Buffer
	b.Grow(headSize + len(body) + 1)
	fmt.Fprintf(&b, "1 %08x %08x", len(body), checksum(body))
	fmt.Fprintf(&b, " %08x ", checksum(b.Bytes()))
	b.Write(body)
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// scan splits a journal into the JSON of its records. whole is the length of
// what checks out: less than that of the data when the tail is torn.
func scan(data []byte) (bodies [][]byte, whole int, err error) {
	for whole < len(data) {
		rest := data[whole:]
		body, why := next(rest)
		switch {
		case body != nil:
			bodies = append(bodies, body)
			whole += headSize + len(body) + 1
		case why == "" || rest[len(rest)-1] == 0:
			return bodies, whole, nil // torn: JSON holds no zero byte
		default:
			return bodies, whole, &CorruptError{Offset: whole, Why: why}
		}
	}
	return bodies, whole, nil
}

// next is the JSON of the record that data begins with. Without one, why says
// what is wrong with it; "" means that only its end is missing.
func next(data []byte) (body []byte, why string) {
	if len(data) < headSize {
		return nil, ""
	}
	if !bytes.Equal(data[19:headSize], fmt.Appendf(nil, " %08x ", checksum(data[:19]))) {
		return nil, "a record's head does not match its checksum"
	}
	if data[0] != '1' {
		return nil, "it is of a format that only a newer release of reconciler reads"
	}
	size, err1 := strconv.ParseUint(string(data[2:10]), 16, 32)
	sum, err2 := strconv.ParseUint(string(data[11:19]), 16, 32)
	if err1 != nil || err2 != nil || size == 0 {
		return nil, "a record's head is not understood"
	}
	if uint64(len(data)-headSize) < size+1 {
		return nil, ""
	}
	body = data[headSize : headSize+int(size)]
	if checksum(body) != uint32(sum) || data[headSize+int(size)] != '\n' {
		return nil, "a record does not match its checksum"
	}
	return body, ""
}

// read folds a journal: the memory it adds up to, the revision of its last
// record, and the length of what checks out.
func read(data []byte) (m diff.Memory, rev uint64, whole int, err error) {
	bodies, whole, err := scan(data)
	if err != nil {
		return diff.Memory{}, 0, whole, err
	}
	offset := 0
	for _, body := range bodies {
		r, why := decode(body, rev)
		if why == "" {
			m, why = fold(m, r)
		}
		if why != "" {
			return diff.Memory{}, 0, offset, &CorruptError{Offset: offset, Why: why}
		}
		rev = r.Rev
		offset += headSize + len(body) + 1
	}
	return m, rev, whole, nil
}

// decode reads one record strictly. A field that is unknown here would be lost
// at the next save, so it is refused.
func decode(body []byte, after uint64) (r record, why string) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return record{}, "a record is not understood (" + err.Error() + "): perhaps a newer release of reconciler wrote it"
	}
	if r.Rev == 0 || after != 0 && r.Rev != after+1 {
		return record{}, fmt.Sprintf("record %d follows record %d", r.Rev, after)
	}
	return r, ""
}

// fold lays one record over a memory. why is not empty where it cannot.
func fold(m diff.Memory, r record) (_ diff.Memory, why string) {
	switch {
	case r.Kind == kindMemory && r.Memory != nil:
		return *r.Memory, ""
	case r.Kind == kindTry && r.Try != nil:
		return m.Record(*r.Try), ""
	case r.Kind == kindGrant && r.Leave != nil:
		m.Leaves = append(others(m.Leaves, *r.Leave), *r.Leave)
		return m, ""
	case r.Kind == kindLift && r.Leave != nil:
		m.Leaves = others(m.Leaves, *r.Leave)
		return m, ""
	}
	return m, fmt.Sprintf("a record of kind %q is not understood: perhaps a newer release of reconciler wrote it", r.Kind)
}

// others are the leaves of another kind or node than l, or of another spec where l is of
// one: a cluster or node has one leave of a kind, and an approval for each spec.
func others(leaves []diff.Leave, l diff.Leave) []diff.Leave {
	var kept []diff.Leave
	for _, x := range leaves {
		if x.Kind != l.Kind || x.Node != l.Node || l.Digest != "" && x.Digest != l.Digest {
			kept = append(kept, x)
		}
	}
	return kept
}
