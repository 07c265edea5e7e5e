// Package signature tells who signed a commit.
//
// It reads the raw bytes of the commit object, those that git hashes and `git
// cat-file commit` prints, because a library that decodes and encodes a commit
// may check other bytes than were signed. A commit that two programs could read
// differently is refused, whoever signed it.
//
// Whose signatures count comes from files of this host: OpenSSH's allowed
// signers, and OpenPGP public keys. To take a key back, take it out of its
// file. The tests ask git about each case, and name the reason where our
// verdict is another: stricter in many, milder in two.
//
// It knows commit objects, SSHSIG (PROTOCOL.sshsig of OpenSSH) and OpenPGP (RFC
// 9580). It must not know repos, nor which commits have to be signed and by
// whom, nor the clock: when it is comes in as a value.
//
//	signers, err := signature.ParseAllowedSigners(text, time.Local)
//	keys, err := signature.ParseKeyring(armored)
//	signer, err := signers.And(keys).Verify(commit, now)
//	fmt.Println(signer) // SHA256:6ewyJ2uB… ("alice@example.com")
package signature
