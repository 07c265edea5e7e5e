package git

import "slices"

// What a merge by lines gives depends on what each side is taken to have changed: of
// two equal lines, which one is new? A merge that is not the one that the forge will
// make must not be planned, so lines are paired as git's histogram diff pairs them
// (the algorithm is JGit's): the longest run of lines that both texts have, grown
// around the line that is rarest in the older one; then the same before that run and
// behind it. What is left over is changed. At last each change slides as git lets it.

const (
	// mostEqual is how many equal lines git's histogram diff looks at. Of a part that
	// has nothing in common but lines that are more frequent, it leaves the diff to
	// another algorithm.
	mostEqual = 64
	// mostSteps caps what telling two texts apart may cost: a stranger may write what
	// takes the square of its length.
	mostSteps = 1 << 27
)

// change is lines of a text that others stand for: from start up to end, which is
// start where lines came and none went.
type change struct {
	start, end int
	text       []string
}

// changes are what makes one text the other, in order; false: we do not know what
// git would take them to be.
func changes(from, to []string) ([]change, bool) {
	d := newDiffer(from, to)
	if !d.tell(stretch{0, len(from), 0, len(to)}) {
		return nil, false
	}
	slide(d.from, d.gone, d.come)
	slide(d.to, d.come, d.gone)
	var found []change
	for i, j := 0, 0; i < len(from) || j < len(to); i, j = i+1, j+1 {
		c, begin := change{start: i}, j
		for ; d.gone[i]; i++ {
		}
		for ; d.come[j]; j++ {
		}
		if c.end, c.text = i, to[begin:j]; c.end > c.start || len(c.text) > 0 {
			found = append(found, c)
		}
	}
	return found, true
}

// differ tells two texts apart. Lines are numbers: equal ones have the same.
type differ struct {
	from, to   []int
	gone, come []bool // lines of from and to that have no counterpart; a false more at the end
	steps      int

	// Of the part of from that is looked at:
	count []int // by number: how many lines are that
	first []int // by number: the first of them
	next  []int // by line: the next that equals it; -1: none
}

func newDiffer(from, to []string) *differ {
	numbers := map[string]int{}
	numbered := func(lines []string) []int {
		list := make([]int, len(lines))
		for i, line := range lines {
			n, seen := numbers[line]
			if !seen {
				n = len(numbers)
				numbers[line] = n
			}
			list[i] = n
		}
		return list
	}
	d := &differ{from: numbered(from), to: numbered(to), gone: make([]bool, len(from)+1), come: make([]bool, len(to)+1)}
	d.count, d.first, d.next = make([]int, len(numbers)), slices.Repeat([]int{-1}, len(numbers)), make([]int, len(from))
	return d
}

// stretch is lines of both texts, each from the first up to the second.
type stretch struct{ from, fromEnd, to, toEnd int }

// tell marks what differs within a stretch.
func (d *differ) tell(s stretch) bool {
	for s.from < s.fromEnd && s.to < s.toEnd {
		common, known := d.common(s)
		if !known {
			return false
		}
		if common == (stretch{}) {
			break
		}
		if !d.tell(stretch{s.from, common.from, s.to, common.to}) {
			return false
		}
		s.from, s.to = common.fromEnd, common.toEnd
	}
	for i := s.from; i < s.fromEnd; i++ {
		d.gone[i] = true
	}
	for j := s.to; j < s.toEnd; j++ {
		d.come[j] = true
	}
	return true
}

