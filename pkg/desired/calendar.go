package desired

import (
	"errors"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

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
		if refusal, ok := errors.AsType[schedule.Refusal](err); ok {
			b.fail(item.place, refusal.Text, refusal.Hint)
		}
	}
}
