package desired

// Seal is how a cluster's root key is protected.
type Seal struct {
	Kind string // "shamir" is the only one whose effect is built
}

// Keys are the unseal shares of a Shamir cluster and who holds them.
type Keys struct {
	Shares    int
	Threshold int
	HeldBy    HeldBy
	Holders   []string // names known to reconciler.yaml
}

// HeldBy says who holds the unseal shares.
type HeldBy string

const (
	HeldByReconciler HeldBy = "reconciler"
	HeldByPeople     HeldBy = "people"
)
