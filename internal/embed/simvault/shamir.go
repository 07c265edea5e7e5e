package simvault

import (
	"crypto/rand"
	"errors"
)

// Shares of a key by Shamir's scheme over GF(2^8): each is the value of a random
// polynomial per byte of the key at one point, which is its last byte, as with
// Vault.

// split makes as many shares, any threshold of which make the key.
func split(key []byte, shares, threshold int) ([][]byte, error) {
	out := make([][]byte, shares)
	for i := range out {
		out[i] = make([]byte, len(key)+1)
		out[i][len(key)] = byte(i + 1)
	}
	coefficients := make([]byte, threshold)
	for at, secret := range key {
		if _, err := rand.Read(coefficients); err != nil {
			return nil, err
		}
		coefficients[0] = secret
		for i := range out {
			out[i][at] = evaluate(coefficients, byte(i+1))
		}
	}
	return out, nil
}

func evaluate(coefficients []byte, x byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = multiply(y, x) ^ coefficients[i]
	}
	return y
}

// combine makes a key of shares. Whether it is the key only its use can tell.
func combine(shares [][]byte) ([]byte, error) {
	length := len(shares[0])
	for _, s := range shares {
		if len(s) != length || length < 2 {
			return nil, errors.New("all parts must be the same length")
		}
	}
	points := map[byte]bool{}
	for _, s := range shares {
		if x := s[length-1]; points[x] || x == 0 {
			return nil, errors.New("duplicate part detected")
		}
		points[s[length-1]] = true
	}
	key := make([]byte, length-1)
	for i, s := range shares {
		weight := byte(1) // of this share at the point 0
		for j, other := range shares {
			if i != j {
				weight = multiply(weight, divide(other[length-1], other[length-1]^s[length-1]))
			}
		}
		for at := range key {
			key[at] ^= multiply(weight, s[at])
		}
	}
	return key, nil
}

// multiply is the product in GF(2^8) with the polynomial of AES.
func multiply(a, b byte) byte {
	var product byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1b
		}
	}
	return product
}

// divide is a by b, which is not 0: the inverse of b is its 254th power.
func divide(a, b byte) byte {
	inverse := byte(1)
	for range 254 {
		inverse = multiply(inverse, b)
	}
	return multiply(a, inverse)
}
