// Package simvault is a Vault simulator, not Vault: a server and a command line
// that answer as Vault does, as far as the product and the node script ask. It is
// a copy of this very program ([Release]), so that a fleet can be born, rolled and
// hurt where no Vault is.
//
// It knows what HashiCorp Vault answers, reads and refuses: the suite of
// internal/conform pins it, which Vault itself is held to on real machines. It must
// not know what the product wants. Which server leads, votes and is open is decided
// by the machine of internal/sim; servers share it through a folder. It keeps no
// secret that is worth keeping.
package simvault
