package web

// Address is where people find the pages, as "https://reconciler.example.com"; empty:
// nobody said, and there are no links to them.
type Address string

// Fleet is the page of every node.
func (a Address) Fleet() string { return a.to("/") }

// Drift is the page of what drifts, in one cluster or in all of them.
func (a Address) Drift(clusters ...string) string {
	if len(clusters) == 1 {
		return a.to(linkTo("/clusters/", clusters[0]) + "#drift")
	}
	return a.to("/drift")
}

func (a Address) to(path string) string {
	if a == "" {
		return ""
	}
	return string(a) + path
}
