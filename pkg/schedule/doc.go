// Package schedule says when something is due that comes again and again: a
// report, and the windows in which changes may begin.
//
// It knows the syntax of crontab(5), by way of robfig/cron, and what clocks do that
// are put forward and back. It must not know the time, where zones come from, or
// what is done when the time has come: instants and zones come in as values.
//
//	zone, err := schedule.Zone("Europe/Berlin", time.LoadLocation)
//	nights, err := schedule.Parse("0 22 * * TUE", zone)
//	window, err := schedule.NewWindow(nights, 2*time.Hour)
//	calendar := schedule.Calendar{Window: &window, Freezes: freezes}
//	if last, ok := calendar.LastSafeStart(now, 9*time.Minute); ok {
//		fmt.Println("it may begin until", last)
//	}
package schedule
