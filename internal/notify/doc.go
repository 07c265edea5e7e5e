// Package notify brings news and reports to where people are: mail, chat, webhooks,
// an issue on the fleet's forge.
//
// A [Message] comes with all of its texts, and a [Sink] takes the one that it has use
// for. Between them stands the [Outbox]: what is put there outlives a restart, is sent
// to each sink by a goroutine of its own, and is tried again while a sink is down, so
// that nobody who has news ever waits for a sink. A message is sent at least once:
// whoever receives it twice, because we died between sending and noting it, sees that
// by its ID.
//
// It knows how each sink is spoken to. It must not know what drift, a plan or a fleet
// is, nor what the texts say: whoever made them has escaped what is foreign in them.
// What a sink answers is hostile. The addresses of webhooks and of chats are secrets,
// and stand in no error.
//
//	outbox, err := notify.Open("/var/lib/reconciler/notify", log)
//	outbox.Use(map[string]notify.Sink{"ops": mail})
//	go outbox.Run(ctx)
//	err = outbox.Put([]string{"ops"}, notify.Message{
//		Key: "drift D-121 new", Kind: notify.New, Severity: notify.Critical,
//		Fleet: "acme", Title: "acme: 1 new drift", Text: "…",
//	})
package notify
