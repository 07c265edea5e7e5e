package settings

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// DriftReport says who is told of drift, of which clusters, and when all that is open
// is told again. What is new, worse or gone is told at once.
type DriftReport struct {
	Schedule schedule.Schedule
	Clusters []string // globs; none: all of them
	Sinks    []string // names of notify
}

// Name tells a report from the others.
func (d DriftReport) Name() string {
	return fmt.Sprintf("%s %v %v", d.Schedule, d.Clusters, d.Sinks)
}

// driftReports reads them. Whether their sinks are there is known once notify was
// read.
func (r *reader) driftReports(n *yaml.Node, s *Settings) {
	const where = "drift_reports[]"
	r.items(n, "drift_reports", func(n *yaml.Node) {
		var d DriftReport
		var cron, zone *yaml.Node
		before := len(r.problems)
		r.fields(n, where,
			key{"cron", func(n *yaml.Node) { cron = n }},
			key{"timezone", func(n *yaml.Node) { zone = n }},
			key{"clusters", func(n *yaml.Node) { r.globs(n, where+".clusters", &d.Clusters) }},
			key{"sinks", func(n *yaml.Node) {
				r.items(n, where+".sinks", func(n *yaml.Node) {
					var name string
					if r.text(n, "an item of "+where+".sinks", &name) {
						d.Sinks = append(d.Sinks, name)
						r.sinks = append(r.sinks, n)
					}
				})
			}},
		)
		switch {
		case len(r.problems) > before:
			return
		case cron == nil:
			r.at(n, `add cron: "30 8 * * *"`, "a drift report does not say when all that is open is told")
			return
		case zone == nil:
			r.at(n, "add timezone: Europe/Berlin, or UTC", "a drift report does not say in which time zone its cron is told")
			return
		case len(d.Sinks) == 0:
			r.at(n, "add sinks: [NAME], of the names of notify", "a drift report does not say who is told")
			return
		}
		var ok bool
		if d.Schedule, ok = r.schedule(cron, zone); ok {
			s.DriftReports = append(s.DriftReports, d)
		}
	})
}

// schedule reads when something is due, by the clocks of a zone.
func (r *reader) schedule(cron, zone *yaml.Node) (schedule.Schedule, bool) {
	var at, name string
	if !r.text(zone, "timezone", &name) || !r.text(cron, "cron", &at) {
		return schedule.Schedule{}, false
	}
	place, err := schedule.Zone(name, time.LoadLocation)
	on := zone
	due := schedule.Schedule{}
	if err == nil {
		on = cron
		due, err = schedule.Parse(at, place)
	}
	if refusal, wrong := errors.AsType[schedule.Refusal](err); wrong {
		r.at(on, refusal.Hint, "%s", refusal.Text)
		return schedule.Schedule{}, false
	}
	return due, true
}

// sinksExist says which sinks of drift reports notify does not name.
func (r *reader) sinksExist(names []string) {
	for _, n := range r.sinks {
		if slices.Contains(names, n.Value) {
			continue
		}
		hint := "add it below notify"
		if near := nearest(n.Value, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.at(n, hint, "notify has no sink %q", n.Value)
	}
}
