package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

var rings = []desired.Ring{{Environment: "lab", Soak: 2 * time.Hour, AtOnce: 1}, {Cluster: "prod-*", AtOnce: 2}}

func TestTheFirstRingThatMatchesCounts(t *testing.T) {
	for _, c := range []struct {
		name, environment string
		want              int
	}{{"x", "lab", 0}, {"prod-eu", "lab", 0}, {"prod-eu", "production", 1}, {"other", "", 2}, {"", "", 2}} {
		if got := RingOf(rings, c.name, c.environment); got != c.want {
			t.Errorf("%s of %s is of ring %d, not %d", c.name, c.environment, got, c.want)
		}
	}
}

// fellows are a fleet in few words: "NAME/ENV WANTED ORDERED GOOD [AGO] [observed] [held] [failed] [unborn] [turned]".
func fellows(t *testing.T, lines ...string) (all []Fellow) {
	t.Helper()
	for _, line := range lines {
		w := strings.Fields(line)
		name, environment, _ := strings.Cut(w[0], "/")
		f := Fellow{Name: name, Environment: environment, Wanted: strings.Trim(w[1], "-"), Ordered: w[2], Good: Standing{Digest: w[3]}}
		turned := false // back to what it was, in the middle of a roll
		for _, word := range w[4:] {
			if ago, err := time.ParseDuration(word); err == nil {
				f.Good.Since = noon.Add(-ago)
			}
			f.Observed, f.Held = f.Observed || word == "observed", f.Held || word == "held"
			turned = turned || word == "turned"
			f.Failed, f.Unborn = f.Failed || word == "failed", f.Unborn || word == "unborn"
		}
		if f.Good.Since.IsZero() && !turned {
			f.Good.First = noon.Add(-99 * time.Hour) // not now, but once
		}
		all = append(all, f)
	}
	return all
}

// reached is what the first cluster of a fleet waits for, as long as nobody begins.
func reached(rings []desired.Ring, fleet []Fellow, now time.Time) *Wait {
	return Travel(rings, fleet, func(Fellow) bool { return false }, now)[0]
}

