package simvault

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestAnyThresholdOfTheSharesMakesTheKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		shares := rapid.IntRange(1, 12).Draw(t, "shares")
		threshold := rapid.IntRange(1, shares).Draw(t, "threshold")
		parts, err := split(key, shares, threshold)
		if err != nil {
			t.Fatal(err)
		}
		some := rapid.Permutation(parts).Draw(t, "order")[:threshold]
		if got, err := combine(some); err != nil || !bytes.Equal(got, key) {
			t.Fatalf("%x %v, want %x", got, err, key)
		}
		if threshold > 1 {
			if got, err := combine(some[1:]); err != nil || bytes.Equal(got, key) {
				t.Fatalf("one share too few makes %x, %v", got, err)
			}
			if _, err := combine(append(some[:1:1], some[0])); err == nil {
				t.Fatal("the same share twice")
			}
		}
	})
}
