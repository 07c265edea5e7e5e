package desired

import (
	"errors"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// mustZone checks the form of a zone's name; whether there is one is known by
// Options.Zone.
func mustZone(s string) (wrong, hint string) {
	_, err := schedule.Zone(s, nil)
	return refused(err)
}

func mustCron(s string) (wrong, hint string) {
	_, err := schedule.Parse(s, nil)
	return refused(err)
}

func refused(err error) (wrong, hint string) {
	var r schedule.Refusal
	errors.As(err, &r)
	return r.Text, r.Hint
}

func (b *builder) buildWindow() {
	w := b.spec.get("rollout", "window")
	if w == nil {
		return
	}
	cron := b.need(w, "write when the window begins, as in cron: \"0 22 * * TUE\"", "cron")
	length := b.need(w, "write how long it is, as in duration: 2h", "duration")
	name := b.need(w, "write the zone that cron is told in, as in timezone: Europe/Berlin", "timezone")
	if cron == "" || length == "" || name == "" {
		return
	}
	zone, err := schedule.Zone(name, b.l.opts.Zone)
	if wrong, hint := refused(err); wrong != "" {
		b.fail(w.at("timezone"), wrong, hint)
		return
	}
	begins, err := schedule.Parse(cron, zone)
	if wrong, hint := refused(err); wrong != "" {
		b.fail(w.at("cron"), wrong, hint)
		return
	}
	window, err := schedule.NewWindow(begins, duration(w, "duration"))
	if wrong, hint := refused(err); wrong != "" {
		b.fail(w.at("duration"), wrong, hint)
		return
	}
	if zone == nil {
		window = schedule.Window{} // its hours are not known: any would be somebody's day
	}
	b.draft.cluster.Rollout.Calendar.Window = &window
}

// buildFreezes fills the freezes of a rollout.
func (b *builder) buildFreezes() {
	for _, item := range b.spec.list("rollout", "freezes") {
		from, until := b.need(item, "write the first day, as in from: 2026-12-20", "from"), b.need(item, "write the last day, as in until: 2027-01-02", "until")
		name := b.need(item, "write the zone that days are told in, as in timezone: Europe/Berlin", "timezone")
		b.need(item, "write why, as in reason: end of year", "reason")
		if from == "" || until == "" || name == "" {
			continue
		}
		zone, err := schedule.Zone(name, b.l.opts.Zone)
		if err == nil {
			var f schedule.Freeze
			if f, err = schedule.ParseFreeze(from, until, zone, item.str("reason")); err == nil {
				b.draft.cluster.Rollout.Calendar.Freezes = append(b.draft.cluster.Rollout.Calendar.Freezes, f)
			}
		}
		if wrong, hint := refused(err); wrong != "" {
			b.fail(item.place, wrong, hint)
		}
	}
}
