package schedule

import (
	"strings"
	"time"
)

// Zone is the zone of an IANA name, which a function finds, as [time.LoadLocation]
// does; nil checks the name alone, and there is no zone then.
//
// A name is UTC, or has an area: Europe/Berlin, Etc/GMT+5. The others are refused,
// also those that are in the tables: Local and localtime are another zone on each
// machine, EST has no summer, and EST5EDT and CET are what one of their places
// keeps, which they do not say. So are the tables of right/, which count leap
// seconds. Every error is a [Refusal].
func Zone(name string, find func(name string) (*time.Location, error)) (*time.Location, error) {
	const hint = "write an IANA name, as in Europe/Berlin or UTC"
	area, place, _ := strings.Cut(name, "/")
	if name != "UTC" && (area == "" || place == "" || area == "posix" || area == "right" || !isZoneName(name)) {
		return nil, Refusal{quoted(name) + " is no name of a time zone", hint}
	}
	if find == nil {
		return nil, nil
	}
	zone, err := find(name)
	if err != nil || zone == nil {
		return nil, Refusal{"there is no time zone " + quoted(name), hint}
	}
	return zone, nil
}

func isZoneName(s string) bool {
	for _, c := range s {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("/_+-", c) {
			continue
		}
		return false
	}
	return len(s) <= 64
}