func TestACommitTravelsThroughTheRings(t *testing.T) {
	for name, c := range map[string]struct {
		fleet []string
		want  string // part of what the first cluster waits for; "": it is reached
	}{
		"the first ring":                  {[]string{"lab/lab 2 1 1 5h", "prod-eu/p 2 1 1 5h"}, ""},
		"the ring before has not begun":   {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 1 1 5h"}, "lab, which is of a ring before, is not what the commit wants yet"},
		"the ring before rolls":           {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 1"}, "is not what the commit wants yet"},
		"the ring before soaks":           {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 2 1h"}, "lab, which is of a ring before, soaks"},
		"the ring before has soaked":      {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 2 2h"}, ""},
		"what is not touched has":         {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 1 1 1 9h"}, ""},
		"it fell out of sync again":       {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 2"}, "is not what the commit wants yet"},
		"a broken spec halts":             {[]string{"prod-eu/p 2 1 1 5h", "lab/lab - 1 1 9h"}, "cannot be read"},
		"a hold halts":                    {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 1 1 held"}, "is held"},
		"who is observed halts nobody":    {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 1 observed"}, ""},
		"who has begun goes on":           {[]string{"prod-eu/p 2 2 1", "lab/lab 2 2 2"}, ""},
		"one of two is on its way":        {[]string{"prod-eu/p 2 1 1 5h", "prod-us/p 2 2 1"}, ""},
		"two of two are":                  {[]string{"prod-eu/p 2 1 1 5h", "prod-us/p 2 2 1", "prod-ap/p 2 2 1"}, "no more go at once"},
		"those that none matches: last":   {[]string{"other 2 1 1 5h", "prod-us/p 2 2 1"}, "prod-us, which is of a ring before"},
		"and one at a time":               {[]string{"other 2 1 1 5h", "another 2 2 1"}, "no more go at once"},
		"one is on its way to another":    {[]string{"other 3 2 2 5h", "another 3 2 1"}, "no more go at once than are on their way: another"},
		"a failure halts its own ring":    {[]string{"prod-eu/p 2 1 1 5h", "prod-us/p 2 2 1 failed"}, "prod-us, which is of its ring, failed"},
		"the unborn halt nobody":          {[]string{"prod-eu/p 2 1 1 5h", "lab/lab 2 2 0 unborn", "prod-us/p 2 2 0 unborn", "prod-ap/p 2 2 0 unborn"}, ""},
		"an unborn one waits for nobody":  {[]string{"prod-eu/p 2 1 0 unborn", "lab/lab 2 1 1 5h"}, ""},
		"nothing comes to the held":       {[]string{"lab/lab 2 1 1 5h held"}, "it is held"},
		"the broken wait for the rolling": {[]string{"other 2 1 1", "another 3 2 1"}, "no more go at once than are on their way: another"},
		"and not for the broken":          {[]string{"other 2 1 1", "another 2 1 1"}, ""},
		"nor for who failed before":       {[]string{"prod-eu/p 3 2 1 failed", "prod-us/p 3 2 1 failed"}, ""},
		"but for who fails now":           {[]string{"prod-eu/p 3 2 1 failed", "prod-us/p 3 3 1 failed"}, "prod-us, which is of its ring, failed"},
		"who rolls keeps its place":       {[]string{"prod-eu/p 3 2 1", "prod-us/p 3 2 1"}, ""},
		"which the sound do not get":      {[]string{"other 3 1 1 5h", "another 2 1 1"}, "on their way: another"},
		"who was turned back rolls":       {[]string{"other 3 1 1", "another 4 1 1 turned"}, "no more go at once than are on their way: another"},
		"a later ring is nobody's wait":   {[]string{"lab/lab 2 1 1 5h", "prod-us/p 2 2 1", "other 2 2 1"}, ""},
	} {
		fleet := fellows(t, c.fleet...)
		w := reached(rings, fleet, noon)
		got := ""
		if w != nil {
			got = w.Detail
		}
		if (c.want == "") != (w == nil) || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if reached(nil, fleet, noon) != nil {
			t.Errorf("%s: without rings something waits", name)
		}
	}
	back := fellows(t, "prod-eu/p 2 1 1 5h", "lab/lab 1 1 1 1m")
	back[1].Good.First = noon.Add(-99 * time.Hour) // it was away for a while, long after it had soaked
	if w := reached(rings, back, noon); w != nil {
		t.Errorf("who came back soaks again: %+v", w)
	}
	fleet := fellows(t, "prod-eu/p 2 1 1 5h", "lab/lab 2 2 2 30m", "dev/lab 2 2 2 10m")
	if w := reached(rings, fleet, noon); w == nil || !w.Until.Equal(noon.Add(110*time.Minute)) || !strings.Contains(w.Detail, "dev") {
		t.Errorf("the last soak counts: %+v", w)
	}
}

// A fleet that takes a commit in whatever order its clusters are asked never has more
// of a ring roll than may be, and nobody before the rings before are through; and in
// the end everybody is there, also those that a bad commit left failed, or that nothing
// but the newest commit mends.
func TestATravelKeepsItsOrderAndArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		var rings []desired.Ring
		for i := range rapid.IntRange(1, 3).Draw(t, "rings") {
			rings = append(rings, desired.Ring{Cluster: fmt.Sprintf("r%d-*", i), AtOnce: rapid.IntRange(1, 3).Draw(t, "at once"), Soak: time.Duration(rapid.IntRange(0, 3).Draw(t, "soak")) * time.Hour})
		}
		var fleet []Fellow
		for i := range rapid.IntRange(2, 9).Draw(t, "clusters") {
			f := Fellow{Name: fmt.Sprintf("r%d-%d", rapid.IntRange(0, len(rings)).Draw(t, "ring"), i), Wanted: "2", Ordered: "1", Good: Standing{Digest: "1", Since: now.Add(-99 * time.Hour)}}
			if rapid.IntRange(0, 4).Draw(t, "touched") == 0 {
				f.Wanted = "1"
			}
			if rapid.IntRange(0, 4).Draw(t, "broken") == 0 {
				f.Good.Since, f.Good.First = time.Time{}, f.Good.Since
			}
			f.Observed = rapid.IntRange(0, 9).Draw(t, "observed") == 0
			fleet = append(fleet, f)
		}
		arrived := func(f Fellow) bool { _, yes := f.converged(); return yes || f.Observed }
		newer := rapid.IntRange(0, 30).Draw(t, "a newer commit comes")
		bad := rapid.Bool().Draw(t, "the first one is bad")
		for step := 0; step <= newer || slices.ContainsFunc(fleet, func(f Fellow) bool { return !arrived(f) }); step++ {
			if step > 2000 {
				t.Fatalf("it never arrives: %+v", fleet)
			}
			if step == newer {
				for i := range fleet {
					fleet[i].Wanted = "3"
				}
			}
			i := rapid.IntRange(0, len(fleet)-1).Draw(t, "who")
			f := &fleet[i]
			switch {
			case !f.begun():
				if Travel(rings, fleet, func(x Fellow) bool { return x.Name == f.Name }, now)[i] != nil {
					break
				}
				f.Ordered, f.Good.Since, f.Good.First = f.Wanted, time.Time{}, time.Time{}
				mine := RingOf(rings, f.Name, "")
				rolling := 0
				for _, x := range fleet {
					ring := RingOf(rings, x.Name, "")
					since, converged := x.converged()
					if ring < mine && !x.Observed && (!converged || now.Before(since.Add(rings[ring].Soak))) {
						t.Fatalf("%s goes before %s is through", f.Name, x.Name)
					}
					if ring == mine && !x.Observed && x.rolls() {
						rolling++
					}
				}
				if most := 1; mine < len(rings) && rolling > rings[mine].AtOnce && !f.Observed || mine == len(rings) && rolling > most && !f.Observed {
					t.Fatalf("%d of ring %d roll", rolling, mine)
				}
			case rapid.Bool().Draw(t, "ends"):
				if bad && f.Wanted == "2" {
					f.Failed = true
				} else if !arrived(*f) {
					f.Good, f.Failed = Standing{Digest: f.Wanted, Since: now}, false
				}
			}
			now = now.Add(10 * time.Minute)
		}
	})
}
