package git

import (
	"bytes"
	"errors"
	"testing"
)

func TestAPackHasALimit(t *testing.T) {
	var out bytes.Buffer
	l := &packLimit{w: &out, bytes: 20}
	for _, part := range []string{"PA", "CK\x00\x00\x00\x02\x00\x00", "\x00\x01", "12345678"} { // exactly
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write([]byte("9")); err == nil || !errors.As(err, new(*oversizeError)) {
		t.Errorf("a byte more: %v", err)
	}
	if out.Len() != 20 {
		t.Errorf("%d bytes were written", out.Len())
	}
}
