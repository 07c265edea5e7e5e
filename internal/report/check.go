package report

import "io"

// Checked is one thing that was checked, and what mends it where it is amiss.
type Checked struct {
	What string
	OK   bool
	Why  string
	Mend string
}

// Checks writes what was checked, one line each, and under what is amiss the
// way to mend it.
func Checks(w io.Writer, o Options, checked []Checked) error {
	p := &page{w: w, o: o}
	amiss := 0
	for _, c := range checked {
		if c.OK {
			p.wrapped("✔ ", green, c.What)
			continue
		}
		amiss++
		p.wrapped("✘ ", red, c.What+": "+c.Why)
		if c.Mend != "" {
			p.wrapped("    mend:  ", cyan, c.Mend)
		}
	}
	p.line("")
	if amiss == 0 {
		p.line("All %s are well.", count(len(checked), "check"))
	} else {
		p.line("%d of %s are amiss.", amiss, count(len(checked), "check"))
	}
	return p.err
}
