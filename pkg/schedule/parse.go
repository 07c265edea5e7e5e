package schedule

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// The text of a schedule is refused here before robfig/cron v3.0.1 sees what that
// would panic on (a TZ= without a space behind it, robfig/cron#470), never end with
// (a field of nothing but commas) or take for something else (*-5 for *).

// Parse reads five fields (minute, hour, day of the month, month, weekday) or one
// of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually, told on
// the clocks of a zone; nil is UTC. Where both days are restricted, either will do,
// as in crontab(5); of these two, */2 restricts, and */1 does not. Every error is a
// [Refusal].
func Parse(text string, zone *time.Location) (Schedule, error) {
	if zone == nil {
		zone = time.UTC
	}
	if err := checkBytes(text); err != nil {
		return Schedule{}, err
	}
	parts := strings.Fields(text)
	text = strings.Join(parts, " ")
	if strings.HasPrefix(text, "@") {
		if err := checkName(text); err != nil {
			return Schedule{}, err
		}
	} else if err := checkFields(text, parts); err != nil {
		return Schedule{}, err
	}
	parsed, err := cron.ParseStandard(text)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Schedule{}, Refusal{quoted(text) + " is no schedule", fiveFields}
	}
	s := Schedule{spec, zone, text}
	if s.match(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, Refusal{quoted(text) + " never comes", "choose a day that the month has"}
	}
	return s, nil
}

const fiveFields = `write minute hour day month weekday, as in "0 22 * * TUE"`

func checkBytes(text string) error {
	if strings.Contains(text, "TZ=") {
		return Refusal{quoted(text) + " has a zone in it", "take it out, and write the zone under its own key"}
	}
	for _, c := range text {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune(" \t*?/,-@", c) {
			continue
		}
		return Refusal{quoted(text) + " is no schedule: there is " + quoted(string(c)) + " in it", fiveFields}
	}
	return nil
}

func checkName(text string) error {
	const names = "there are @hourly, @daily, @weekly, @monthly and @yearly"
	switch text {
	case "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually":
		return nil
	}
	if strings.HasPrefix(text, "@every") {
		return Refusal{quoted(text) + " counts from whenever it was read", `write when it is due, as in "*/15 * * * *"`}
	}
	return Refusal{"there is no " + quoted(text), names + `, and five fields as in "0 22 * * TUE"`}
}

// field is one of the five. Each is read on its own first, so that a refusal can
// name it.
type field struct {
	name   string
	option cron.ParseOption
	rule   string
}

func checkFields(text string, parts []string) error {
	all := []field{
		{"minute", cron.Minute, "a minute is 0 to 59"},
		{"hour", cron.Hour, "an hour is 0 to 23"},
		{"day", cron.Dom, "a day of the month is 1 to 31"},
		{"month", cron.Month, "a month is 1 to 12, or JAN to DEC"},
		{"weekday", cron.Dow, "a weekday is 0 to 6, or SUN to SAT; Sunday is 0"},
	}
	if len(parts) != len(all) {
		return Refusal{quoted(text) + " has not five fields", fiveFields}
	}
	for i, f := range all {
		if !f.takes(parts[i]) {
			return Refusal{quoted(text) + " has the " + f.name + " " + quoted(parts[i]), f.rule + "; * is any, and there are 1-5, */2 and 1,3"}
		}
	}
	return nil
}

func (f field) takes(part string) bool {
	for item := range strings.SplitSeq(part, ",") {
		rest := strings.TrimLeft(item, "*?")
		if item == "" || len(item)-len(rest) > 1 || rest != item && rest != "" && rest[0] != '/' {
			return false
		}
	}
	_, err := cron.NewParser(f.option).Parse(part)
	return err == nil
}
