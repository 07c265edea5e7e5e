package desired

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
)

// What a changed setting asks of a running Vault. SIGHUP makes Vault read its
// whole configuration again and use a handful of it; everything else it keeps
// as it was at the start, and says nothing. So a key reloads only when Vault's
// source or its documentation shows it, from the version on that shows it; any
// other key restarts (server.go, case <-c.SighupCh, read at 1.21).

// OnChangeClass is the least that makes a running Vault use a changed
// configuration, in this order.
type OnChangeClass string

const (
	ChangeNone     OnChangeClass = "none"     // Vault reads the same from both
	ChangeDeferred OnChangeClass = "deferred" // Vault does not need it before its next start
	ChangeReload   OnChangeClass = "reload"   // SIGHUP
	ChangeRestart  OnChangeClass = "restart"
)

// reloadRule is a setting that SIGHUP brings into force.
type reloadRule struct {
	key   string // flattened without indices; "*" is any one segment; all below it counts
	since string // first version that is known to
	// keeps says that Vault leaves the old value in force when the setting is
	// taken away: the new default then needs a restart.
	keeps bool
	// standing says that the block must be there before and after: Vault tells
	// only what it started with about a change.
	standing bool
	// warns says that Vault reports a value that it refuses as a warning: at a
	// log level that hides warnings nobody could see it.
	warns bool
}

func reloadRules() []reloadRule {
	return []reloadRule{
		{key: "log_level", since: "0.11.1", keeps: true},            // server.go: if config.LogLevel != ""
		{key: "log_requests_level", since: "1.12.0"},                // documented to go off when taken away
		{key: "listener.*.custom_response_headers", since: "1.9.0"}, // documented to change and go at SIGHUP
		{key: "introspection_endpoint", since: "1.13.0"},
		{key: "user_lockout", since: "1.21.0"}, // read from the configuration at each login
		{key: "storage.raft.trailing_logs", since: "1.19.0", keeps: true, warns: true},
		{key: "storage.raft.snapshot_threshold", since: "1.19.0", keeps: true, warns: true},
		{key: "storage.raft.snapshot_interval", since: "1.19.0", keeps: true, warns: true},
		// performance_multiplier is not here: lowering it is refused at run time,
		// with a warning and no error (raft ValidateConfig).
		{key: "service_registration.consul", since: "1.17.0", standing: true},
		{key: "enable_post_unseal_trace", since: "1.21.0"},
		{key: "post_unseal_trace_directory", since: "1.21.0"},
		{key: "enable_unauthenticated_access", since: "2.0.0", keeps: true},
	}
}

// Reloads says whether Vault of a version takes a new value of a flattened key
// at SIGHUP. False: it does not, or nothing proves that it does; a version that
// cannot be read proves nothing, and a pre-release does not count as its
// release.
func Reloads(key string, version string) bool {
	_, ok := reloadRuleOf(key, version)
	return ok
}

// Deferred says whether a key is read only where a node has not joined yet, so
// that a running member need not be told.
func Deferred(key string) bool {
	return covers("storage.raft.retry_join", key)
}

// ChangeOf compares two flattened configurations as Vault of a version would
// see the change while it runs. Keys are those that differ, sorted.
func ChangeOf(from, to map[string]string, version string) (kind OnChangeClass, keys []string) {
	for key, value := range from {
		if other, there := to[key]; !there || other != value {
			keys = append(keys, key)
		}
	}
	for key := range to {
		if _, there := from[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	kind = ChangeNone
	for _, key := range keys {
		kind = stronger(kind, changeOfKey(key, from, to, version))
	}
	return kind, keys
}

// TakesUp says that a Vault of a version that is reloaded with one configuration and
// then with another takes up something of the second.
func TakesUp(from, to map[string]string, version string) bool {
	_, keys := ChangeOf(from, to, version)
	return slices.ContainsFunc(keys, func(key string) bool { return changeOfKey(key, from, to, version) == ChangeReload })
}

func changeOfKey(key string, from, to map[string]string, version string) OnChangeClass {
	if Deferred(key) {
		return ChangeDeferred
	}
	rule, ok := reloadRuleOf(key, version)
	switch {
	case !ok:
		return ChangeRestart
	case rule.keeps && (to[key] == "" || to[key] == `""`):
		return ChangeRestart
	case rule.warns && hidesWarnings(from["log_level"]):
		return ChangeRestart
	case rule.standing && (!hasBelow(from, rule.key) || !hasBelow(to, rule.key)):
		return ChangeRestart
	}
	return ChangeReload
}

// hidesWarnings says that Vault at this log_level, as flattened, logs errors
// alone (helper/logging, ParseLogLevel). The level of before counts: Vault takes
// up a new one last.
func hidesWarnings(level string) bool {
	level = strings.ToLower(strings.TrimSpace(strings.Trim(level, `"`)))
	return level == "error" || level == "err"
}

func hasBelow(config map[string]string, key string) bool {
	for have := range maps.Keys(config) {
		if covers(key, have) {
			return true
		}
	}
	return false
}

func stronger(a, b OnChangeClass) OnChangeClass {
	order := []OnChangeClass{ChangeNone, ChangeDeferred, ChangeReload, ChangeRestart}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

func reloadRuleOf(key, running string) (reloadRule, bool) {
	v, err := version.NewVersion(running)
	if err != nil {
		return reloadRule{}, false
	}
	for _, rule := range reloadRules() {
		if covers(rule.key, key) {
			since, err := version.NewVersion(rule.since)
			return rule, err == nil && v.GreaterThanOrEqual(since)
		}
	}
	return reloadRule{}, false
}

// covers says that a flattened key is the pattern or stands below it.
func covers(pattern, key string) bool {
	for pattern != "" {
		var want, have string
		want, pattern, _ = strings.Cut(pattern, ".")
		have, key = cutSegment(key)
		if have == "" || want != "*" && want != have {
			return false
		}
	}
	return true
}

// cutSegment takes the first segment off a flattened key, without its index. A
// quoted segment is no setting of Vault's: it is returned with its quote.
func cutSegment(key string) (segment, rest string) {
	segment, rest, _ = strings.Cut(key, ".")
	segment, _, _ = strings.Cut(segment, "[")
	return segment, rest
}
