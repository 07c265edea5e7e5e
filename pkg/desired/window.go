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
	b.draft.cluster.Rollout.Window = &window
}