// common is the run of lines that both sides of a stretch are held together by; the
// zero stretch: they have no line in common.
func (d *differ) common(s stretch) (best stretch, known bool) {
	defer func() {
		for _, n := range d.from[s.from:s.fromEnd] {
			d.count[n], d.first[n] = 0, -1
		}
	}()
	for i := s.fromEnd - 1; i >= s.from; i-- {
		n := d.from[i]
		d.count[n], d.first[n], d.next[i] = d.count[n]+1, i, d.first[n]
	}
	d.steps += s.fromEnd - s.from + s.toEnd - s.to
	rarest, any := mostEqual+1, false
	for j := s.to; j < s.toEnd; {
		n, past := d.to[j], j+1
		any = any || d.count[n] > 0
		if d.count[n] > rarest {
			j = past
			continue
		}
		for i := d.first[n]; i >= 0; {
			run, count := d.run(s, i, j)
			if past = max(past, run.toEnd); run.toEnd-run.to > best.toEnd-best.to || count < rarest {
				best, rarest = run, count
			}
			for ; i >= 0 && i < run.fromEnd; i = d.next[i] {
				d.steps++
			}
		}
		if j = past; d.steps > mostSteps {
			return best, false
		}
	}
	return best, !any || rarest <= mostEqual
}

// run grows a pair of equal lines within a stretch, and counts the rarest line in it.
func (d *differ) run(s stretch, i, j int) (run stretch, count int) {
	run, count = stretch{i, i + 1, j, j + 1}, d.count[d.from[i]]
	for ; run.from > s.from && run.to > s.to && d.from[run.from-1] == d.to[run.to-1]; run.from, run.to = run.from-1, run.to-1 {
		count = min(count, d.count[d.from[run.from-1]])
	}
	for ; run.fromEnd < s.fromEnd && run.toEnd < s.toEnd && d.from[run.fromEnd] == d.to[run.toEnd]; run.fromEnd, run.toEnd = run.fromEnd+1, run.toEnd+1 {
		count = min(count, d.count[d.from[run.fromEnd]])
	}
	d.steps += run.toEnd - run.to
	return run, count
}

// slide moves each group of changed lines, where lines around it repeat, to where git
// has it: as far down as it goes, but not past the last place at which the other text
// has changed lines as well. Groups that meet become one.
func slide(lines []int, changed, others []bool) {
	g, o := firstGroup(changed), firstGroup(others)
	for {
		settle(lines, &g, &o)
		if !g.next() {
			return
		}
		o.next()
	}
}

func settle(lines []int, g, o *group) {
	if g.empty() {
		return
	}
	highest, beside := 0, false
	for size := 0; size != g.end-g.start; {
		size = g.end - g.start
		for g.up(lines) {
			o.previous()
		}
		highest, beside = g.end, !o.empty()
		for g.down(lines) {
			o.next()
			beside = beside || !o.empty()
		}
	}
	for g.end > highest && beside && o.empty() {
		g.up(lines)
		o.previous()
	}
}

// group is changed lines without a gap, or none between two lines that stayed: both
// texts have as many groups.
type group struct {
	changed    []bool
	start, end int
}

func firstGroup(changed []bool) group {
	g := group{changed: changed}
	g.widen()
	return g
}

func (g *group) empty() bool { return g.start == g.end }

// widen takes in what is changed on both sides of a group.
func (g *group) widen() {
	for g.start > 0 && g.changed[g.start-1] {
		g.start--
	}
	for g.changed[g.end] {
		g.end++
	}
}

func (g *group) next() bool {
	if g.end == len(g.changed)-1 {
		return false
	}
	g.start, g.end = g.end+1, g.end+1
	g.widen()
	return true
}

func (g *group) previous() {
	g.start, g.end = g.start-1, g.start-1
	g.widen()
}

// up moves a group by a line, if it is the same text then.
func (g *group) up(lines []int) bool {
	if g.start == 0 || lines[g.start-1] != lines[g.end-1] {
		return false
	}
	g.start, g.end = g.start-1, g.end-1
	g.changed[g.start], g.changed[g.end] = true, false
	g.widen()
	return true
}

func (g *group) down(lines []int) bool {
	if g.end == len(lines) || lines[g.start] != lines[g.end] {
		return false
	}
	g.changed[g.start], g.changed[g.end] = false, true
	g.start, g.end = g.start+1, g.end+1
	g.widen()
	return true
}
