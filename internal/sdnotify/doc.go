// Package sdnotify tells systemd how a service is: sd_notify(3), and the watchdog
// of systemd.service(5).
//
// It knows the words of the protocol. It must not know what a service does: that
// it goes on is asked of a function. Without systemd nothing is told to anybody,
// and nothing is different.
//
//	manager := sdnotify.New(log)
//	go manager.Watch(ctx, pulse.Late)
//	manager.Ready()
package sdnotify
